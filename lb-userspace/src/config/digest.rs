//! The name of a version of the configuration.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::model::Secret;

/// Bytes of the digest that are shown, two hexadecimal digits each.
const SHOWN: usize = 8;

/// Bytes of the secret's fingerprint: enough to tell two secrets apart, far too few to find one.
const FINGERPRINT: usize = 4;

/// SHA-256 of the file's bytes and the secret's fingerprint, the first 16 hexadecimal digits. The
/// fingerprint is the first four bytes of SHA-256("spillway-secret" ‖ k0 ‖ k1), both little-endian.
pub(super) fn digest(file: &[u8], secret: Secret) -> String {
    let fingerprint = Sha256::new()
        .chain_update("spillway-secret")
        .chain_update(secret.k0.to_le_bytes())
        .chain_update(secret.k1.to_le_bytes())
        .finalize();
    shown(&Sha256::new().chain_update(file).chain_update(&fingerprint[..FINGERPRINT]).finalize())
}

/// SHA-256 of the bytes of a file that names no secret, the first 16 hexadecimal digits.
pub(super) fn of_file(file: &[u8]) -> String {
    shown(&Sha256::digest(file))
}

fn shown(digest: &[u8]) -> String {
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
        assert_eq!(digest(b"a: 1\n", secret), "25698d9a5263a99c");
        assert_eq!(of_file(b"a: 1\n"), "37b128c59f1f5097");
        assert_ne!(digest(b"a: 1\n", secret), digest(b"a: 2\n", secret));
        assert_ne!(digest(b"a: 1\n", secret), digest(b"a: 1\n", Secret { k0: 1, k1: 3 }));
    }
}
