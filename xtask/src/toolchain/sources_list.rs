//! Which mirror this machine takes its distribution from, read from apt's own configuration: the
//! project names no host of its own, and a machine behind a private mirror keeps using that.

use std::fs;
use std::path::{Path, PathBuf};

/// A distribution's archive as the machine uses it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mirror {
    /// The archive's address, as apt takes it.
    pub(super) uri: String,
    /// The machine's own suite, such as a release's code name.
    pub(super) suite: String,
    /// The keyring apt checks it with, where the entry names a file.
    pub(super) keyring: Option<PathBuf>,
}

/// The machine's main archive: the first entry with component `main` whose suite is the release itself.
/// `etc` is apt's configuration directory, `codename` the release's.
pub(super) fn main_archive(etc: &Path, codename: &str) -> Option<Mirror> {
    let is_release = |mirror: &Mirror| {
        mirror.suite == codename || ["stable", "testing", "unstable", "sid"].contains(&mirror.suite.as_str())
    };
    files(etc).iter().filter_map(|path| entries(path)).flatten().find(is_release)
}

/// The main file first, then the parts by name, as apt reads them.
fn files(etc: &Path) -> Vec<PathBuf> {
    let mut parts: Vec<PathBuf> = fs::read_dir(etc.join("sources.list.d"))
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    parts.sort();
    parts.insert(0, etc.join("sources.list"));
    parts
}

fn entries(path: &Path) -> Option<Vec<Mirror>> {
    let text = fs::read_to_string(path).ok()?;
    match path.extension()?.to_str()? {
        "sources" => Some(text.split("\n\n").filter_map(stanza).flatten().collect()),
        "list" => Some(text.lines().filter_map(one_line).collect()),
        _ => None,
    }
}

/// `deb [option=value …] URI SUITE COMPONENT…`
fn one_line(line: &str) -> Option<Mirror> {
    let rest = line.trim().strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => ("", rest),
    };
    let keyring = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    words.any(|component| component == "main").then(|| mirror(uri, suite, keyring))
}

/// A paragraph of `Field: value` lines; one entry per suite.
fn stanza(text: &str) -> Option<Vec<Mirror>> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
    };
    let is =
        |name: &str, word: &str| field(name).is_some_and(|value| value.split_whitespace().any(|w| w == word));
    if !is("Types", "deb") || !is("Components", "main") || is("Enabled", "no") {
        return None;
    }
    let uri = field("URIs")?.split_whitespace().next()?;
    Some(field("Suites")?.split_whitespace().map(|suite| mirror(uri, suite, field("Signed-By"))).collect())
}

/// `Signed-By` may also hold a key itself or a fingerprint; only a file can be passed on.
fn mirror(uri: &str, suite: &str, keyring: Option<&str>) -> Mirror {
    let keyring = keyring.filter(|value| value.starts_with('/')).map(PathBuf::from);
    Mirror { uri: uri.into(), suite: suite.into(), keyring }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Option<Mirror> {
        let etc = tempfile::tempdir().unwrap();
        fs::create_dir(etc.path().join("sources.list.d")).unwrap();
        for (name, text) in files {
            fs::write(etc.path().join(name), text).unwrap();
        }
        main_archive(etc.path(), "bookworm")
    }

    #[test]
    fn a_stanza_names_the_archive_and_other_vendors_are_passed_over() {
        let vendor = "deb https://vendor.example/apt cloud-bookworm main\n";
        let own = "Types: deb\n# a remark\nURIs: http://mirror.example/debian\n\
                   Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/d.gpg\n";
        let mirror =
            found(&[("sources.list.d/a.list", vendor), ("sources.list.d/debian.sources", own)]).unwrap();
        assert_eq!(mirror.uri, "http://mirror.example/debian");
        assert_eq!(mirror.suite, "bookworm");
        assert_eq!(mirror.keyring, Some(PathBuf::from("/usr/share/keyrings/d.gpg")));
    }

    #[test]
    fn a_line_with_options_is_read_and_what_is_off_is_not() {
        let list = "# deb http://off.example bookworm main\ndeb-src http://src.example bookworm main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://on.example/debian bookworm contrib main\n";
        let mirror = found(&[("sources.list", list)]).unwrap();
        assert_eq!(
            (mirror.uri.as_str(), mirror.keyring),
            ("http://on.example/debian", Some("/k.gpg".into()))
        );
        let off = "Types: deb\nEnabled: no\nURIs: http://x.example\nSuites: bookworm\nComponents: main\n";
        assert_eq!(found(&[("sources.list.d/x.sources", off)]), None);
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn an_embedded_key_is_not_taken_for_a_file() {
        let text =
            "Types: deb\nURIs: http://m.example\nSuites: sid\nComponents: main\nSigned-By:\n -----BEGIN\n";
        assert_eq!(found(&[("sources.list.d/x.sources", text)]).unwrap().keyring, None);
    }
}
