//! Where the tests' files are, and a directory with secrets for them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::config::{Config, parse};

/// 16 bytes, 00 to 0f: not a secret.
pub(super) const KEY: &str = "000102030405060708090a0b0c0d0e0f";

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// The YAML files of a directory below the root, sorted.
pub(super) fn files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(directory)).expect(directory);
    let mut files: Vec<_> = entries.map(|entry| entry.expect(directory).path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

/// A directory with `hash.key`, the certificate of an authority and what the bad files name. Git keeps no modes, so they are
/// made here.
pub(crate) fn secrets() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory for the secrets");
    let write = |name: &str, text: &str, mode: u32| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect(name);
    };
    write("hash.key", &format!("{KEY}\n"), 0o600);
    write("open.key", KEY, 0o640);
    write("short.key", &KEY[..31], 0o600);
    write("word.key", &KEY.replace('f', "g"), 0o400);
    write("ca.pem", &authority(), 0o644);
    // A certificate in form alone: base64 of "no DER".
    write("broken.pem", "-----BEGIN CERTIFICATE-----\nbm8gREVS\n-----END CERTIFICATE-----\n", 0o644);
    fs::create_dir(directory.path().join("folder.key")).expect("folder.key");
    std::os::unix::fs::symlink("open.key", directory.path().join("link.key")).expect("link.key");
    std::os::unix::fs::symlink("hash.key", directory.path().join("good-link.key")).expect("good-link.key");
    directory
}

fn authority() -> String {
    rcgen::generate_simple_self_signed(["ca.example".to_owned()]).expect("a certificate").cert.pem()
}

/// The configuration of a text.
pub(crate) fn configured(text: &str) -> Config {
    parse(text, "x.yaml", secrets().path()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The configuration of a file in `examples`.
pub(crate) fn example(name: &str) -> Config {
    configured(&fs::read_to_string(root().join("examples").join(name)).expect(name))
}
