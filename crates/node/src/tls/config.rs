//! From options to what rustls works with.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, version};

use super::files;
use super::options::{HostCheck, Role, Version};
use super::verify::{OfClient, OfServer};

/// A sentence.
type Failed = String;

/// For calling others.
pub(super) fn client(role: &Role) -> Result<ClientConfig, Failed> {
    let provider = provider(role)?;
    let verify = match (role.verify, &role.cacertfile) {
        (Some(verify), _) => verify,
        (None, Some(_)) => true,
        (None, None) => {
            return Err(
                "the client's options have neither cacertfile nor verify: OTP 25 would trust \
                 everybody and OTP 26 nobody; name the CA, or say {verify, verify_none}"
                    .to_owned(),
            );
        }
    };
    let trusted = match (&role.cacertfile, verify) {
        (Some(path), true) => Some(files::authorities(path).map_err(said)?),
        (None, true) => return Err("verify_peer needs cacertfile".to_owned()),
        (_, false) => None,
    };
    let check_host = role.host != HostCheck::Off;
    let verifier = OfServer::new(trusted, check_host, role.depth, &provider);
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(role))
        .map_err(said)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity(role, &provider)? {
        Some(identity) => {
            config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
        }
        None => config.with_no_client_auth(),
    };
    config.enable_sni = role.host != HostCheck::Off;
    // Each connection shows certificates anew: one that has been taken back stays out.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// For being called.
pub(super) fn server(role: &Role) -> Result<ServerConfig, Failed> {
    let provider = provider(role)?;
    let verifier = match (role.verify, &role.cacertfile) {
        (Some(true), Some(path)) => {
            let trusted = files::authorities(path).map_err(said)?;
            OfClient::among(trusted, role.fail_if_no_peer_cert, role.depth, &provider)
                .ok_or_else(|| "the authorities cannot be used".to_owned())?
        }
        (Some(true), None) => return Err("verify_peer needs cacertfile".to_owned()),
        _ if role.fail_if_no_peer_cert => {
            return Err("fail_if_no_peer_cert needs {verify, verify_peer}".to_owned());
        }
        _ => WebPkiClientVerifier::no_client_auth(),
    };
    let Some(identity) = identity(role, &provider)? else {
        return Err("the server's options have no certfile".to_owned());
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(role))
        .map_err(said)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    config.ignore_client_order = true;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn said(why: impl std::fmt::Display) -> Failed {
    why.to_string()
}

/// The certificate to show; a file that holds the key too needs no `keyfile`, as with OTP.
fn identity(role: &Role, provider: &CryptoProvider) -> Result<Option<Arc<CertifiedKey>>, Failed> {
    let (certfile, keyfile): (&Path, &Path) = match (&role.certfile, &role.keyfile) {
        (Some(certfile), Some(keyfile)) => (certfile, keyfile),
        (Some(certfile), None) => (certfile, certfile),
        (None, Some(_)) => return Err("keyfile needs certfile".to_owned()),
        (None, None) => return Ok(None),
    };
    let identity = files::identity(certfile, keyfile, role.cacertfile.as_deref(), provider);
    identity.map(Some).map_err(said)
}

fn versions(role: &Role) -> Vec<&'static SupportedProtocolVersion> {
    let may = |version| role.versions.is_empty() || role.versions.contains(&version);
    let mut versions = Vec::new();
    if may(Version::Tls13) {
        versions.push(&version::TLS13);
    }
    if may(Version::Tls12) {
        versions.push(&version::TLS12);
    }
    versions
}

/// ring's, with the suites in our order: what both ends take of it is used, whoever calls.
fn provider(role: &Role) -> Result<Arc<CryptoProvider>, Failed> {
    let mut provider = ring::default_provider();
    // Over TLS 1.2 the keys of a connection are never changed, and rustls ends a connection after
    // 2^24 records under one key of AES-GCM: a busy pair of nodes would lose each other every few
    // hours. ChaCha20 has no such limit. TLS 1.3 changes keys by itself.
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.tls13().is_none() && !name(*suite).contains("CHACHA20"));
    if !role.ciphers.is_empty() {
        let wanted = |suite: &SupportedCipherSuite| {
            let iana = name(*suite);
            role.ciphers.iter().any(|cipher| iana_name(cipher) == iana)
        };
        provider.cipher_suites.retain(wanted);
        if provider.cipher_suites.is_empty() {
            return Err(format!(
                "none of the ciphers {} is known here; ECDHE with AES-GCM or ChaCha20 is",
                role.ciphers.join(", ")
            ));
        }
    }
    Ok(Arc::new(provider))
}

/// As the registry of IANA calls it; those of TLS 1.3 have no other name.
fn name(suite: SupportedCipherSuite) -> String {
    let name = format!("{:?}", suite.suite());
    name.replace("TLS13_", "TLS_")
}

/// OpenSSL's name of a suite as IANA has it: `ECDHE-RSA-AES256-GCM-SHA384`.
fn iana_name(cipher: &str) -> String {
    if cipher.starts_with("TLS_") {
        return cipher.to_owned();
    }
    let words: Vec<&str> = cipher.split('-').collect();
    match words.as_slice() {
        ["ECDHE", by, "AES128", "GCM", hash] => format!("TLS_ECDHE_{by}_WITH_AES_128_GCM_{hash}"),
        ["ECDHE", by, "AES256", "GCM", hash] => format!("TLS_ECDHE_{by}_WITH_AES_256_GCM_{hash}"),
        ["ECDHE", by, "CHACHA20", "POLY1305", ..] => {
            format!("TLS_ECDHE_{by}_WITH_CHACHA20_POLY1305_SHA256")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites(ciphers: &[&str]) -> Result<Vec<String>, Failed> {
        let ciphers = ciphers.iter().map(ToString::to_string).collect();
        let role = Role {
            ciphers,
            ..Role::default()
        };
        let provider = provider(&role)?;
        Ok(provider.cipher_suites.iter().copied().map(name).collect())
    }

    #[test]
    fn suites_in_our_order_and_by_openssl_name() {
        let all = suites(&[]).unwrap();
        assert_eq!(all.len(), 9);
        assert!(
            all[..3].iter().all(|name| !name.contains("ECDHE")),
            "{all:?}"
        );
        assert!(
            all[3..5].iter().all(|name| name.contains("CHACHA20")),
            "{all:?}"
        );
        let few = [
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "AES128-SHA",
            "TLS_AES_128_GCM_SHA256",
        ];
        assert_eq!(
            suites(&few).unwrap(),
            [
                "TLS_AES_128_GCM_SHA256",
                "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
            ]
        );
        suites(&["AES128-SHA"]).unwrap_err();
    }
}
