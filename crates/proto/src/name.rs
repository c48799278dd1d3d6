//! Node names: `alive@host`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use thiserror::Error;

/// The longest atom, in characters; a node name is an atom.
const MAX_CHARS: usize = 255;

/// The name of a node, `alive@host`, kept byte for byte as it was given: two spellings of one IPv6
/// address are two names, as they are to OTP.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// `basename@ip`, the address in canonical text (RFC 5952), an IPv4-mapped one as IPv4.
    pub fn from_ip(basename: &Basename, ip: IpAddr) -> Self {
        Self(format!("{basename}@{}", ip.to_canonical()).into())
    }

    /// `basename@host`, the host kept as given.
    pub fn from_host(basename: &Basename, host: &str) -> Result<Self, NameError> {
        format!("{basename}@{host}").parse()
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`: what EPMD knows.
    pub fn alive(&self) -> &str {
        self.0.split_once('@').map_or(&self.0, |(alive, _)| alive)
    }

    /// The part after the `@`.
    pub fn host(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, host)| host)
    }

    /// The host as an address, when it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    /// Whether `-name` or `-sname` starts such a node: a host with a dot or a colon makes a long
    /// name.
    pub fn form(&self) -> NameForm {
        if self.host().contains(['.', ':']) {
            NameForm::Long
        } else {
            NameForm::Short
        }
    }

    /// The same alive part at the same address in canonical text; equal to `self` for host names.
    pub fn canonical(&self) -> Self {
        match self.ip() {
            Some(ip) => Self(format!("{}@{}", self.alive(), ip.to_canonical()).into()),
            None => self.clone(),
        }
    }
}

impl FromStr for NodeName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (alive, host) = text.split_once('@').ok_or(NameError::NoAt)?;
        if alive.is_empty() {
            return Err(NameError::NoAlive);
        }
        if host.is_empty() {
            return Err(NameError::NoHost);
        }
        if text.chars().count() > MAX_CHARS {
            return Err(NameError::TooLong);
        }
        if let Some(bad) = alive.chars().find(|c| !is_alive_char(*c)) {
            return Err(NameError::BadAlive(bad));
        }
        // What net_kernel accepts as a host, plus the colon of IPv6 literals.
        if let Some(bad) = host.chars().find(|c| !is_host_char(*c)) {
            return Err(NameError::BadHost(bad));
        }
        Ok(Self(text.into()))
    }
}

fn is_alive_char(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '-' | '_' | '.' | '+' | '~')
        || (!c.is_ascii() && c.is_alphanumeric())
}

fn is_host_char(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '-' | '_' | '.' | ':')
        || (!c.is_ascii() && c.is_alphanumeric())
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Maps keyed by names are asked with the text: equality, order and hash are those of the text.
impl Borrow<str> for NodeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for NodeName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Short (`-sname`) or long (`-name`) names. Nodes of different forms refuse each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameForm {
    /// The host has no dot.
    Short,
    /// The host has a dot, or is an IPv6 address.
    Long,
}

/// The part of a node's name that its operator chooses. One function makes it from any text, so
/// that the node that names itself and the one that looks for it agree.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Basename(String);

impl Basename {
    /// Every character outside `[0-9A-Za-z_-]` becomes `-`. An empty text has no basename.
    pub fn sanitize(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::NoAlive);
        }
        let clean = text
            .chars()
            .map(|c| if is_base_char(c) { c } else { '-' })
            .collect();
        Ok(Self(clean))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_base_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

impl FromStr for Basename {
    type Err = NameError;

    /// Takes only what needs no change: a basename that an operator wrote is not altered silently.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::NoAlive);
        }
        match text.chars().find(|c| !is_base_char(*c)) {
            Some(bad) => Err(NameError::BadAlive(bad)),
            None => Ok(Self(text.to_string())),
        }
    }
}

impl fmt::Display for Basename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Basename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no node name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is no `@`.
    #[error("a node name is name@host, this has no @")]
    NoAt,
    /// Nothing before the `@`.
    #[error("the part before the @ is empty")]
    NoAlive,
    /// Nothing after the `@`.
    #[error("the part after the @ is empty")]
    NoHost,
    /// A character that no node name has before the `@`.
    #[error("{0:?} cannot be in the part before the @")]
    BadAlive(char),
    /// A character that no host has.
    #[error("{0:?} cannot be in the part after the @")]
    BadHost(char),
    /// A node name is an atom.
    #[error("a node name has at most 255 characters")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_addresses() {
        let base = Basename::sanitize("web.1 eu").unwrap();
        assert_eq!(base.as_str(), "web-1-eu");
        let name = |ip: &str| NodeName::from_ip(&base, ip.parse().unwrap()).to_string();
        assert_eq!(name("FDAA:0:0:0:0:0:0:2"), "web-1-eu@fdaa::2");
        assert_eq!(name("::ffff:10.0.0.1"), "web-1-eu@10.0.0.1");
        let shouted: NodeName = "app@FDAA:0000:0:0:0:0:0:0002".parse().unwrap();
        assert_eq!(shouted.as_str(), "app@FDAA:0000:0:0:0:0:0:0002");
        assert_eq!(shouted.canonical().as_str(), "app@fdaa::2");
    }

    #[test]
    fn parts_and_form() {
        let name: NodeName = "app@box".parse().unwrap();
        assert_eq!(
            (name.alive(), name.host(), name.form()),
            ("app", "box", NameForm::Short)
        );
        let name: NodeName = "app@fdaa::1".parse().unwrap();
        assert_eq!(name.form(), NameForm::Long);
    }

    #[test]
    fn refused() {
        for (text, why) in [
            ("app", NameError::NoAt),
            ("@h", NameError::NoAlive),
            ("app@", NameError::NoHost),
            ("a b@h", NameError::BadAlive(' ')),
            ("a@h@i", NameError::BadHost('@')),
            ("a@h/i", NameError::BadHost('/')),
        ] {
            assert_eq!(text.parse::<NodeName>(), Err(why), "{text}");
        }
        assert_eq!(
            format!("a@{}", "h".repeat(254)).parse::<NodeName>(),
            Err(NameError::TooLong)
        );
    }
}
