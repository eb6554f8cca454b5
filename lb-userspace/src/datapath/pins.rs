//! Where the maps and links are pinned: `<pin path>/v<ABI version>/`. The version stands in the path, for a
//! pinned map is reused by its name alone.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::config::model::XdpMode;
use lb_common::abi;
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

/// Directories of the links, and of what holds the program for what interfaces send.
const LINKS: &str = "links";
const EGRESS: &str = "egress";

/// Whose maps are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenant {
    /// A gateway's.
    Gateway,
    /// A node's: those of its receiver.
    Node,
}

impl Tenant {
    /// All.
    pub const ALL: [Self; 2] = [Self::Gateway, Self::Node];

    /// Its maps; the first one is nobody else's.
    pub const fn maps(self) -> &'static [&'static str] {
        match self {
            Self::Gateway => &abi::map::ALL,
            Self::Node => &abi::receiver_map::ALL,
        }
    }

    /// In a sentence, with an article.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "a gateway",
            Self::Node => "a node",
        }
    }
}

/// The directory of pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    directory: PathBuf,
}

/// A link that holds the program on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedMode {
    /// Name of the interface.
    pub interface: String,
    /// Native or generic.
    pub mode: XdpMode,
}

impl Pins {
    /// Below the configured `pinPath`.
    pub fn new(pin_path: &Path) -> Self {
        Self { directory: pin_path.join(format!("v{}", abi::VERSION)) }
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whose maps are pinned here; `None`: nobody's.
    pub fn tenant(&self) -> Option<Tenant> {
        let has = |tenant: &Tenant| tenant.maps().first().is_some_and(|first| self.map(first).exists());
        Tenant::ALL.into_iter().find(has)
    }

    /// A map's pin.
    pub fn map(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// An interface's link: `<mode>:<interface>`. A file name on a BPF file system may have no `.`, which a
    /// VLAN interface's name has; a `:` is in no interface's name.
    pub fn link(&self, link: &PinnedMode) -> PathBuf {
        let interface = link.interface.replace('.', ":");
        self.directory.join(LINKS).join(format!("{}:{interface}", link.mode.name()))
    }

    /// All links, by interface.
    pub fn links(&self) -> io::Result<Vec<PinnedMode>> {
        let names = names(&self.directory.join(LINKS))?;
        let mut links: Vec<_> = names.iter().filter_map(|name| parse_link(name)).collect();
        links.sort_by(|a: &PinnedMode, b| a.interface.cmp(&b.interface));
        Ok(links)
    }

    /// What holds the program for what an interface sends, as [`super::egress`] makes it; named as in [`Self::link`].
    pub fn egress(&self, interface: &str) -> PathBuf {
        self.directory.join(EGRESS).join(interface.replace('.', ":"))
    }

    /// The interfaces that have one, sorted.
    pub fn egress_interfaces(&self) -> io::Result<Vec<String>> {
        let mut interfaces = names(&self.directory.join(EGRESS))?;
        interfaces.iter_mut().for_each(|name| *name = name.replace(':', "."));
        interfaces.sort();
        Ok(interfaces)
    }

    /// Makes the directories, for root alone. They must come to lie on a BPF file system.
    pub fn create(&self) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        [LINKS, EGRESS].iter().try_for_each(|directory| builder.create(self.directory.join(directory)))
    }

    /// Whether the pin path is on a BPF file system: the deepest of its directories that exists is.
    pub fn on_bpf_file_system(&self) -> bool {
        let existing = self.directory.ancestors().find(|directory| directory.exists());
        existing.is_some_and(|directory| {
            statfs(directory).is_ok_and(|stat| stat.filesystem_type() == BPF_FS_MAGIC)
        })
    }

    /// Removes every map's pin. Programs that use the maps keep them.
    pub fn remove_maps(&self) -> io::Result<()> {
        Tenant::ALL.iter().flat_map(|tenant| tenant.maps()).try_for_each(|name| remove(&self.map(name)))
    }

    /// Removes everything: the interfaces are balanced no more. What [`super::egress`] holds by a filter is to be detached
    /// before.
    pub fn remove_all(&self) -> io::Result<()> {
        self.links()?.iter().try_for_each(|link| remove(&self.link(link)))?;
        self.egress_interfaces()?.iter().try_for_each(|name| remove_egress(&self.egress(name)))?;
        self.remove_maps()?;
        fs::remove_dir(self.directory.join(LINKS)).or_else(absent)?;
        fs::remove_dir(self.directory.join(EGRESS)).or_else(absent)?;
        fs::remove_dir(&self.directory).or_else(absent)
    }
}

/// Names of a directory's files; none if there is no such directory.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
    }
}

fn parse_link(file: &str) -> Option<PinnedMode> {
    let (mode, interface) = file.split_once(':')?;
    let mode = [XdpMode::Native, XdpMode::Generic].into_iter().find(|known| known.name() == mode)?;
    Some(PinnedMode { interface: interface.replace(':', "."), mode })
}

/// Removes what holds the program for what an interface sends: a link's pin, or the directory that stands for a filter.
pub(super) fn remove_egress(pin: &Path) -> io::Result<()> {
    if pin.is_dir() { fs::remove_dir(pin).or_else(absent) } else { remove(pin) }
}

fn remove(pin: &Path) -> io::Result<()> {
    fs::remove_file(pin).or_else(absent)
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_interface_has_a_file_name() {
        let pins = Pins::new(Path::new("/pins"));
        let link = PinnedMode { interface: "eth0.100".into(), mode: XdpMode::Native };
        assert_eq!(pins.link(&link), Path::new("/pins/v6/links/native:eth0:100"));
        assert_eq!(parse_link("native:eth0:100"), Some(link));
        assert_eq!(parse_link("else:eth0"), None);
    }

    #[test]
    fn what_holds_the_program_for_what_is_sent_is_found_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let pins = Pins::new(directory.path());
        pins.create().unwrap();
        fs::write(pins.egress("eth1.100"), "").unwrap();
        fs::create_dir(pins.egress("eth0")).unwrap();
        assert_eq!(pins.egress_interfaces().unwrap(), ["eth0", "eth1.100"]);
        assert_eq!(pins.links().unwrap(), []);
        pins.remove_all().unwrap();
        assert!(!pins.directory().exists());
    }

    #[test]
    fn an_ordinary_directory_is_not_a_bpf_file_system() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!Pins::new(directory.path()).on_bpf_file_system());
    }

    #[test]
    fn pins_say_whose_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let pins = Pins::new(directory.path());
        pins.create().unwrap();
        assert_eq!(pins.tenant(), None);
        for tenant in Tenant::ALL {
            tenant.maps().iter().for_each(|name| fs::write(pins.map(name), "").unwrap());
            assert_eq!(pins.tenant(), Some(tenant));
            pins.remove_maps().unwrap();
            assert_eq!(pins.tenant(), None);
        }
    }

    #[test]
    fn removing_nothing_is_fine() {
        let directory = tempfile::tempdir().unwrap();
        Pins::new(directory.path()).remove_all().unwrap();
    }
}
