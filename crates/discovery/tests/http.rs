//! The HTTP client: whom it trusts, what it refuses.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use support::http_server::{HttpServer, Reply, ok};
use tokio_rustls::TlsAcceptor;
use trunkline_discovery::DiscoverError;
use trunkline_discovery::config::SecretText;
use trunkline_discovery::http::{Client, Options, parse_url};

/// A CA in a file, and a server's TLS that it signed for `name`.
fn tls(name: &str) -> (tempfile::NamedTempFile, TlsAcceptor) {
    tls_until(name, None)
}

fn tls_until(name: &str, until: Option<(i32, u8, u8)>) -> (tempfile::NamedTempFile, TlsAcceptor) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let mut leaf = CertificateParams::new(vec![name.into()]).unwrap();
    if let Some(until) = until {
        leaf.not_after = date_time_ymd(until.0, until.1, until.2);
    }
    let cert = leaf.signed_by(&key, &issuer).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ca_cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (file, TlsAcceptor::from(Arc::new(config)))
}

fn client(ca_file: Option<&std::path::Path>) -> Client {
    let options = Options {
        ca_file: ca_file.map(Into::into),
        timeout: support::cx().timeout,
        max_body: 1 << 16,
        ..Options::default()
    };
    Client::new(options).unwrap()
}

async fn get(client: &Client, url: &str) -> Result<String, DiscoverError> {
    let token = SecretText::new("sesame");
    let reply = client.get(&parse_url(url).unwrap(), Some(&token)).await?;
    Ok(reply.text().unwrap().to_owned())
}

#[tokio::test]
async fn only_the_named_ca_is_trusted() {
    let (ca, acceptor) = tls("127.0.0.1");
    let server = HttpServer::serve(|_| ok("hello"), Some(acceptor)).await;
    let url = format!("https://127.0.0.1:{}", server.port);
    assert_eq!(
        get(&client(Some(ca.path())), &url).await,
        Ok("hello".into())
    );

    let (other, _) = tls("127.0.0.1");
    let localhost = url.replace("127.0.0.1", "localhost");
    for (client, url, why) in [
        (client(None), &url, "is signed by a CA that is not trusted"),
        (client(Some(ca.path())), &localhost, "is for another name"),
        (client(Some(other.path())), &url, "BadSignature"),
    ] {
        let error = get(&client, url).await.unwrap_err();
        assert!(matches!(error, DiscoverError::Tls { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_that_has_expired_says_so_in_one_text() {
    let (ca, acceptor) = tls_until("127.0.0.1", Some((2020, 1, 1)));
    let server = HttpServer::serve(|_| ok("hello"), Some(acceptor)).await;
    let url = format!("https://127.0.0.1:{}", server.port);
    let error = get(&client(Some(ca.path())), &url).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("TLS with {url} failed: its certificate has expired")
    );
}

#[tokio::test]
async fn tls_to_something_that_does_not_speak_it() {
    let server = HttpServer::start(|_| ok("plain")).await;
    let error = get(&client(None), &format!("https://127.0.0.1:{}", server.port))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            DiscoverError::Tls { .. } | DiscoverError::Connect { .. }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_token_is_sent_in_clear_to_this_host_only() {
    let error = get(&client(None), "http://192.0.2.1/").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "http://192.0.2.1 is not encrypted, the token is not sent there"
    );
    let server = HttpServer::start(|request| ok(request.header("authorization").unwrap())).await;
    assert_eq!(
        get(&client(None), &server.url()).await,
        Ok("Bearer sesame".into())
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = HttpServer::start(|_| ok("elsewhere")).await;
    let location = target.url();
    let server = HttpServer::start(move |_| {
        Reply::Say(307, vec![("location", location.clone())], String::new())
    })
    .await;
    let reply = client(None)
        .get(&parse_url(&server.url()).unwrap(), None)
        .await
        .unwrap();
    assert_eq!((reply.status, reply.location), (307, Some(target.url())));
    assert!(target.requests().is_empty());
}

#[tokio::test]
async fn names_that_do_not_resolve() {
    let server =
        support::dns_server::DnsServer::start(|_, _| support::dns_server::Answer::Code(3)).await;
    let address = server.address;
    let resolver = trunkline_discovery::dns::Resolver::with_servers(vec![address]);
    let client = Client::new(Options {
        resolver,
        ..Options::default()
    })
    .unwrap();
    let error = get(&client, "https://api.invalid").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("api.invalid cannot be resolved: {address} knows no such name (NXDOMAIN)")
    );
}

#[tokio::test]
async fn a_body_beyond_the_cap_is_not_read() {
    let server = HttpServer::start(|_| Reply::Endless).await;
    let error = get(&client(None), &server.url()).await.unwrap_err();
    assert!(
        matches!(error, DiscoverError::BodyTooLarge { limit: 0x10000, .. }),
        "{error:?}"
    );
}

#[test]
fn addresses_that_are_none() {
    for text in [
        "",
        "api.example",
        "ftp://api.example",
        "https://",
        "https://u:p@api.example",
        "https://a/?q",
    ] {
        assert!(parse_url(text).is_err(), "{text}");
    }
}

#[test]
fn ca_files_that_are_none() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for (content, why) in [
        ("", "holds no certificate"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "",
        ),
    ] {
        std::fs::write(file.path(), content).unwrap();
        let options = Options {
            ca_file: Some(file.path().into()),
            ..Options::default()
        };
        let error = Client::new(options).unwrap_err().to_string();
        assert!(
            error.contains(why) && error.contains(file.path().to_str().unwrap()),
            "{error}"
        );
    }
}
