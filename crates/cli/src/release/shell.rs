//! Text that a POSIX shell evaluates.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::exports::{Exports, OnStart};

/// `export` lines, every value in single quotes.
pub(super) fn exports(exports: &Exports) -> Vec<u8> {
    let mut script = Vec::new();
    for (name, value) in &exports.always {
        push_export(&mut script, name, value);
        script.push(b'\n');
    }
    if let Some(on_start) = &exports.on_start {
        push_case(&mut script, on_start);
    }
    script
}

/// What stops the shell that evaluates it: an empty answer would let the release boot alone. The reason
/// is on stderr already, just above.
pub(crate) const GUARD: &str =
    "echo 'trunkline: nothing is started, because trunkline env failed' >&2; exit 1\n";

/// Only the commands of a release that start a node; unset means an entry script, which does.
fn push_case(script: &mut Vec<u8>, on_start: &OnStart) {
    script.extend_from_slice(
        b"case \"${RELEASE_COMMAND:-start}\" in start|start_iex|daemon|daemon_iex)\n  ",
    );
    push_export(script, on_start.name, &on_start.value);
    if let Some(otherwise) = &on_start.otherwise {
        script.extend_from_slice(b" ;;\n*)\n  ");
        push_export(script, on_start.name, otherwise);
    }
    script.extend_from_slice(b" ;;\nesac\n");
}

fn push_export(script: &mut Vec<u8>, name: &str, value: &OsStr) {
    script.extend_from_slice(b"export ");
    script.extend_from_slice(name.as_bytes());
    script.push(b'=');
    script.extend_from_slice(&quoted(value));
}

/// In single quotes nothing is special but the quote itself, which is closed, escaped and opened
/// again: `it's` is `'it'\''s'`.
fn quoted(value: &OsStr) -> Vec<u8> {
    let mut text = vec![b'\''];
    for byte in value.as_bytes() {
        match byte {
            b'\'' => text.extend_from_slice(b"'\\''"),
            byte => text.push(*byte),
        }
    }
    text.push(b'\'');
    text
}
