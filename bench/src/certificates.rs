//! Certificates for the pairs that speak TLS, and the option file that both kinds of node read.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// An authority and one certificate for the loopback, which both ends show and verify; the option file is OTP's own
/// (`-ssl_dist_optfile`). TLS 1.3, elliptic keys: what two nodes of today agree on.
pub(crate) fn make(folder: &Path) -> Result<PathBuf> {
    let file = |name: &str| folder.join(name);
    std::fs::write(
        file("extensions"),
        // OTP 25 compares an address with DNS names.
        "subjectAltName=DNS:127.0.0.1,IP:127.0.0.1\n",
    )?;
    for name in ["ca", "node"] {
        let mut key = openssl(&["ecparam", "-genkey", "-noout", "-name", "prime256v1"]);
        run(key.arg("-out").arg(file(&format!("{name}.key"))))?;
    }
    let mut ca = openssl(&["req", "-x509", "-days", "2", "-subj", "/CN=bench", "-key"]);
    run(ca.arg(file("ca.key")).arg("-out").arg(file("ca.pem")))?;
    let mut request = openssl(&["req", "-new", "-subj", "/CN=node", "-key"]);
    run(request
        .arg(file("node.key"))
        .arg("-out")
        .arg(file("request.pem")))?;
    let mut node = openssl(&["x509", "-req", "-days", "2", "-CAcreateserial", "-in"]);
    run(node
        .arg(file("request.pem"))
        .arg("-CA")
        .arg(file("ca.pem"))
        .arg("-CAkey")
        .arg(file("ca.key"))
        .arg("-extfile")
        .arg(file("extensions"))
        .arg("-out")
        .arg(file("node.pem")))?;
    let shown = format!(
        "{{cacertfile, {:?}}}, {{certfile, {:?}}}, {{keyfile, {:?}}}, {{versions, ['tlsv1.3']}}, {{verify, verify_peer}}",
        file("ca.pem"),
        file("node.pem"),
        file("node.key")
    );
    let options = file("tls.conf");
    let text = format!(
        "[{{server, [{shown}, {{fail_if_no_peer_cert, true}}]}},\n {{client, [{shown}]}}].\n"
    );
    std::fs::write(&options, text)?;
    Ok(options)
}

fn openssl(args: &[&str]) -> Command {
    let mut openssl = Command::new("openssl");
    openssl.args(args);
    openssl
}

fn run(command: &mut Command) -> Result<()> {
    let command = command.stdin(Stdio::null());
    let output = command.output().context("apt-get install openssl")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "openssl: {said}");
    Ok(())
}
