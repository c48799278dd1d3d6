//! Who is connected to whom, as a table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use trunkline_proto::NodeName;

/// What `--matrix --json` prints. Pairs are unordered, each once, the lesser name first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Matrix {
    nodes: Vec<String>,
    edges: Vec<[String; 2]>,
    missing: Vec<[String; 2]>,
    /// Nodes that could not be asked; their edges are known from the others alone.
    unasked: Vec<String>,
}

impl Matrix {
    /// From what each node sees, `None` for one that could not be asked. Two nodes are connected
    /// when every one of them that could be asked sees the other; where neither could, nothing is
    /// known and nothing is missing.
    pub(crate) fn new(views: &BTreeMap<NodeName, Option<BTreeSet<NodeName>>>) -> Self {
        let mut matrix = Self {
            nodes: views.keys().map(ToString::to_string).collect(),
            edges: Vec::new(),
            missing: Vec::new(),
            unasked: Vec::new(),
        };
        let sees = |of: &Option<BTreeSet<NodeName>>, other| of.as_ref().map(|v| v.contains(other));
        for (n, (a, seen_by_a)) in views.iter().enumerate() {
            if seen_by_a.is_none() {
                matrix.unasked.push(a.to_string());
            }
            for (b, seen_by_b) in views.iter().skip(n + 1) {
                let pair = [a.to_string(), b.to_string()];
                match (sees(seen_by_a, b), sees(seen_by_b, a)) {
                    (None, None) => {}
                    (Some(false), _) | (_, Some(false)) => matrix.missing.push(pair),
                    _ => matrix.edges.push(pair),
                }
            }
        }
        matrix
    }

    /// For people: a grid, the names beside it as `name` writes them, the missing edges below.
    pub(crate) fn text(&self, name: impl Fn(&str) -> String) -> String {
        let width = self.nodes.len().to_string().len();
        let mut out = format!("{:width$} ", "");
        for n in 1..=self.nodes.len() {
            write!(out, " {n:>width$}").expect("a String takes everything");
        }
        out.push('\n');
        for (n, a) in self.nodes.iter().enumerate() {
            write!(out, "{:>width$} ", n + 1).expect("a String takes everything");
            for b in &self.nodes {
                write!(out, " {:>width$}", self.mark(a, b)).expect("a String takes everything");
            }
            writeln!(out, "  {}", name(a)).expect("a String takes everything");
        }
        for [a, b] in &self.missing {
            writeln!(out, "missing: {} - {}", name(a), name(b)).expect("a String takes everything");
        }
        for node in &self.unasked {
            writeln!(out, "not asked: {}", name(node)).expect("a String takes everything");
        }
        out
    }

    fn mark(&self, a: &str, b: &str) -> char {
        let pair = [a.min(b), a.max(b)];
        let holds = |pairs: &[[String; 2]]| pairs.iter().any(|[x, y]| [x, y] == pair);
        if a == b {
            '.'
        } else if holds(&self.edges) {
            'x'
        } else if holds(&self.missing) {
            '-'
        } else {
            '?'
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        format!("{text}@h").parse().unwrap()
    }

    fn views(seen: &[(&str, Option<&[&str]>)]) -> BTreeMap<NodeName, Option<BTreeSet<NodeName>>> {
        let each = seen.iter();
        each.map(|(node, sees)| {
            let sees = sees.map(|names| names.iter().map(|n| name(n)).collect());
            (name(node), sees)
        })
        .collect()
    }

    #[test]
    fn one_edge_is_missing_and_one_node_silent() {
        let matrix = Matrix::new(&views(&[
            ("a", Some(&["b", "c", "d"])),
            ("b", Some(&["a"])),
            ("c", Some(&["a"])),
            ("d", None),
            ("e", None),
        ]));
        let pair = |a: &str, b: &str| [format!("{a}@h"), format!("{b}@h")];
        assert_eq!(
            matrix.edges,
            [pair("a", "b"), pair("a", "c"), pair("a", "d")]
        );
        assert!(matrix.missing.contains(&pair("b", "c")));
        assert!(
            !matrix.missing.contains(&pair("d", "e")),
            "nobody was asked"
        );
        assert_eq!(matrix.unasked, ["d@h", "e@h"]);
    }

    #[test]
    fn text() {
        let matrix = Matrix::new(&views(&[
            ("a", Some(&["b", "c"])),
            ("b", Some(&["a"])),
            ("c", Some(&["a"])),
        ]));
        insta::assert_snapshot!(matrix.text(str::to_owned), @r"
       1 2 3
    1  . x x  a@h
    2  x . -  b@h
    3  x - .  c@h
    missing: b@h - c@h
    ");
    }
}
