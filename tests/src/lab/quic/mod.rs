//! QUIC in the lab: servers whose connection ids say who they are, and clients that move.

mod server;
mod talks;

pub use server::{QuicEcho, QuicIds};
pub use talks::QuicTalks;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use quinn::{ClientConfig, ServerConfig, TransportConfig};
use tokio::runtime::Runtime;

use super::Namespace;

/// The servers' name.
const NAME: &str = "quic.test";
/// After this long without a packet a connection is over: longer than any test on a slow machine.
const IDLE: Duration = Duration::from_mins(2);

/// A certificate for [`NAME`], made for a test and forgotten with it.
#[derive(Debug)]
pub struct QuicIdentity {
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl QuicIdentity {
    /// Another one.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn new() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        Ok(Self { certificate: made.cert.into(), key: made.signing_key.serialize_der().into() })
    }

    fn server(&self) -> Result<ServerConfig> {
        let key = self.key.clone_key().into();
        let mut config = ServerConfig::with_single_cert(vec![self.certificate.clone()], key)?;
        config.transport_config(transport()?);
        Ok(config)
    }

    fn client(&self) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let mut config = ClientConfig::with_root_certificates(Arc::new(roots))?;
        config.transport_config(transport()?);
        Ok(config)
    }
}

fn transport() -> Result<Arc<TransportConfig>> {
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(Some(IDLE.try_into()?));
    Ok(Arc::new(transport))
}

/// A socket of a namespace, whichever thread uses it.
fn socket(namespace: &Namespace, address: SocketAddr) -> Result<UdpSocket> {
    namespace.enter(|| UdpSocket::bind(address).with_context(|| format!("{address} in {}", namespace.name())))
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("a runtime")
}
