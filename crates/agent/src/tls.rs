//! Whether the node speaks TLS, and with which files we speak it to it.

use std::path::PathBuf;

use trunkline_discovery::platform::Env;
use trunkline_node::{Tls, TlsError};

use crate::config::{ConfigError, NodeOptions, TlsOptions};

/// Where `erl` takes flags from, in its own order; Elixir passes the second one to it.
const FLAGS: &[&str] = &[
    "ERL_AFLAGS",
    "ELIXIR_ERL_OPTIONS",
    "ERL_FLAGS",
    "ERL_ZFLAGS",
];

/// TLS as `[node.tls]` says it, else as the flags in the environment do that a node here is started
/// with: `-proto_dist inet_tls -ssl_dist_optfile FILE`. `None`: plain TCP.
///
/// # Errors
/// When the files cannot be used.
pub fn tls(env: &Env, node: &NodeOptions) -> Result<Option<Tls>, ConfigError> {
    if let Some(options) = &node.tls {
        return build(options)
            .map(Some)
            .map_err(|error| unusable(&error, "[node.tls]"));
    }
    let Some((variable, file)) = of_flags(env) else {
        return Ok(None);
    };
    let tls = Tls::from_optfile(&file).map_err(|error| unusable(&error, variable))?;
    tracing::info!(
        "distribution over TLS, as {variable} says · {}",
        file.display()
    );
    Ok(Some(tls))
}

fn build(options: &TlsOptions) -> Result<Tls, TlsError> {
    match options {
        TlsOptions::Optfile(file) => Tls::from_optfile(file),
        TlsOptions::Files {
            cacertfile,
            certfile,
            keyfile,
        } => {
            let mut tls = Tls::builder().cacertfile(cacertfile);
            if let Some(file) = certfile {
                tls = tls.certfile(file);
            }
            if let Some(file) = keyfile {
                tls = tls.keyfile(file);
            }
            tls.build()
        }
    }
}

fn unusable(error: &TlsError, place: &str) -> ConfigError {
    ConfigError::new(
        format!("TLS cannot be used: {error}"),
        place,
        "correct the file, or name another",
    )
}

/// The option file that the node's flags name, and the variable that does.
fn of_flags(env: &Env) -> Option<(&'static str, PathBuf)> {
    let speaks_tls = |text: &str| {
        let protocol = value_of(text, "-proto_dist");
        protocol.is_some_and(|protocol| matches!(protocol, "inet_tls" | "inet6_tls"))
    };
    let said = |name: &&&'static str| env.text(name);
    FLAGS
        .iter()
        .find(|name| said(name).is_some_and(speaks_tls))?;
    FLAGS.iter().find_map(|name| {
        let file = value_of(said(&name)?, "-ssl_dist_optfile")?;
        Some((*name, PathBuf::from(file)))
    })
}

/// The word behind `flag`.
fn value_of<'a>(text: &'a str, flag: &str) -> Option<&'a str> {
    let mut words = text.split_whitespace();
    let mut words = words.by_ref().map(|word| word.trim_matches(['"', '\'']));
    words.find(|word| *word == flag)?;
    words.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Option<(&'static str, PathBuf)> {
        let env: Env = variables.iter().copied().collect();
        of_flags(&env)
    }

    #[test]
    fn flags_of_erl_and_of_elixir() {
        let flags = "-proto_dist inet_tls  -ssl_dist_optfile '/etc/app/ssl_dist.conf' +P 1";
        let file = PathBuf::from("/etc/app/ssl_dist.conf");
        assert_eq!(
            found(&[("ELIXIR_ERL_OPTIONS", flags)]),
            Some(("ELIXIR_ERL_OPTIONS", file.clone()))
        );
        let apart = [
            ("ERL_AFLAGS", "-proto_dist inet6_tls"),
            ("ERL_FLAGS", "-ssl_dist_optfile /etc/app/ssl_dist.conf"),
        ];
        assert_eq!(found(&apart), Some(("ERL_FLAGS", file)));
        let plain = "-proto_dist inet6_tcp -ssl_dist_optfile /etc/app/ssl_dist.conf";
        assert_eq!(found(&[("ERL_FLAGS", plain)]), None);
        assert_eq!(found(&[("ERL_FLAGS", "-proto_dist inet_tls")]), None);
        assert_eq!(found(&[]), None);
    }
}
