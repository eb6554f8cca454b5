//! TLS 1.2 and 1.3 on a probe's connection.
//!
//! A certificate is verified, with its name, if the check names authorities; otherwise it is not looked at: a check asks
//! whether the node answers and tells it nothing secret, and nodes seldom have certificates for the addresses that are
//! probed. Nothing is kept from one probe to the next, so each one verifies.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::deadline::Deadline;
use super::failure::{Failure, Phase};
use crate::config::model::{Authorities, Tls};

/// A connection, with TLS or without.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Begins TLS over a connection to `address` and offers `protocol` (ALPN); without `tls` it is left as it is.
pub(crate) async fn begin(
    tls: Option<&Tls>,
    protocol: &[u8],
    address: SocketAddr,
    stream: impl Stream + 'static,
    deadline: &Deadline,
) -> Result<Box<dyn Stream>, Failure> {
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = tls.server_name.clone().unwrap_or_else(|| address.ip().into());
    let mut config =
        config(tls.authorities.as_ref()).map_err(|error| Failure::Local(std::io::Error::other(error)))?;
    config.alpn_protocols = vec![protocol.to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let begun = async { connector.connect(name, stream).await.map_err(Failure::Tls) };
    Ok(Box::new(deadline.hold(Phase::Handshaking, begun).await?))
}

fn config(authorities: Option<&Authorities>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match authorities {
        Some(authorities) => {
            let builder =
                WebPkiServerVerifier::builder_with_provider(authorities.roots.clone(), provider.clone());
            builder.build().map_err(|error| Error::General(error.to_string()))?
        }
        None => Arc::new(Unverified(provider.clone())),
    };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Takes any certificate, and so has no use for signatures by it.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
