//! A Fly Machine: its environment names the app, the image and the address.

use std::net::IpAddr;

use trunkline_proto::{Basename, NodeName};

use super::{Env, Platform, PlatformError};

/// How much of a digest tells images apart.
const DIGEST_CHARS: usize = 12;

/// `<app>-<release>@<address>`, as the guide's
/// `${FLY_APP_NAME}-${FLY_IMAGE_REF##*-}@${FLY_PRIVATE_IP}` gives it for an image that Fly built,
/// and something usable for all others. `basename` replaces the part before the `@`: all
/// deployments are one cluster then.
pub fn node_name(env: &Env, basename: Option<&Basename>) -> Result<NodeName, PlatformError> {
    let variable = |variable| {
        env.text(variable).ok_or(PlatformError::Missing {
            platform: Platform::Fly,
            variable,
        })
    };
    let address = variable("FLY_PRIVATE_IP")?;
    let ip: IpAddr = address.parse().map_err(|_| PlatformError::NoIp {
        variable: "FLY_PRIVATE_IP",
        value: address.to_owned(),
    })?;
    if let Some(basename) = basename {
        return Ok(NodeName::from_ip(basename, ip));
    }
    let basename = of_deployment(variable("FLY_APP_NAME")?, env.text("FLY_IMAGE_REF"));
    let basename = Basename::sanitize(&basename).map_err(|why| PlatformError::BadName {
        place: "FLY_APP_NAME",
        value: basename.clone(),
        why,
    })?;
    Ok(NodeName::from_ip(&basename, ip))
}

/// How Fly's guide names the node in `env.sh`.
pub const GUIDE: &str = "RELEASE_NODE=\"${FLY_APP_NAME}-${FLY_IMAGE_REF##*-}@${FLY_PRIVATE_IP}\"";

/// What a shell makes of [`GUIDE`]: the same as [`node_name`] for an image that Fly built.
pub fn guides_name(env: &Env) -> String {
    let value = |name| env.get(name).unwrap_or_default().to_string_lossy();
    let image = value("FLY_IMAGE_REF");
    let release = image.rsplit('-').next().unwrap_or_default();
    let (app, ip) = (value("FLY_APP_NAME"), value("FLY_PRIVATE_IP"));
    format!("{app}-{release}@{ip}")
}

/// What is asked for the machines of an app: `<app>.internal`.
pub fn query(app: &str) -> String {
    format!("{app}.internal")
}

/// The part before the `@`: all machines of one deployment share it.
fn of_deployment(app: &str, image_ref: Option<&str>) -> String {
    match image_ref.and_then(release) {
        Some(release) => format!("{app}-{release}"),
        None => app.to_owned(),
    }
}

/// What tells one deployment's image from the next: of a tag what follows its last `-`, else the
/// tag, else the beginning of the digest.
fn release(image_ref: &str) -> Option<&str> {
    let (image, digest) = match image_ref.split_once('@') {
        Some((image, digest)) => (image, Some(digest)),
        None => (image_ref, None),
    };
    // A colon before the last slash is the registry's port.
    let last = image.rsplit('/').next().unwrap_or(image);
    let tag = last.split_once(':').map(|(_, tag)| tag);
    let from_tag = tag.map(|tag| match tag.rsplit_once('-') {
        Some((_, end)) if !end.is_empty() => end,
        _ => tag,
    });
    let from_digest = || {
        let hex = digest?.rsplit(':').next()?;
        Some(hex.get(..DIGEST_CHARS).unwrap_or(hex))
    };
    from_tag
        .filter(|text| !text.is_empty())
        .or_else(from_digest)
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(image_ref: Option<&str>) -> String {
        let mut env: Env = [
            ("FLY_APP_NAME", "hello-elixir"),
            ("FLY_PRIVATE_IP", "FDAA:0:0:0::2"),
        ]
        .into_iter()
        .collect();
        if let Some(image_ref) = image_ref {
            env.set("FLY_IMAGE_REF", image_ref);
        }
        node_name(&env, None).unwrap().to_string()
    }

    #[test]
    fn every_kind_of_image() {
        let app = "hello-elixir";
        for (image_ref, release) in [
            (
                "registry.fly.io/hello-elixir:deployment-01H9RK9EYO9",
                "-01H9RK9EYO9",
            ),
            ("registry.fly.io/hello-elixir:v12", "-v12"),
            ("registry:5000/hello-elixir:v1.2", "-v1-2"),
            ("registry:5000/hello-elixir", ""),
            ("hello-elixir@sha256:0123456789abcdef0123", "-0123456789ab"),
            (
                "hello-elixir:deployment-01H@sha256:0123456789abcdef",
                "-01H",
            ),
            ("hello-elixir:v1-", "-v1-"),
        ] {
            assert_eq!(
                name(Some(image_ref)),
                format!("{app}{release}@fdaa::2"),
                "{image_ref}"
            );
        }
        assert_eq!(name(None), "hello-elixir@fdaa::2");
    }

    #[test]
    fn the_guides_name() {
        let name = |image: &str| {
            let env: Env = [
                ("FLY_APP_NAME", "hello-elixir"),
                ("FLY_PRIVATE_IP", "fdaa::2"),
                ("FLY_IMAGE_REF", image),
            ]
            .into_iter()
            .collect();
            let ours = node_name(&env, None).unwrap();
            (guides_name(&env), ours.to_string())
        };
        let (guide, ours) = name("registry.fly.io/hello-elixir:deployment-01H9");
        assert_eq!(guide, "hello-elixir-01H9@fdaa::2");
        assert_eq!(guide, ours);
        // No node can have such a name.
        let (guide, ours) = name("registry.fly.io/hello-elixir:v12");
        assert_eq!(guide, "hello-elixir-elixir:v12@fdaa::2");
        assert_eq!(ours, "hello-elixir-v12@fdaa::2");
    }

    #[test]
    fn what_is_missing_is_named() {
        let env: Env = [("FLY_APP_NAME", "a")].into_iter().collect();
        let error = node_name(&env, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot name this node: FLY_PRIVATE_IP is not set"
        );
        let env: Env = [("FLY_APP_NAME", "a"), ("FLY_PRIVATE_IP", "x")]
            .into_iter()
            .collect();
        assert!(matches!(
            node_name(&env, None),
            Err(PlatformError::NoIp { .. })
        ));
    }
}
