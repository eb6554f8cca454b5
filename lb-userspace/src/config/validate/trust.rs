//! `tls` of a health check: whom a node is asked for, and who must have signed its certificate.

use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};

use super::secret;
use crate::config::file;
use crate::config::model::{Authorities, Tls};
use crate::config::problem::{Problems, quoted};
use crate::config::read::Located;

/// More bytes than this are no list of authorities; those of a whole system are a quarter of a mebibyte.
const MOST: u64 = 4 << 20;

pub(super) fn tls(tls: &file::Tls, base: &Path, problems: &mut Problems) -> Tls {
    Tls {
        server_name: tls.server_name.as_ref().and_then(|name| server_name(name, problems)),
        authorities: tls.ca_file.as_ref().and_then(|file| authorities(file, base, problems)),
    }
}

fn server_name(name: &Located<String>, problems: &mut Problems) -> Option<ServerName<'static>> {
    let parsed = ServerName::try_from(name.value.clone()).ok();
    if parsed.is_none() {
        let mend = "write the name that is in the nodes' certificates, without a port";
        problems.add(&name.place, format!("{} is no name of a server", quoted(name)), mend);
    }
    parsed
}

fn authorities(path: &Located<String>, base: &Path, problems: &mut Problems) -> Option<Authorities> {
    let file = base.join(&path.value);
    match read(&file) {
        Ok(roots) => Some(Authorities { file, roots: Arc::new(roots) }),
        Err(reason) => {
            let mend = "name a file of PEM certificates that the user that runs spillway may read";
            problems.add(&path.place, reason, mend);
            None
        }
    }
}

fn read(file: &Path) -> Result<RootCertStore, String> {
    let text = text(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    roots(&text).map_err(|reason| format!("{} {reason}", file.display()))
}

fn text(file: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = secret::open(file)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    file.take(MOST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST {
        return Err(io::Error::other(format!("larger than {MOST} bytes")));
    }
    Ok(text)
}

/// All certificates of a file; what else stands in it is left alone.
fn roots(text: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text) {
        let certificate = certificate.map_err(|error| format!("is no PEM: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
    }
    if roots.is_empty() { Err("holds no certificate".into()) } else { Ok(roots) }
}
