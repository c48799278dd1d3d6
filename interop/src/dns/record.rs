//! What a zone holds.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One record of a zone. Its name is whole, without the final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose it is: `demo.internal`.
    pub name: String,
    /// What it says.
    pub data: Data,
}

/// A record's type and content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields have their names from the RFCs")]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A service's port and host (RFC 2782).
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: String,
    },
    /// Text, in strings of at most 255 bytes; [`Record::txt`] cuts it.
    Txt(Vec<String>),
    /// Another name.
    Cname(String),
}

impl Record {
    /// An A or AAAA record.
    pub fn address(name: impl Into<String>, address: impl Into<IpAddr>) -> Self {
        let data = match address.into() {
            IpAddr::V4(ip) => Data::A(ip),
            IpAddr::V6(ip) => Data::Aaaa(ip),
        };
        Self::new(name, data)
    }

    /// A TXT record, its text cut into as many strings as it needs. ASCII only.
    pub fn txt(name: impl Into<String>, text: &str) -> Self {
        let strings = text.as_bytes().chunks(255).map(String::from_utf8_lossy);
        let mut strings: Vec<String> = strings.map(std::borrow::Cow::into_owned).collect();
        if strings.is_empty() {
            strings.push(String::new());
        }
        Self::new(name, Data::Txt(strings))
    }

    /// An SRV record of priority 0 and weight 0.
    pub fn srv(name: impl Into<String>, port: u16, target: impl Into<String>) -> Self {
        let target = target.into();
        let (priority, weight) = (0, 0);
        Self::new(
            name,
            Data::Srv {
                priority,
                weight,
                port,
                target,
            },
        )
    }

    /// A CNAME record.
    pub fn cname(name: impl Into<String>, target: impl Into<String>) -> Self {
        Self::new(name, Data::Cname(target.into()))
    }

    fn new(name: impl Into<String>, data: Data) -> Self {
        Self {
            name: name.into(),
            data,
        }
    }
}

impl Data {
    /// The type's name, as in `kdig NAME AAAA`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::A(_) => "A",
            Self::Aaaa(_) => "AAAA",
            Self::Srv { .. } => "SRV",
            Self::Txt(_) => "TXT",
            Self::Cname(_) => "CNAME",
        }
    }
}

/// A line of a zone file (RFC 1035 section 5).
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {} ", self.name, self.data.kind())?;
        match &self.data {
            Data::A(ip) => write!(f, "{ip}"),
            Data::Aaaa(ip) => write!(f, "{ip}"),
            Data::Srv {
                priority,
                weight,
                port,
                target,
            } => write!(f, "{priority} {weight} {port} {target}."),
            Data::Txt(strings) => {
                let quoted = strings.iter().map(|text| format!("\"{}\"", quote(text)));
                f.write_str(&quoted.collect::<Vec<_>>().join(" "))
            }
            Data::Cname(target) => write!(f, "{target}."),
        }
    }
}

fn quote(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
