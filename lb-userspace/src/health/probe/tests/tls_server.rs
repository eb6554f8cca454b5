//! A server with certificates of its own, and who signed them.

use crate::config::model::{Authorities, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{RootCertStore, ServerConfig};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A name that the certificates have; they are also by 127.0.0.1.
pub(super) const NAME: &str = "shop.example";

/// An authority.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name of its own, by which verifiers look for it.
        let name = format!("{:02x?}", &key.public_key_raw()[1..9]);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// What a check is told of it.
    pub(super) fn known(&self, server_name: Option<&str>) -> Tls {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let authorities = Some(Authorities { file: "ca.pem".into(), roots: Arc::new(roots) });
        Tls { authorities, ..unverified(server_name) }
    }

    /// A server whose certificate it signed; valid until `year`.
    pub(super) fn acceptor(&self, year: i32, protocol: &str) -> TlsAcceptor {
        let mut params = CertificateParams::new([NAME.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.unwrap().with_no_client_auth();
        let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

/// What a check without authorities is told.
pub(super) fn unverified(server_name: Option<&str>) -> Tls {
    let server_name = server_name.map(|name| ServerName::try_from(name.to_owned()).unwrap());
    Tls { server_name, authorities: None }
}

/// A connection that somebody opened; `None`: not with TLS, or the certificate was not taken.
pub(super) async fn accept(listener: &TcpListener, acceptor: &TlsAcceptor) -> Option<TlsStream<TcpStream>> {
    acceptor.accept(listener.accept().await.unwrap().0).await.ok()
}

/// Where it listens, on the loopback.
pub(super) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}
