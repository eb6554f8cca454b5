//! Which kernels are tried, and which packages of the distribution bring them.

use super::FLAVOUR;

/// Kernels of one version, of which the newest that the mirror offers is tried.
pub(crate) struct Series {
    /// As its releases begin: `5.10`, or `7` for all of 7.x.
    pub(super) name: &'static str,
    /// The suites of Debian that have it, the likeliest first.
    pub(super) suites: &'static [&'static str],
    /// How much is tried.
    pub(super) extent: Extent,
}

/// How much is tried on a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All that every kernel must pass.
    Full,
    /// That its verifier takes every program, and real traffic: what the older and the newer kernel agree on is as it
    /// is with them.
    Between,
}

/// The oldest that is supported, those of Debian's releases, and the newest there is.
pub(crate) const ALL: [Series; 5] = [
    Series { name: "5.10", suites: &["bullseye"], extent: Extent::Full },
    Series { name: "6.1", suites: &["bookworm"], extent: Extent::Full },
    Series { name: "6.12", suites: &["trixie", "bookworm-backports"], extent: Extent::Between },
    Series { name: "6.18", suites: &["trixie-backports", "unstable"], extent: Extent::Between },
    Series { name: "7", suites: &["trixie-backports", "unstable"], extent: Extent::Full },
];

impl Series {
    /// The newest release of this series among the names of packages.
    pub(super) fn newest<'a>(&self, packages: &'a [String]) -> Option<&'a str> {
        let releases = packages.iter().filter_map(|package| release_of(package));
        releases.filter(|release| self.has(release)).max_by_key(|release| numbers(release))
    }

    fn has(&self, release: &str) -> bool {
        release.strip_prefix(self.name).is_some_and(|rest| rest.starts_with('.'))
    }
}

/// Packages that together hold a release's kernel and its modules: one, or since 7.1 two.
pub(super) fn packages_of(release: &str, offered: &[String]) -> Vec<String> {
    let offers = |kind: &str| {
        let name = format!("linux-{kind}-{release}-{FLAVOUR}");
        offered.contains(&name).then_some(name)
    };
    match (offers("binary"), offers("modules"), offers("image")) {
        (Some(binary), Some(modules), _) => vec![binary, modules],
        (_, _, Some(image)) => vec![image],
        _ => Vec::new(),
    }
}

/// `linux-image-6.1.0-50-cloud-amd64` is of `6.1.0-50`.
fn release_of(package: &str) -> Option<&str> {
    let named = package.strip_prefix("linux-image-").or_else(|| package.strip_prefix("linux-binary-"))?;
    let release = named.strip_suffix(FLAVOUR)?.strip_suffix('-')?;
    release.starts_with(|first: char| first.is_ascii_digit()).then_some(release)
}

fn numbers(release: &str) -> Vec<u32> {
    release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered() -> Vec<String> {
        let names = [
            "linux-image-cloud-amd64",
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-50-cloud-amd64-dbg",
            "linux-image-6.1.0-50-cloud-amd64",
            "linux-image-6.12.94+deb13-cloud-amd64",
            "linux-image-6.12.107+deb13-cloud-amd64",
            "linux-image-7.3.4+deb13-cloud-amd64",
            "linux-binary-7.3.4+deb13-cloud-amd64",
            "linux-modules-7.3.4+deb13-cloud-amd64",
        ];
        names.map(str::to_owned).to_vec()
    }

    fn newest(name: &'static str) -> Option<String> {
        Series { name, suites: &[], extent: Extent::Full }.newest(&offered()).map(str::to_owned)
    }

    #[test]
    fn the_newest_of_a_series_is_found_by_number() {
        assert_eq!(newest("6.1").as_deref(), Some("6.1.0-50"));
        assert_eq!(newest("6.12").as_deref(), Some("6.12.107+deb13"));
        assert_eq!(newest("7").as_deref(), Some("7.3.4+deb13"));
        assert_eq!(newest("5.10"), None);
    }

    #[test]
    fn a_kernel_is_one_package_or_two() {
        assert_eq!(packages_of("6.1.0-50", &offered()), ["linux-image-6.1.0-50-cloud-amd64"]);
        let two = ["linux-binary-7.3.4+deb13-cloud-amd64", "linux-modules-7.3.4+deb13-cloud-amd64"];
        assert_eq!(packages_of("7.3.4+deb13", &offered()), two);
        assert_eq!(packages_of("5.10.0-1", &offered()), [""; 0]);
    }
}
