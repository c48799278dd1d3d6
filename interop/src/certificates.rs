//! Authorities of a test, what they sign, and option files of OTP that name it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use tempfile::TempDir;

use crate::process::run;

/// A year that no test lives to see.
const NEVER: i32 = 2100;

/// A folder with `ca.pem`, with `NAME.pem` and `NAME.key` for each certificate that is issued, and with option files.
#[derive(Debug)]
pub struct Certificates {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    /// A new authority called `name`.
    pub fn new(name: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        std::fs::write(dir.path().join("ca.pem"), params.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(params, key);
        Ok(Self { dir, issuer })
    }

    /// A file in the folder.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// A certificate for the host.
    pub fn issue(&self, name: &str, host: &str) -> Result<()> {
        self.sign(name, names(host)?, NEVER)
    }

    /// One that has expired long ago.
    pub fn issue_expired(&self, name: &str, host: &str) -> Result<()> {
        self.sign(name, names(host)?, 2020)
    }

    /// One with these alternative names that ends with the year before `until`.
    fn sign(&self, name: &str, names: Vec<SanType>, until: i32) -> Result<()> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "a node");
        params.subject_alt_names = names;
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let leaf = params.signed_by(&key, &self.issuer)?;
        std::fs::write(self.path(&format!("{name}.pem")), leaf.pem())?;
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem())?;
        Ok(())
    }

    /// A certificate of another authority under a name here.
    pub fn take(&self, name: &str, from: &Self) -> Result<()> {
        for kind in ["pem", "key"] {
            let file = format!("{name}.{kind}");
            std::fs::copy(from.path(&file), self.path(&file))?;
        }
        Ok(())
    }

    /// An RSA key in the old form (PKCS#1) and a certificate for the address, by openssl.
    pub fn issue_rsa(&self, name: &str, host: &str) -> Result<()> {
        let (key, request) = (self.path(&format!("{name}.key")), self.path("request.pem"));
        run(Command::new("openssl")
            .args(["genrsa", "-traditional", "-out"])
            .arg(&key)
            .arg("2048"))?;
        run(Command::new("openssl")
            .args(["req", "-new", "-subj", "/CN=rsa", "-key"])
            .arg(&key)
            .arg("-out")
            .arg(&request))?;
        let extensions = self.path("extensions");
        std::fs::write(
            &extensions,
            format!("subjectAltName=DNS:{host},IP:{host}\n"),
        )?;
        let ca_key = self.path("ca.key");
        std::fs::write(&ca_key, self.issuer.key().serialize_pem())?;
        run(Command::new("openssl")
            .args(["x509", "-req", "-days", "2", "-in"])
            .arg(&request)
            .arg("-CA")
            .arg(self.path("ca.pem"))
            .arg("-CAkey")
            .arg(&ca_key)
            .arg("-CAcreateserial")
            .arg("-extfile")
            .arg(&extensions)
            .arg("-out")
            .arg(self.path(&format!("{name}.pem"))))?;
        Ok(())
    }

    /// An option file of OTP in which both ends show the certificate `name`, verify each other and demand a certificate; with
    /// `more` options for both.
    pub fn mutual(&self, name: &str, more: &str) -> Result<PathBuf> {
        let shown = self.shown(name);
        let text = format!(
            "[{{server, [{shown}, {{verify, verify_peer}}, {{fail_if_no_peer_cert, true}}{more}]}},\n \
             {{client, [{shown}, {{verify, verify_peer}}{more}]}}].\n"
        );
        self.options(&format!("{name}.mutual.conf"), &text)
    }

    /// One in which callers verify and show nothing, as many are.
    pub fn one_sided(&self, name: &str) -> Result<PathBuf> {
        let (shown, ca) = (self.shown(name), self.ca());
        let text = format!(
            "[{{server, [{shown}, {{secure_renegotiate, true}}]}},\n {{client, [{ca}, {{verify, verify_peer}}]}}].\n"
        );
        self.options(&format!("{name}.conf"), &text)
    }

    /// An option file with this text.
    pub fn options(&self, file: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(file);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// The options that show `name`.
    pub fn shown(&self, name: &str) -> String {
        let file = |kind: &str| self.path(&format!("{name}.{kind}")).display().to_string();
        format!(
            "{}, {{certfile, {:?}}}, {{keyfile, {:?}}}",
            self.ca(),
            file("pem"),
            file("key")
        )
    }

    /// The option that trusts this authority.
    pub fn ca(&self) -> String {
        format!(
            "{{cacertfile, {:?}}}",
            self.path("ca.pem").display().to_string()
        )
    }
}

/// The host as OTP looks for it. An address stands twice: OTP 25 compares it with DNS names, OTP 27 with addresses.
fn names(host: &str) -> Result<Vec<SanType>> {
    let mut names = vec![SanType::DnsName(host.try_into()?)];
    if let Ok(address) = host.parse() {
        names.push(SanType::IpAddress(address));
    }
    Ok(names)
}

/// What an OTP node is started with to speak TLS by an option file.
pub fn arguments(protocol: &str, optfile: &Path) -> Vec<String> {
    let file = optfile.display().to_string();
    ["-proto_dist", protocol, "-ssl_dist_optfile", &file]
        .map(String::from)
        .into()
}
