//! Whether to trust a peer's certificate, as OTP decides it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use super::chain::within;
use super::names::Names;

/// Why a certificate is refused, beyond what rustls has words for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It signs itself. OTP takes none such from a peer, whoever vouches for it.
    SelfSigned,
    /// It names others.
    Host { host: String, names: String },
    /// It is of X.509 version 1, or broken.
    Unreadable,
    /// More authorities than `depth` says stand between it and one that is trusted.
    Deep { depth: usize },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SelfSigned => f.write_str("it is signed by itself, not by an authority"),
            Self::Host { host, names } => write!(f, "it is for {names}, not for {host}"),
            Self::Deep { depth } => write!(
                f,
                "more than {depth} authorities stand between it and a trusted one, and the TLS option \
                 depth allows no more"
            ),
            Self::Unreadable => f.write_str(
                "it cannot be read: it is broken, or of X.509 version 1, as openssl makes it without extensions",
            ),
        }
    }
}

impl StdError for Refused {}

impl From<Refused> for Error {
    fn from(why: Refused) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
    }
}

/// Judges the node that we call.
#[derive(Debug)]
pub(super) struct OfServer {
    /// `None`: everybody.
    trusted: Option<Arc<RootCertStore>>,
    check_host: bool,
    depth: Option<usize>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl OfServer {
    pub(super) fn new(
        trusted: Option<Arc<RootCertStore>>,
        check_host: bool,
        depth: Option<usize>,
        provider: &CryptoProvider,
    ) -> Self {
        Self {
            trusted,
            check_host,
            depth,
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl ServerCertVerifier for OfServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.trusted else {
            return Ok(ServerCertVerified::assertion());
        };
        let names = readable(end_entity)?;
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        within(self.depth, end_entity, intermediates, |chain| {
            verify_server_cert_signed_by_trust_anchor(&parsed, roots, chain, now, algorithms)
        })?;
        let host = server_name.to_str();
        if self.check_host && !names.include(&host) {
            let (host, names) = (host.into_owned(), names.shown());
            return Err(Refused::Host { host, names }.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.trusted {
            // Whose key it is is not asked, so that it fits proves nothing.
            None => Ok(HandshakeSignatureValid::assertion()),
            Some(_) => verify_tls12_signature(message, cert, dss, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.trusted {
            None => Ok(HandshakeSignatureValid::assertion()),
            Some(_) => verify_tls13_signature(message, cert, dss, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Judges a node that calls.
#[derive(Debug)]
pub(super) struct OfClient {
    authorities: Arc<dyn ClientCertVerifier>,
    mandatory: bool,
    depth: Option<usize>,
}

impl OfClient {
    /// Asks for a certificate, and demands one when it is `mandatory`. `None`: cannot be, with
    /// these authorities.
    pub(super) fn among(
        trusted: Arc<RootCertStore>,
        mandatory: bool,
        depth: Option<usize>,
        provider: &Arc<CryptoProvider>,
    ) -> Option<Arc<dyn ClientCertVerifier>> {
        let authorities =
            WebPkiClientVerifier::builder_with_provider(trusted, Arc::clone(provider)).build();
        Some(Arc::new(Self {
            authorities: authorities.ok()?,
            mandatory,
            depth,
        }))
    }
}

impl ClientCertVerifier for OfClient {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    /// None: a caller has one certificate, and shall not choose by them whether to show it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        readable(end_entity)?;
        within(self.depth, end_entity, intermediates, |chain| {
            self.authorities.verify_client_cert(end_entity, chain, now)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// The names of a certificate that can be judged at all.
fn readable(certificate: &CertificateDer<'_>) -> Result<Names, Error> {
    let names = Names::of(certificate).ok_or(Refused::Unreadable)?;
    if names.self_issued {
        return Err(Refused::SelfSigned.into());
    }
    match ParsedCertificate::try_from(certificate) {
        Ok(_) => Ok(names),
        Err(_) => Err(Refused::Unreadable.into()),
    }
}
