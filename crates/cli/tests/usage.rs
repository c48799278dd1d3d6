//! Command lines that are wrong: one line in one format, exit code 2.

mod util;

use insta::assert_snapshot;
use util::{seen, sh, stdout, trunkline};

#[test]
fn version() {
    let version = concat!("trunkline ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(stdout(&mut trunkline("--version")), version);
}

#[test]
fn help_names_every_verb() {
    let help = stdout(&mut trunkline("--help"));
    for verb in ["cookie", "env"] {
        assert!(help.contains(&format!("\n  {verb} ")), "{help}");
    }
    assert_eq!(trunkline("").output().unwrap().status.code(), Some(2));
}

#[test]
fn unknown_verb() {
    assert_snapshot!(seen(&mut trunkline("pingg")), @r"
    exit 2
    stderr: trunkline: unrecognized subcommand 'pingg' · trunkline · a similar subcommand exists: 'ping'
    ");
    assert_snapshot!(seen(&mut trunkline("cookie bake")), @r"
    exit 2
    stderr: trunkline: unrecognized subcommand 'bake' · trunkline cookie · see trunkline cookie --help
    ");
}

#[test]
fn unknown_flag() {
    assert_snapshot!(seen(&mut trunkline("cookie check --jsn")), @r"
    exit 2
    stderr: trunkline: unexpected argument '--jsn' found · trunkline cookie check · a similar argument exists: '--json'
    ");
    assert_snapshot!(seen(&mut trunkline("cookie check --cookie=hush-hush")), @r"
    exit 2
    stderr: trunkline: unexpected argument '--cookie' found · trunkline cookie check · a similar argument exists: '--cookie-file'
    ");
}

#[test]
fn what_is_no_number() {
    let mut all = String::new();
    for args in [
        "demo --nodes three",
        "ping a@h --port 0x50",
        "ping a@h --port=",
    ] {
        all += &seen(&mut trunkline(args));
    }
    assert_snapshot!(all, @r"
    exit 2
    stderr: trunkline: invalid value 'three' for '--nodes <N>': it is no whole number · trunkline demo · see trunkline demo --help
    exit 2
    stderr: trunkline: invalid value '0x50' for '--port <PORT>': it is no whole number · trunkline ping · see trunkline ping --help
    exit 2
    stderr: trunkline: invalid value '' for '--port <PORT>': it is empty · trunkline ping · see trunkline ping --help
    ");
}

#[test]
fn bad_log_level() {
    assert_snapshot!(seen(&mut trunkline("--log-level loud cookie check")), @r"
    exit 2
    stderr: trunkline: 'loud' is no log level · --log-level · use error, warn, info, debug or trace
    ");
    assert_snapshot!(seen(trunkline("cookie check").env("TRUNKLINE_LOG", "=")), @r"
    exit 2
    stderr: trunkline: '=' is no log level · TRUNKLINE_LOG · use error, warn, info, debug or trace
    ");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let script = "trunkline cookie generate | :; trunkline --help | head -1 >/dev/null; echo done";
    assert_eq!(seen(&mut sh(script)), "exit 0\nstdout: done\n");
}
