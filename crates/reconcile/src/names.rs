//! Which names are never peers.

use trunkline_proto::NodeName;

/// Shells and helpers that come and go beside an application: our own nodes, the `remote` and
/// `rpc` of Elixir releases (`rem-1a2b-app`, `rpc-1a2b-app`), `remsh` and `maint` of relx.
pub fn is_helper(name: &NodeName) -> bool {
    let alive = name.alive();
    if alive.starts_with("rem-") || alive.starts_with("trunkline-") {
        return true;
    }
    if let Some(rest) = alive.strip_prefix("rpc-") {
        return is_random_id(rest.split('-').next().unwrap_or_default());
    }
    ["remsh", "maint"].iter().any(|shell| {
        alive.strip_prefix(shell).is_some_and(|rest| {
            let id = rest.split(['-', '_']).next().unwrap_or_default();
            id.chars().all(|c| c.is_ascii_hexdigit())
        })
    })
}

/// Elixir's release script makes it of two random bytes, in hexadecimal.
fn is_random_id(text: &str) -> bool {
    text.len() == 4 && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// Two spellings of one address name the same node for us (not for OTP).
pub(crate) fn same_node(one: &NodeName, other: &NodeName) -> bool {
    one == other || one.canonical() == other.canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_and_helpers_are_told_from_applications() {
        let helper = |alive: &str| is_helper(&std::format!("{alive}@h").parse().unwrap());
        for name in [
            "rem-1a2b-app",
            "trunkline-app",
            "trunkline-probe-app",
            "remsh",
            "remsh12-app",
            "remsh-app",
            "maint3f-app",
            "rpc-00ff-app",
        ] {
            assert!(helper(name), "{name}");
        }
        for name in ["app", "remote", "maintenance", "rpc-server", "trunkline"] {
            assert!(!helper(name), "{name}");
        }
    }
}
