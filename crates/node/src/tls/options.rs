//! What OTP's option file means: `[{server, Options}, {client, Options}].`, as `-ssl_dist_optfile`
//! names it.
//!
//! Options that only concern OTP's own implementation are passed over; those that change nothing
//! here are said once; those that would weaken a check if they were left out are errors.

use std::path::{Path, PathBuf};

use super::TlsError;
use super::terms::{self, Value};

/// What one end of a connection is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) cacertfile: Option<PathBuf>,
    pub(super) certfile: Option<PathBuf>,
    pub(super) keyfile: Option<PathBuf>,
    /// `None`: what the role does by default.
    pub(super) verify: Option<bool>,
    pub(super) fail_if_no_peer_cert: bool,
    pub(super) host: HostCheck,
    /// Both when empty.
    pub(super) versions: Vec<Version>,
    /// OpenSSL's names; all that there are when empty.
    pub(super) ciphers: Vec<String>,
    /// A caller's certificate must name a host of the allow-list, or its address.
    pub(super) verify_client: bool,
    /// So many authorities may stand between a certificate and one that is trusted. `None`: as many as
    /// rustls takes, six.
    pub(super) depth: Option<usize>,
}

/// Whose name a certificate must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum HostCheck {
    /// The host's part of the node's name.
    #[default]
    NodeHost,
    /// This one.
    Name(String),
    /// Nobody's.
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Tls12,
    Tls13,
}

/// Both roles; one that the file has not is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roles {
    pub(super) client: Option<Role>,
    pub(super) server: Option<Role>,
    /// Options that change nothing here and whose author may think they do.
    pub(super) unused: Vec<String>,
}

/// A file is small; a wrong path (`/dev/zero`) must not fill memory.
const MAX_FILE: u64 = 1 << 20;

/// Of OTP's own doing, or the default here: nothing is lost without them.
const WITHOUT_EFFECT: &[&str] = &[
    "active",
    "alpn_advertised_protocols",
    "alpn_preferred_protocols",
    "beast_mitigation",
    "certificate_authorities",
    "client_renegotiation",
    "cookie",
    "eccs",
    "erl_dist",
    "fallback",
    "hibernate_after",
    "honor_cipher_order",
    "honor_ecc_order",
    "inet",
    "inet6",
    "keep_secrets",
    "key_update_at",
    "keepalive",
    "ktls",
    "log_alert",
    "log_level",
    "max_handshake_size",
    "middlebox_comp_mode",
    "mode",
    "nodelay",
    "packet",
    "padding_check",
    "protocol",
    "receiver_spawn_opts",
    "renegotiate_at",
    "reuse_session",
    "reuse_sessions",
    "reuseaddr",
    "secure_renegotiate",
    "sender_spawn_opts",
    "session_tickets",
    "use_ticket",
];

/// Narrow what is offered, and are not followed: what rustls offers holds. Those of OCSP mean nothing
/// without stapling.
const UNUSED: &[&str] = &[
    "dh",
    "dhfile",
    "early_data",
    "max_fragment_length",
    "ocsp_nonce",
    "ocsp_responder_certs",
    "signature_algs",
    "signature_algs_cert",
    "supported_groups",
];

/// The file's options.
pub(super) fn read(path: &Path) -> Result<Roles, TlsError> {
    let bytes = super::files::read(path, MAX_FILE)?;
    // OTP reads a file without a coding comment as Latin-1 up to 25 and as UTF-8 later.
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    parse(&text).map_err(|what| TlsError::new(path, what))
}

fn parse(text: &str) -> Result<Roles, String> {
    let value = terms::parse(text).map_err(|why| why.to_string())?;
    let shape = || "is no list of {server, […]} and {client, […]}".to_owned();
    let mut roles = Roles::default();
    for section in value.list().ok_or_else(shape)? {
        let Some((name, options)) = pair(section) else {
            return Err(shape());
        };
        let options = options.list().ok_or_else(shape)?;
        let slot = match name {
            "server" => &mut roles.server,
            "client" => &mut roles.client,
            _ => {
                return Err(format!(
                    "has a section {name}, which is neither server nor client"
                ));
            }
        };
        // As OTP: the first one counts.
        if slot.is_none() {
            let role = role(name, options, &mut roles.unused)?;
            *slot = Some(role);
        }
    }
    Ok(roles)
}

fn role(section: &str, options: &[Value], unused: &mut Vec<String>) -> Result<Role, String> {
    let mut role = Role::default();
    let mut seen: Vec<&str> = Vec::new();
    for option in options {
        // `inet6` alone is `{inet6, true}`.
        let (name, value) = match (option.atom(), pair(option)) {
            (Some(name), _) => (name, None),
            (_, Some((name, value))) => (name, Some(value)),
            _ => return Err(format!("{section}: {option} is no option")),
        };
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let set = match value {
            Some(value) => set(&mut role, name, value),
            None => Known::of(name),
        };
        match set {
            Known::Yes => {}
            Known::Unused => unused.push(format!("{section} option {name}")),
            Known::No(why) => return Err(format!("{section} option {name}: {why}")),
        }
    }
    Ok(role)
}

