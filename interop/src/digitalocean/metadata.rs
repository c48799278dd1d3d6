//! A Droplet's metadata service: plain HTTP at 169.254.169.254, for this host only.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use axum::Router;
use axum::routing::get;
use serde_json::json;

use super::Droplet;
use super::server::Server;
use crate::netns::Host;

/// Where every Droplet finds its own.
const ADDRESS: (Ipv4Addr, u16) = (Ipv4Addr::new(169, 254, 169, 254), 80);

/// The running service of one host.
#[derive(Debug)]
pub struct Metadata {
    _server: Server,
}

/// How IPv6 addresses are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6Form {
    /// As the real service does: upper case, all eight groups with all their digits.
    LongUpper,
    /// As RFC 5952 says.
    Canonical,
}

impl Metadata {
    /// Serves what `droplet` is, on `host`.
    pub fn start(host: &Host, droplet: &Droplet, form: Ipv6Form) -> Result<Self> {
        let server = Server::plain(host.listen(ADDRESS)?, router(droplet, form))?;
        Ok(Self { _server: server })
    }
}

fn router(droplet: &Droplet, form: Ipv6Form) -> Router {
    let public6 = droplet.public6.map(|address| match form {
        Ipv6Form::LongUpper => long_upper(address),
        Ipv6Form::Canonical => address.to_string(),
    });
    let whole = whole(droplet, public6.as_deref()).to_string();
    let leaves = [
        ("id", Some(droplet.id.to_string())),
        ("hostname", Some(droplet.name.clone())),
        ("region", Some(droplet.region.clone())),
        (
            "interfaces/private/0/ipv4/address",
            droplet.private.map(|address| address.to_string()),
        ),
        (
            "interfaces/public/0/ipv4/address",
            droplet.public.map(|address| address.to_string()),
        ),
        ("interfaces/public/0/ipv6/address", public6),
    ];
    let mut router = Router::new().route(
        "/metadata/v1.json",
        get(move || async move { ([("content-type", "application/json")], whole) }),
    );
    // What a Droplet does not have is not found.
    for (path, text) in leaves {
        if let Some(text) = text {
            let path = format!("/metadata/v1/{path}");
            router = router.route(&path, get(move || async move { text }));
        }
    }
    router
}

fn whole(droplet: &Droplet, public6: Option<&str>) -> serde_json::Value {
    let v4 = |address: Option<Ipv4Addr>| {
        address.map(
            |address| json!({ "ip_address": address, "netmask": "255.255.255.0", "gateway": "" }),
        )
    };
    let mut public = json!({ "mac": "04:01:2a:0f:2a:01", "type": "public" });
    if let Some(v4) = v4(droplet.public) {
        public["ipv4"] = v4;
    }
    if let Some(address) = public6 {
        public["ipv6"] = json!({ "ip_address": address, "cidr": 64, "gateway": "" });
    }
    let mut private = json!({ "mac": "04:01:2a:0f:2a:02", "type": "private" });
    if let Some(v4) = v4(droplet.private) {
        private["ipv4"] = v4;
    }
    json!({
        "droplet_id": droplet.id,
        "hostname": droplet.name,
        "region": droplet.region,
        "tags": droplet.tags,
        "interfaces": { "public": [public], "private": [private] },
    })
}

fn long_upper(address: Ipv6Addr) -> String {
    let groups = address.segments().map(|group| format!("{group:04X}"));
    groups.join(":")
}
