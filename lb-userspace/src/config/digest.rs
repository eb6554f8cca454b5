//! The name of a version of the configuration.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::model::{Secret, TunnelKey};

/// Bytes of the digest that are shown, two hexadecimal digits each.
const SHOWN: usize = 8;

/// Bytes of the secret's fingerprint: enough to tell two secrets apart, far too few to find one.
const FINGERPRINT: usize = 4;

/// SHA-256 of the file's bytes and the fingerprints of the secret and of the key of tags, the first 16 hexadecimal
/// digits. A fingerprint is the first four bytes of SHA-256("spillway-secret" ‖ k0 ‖ k1), both little-endian.
pub(super) fn digest(file: &[u8], secret: Secret, key: Option<&TunnelKey>) -> String {
    shown(file, [secret].into_iter().chain(key.map(|key| key.key)))
}

/// The same of a node's file, with the fingerprints of all of its keys of tags.
pub(super) fn of_node(file: &[u8], keys: &[TunnelKey]) -> String {
    shown(file, keys.iter().map(|key| key.key))
}

fn fingerprint(secret: Secret) -> [u8; FINGERPRINT] {
    let digest = Sha256::new()
        .chain_update("spillway-secret")
        .chain_update(secret.k0.to_le_bytes())
        .chain_update(secret.k1.to_le_bytes())
        .finalize();
    std::array::from_fn(|at| digest[at])
}

fn shown(file: &[u8], secrets: impl Iterator<Item = Secret>) -> String {
    let file = Sha256::new().chain_update(file);
    let digest = secrets.fold(file, |digest, secret| digest.chain_update(fingerprint(secret))).finalize();
    digest.iter().take(SHOWN).fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_and_secret_both_count() {
        let secret = Secret { k0: 1, k1: 2 };
        // By Python's hashlib.
        assert_eq!(digest(b"a: 1\n", secret, None), "25698d9a5263a99c");
        assert_eq!(of_node(b"a: 1\n", &[]), "37b128c59f1f5097");
        assert_ne!(digest(b"a: 1\n", secret, None), digest(b"a: 2\n", secret, None));
        assert_ne!(digest(b"a: 1\n", secret, None), digest(b"a: 1\n", Secret { k0: 1, k1: 3 }, None));
    }

    #[test]
    fn another_key_of_tags_is_another_version() {
        let secret = Secret { k0: 1, k1: 2 };
        let key = |k0| TunnelKey { epoch: 1, key: Secret { k0, k1: 2 }, file: "a.key".into() };
        let digests = [None, Some(key(1)), Some(key(2))].map(|key| digest(b"a: 1\n", secret, key.as_ref()));
        assert!(digests[0] != digests[1] && digests[1] != digests[2]);
        assert_ne!(of_node(b"a: 1\n", &[key(1)]), of_node(b"a: 1\n", &[key(1), key(2)]));
    }
}