/// What came of an option.
enum Known {
    Yes,
    Unused,
    No(String),
}

impl Known {
    /// Of an option without a meaning here.
    fn of(name: &str) -> Self {
        if WITHOUT_EFFECT.contains(&name) {
            Self::Yes
        } else if UNUSED.contains(&name) {
            Self::Unused
        } else {
            Self::No("not known here".to_owned())
        }
    }

    fn wanted(what: &str, value: &Value) -> Self {
        Self::No(format!("{value} is not {what}"))
    }
}

fn set(role: &mut Role, name: &str, value: &Value) -> Known {
    match (name, value) {
        ("cacertfile", Value::Text(path)) => role.cacertfile = Some(path.into()),
        ("certfile", Value::Text(path)) => role.certfile = Some(path.into()),
        ("keyfile", Value::Text(path)) => role.keyfile = Some(path.into()),
        ("cacertfile" | "certfile" | "keyfile", other) => return Known::wanted("a path", other),
        ("certs_keys", value) => return certs_keys(role, value),
        ("verify", Value::Atom(how)) if how == "verify_peer" => role.verify = Some(true),
        ("verify", Value::Atom(how)) if how == "verify_none" => role.verify = Some(false),
        ("verify", other) => return Known::wanted("verify_peer or verify_none", other),
        ("fail_if_no_peer_cert", Value::Atom(yes)) if yes == "true" || yes == "false" => {
            role.fail_if_no_peer_cert = yes == "true";
        }
        ("fail_if_no_peer_cert", other) => return Known::wanted("true or false", other),
        ("server_name_indication", Value::Atom(off)) if off == "disable" => {
            role.host = HostCheck::Off;
        }
        ("server_name_indication", Value::Atom(off)) if off == "undefined" => {}
        ("server_name_indication", Value::Text(name)) => role.host = HostCheck::Name(name.clone()),
        ("server_name_indication", other) => return Known::wanted("a name or disable", other),
        ("versions", value) => return versions(role, value),
        ("ciphers", value) => return ciphers(role, value),
        ("verify_fun", value) => return verify_fun(role, value),
        ("depth", Value::Integer(depth)) if (0..=255).contains(depth) => {
            role.depth = usize::try_from(*depth).ok();
        }
        ("depth", other) => return Known::wanted("a number from 0 to 255", other),
        ("password", Value::Text(text)) if text.is_empty() => {}
        ("password", _) => {
            return Known::No(
                "a protected key is not read; take the password off (openssl pkey -in … -out …) \
                 and protect the file by its mode"
                    .to_owned(),
            );
        }
        ("crl_check" | "ocsp_stapling", Value::Atom(no)) if no == "false" => {}
        ("stapling", Value::Atom(no)) if no == "no_staple" => {}
        ("sni_hosts", value) if value.list().is_some_and(<[Value]>::is_empty) => {}
        ("crl_check" | "stapling" | "ocsp_stapling", _) => {
            return Known::No(
                "whether a certificate was revoked is not asked here, \
                 and leaving it out would trust those that were"
                    .to_owned(),
            );
        }
        (
            "crl_cache" | "partial_chain" | "customize_hostname_check" | "sni_fun" | "sni_hosts",
            _,
        ) => {
            return Known::No(
                "not possible here, and leaving it out would change what is trusted".to_owned(),
            );
        }
        ("cert" | "key" | "cacerts", _) => {
            return Known::No("name a PEM file instead (certfile, keyfile, cacertfile)".to_owned());
        }
        _ => return Known::of(name),
    }
    Known::Yes
}

/// `[#{certfile => …, keyfile => …}, …]`: the first one is used.
fn certs_keys(role: &mut Role, value: &Value) -> Known {
    let Some([Value::Map(pairs), rest @ ..]) = value.list() else {
        return Known::wanted("a list of maps", value);
    };
    for (key, value) in pairs {
        let file = match (key.atom(), value) {
            (Some("certfile"), Value::Text(path)) => (&mut role.certfile, path),
            (Some("keyfile"), Value::Text(path)) => (&mut role.keyfile, path),
            _ => return Known::No(format!("{key} is not read: name certfile and keyfile")),
        };
        *file.0 = Some(file.1.into());
    }
    if rest.is_empty() {
        Known::Yes
    } else {
        Known::Unused
    }
}

fn versions(role: &mut Role, value: &Value) -> Known {
    let Some(names) = value.list() else {
        return Known::wanted("a list", value);
    };
    let known = names.iter().filter_map(|name| match name.atom() {
        Some("tlsv1.2") => Some(Version::Tls12),
        Some("tlsv1.3") => Some(Version::Tls13),
        _ => None,
    });
    role.versions = known.collect();
    if role.versions.is_empty() {
        return Known::No("only 'tlsv1.2' and 'tlsv1.3' are spoken here".to_owned());
    }
    Known::Yes
}

