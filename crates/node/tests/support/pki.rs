//! An authority of a test, and what it signs.
#![allow(dead_code, reason = "each test program uses a part")]

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tempfile::TempDir;

/// Certificates in a folder: `ca.pem`, and `NAME.pem` with `NAME.key` for each that is issued.
pub(crate) struct Pki {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let subject = format!("authority {:?}", key.public_key_raw().get(..8));
        params.distinguished_name.push(DnType::CommonName, subject);
        let root = params.self_signed(&key).expect("a certificate");
        std::fs::write(dir.path().join("ca.pem"), root.pem()).expect("written");
        let issuer = Issuer::new(params, key);
        Self { dir, issuer }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// A certificate for `host`, valid now.
    pub(crate) fn issue(&self, name: &str, host: &str) {
        self.issue_until(name, host, 4000);
    }

    /// An authority between this one and what that signs: `NAME.pem` is its own certificate.
    pub(crate) fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let own = params.signed_by(&key, &self.issuer).expect("a certificate");
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(self.path(&format!("{name}.pem")), own.pem()).expect("written");
        let issuer = Issuer::new(params, key);
        Self { dir, issuer }
    }

    /// One that ends with the year before `year`.
    pub(crate) fn issue_until(&self, name: &str, host: &str, year: i32) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        let host = host.try_into().expect("a name");
        params.subject_alt_names = vec![rcgen::SanType::DnsName(host)];
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let leaf = params.signed_by(&key, &self.issuer).expect("a certificate");
        let written = std::fs::write(self.path(&format!("{name}.pem")), leaf.pem())
            .and_then(|()| std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()));
        written.expect("written");
    }
}
