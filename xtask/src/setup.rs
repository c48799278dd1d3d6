//! `cargo xtask setup`: what the tests need beside Rust, from Debian's packages.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::run::{find, shown};

/// A program that tests run, the package that has it, and what for.
struct Need {
    program: &'static str,
    package: &'static str,
    purpose: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        program: "cc",
        package: "gcc",
        purpose: "linking",
    },
    Need {
        program: "curl",
        package: "curl",
        purpose: "asking the stand-ins",
    },
    Need {
        program: "erl",
        package: "erlang-nox",
        purpose: "real OTP nodes to talk to",
    },
    Need {
        program: "elixir",
        package: "elixir",
        purpose: "real releases to connect",
    },
    Need {
        program: "ip",
        package: "iproute2",
        purpose: "hosts as network namespaces",
    },
    Need {
        program: "nft",
        package: "nftables",
        purpose: "firewalls between them",
    },
    Need {
        program: "script",
        package: "bsdutils",
        purpose: "a terminal for remote shells",
    },
    Need {
        program: "mmdebstrap",
        package: "mmdebstrap",
        purpose: "OTP 27 beside this system's",
    },
    Need {
        program: "unshare",
        package: "util-linux",
        purpose: "mount namespaces",
    },
    Need {
        program: "knotd",
        package: "knot",
        purpose: "an authoritative name server",
    },
    Need {
        program: "kdig",
        package: "knot-dnsutils",
        purpose: "asking it",
    },
    Need {
        program: "unbound",
        package: "unbound",
        purpose: "a resolver in between",
    },
    Need {
        program: "openssl",
        package: "openssl",
        purpose: "certificates for nodes over TLS",
    },
    Need {
        program: "perf",
        package: "linux-perf",
        purpose: "counting the system calls of what is measured",
    },
    Need {
        program: "valgrind",
        package: "valgrind",
        purpose: "counting its instructions",
    },
    Need {
        program: "objdump",
        package: "binutils",
        purpose: "telling which of them lock the bus",
    },
];

/// Packages that no program in PATH gives away, by a file that they bring.
const FILES: &[(&str, &str, &str)] = &[
    // `gcc` alone compiles and does not link.
    ("/usr/include/stdio.h", "libc6-dev", "linking"),
    ("/etc/hosts", "netbase", "hosts with names of their own"),
    ("/usr/share/perl/5*", "perl", "mmdebstrap"),
    ("/etc/ssl/certs", "ca-certificates", "HTTPS"),
    (
        "/usr/include/ei.h",
        "erlang-dev",
        "libei, to measure beside",
    ),
];

/// Installs what is missing where that is possible, else fails with the list.
pub(crate) fn run() -> Result<()> {
    let missing: Vec<&Need> = NEEDS
        .iter()
        .filter(|need| find(need.program).is_none())
        .collect();
    let files: Vec<_> = FILES.iter().filter(|(file, ..)| !any(file)).collect();
    let mut packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    packages.extend(files.iter().map(|(_, package, _)| *package));
    if packages.is_empty() {
        println!("setup: everything the tests need is here");
        return Ok(());
    }
    for need in &missing {
        println!(
            "setup: missing {} ({}), for {}",
            need.program, need.package, need.purpose
        );
    }
    for (file, package, purpose) in files {
        println!("setup: missing {file} ({package}), for {purpose}");
    }
    if find("apt-get").is_none() {
        bail!(
            "install these with your system's packages: {}",
            packages.join(" ")
        );
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "run as root: apt-get install -y --no-install-recommends {}",
            packages.join(" ")
        );
    }
    shown(Command::new("apt-get").args(["-q", "update"]))?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    install
        .args(["-q", "-y", "--no-install-recommends", "install"])
        .args(&packages);
    shown(&mut install)?;
    match missing.iter().find(|need| find(need.program).is_none()) {
        Some(need) => bail!(
            "{} is installed and there is no {}",
            need.package,
            need.program
        ),
        None => Ok(()),
    }
}

/// Whether a file is there; a `*` at the end stands for any rest.
fn any(pattern: &str) -> bool {
    let Some(start) = pattern.strip_suffix('*') else {
        return Path::new(pattern).exists();
    };
    let path = Path::new(start);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return false;
    };
    std::fs::read_dir(folder).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| {
                entry
                    .file_name()
                    .to_string_lossy()
                    .starts_with(&*name.to_string_lossy())
            })
        })
    })
}
