//! For whom a certificate was issued, and whether that is this host, judged as OTP judges it.
//!
//! rustls knows subject alternative names only and takes wildcards; OTP falls back to the common
//! name where there are none, and takes no wildcard among alternative names. A probe that is to say
//! why two OTP nodes do not meet must not be of another opinion than they are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The names in a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    dns: Vec<String>,
    addresses: Vec<IpAddr>,
    /// Alternative names of any other kind exist.
    others: bool,
    common: Vec<String>,
    /// Issuer and subject are one.
    pub(super) self_issued: bool,
}

impl Names {
    /// Those of a certificate in DER form; `None` when it is none.
    pub(crate) fn of(certificate: &[u8]) -> Option<Self> {
        let (issuer, subject, mut body) = parts(certificate)?;
        let _key = body.next()?;
        let mut names = Self {
            self_issued: issuer == subject,
            ..Self::default()
        };
        names.read_subject(Reader(subject));
        while let Some(field) = body.next() {
            if field.tag == EXTENSIONS {
                names.read_extensions(Reader(field.content).sequence()?);
            }
        }
        Some(names)
    }

    /// Whether the certificate is for this host, the part of a node's name behind the `@`.
    ///
    /// As OTP: the text must be one of the DNS names; without any alternative name the common name,
    /// in which the first label may be a wildcard. An address may stand among the DNS names, where
    /// OTP 25 looks for it, or among the addresses, where OTP 27 does.
    pub(crate) fn include(&self, host: &str) -> bool {
        let address: Option<IpAddr> = host.parse().ok();
        if self.dns.iter().any(|name| name.eq_ignore_ascii_case(host)) {
            return true;
        }
        if let Some(address) = address {
            return self.addresses.contains(&address);
        }
        let alternatives = self.others || !self.dns.is_empty() || !self.addresses.is_empty();
        !alternatives && self.common.iter().any(|name| common_name_is(name, host))
    }

    /// Whether the certificate is for this address.
    pub(super) fn include_address(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }

    /// All of them, for a reason.
    pub(super) fn shown(&self) -> String {
        let mut all = self.dns.clone();
        all.extend(self.addresses.iter().map(ToString::to_string));
        if all.is_empty() && !self.others {
            all.extend(self.common.iter().cloned());
        }
        if all.is_empty() {
            return "nobody".to_owned();
        }
        all.join(", ")
    }

    fn read_subject(&mut self, mut rdns: Reader<'_>) {
        while let Some(rdn) = rdns.next() {
            let mut pairs = Reader(rdn.content);
            while let Some(pair) = pairs.next() {
                let mut pair = Reader(pair.content);
                let (Some(kind), Some(value)) = (pair.next(), pair.next()) else {
                    continue;
                };
                if kind.content == COMMON_NAME
                    && let Ok(text) = std::str::from_utf8(value.content)
                {
                    self.common.push(text.to_owned());
                }
            }
        }
    }

    fn read_extensions(&mut self, mut extensions: Reader<'_>) {
        while let Some(extension) = extensions.next() {
            let mut fields = Reader(extension.content);
            let Some(kind) = fields.next() else { continue };
            let value = std::iter::from_fn(|| fields.next()).last();
            if kind.content == ALTERNATIVE_NAMES
                && let Some(names) = value.and_then(|value| Reader(value.content).sequence())
            {
                self.read_alternatives(names);
            }
        }
    }

    fn read_alternatives(&mut self, mut names: Reader<'_>) {
        while let Some(name) = names.next() {
            match (name.tag, name.content) {
                (DNS_NAME, text) => match std::str::from_utf8(text) {
                    Ok(text) => self.dns.push(text.to_owned()),
                    Err(_) => self.others = true,
                },
                (ADDRESS, bytes) => match address(bytes) {
                    Some(address) => self.addresses.push(address),
                    None => self.others = true,
                },
                _ => self.others = true,
            }
        }
    }
}

/// Who signed a certificate and for whom, as they stand in it.
pub(super) fn issuer_and_subject(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (issuer, subject, _) = parts(certificate)?;
    Some((issuer, subject))
}

