//! Where the figures come from.

use std::fs;
use std::process::Command;

/// Machine and versions, a line each.
pub(crate) fn describe() -> Vec<String> {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let erlang = "io:put_chars([erlang:system_info(otp_release), \", erts \", erlang:system_info(version)]), halt().";
    let foreign = include_str!("../peers/Cargo.lock");
    let own = include_str!("../../Cargo.lock");
    vec![
        format!("{model}, {cores} cores, Linux {}", kernel.trim()),
        format!("OTP {}", said("erl", &["-noshell", "-eval", erlang])),
        said("rustc", &["--version"]),
        format!(
            "tokio {}, erl_dist {}, eetf {}, ractor_cluster {}",
            version(own, "tokio"),
            version(foreign, "erl_dist"),
            version(foreign, "eetf"),
            version(foreign, "ractor_cluster"),
        ),
    ]
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map_or_else(
        |_| format!("no {program}"),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// What a lock file says of a package.
fn version<'a>(lock: &'a str, package: &str) -> &'a str {
    let name = format!("name = \"{package}\"");
    lock.lines()
        .skip_while(|line| *line != name)
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
        .unwrap_or("?")
}
