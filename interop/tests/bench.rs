//! The harness that measures the wire runs: a few messages of each figure between our nodes, OTP's and libei, in a debug build. It fails
//! by itself when a sum or an order is wrong. No time is judged here.

use std::process::Command;

use serde_json::Value;
use trunkline_interop::process::run;
use trunkline_interop::workspace;

const PAIRS: &str = "rust,rust-otp,otp-rust,otp,libei,libei-otp,raw-otp,otp-raw,tokio";

#[test]
fn every_figure_has_a_row_of_every_pair_that_can() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let mut bench = Command::new(workspace::bench());
    bench.args(["all", "--rounds", "1", "--count", "20", "--peer", PAIRS]);
    let printed = run(bench.arg("--json").arg(&report)).unwrap();
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let rows = |figure: &str| -> Vec<String> {
        let tables = report["figures"].as_array().unwrap();
        let table = tables.iter().find(|table| table["figure"] == figure);
        let rows = table.unwrap_or_else(|| panic!("no {figure}"))["rows"].as_array();
        let named = |row: &Value| row["pair"].as_str().unwrap().to_owned();
        rows.unwrap().iter().map(named).collect()
    };
    let nodes = [
        "rust multi",
        "rust current",
        "rust-otp multi",
        "rust-otp current",
        "otp-rust multi",
        "otp-rust current",
        "otp",
    ];
    for figure in ["oneway8", "call", "call8"] {
        assert_eq!(rows(figure), nodes, "{printed}");
    }
    for figure in ["oneway", "pingpong", "bin64k", "bin16m", "connect"] {
        let all = rows(figure);
        for pair in nodes.iter().chain(&["libei", "libei-otp"]) {
            assert!(all.iter().any(|row| row == pair), "{figure}: no {pair}");
        }
    }
    let bare = ["tokio multi", "tokio current"];
    assert_eq!(rows("transfer"), [&nodes[..], &bare].concat());
    assert_eq!(rows("idle"), nodes[..4]);
    assert!(rows("pingpong").contains(&"tokio current".to_owned()));
}