/// The same, and what follows the subject.
fn parts(certificate: &[u8]) -> Option<(&[u8], &[u8], Reader<'_>)> {
    let mut body = Reader(certificate).sequence()?.sequence()?;
    if body.peek() == Some(VERSION) {
        body.next()?;
    }
    let _serial = body.next()?;
    let _algorithm = body.next()?;
    let issuer = body.next()?.content;
    let _validity = body.next()?;
    let subject = body.next()?.content;
    Some((issuer, subject, body))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = |bytes: [u8; 4]| Ipv4Addr::from(bytes).into();
    let v6 = |bytes: [u8; 16]| Ipv6Addr::from(bytes).into();
    let four = bytes.try_into().ok().map(v4);
    four.or_else(|| bytes.try_into().ok().map(v6))
}

/// OTP takes a wildcard within the first label of a common name.
fn common_name_is(name: &str, host: &str) -> bool {
    let (name, host) = (name.to_ascii_lowercase(), host.to_ascii_lowercase());
    let split = |text: &str| match text.split_once('.') {
        Some((first, rest)) => (first.to_owned(), rest.to_owned()),
        None => (text.to_owned(), String::new()),
    };
    let ((pattern, rest), (label, domain)) = (split(&name), split(&host));
    if rest != domain {
        return false;
    }
    match pattern.split_once('*') {
        None => pattern == label,
        Some((before, after)) => {
            label.len() >= before.len() + after.len()
                && label.starts_with(before)
                && label.ends_with(after)
        }
    }
}

/// X.509 has few enough kinds of fields on the way to the names.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const ADDRESS: u8 = 0x87;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// DER values that follow each other.
struct Reader<'a>(&'a [u8]);

struct Element<'a> {
    tag: u8,
    content: &'a [u8],
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next value, which is a sequence.
    fn sequence(&mut self) -> Option<Self> {
        let element = self.next()?;
        (element.tag == SEQUENCE).then_some(Self(element.content))
    }

    fn next(&mut self) -> Option<Element<'a>> {
        let [tag, first, rest @ ..] = self.0 else {
            return None;
        };
        let (len, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let len = digits.iter().fold(0, |len, d| len << 8 | usize::from(*d));
                (len, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(Element { tag: *tag, content })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn names(common: Option<&str>, alternatives: Vec<SanType>) -> Names {
        Names::of(&certificate(common, alternatives)).unwrap()
    }

    fn certificate(common: Option<&str>, alternatives: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(common) = common {
            params.distinguished_name.push(DnType::CommonName, common);
        }
        params.subject_alt_names = alternatives;
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().unwrap())
    }

    #[test]
    fn alternative_names_count_before_the_common_name() {
        let both = names(Some("old.example.com"), vec![dns("App.example.com")]);
        assert!(both.include("app.example.com"));
        assert!(!both.include("old.example.com"));
        assert_eq!(both.shown(), "App.example.com");
        assert!(names(Some("old.example.com"), Vec::new()).include("OLD.example.com"));
        assert!(both.self_issued);
    }

    #[test]
    fn wildcards_in_common_names_only() {
        assert!(names(Some("*.example.com"), Vec::new()).include("a.example.com"));
        assert!(names(Some("a*z.example.com"), Vec::new()).include("a--z.example.com"));
        assert!(!names(Some("az*za.example.com"), Vec::new()).include("aza.example.com"));
        assert!(!names(Some("*.example.com"), Vec::new()).include("a.b.example.com"));
        assert!(!names(None, vec![dns("*.example.com")]).include("a.example.com"));
    }

    #[test]
    fn addresses_as_text_or_as_addresses() {
        let address: IpAddr = "10.0.0.5".parse().unwrap();
        let as_address = names(None, vec![SanType::IpAddress(address)]);
        assert!(as_address.include("10.0.0.5") && as_address.include_address(address));
        assert!(names(None, vec![dns("10.0.0.5")]).include("10.0.0.5"));
        assert!(!names(Some("10.0.0.5"), Vec::new()).include("10.0.0.5"));
        let six = names(None, vec![SanType::IpAddress("::1".parse().unwrap())]);
        assert!(six.include("::1") && six.include("0:0:0:0:0:0:0:1"));
    }

    #[test]
    fn a_certificate_cut_or_changed_anywhere_is_no_panic() {
        let whole = certificate(Some("a"), vec![dns("b"), dns("c")]);
        for end in 0..whole.len() {
            assert_eq!(Names::of(&whole[..end]), None);
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0xff;
            let _whatever = Names::of(&changed);
        }
    }
}
