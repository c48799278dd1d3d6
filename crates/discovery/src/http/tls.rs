//! Whom the HTTP client trusts.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

use super::Options;

/// Why there is no client.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The CA file cannot be read.
    #[error("{}: {why}", path.display())]
    CaFile {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The library refuses.
    #[error("no HTTP client: {0}")]
    Client(String),
}

pub(super) fn config(options: &Options) -> Result<ClientConfig, TlsError> {
    let roots = match &options.ca_file {
        _ if options.plain => RootCertStore::empty(),
        Some(path) => only(path)?,
        None => everybody(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Client(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// All public authorities fit many times; a wrong path (`/dev/zero`) must not fill memory.
const MAX_FILE: u64 = 4 << 20;

/// Exactly the certificates in the file.
fn only(path: &Path) -> Result<RootCertStore, TlsError> {
    let fail = |why: String| TlsError::CaFile {
        path: path.into(),
        why,
    };
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut pem))
        .map_err(|error| fail(error.to_string()))?;
    if pem.len() as u64 > MAX_FILE {
        return Err(fail("it is too large for certificates".into()));
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| fail(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| fail(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(fail("holds no certificate in PEM form".into()));
    }
    Ok(roots)
}

/// The web's CAs, which the binary carries (it runs where no certificates are installed), and
/// those of the system (a company's own). One that cannot be read is passed over: it
/// can only be missing, and a connection that needs it says so.
fn everybody() -> RootCertStore {
    let mut roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
