//! What a TLS handshake between two nodes fails on.

/// What a TLS handshake failed on, as far as the end that reports it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsFault {
    /// Our own option file, certificate or key cannot be used.
    Setup,
    /// The peer's certificate is not valid now.
    TheirExpired,
    /// No authority that we trust has signed the peer's certificate.
    TheirAuthority,
    /// The peer's certificate does not name its host.
    TheirHost,
    /// Something else about the peer's certificate.
    TheirCertificate,
    /// The peer showed no certificate and one is demanded.
    TheirNone,
    /// The peer says that our certificate is not valid now.
    OurExpired,
    /// The peer knows no authority that has signed our certificate.
    OurAuthority,
    /// The peer refuses our certificate for another reason.
    OurCertificate,
    /// The peer demands a certificate and we have shown none.
    OurNone,
    /// The two have no TLS version in common.
    Version,
    /// The two have no cipher suite, curve or signature scheme in common.
    Ciphers,
    /// Anything else.
    Other,
}

impl TlsFault {
    /// One word for it, stable.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::TheirExpired => "their_certificate_expired",
            Self::TheirAuthority => "their_authority_unknown",
            Self::TheirHost => "their_host_mismatch",
            Self::TheirCertificate => "their_certificate_refused",
            Self::TheirNone => "their_certificate_missing",
            Self::OurExpired => "our_certificate_expired",
            Self::OurAuthority => "our_authority_unknown",
            Self::OurCertificate => "our_certificate_refused",
            Self::OurNone => "our_certificate_missing",
            Self::Version => "version",
            Self::Ciphers => "ciphers",
            Self::Other => "other",
        }
    }

    /// What to do about it, one clause in the imperative.
    pub const fn cure(self) -> &'static str {
        match self {
            Self::Setup => "correct the files that [node.tls] or the option file names here",
            Self::TheirExpired => "renew that node's certificate, or set the clocks",
            Self::TheirAuthority => {
                "put the CA that signed that node's certificate into cacertfile here"
            }
            Self::TheirHost => {
                "issue that node's certificate with the host part of its name as a DNS name"
            }
            Self::TheirCertificate => "issue that node a new certificate, signed by the common CA",
            Self::TheirNone => {
                "give that node certfile and keyfile in the client section of its option file"
            }
            Self::OurExpired => "renew the certificate here, or set the clocks",
            Self::OurAuthority => {
                "put the CA that signed the certificate here into cacertfile on that node"
            }
            Self::OurCertificate => {
                "look at that node's log, and issue the certificate here anew, signed by the common CA"
            }
            Self::OurNone => {
                "set certfile and keyfile here: that node demands a client certificate"
            }
            Self::Version => "allow a common TLS version in the option `versions` on both sides",
            Self::Ciphers => "allow common ciphers in the option `ciphers` on both sides",
            Self::Other => "check certificates, CA and host names on both sides",
        }
    }
}
