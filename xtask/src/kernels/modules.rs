//! Kernel modules out of an unpacked package: those that the tests need and what these depend on, in the
//! order they must be loaded.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection};

use super::emulator::Emulator;

/// Links of the lab, the tunnel devices of the nodes, and what holds a program for what goes where links do not.
const WANTED: [&str; 9] =
    ["veth", "ipip", "sit", "ip6_tunnel", "fou", "fou6", "vxlan", "sch_ingress", "cls_bpf"];

/// Their names.
pub(super) fn wanted() -> String {
    WANTED.join(" ")
}

/// Leaves the modules in `into`, uncompressed, named so that they sort as they must be loaded. One that is not
/// there is built into the kernel.
///
/// # Errors
/// A module that cannot be read.
pub(super) fn collect(unpacked: &Path, into: &Path, emulator: &Emulator) -> Result<()> {
    let mut files = BTreeMap::new();
    find(unpacked, &mut files)?;
    let mut order = Order { files, emulator, loaded: Vec::new() };
    for name in WANTED {
        order.add(name)?;
    }
    fs::create_dir_all(into)?;
    for (number, (name, content)) in order.loaded.iter().enumerate() {
        fs::write(into.join(format!("{number:02}-{name}.ko")), content)?;
    }
    Ok(())
}

/// Every module by its name: `nf_nat` for `nf-nat.ko.xz`.
fn find(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().replace('-', "_");
        if entry.file_type()?.is_dir() {
            find(&entry.path(), files)?;
        } else if let Some((name, _compression)) = name.split_once(".ko") {
            files.insert(name.to_owned(), entry.path());
        }
    }
    Ok(())
}

struct Order<'a> {
    files: BTreeMap<String, PathBuf>,
    emulator: &'a Emulator,
    loaded: Vec<(String, Vec<u8>)>,
}

impl Order<'_> {
    fn add(&mut self, name: &str) -> Result<()> {
        let Some(path) = self.files.remove(name) else { return Ok(()) };
        let content = self.read(&path).with_context(|| path.display().to_string())?;
        for needed in depends(&content)? {
            self.add(&needed)?;
        }
        self.loaded.push((name.to_owned(), content));
        Ok(())
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("ko") => Ok(fs::read(path)?),
            Some("xz") => self.emulator.unxz(path),
            _ => bail!("compressed in a way that is not known here"),
        }
    }
}

/// What a module says it needs: `depends=a,b` among the strings of its section `.modinfo`.
fn depends(module: &[u8]) -> Result<Vec<String>> {
    let file = object::File::parse(module)?;
    let information = file.section_by_name(".modinfo").context("no kernel module")?.data()?;
    Ok(listed(information))
}

fn listed(information: &[u8]) -> Vec<String> {
    let texts = information.split(|byte| *byte == 0).filter_map(|text| str::from_utf8(text).ok());
    let names = texts.filter_map(|text| text.strip_prefix("depends=")).flat_map(|names| names.split(','));
    names.filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_lists_what_it_needs() {
        assert_eq!(listed(b"license=GPL\0depends=ip_tunnel,nf-nat\0name=x\0"), ["ip_tunnel", "nf_nat"]);
        assert_eq!(listed(b"depends=\0retpoline=Y\0"), [""; 0]);
    }

    #[test]
    fn modules_are_found_below_and_by_their_own_names() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("kernel/net")).unwrap();
        let path = directory.path().join("kernel/net/nf-nat.ko.xz");
        fs::write(&path, "").unwrap();
        fs::write(directory.path().join("modules.order"), "").unwrap();
        let mut files = BTreeMap::new();
        find(directory.path(), &mut files).unwrap();
        assert_eq!(files, BTreeMap::from([("nf_nat".to_owned(), path)]));
    }
}
