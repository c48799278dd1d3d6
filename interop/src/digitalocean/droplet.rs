//! A Droplet as the API shows it.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use crate::netns::Host;

/// What the stories need to say about a Droplet; [`Droplet::json`] fills in the rest.
#[derive(Debug, Clone)]
pub struct Droplet {
    /// Unique in the account; the metadata service says the same.
    pub id: u64,
    /// The name shown in the control panel; may hold dots.
    pub name: String,
    /// Only an active one is worth connecting to.
    pub status: Status,
    /// Private IPv4, where it is in a VPC.
    pub private: Option<Ipv4Addr>,
    /// Public IPv4.
    pub public: Option<Ipv4Addr>,
    /// Public IPv6, where it was switched on. There is no private one.
    pub public6: Option<Ipv6Addr>,
    /// Tags.
    pub tags: Vec<String>,
    /// Slug of the region.
    pub region: String,
    /// The VPC.
    pub vpc_uuid: String,
}

/// The states of a Droplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Being made.
    New,
    /// Running.
    Active,
    /// Powered off.
    Off,
    /// Kept, not running.
    Archive,
}

impl Droplet {
    /// An active Droplet that is the host, with all its addresses and the tag `web`.
    pub fn of(host: &Host, name: &str) -> Self {
        Self {
            public: Some(host.public()),
            public6: Some(host.public6()),
            ..Self::at(host.n().into(), name, host.private())
        }
    }

    /// An active Droplet with a private address only, the tag `web`, and an id made from `n`.
    pub fn at(n: u64, name: &str, private: Ipv4Addr) -> Self {
        Self {
            id: 3_164_000 + n,
            name: name.to_owned(),
            status: Status::Active,
            private: Some(private),
            public: None,
            public6: None,
            tags: vec![String::from("web")],
            region: String::from("nyc3"),
            vpc_uuid: String::from("760e09ef-dc84-11e8-981e-3cfdfeaae000"),
        }
    }

    /// The same with other tags.
    #[must_use]
    pub fn tagged(mut self, tags: &[&str]) -> Self {
        self.tags = tags.iter().map(|tag| String::from(*tag)).collect();
        self
    }

    /// As the API prints it: addresses in canonical form.
    pub fn json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "memory": 1024,
            "vcpus": 1,
            "disk": 25,
            "disk_info": [{ "type": "local", "size": { "amount": 25, "unit": "gib" } }],
            "locked": false,
            "status": self.status.text(),
            "kernel": null,
            "created_at": "2026-01-21T18:37:44Z",
            "features": ["private_networking", "ipv6"],
            "backup_ids": [],
            "next_backup_window": null,
            "snapshot_ids": [],
            "image": image(),
            "volume_ids": [],
            "size": size(),
            "size_slug": "s-1vcpu-1gb",
            "networks": { "v4": self.v4(), "v6": self.v6() },
            "region": region(&self.region),
            "tags": self.tags,
            "vpc_uuid": self.vpc_uuid,
        })
    }

    /// Private first, as the API does it; `nil` is its word for a private network without a gateway.
    fn v4(&self) -> Vec<Value> {
        let private = self.private.map(|address| {
            json!({ "ip_address": address, "netmask": "255.255.255.0", "gateway": "nil", "type": "private" })
        });
        let public = self.public.map(|address| {
            json!({ "ip_address": address, "netmask": "255.255.255.0", "gateway": "203.0.113.254", "type": "public" })
        });
        private.into_iter().chain(public).collect()
    }

    fn v6(&self) -> Vec<Value> {
        let public = self.public6.map(|address| {
            json!({ "ip_address": address, "netmask": 64, "gateway": "2001:db8:0:1010::1", "type": "public" })
        });
        public.into_iter().collect()
    }
}

impl Status {
    fn text(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Active => "active",
            Self::Off => "off",
            Self::Archive => "archive",
        }
    }
}

fn image() -> Value {
    json!({
        "id": 63_663_980,
        "name": "12 x64",
        "distribution": "Debian",
        "slug": "debian-12-x64",
        "public": true,
        "regions": ["nyc3", "ams3"],
        "created_at": "2025-05-15T05:47:50Z",
        "type": "base",
        "min_disk_size": 20,
        "size_gigabytes": 2.36,
        "description": "",
        "tags": [],
        "status": "available",
        "error_message": "",
    })
}

fn size() -> Value {
    json!({
        "slug": "s-1vcpu-1gb",
        "memory": 1024,
        "vcpus": 1,
        "disk": 25,
        "transfer": 1.0,
        "price_monthly": 6.0,
        "price_hourly": 0.00893,
        "regions": ["nyc3", "ams3"],
        "available": true,
        "description": "Basic",
    })
}

fn region(slug: &str) -> Value {
    json!({
        "name": slug.to_uppercase(),
        "slug": slug,
        "features": ["private_networking", "ipv6", "metadata"],
        "available": true,
        "sizes": ["s-1vcpu-1gb"],
    })
}