fn ciphers(role: &mut Role, value: &Value) -> Known {
    role.ciphers = match value {
        Value::Text(names) => names.split(':').map(str::to_owned).collect(),
        Value::List(names) => names
            .iter()
            .filter_map(|name| match name {
                Value::Text(name) => Some(name.clone()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    if role.ciphers.is_empty() {
        return Known::No("only names of suites as text are read".to_owned());
    }
    Known::Yes
}

/// `{fun inet_tls_dist:verify_client/3, _}` or `{inet_tls_dist, verify_client, _}`.
fn verify_fun(role: &mut Role, value: &Value) -> Known {
    let named = match value {
        Value::Tuple(parts) => match parts.as_slice() {
            [Value::Fun { module, name, .. }, _] => Some((module.as_str(), name.as_str())),
            [Value::Atom(module), Value::Atom(name), _] => Some((module.as_str(), name.as_str())),
            _ => None,
        },
        _ => None,
    };
    if named != Some(("inet_tls_dist", "verify_client")) {
        return Known::No(
            "code cannot be run here; inet_tls_dist:verify_client/3 is the one that is known"
                .to_owned(),
        );
    }
    role.verify_client = true;
    Known::Yes
}

/// `{name, Value}`.
fn pair(value: &Value) -> Option<(&str, &Value)> {
    match value {
        Value::Tuple(parts) => match parts.as_slice() {
            [Value::Atom(name), value] => Some((name, value)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_for_mutual_authentication() {
        let roles = parse(
            r#"[{server, [{cacertfile, "/ssl/ca.pem"}, {certfile, "/ssl/app.pem"}, {keyfile, "/ssl/app.key"},
                 {secure_renegotiate, true}, {verify, verify_peer}, {fail_if_no_peer_cert, true},
                 {verify_fun, {inet_tls_dist, verify_client, []}}]},
                {client, [{cacertfile, "/ssl/ca.pem"}, {certs_keys, [#{certfile => "/ssl/app.pem"}]},
                 {verify, verify_peer}, {versions, ['tlsv1.1', 'tlsv1.3']}, {depth, 2},
                 {dhfile, "/ssl/dh.pem"}, {stapling, no_staple}, {ocsp_stapling, false}, {sni_hosts, []},
                 {ciphers, ["ECDHE-RSA-AES256-GCM-SHA384"]}, {server_name_indication, disable}]}]."#,
        )
        .unwrap();
        let server = Role {
            cacertfile: Some("/ssl/ca.pem".into()),
            certfile: Some("/ssl/app.pem".into()),
            keyfile: Some("/ssl/app.key".into()),
            verify: Some(true),
            fail_if_no_peer_cert: true,
            verify_client: true,
            ..Role::default()
        };
        assert_eq!(roles.server, Some(server));
        let client = Role {
            cacertfile: Some("/ssl/ca.pem".into()),
            certfile: Some("/ssl/app.pem".into()),
            verify: Some(true),
            host: HostCheck::Off,
            versions: vec![Version::Tls13],
            ciphers: vec!["ECDHE-RSA-AES256-GCM-SHA384".to_owned()],
            depth: Some(2),
            ..Role::default()
        };
        assert_eq!(roles.client, Some(client));
        assert_eq!(roles.unused, ["client option dhfile"]);
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        for (options, why) in [
            ("{certfil, \"x\"}", "server option certfil: not known here"),
            (
                "{password, \"secret\"}",
                "server option password: a protected key is not read; take the password off \
                 (openssl pkey -in … -out …) and protect the file by its mode",
            ),
            (
                "{verify_fun, {my, check, []}}",
                "server option verify_fun: code cannot be run here; \
                 inet_tls_dist:verify_client/3 is the one that is known",
            ),
            (
                "{crl_check, true}",
                "server option crl_check: whether a certificate was revoked is not asked here, \
                 and leaving it out would trust those that were",
            ),
            (
                "{stapling, staple}",
                "server option stapling: whether a certificate was revoked is not asked here, \
                 and leaving it out would trust those that were",
            ),
            (
                "{sni_hosts, [{\"a.example\", [{verify, verify_peer}]}]}",
                "server option sni_hosts: not possible here, \
                 and leaving it out would change what is trusted",
            ),
            (
                "{depth, -1}",
                "server option depth: -1 is not a number from 0 to 255",
            ),
            (
                "{versions, ['tlsv1.1']}",
                "server option versions: only 'tlsv1.2' and 'tlsv1.3' are spoken here",
            ),
            (
                "{verify, peer}",
                "server option verify: peer is not verify_peer or verify_none",
            ),
            ("{a, b, c}", "server: {a,b,c} is no option"),
        ] {
            let file = format!("[{{server, [{options}]}}].");
            assert_eq!(parse(&file).unwrap_err(), why);
        }
        assert_eq!(
            parse("[{servr, []}].").unwrap_err(),
            "has a section servr, which is neither server nor client"
        );
        assert_eq!(
            parse("{server, []}.").unwrap_err(),
            "is no list of {server, […]} and {client, […]}"
        );
    }

    #[test]
    fn the_first_of_an_option_counts() {
        let file = "[{client, [{verify, verify_peer}, {verify, verify_none}, inet6]}].";
        assert_eq!(parse(file).unwrap().client.unwrap().verify, Some(true));
    }
}
