//! The project builds anywhere: no file names somebody's directories, or a registry by its host.

use super::source::{Source, Violation};

// In two parts, or this file would break its own rule.
const DIRECTORIES: [&str; 3] = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];
const HOSTS: [&str; 6] = [
    concat!("crates", ".io"),
    concat!("deb.debian", ".org"),
    concat!("archive.ubuntu", ".com"),
    concat!("registry.npmjs", ".org"),
    concat!("pypi", ".org"),
    concat!("static.rust-lang", ".org"),
];

/// Cargo writes the registry into its lock file.
const LOCK_FILE: &str = "Cargo.lock";

/// No absolute path of a machine, no host of a registry.
pub(super) fn names_no_machine(source: &Source) -> Vec<Violation> {
    if source.path.ends_with(LOCK_FILE) {
        return Vec::new();
    }
    source.lines().flat_map(|(number, line)| faults(source, number, line)).collect()
}

fn faults(source: &Source, number: usize, line: &str) -> Vec<Violation> {
    let directories = DIRECTORIES.iter().filter(|directory| starts_path(line, directory)).map(|directory| {
        source.violation(number, format!("a path below {directory}"), "use a path relative to the project")
    });
    let hosts = HOSTS.iter().filter(|host| line.contains(**host)).map(|host| {
        source.violation(number, format!("the host {host}"), "take it from the machine's configuration")
    });
    directories.chain(hosts).collect()
}

/// `tests/work/a` and `https://host/work/` hold the word; only a path from the root names a machine.
fn starts_path(line: &str, directory: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || "._-/}~".contains(c);
    line.match_indices(directory).any(|(at, _)| !line[..at].ends_with(continues))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(path: &str, line: &str) -> usize {
        let line = line.replace('W', DIRECTORIES[2]).replace('C', HOSTS[0]);
        names_no_machine(&Source { path: path.into(), text: line }).len()
    }

    #[test]
    fn absolute_paths_are_found_and_relative_ones_are_not() {
        assert_eq!(violations("a.sh", "cd Wmain"), 1);
        assert_eq!(violations("a.sh", "PATH=\"Wbin\""), 1);
        assert_eq!(violations("a.sh", "cd testsWmain; cd ./aWb; cd ${dir}Wb"), 0);
    }

    #[test]
    fn hosts_are_found_but_in_the_lock_file() {
        assert_eq!(violations("README.md", "see https://C/x"), 1);
        assert_eq!(violations("Cargo.lock", "registry C"), 0);
    }
}
