//! Reads the recorded connections in `tests/vectors` (its README explains the format).
#![allow(dead_code, reason = "each test program uses a part")]

pub(crate) mod text;

use std::fs;
use std::path::Path;

use serde::Deserialize;
use trunkline_proto::Cookie;

/// One file.
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) cookies: Vec<Cookie>,
    pub(crate) connections: Vec<Connection>,
}

/// One TCP connection of a scenario.
pub(crate) struct Connection {
    pub(crate) of: String,
    pub(crate) frames: Vec<Frame>,
}

/// One frame: the bytes, and what an independent decoder made of them.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Frame {
    pub(crate) connection: usize,
    pub(crate) of: String,
    pub(crate) dir: Dir,
    pub(crate) kind: String,
    hex: String,
    pub(crate) flags: Option<String>,
    pub(crate) creation: Option<u32>,
    pub(crate) challenge: Option<u32>,
    pub(crate) name: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) digest: Option<String>,
    pub(crate) extra_hex: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) node_type: Option<u8>,
    pub(crate) result: Option<u8>,
    pub(crate) epmd_port: Option<u32>,
    pub(crate) control: Option<String>,
    pub(crate) message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dir {
    C2s,
    S2c,
}

#[derive(Deserialize)]
struct Head {
    scenario: String,
    cookies: Vec<String>,
}

impl Frame {
    /// The whole frame with its length prefix.
    pub(crate) fn wire(&self) -> Vec<u8> {
        expand(&self.hex)
    }

    /// The frame without a prefix of two bytes.
    pub(crate) fn handshake(&self) -> Vec<u8> {
        self.wire()[2..].to_vec()
    }

    pub(crate) fn flags(&self) -> u64 {
        let text = self.flags.as_ref().unwrap();
        u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
    }

    pub(crate) fn is_handshake(&self) -> bool {
        self.of == "dist" && (self.kind.starts_with("send_") || self.kind == "status")
    }
}

/// Every scenario, by name.
pub(crate) fn scenarios() -> Vec<Scenario> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut paths: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "jsonl"))
        .collect();
    paths.sort();
    assert_eq!(paths.len(), 38, "recorded scenarios");
    paths.iter().map(|path| load(path)).collect()
}

/// One scenario.
pub(crate) fn scenario(name: &str) -> Scenario {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    load(&dir.join(format!("{name}.jsonl")))
}

fn load(path: &Path) -> Scenario {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let head: Head = serde_json::from_str(lines.next().unwrap()).unwrap();
    let mut connections: Vec<Connection> = Vec::new();
    for line in lines {
        let frame: Frame = serde_json::from_str(line).unwrap();
        while connections.len() <= frame.connection {
            connections.push(Connection {
                of: frame.of.clone(),
                frames: Vec::new(),
            });
        }
        connections[frame.connection].frames.push(frame);
    }
    let cookies = head
        .cookies
        .into_iter()
        .map(|text| Cookie::new(text).unwrap())
        .collect();
    Scenario {
        name: head.scenario,
        cookies,
        connections,
    }
}

fn expand(text: &str) -> Vec<u8> {
    let Some((before, rest)) = text.split_once('(') else {
        return hex(text);
    };
    let (pattern, rest) = rest.split_once(")*").unwrap();
    let (count, after) = rest.split_once(' ').unwrap();
    let mut out = hex(before);
    out.extend(hex(pattern).repeat(count.parse().unwrap()));
    out.extend(hex(after));
    out
}

/// Bytes of hexadecimal text.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0);
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
