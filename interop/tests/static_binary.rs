//! The one static binary, in a root that holds nothing else.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use trunkline_interop::digitalocean::{Api, Authority, Droplet};
use trunkline_interop::netns::{API_HOST, Host, Lab};
use trunkline_interop::workspace;

/// A root with the binary and these files.
fn root_with(host: &Host, files: &[(&str, String)]) -> PathBuf {
    let root = host.dir().join("empty-root");
    fs::create_dir_all(&root).unwrap();
    fs::copy(workspace::dist(), root.join("trunkline")).unwrap();
    for (name, text) in files {
        fs::write(root.join(name), text).unwrap();
    }
    root
}

/// Runs the binary there, without any environment but `env`.
fn in_root(host: &Host, root: &PathBuf, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut chroot = host.command("chroot");
    chroot.env_clear().envs(env.iter().copied());
    chroot.arg(root).arg("/trunkline").args(args);
    chroot.output().unwrap()
}

fn stdout(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}\n{said}", output.status);
    text
}

#[test]
fn the_demo_runs_in_an_empty_root() {
    let lab = Lab::new().unwrap();
    let host = lab.host(1).unwrap();
    let root = root_with(&host, &[]);
    let output = in_root(&host, &root, &["demo", "--once", "--json"], &[]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["nodes"].as_array().unwrap().len(), 3, "{report}");
}

#[test]
fn discover_speaks_https_in_an_empty_root() {
    let lab = Lab::new().unwrap();
    let authority = Authority::new().unwrap();
    let ca = lab.dir().join("ca.pem");
    authority.write(&ca).unwrap();
    let api = Api::start(&lab.host(API_HOST).unwrap(), &authority).unwrap();
    let host = lab.host(1).unwrap();
    let other = lab.host(2).unwrap();
    api.put(Droplet::of(&host, "web-1"));
    api.put(Droplet::of(&other, "web-2"));
    let config = format!(
        "[node]\nname = \"app@{}\"\n[topologies.web]\nstrategy = \"digitalocean\"\n\
         token = {{ env = \"DIGITALOCEAN_TOKEN\" }}\nnode_basename = \"app\"\n\
         api_url = \"{}\"\napi_ca_file = \"/ca.pem\"\n",
        host.private(),
        api.url()
    );
    let files = [
        ("trunkline.toml", config),
        ("ca.pem", fs::read_to_string(&ca).unwrap()),
    ];
    let root = root_with(&host, &files);
    let args = ["--config", "/trunkline.toml", "discover", "--json"];
    let output = in_root(&host, &root, &args, &[("DIGITALOCEAN_TOKEN", api.token())]);
    let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let peers = found["topologies"][0]["peers"].as_array().unwrap();
    let names: Vec<_> = peers.iter().map(|p| p["node"].as_str().unwrap()).collect();
    assert!(
        names.contains(&format!("app@{}", other.private()).as_str()),
        "{found}"
    );
    assert_eq!(api.count(), 1);
}
