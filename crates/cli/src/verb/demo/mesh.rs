//! Who sees whom.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

/// A node by its place in the fleet.
pub(super) type Index = usize;

/// What the nodes have said of their connections so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Mesh {
    names: Vec<String>,
    /// `(a, b)`: a sees b.
    sees: BTreeSet<(Index, Index)>,
    /// Connections that came to be, each told by both of its ends.
    ups: usize,
}

/// Edges that are there on both sides, and those that are not.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Edges {
    pub(super) edges: Vec<(String, String)>,
    pub(super) missing: Vec<(String, String)>,
}

impl Mesh {
    pub(super) fn new(names: Vec<String>) -> Self {
        Self {
            names,
            ..Self::default()
        }
    }

    pub(super) fn index(&self, name: &str) -> Option<Index> {
        self.names.iter().position(|n| n == name)
    }

    /// `a` sees `b`, which it may say twice; whether both see each other now, and did not before.
    pub(super) fn up(&mut self, a: Index, b: Index) -> bool {
        let new = self.sees.insert((a, b));
        self.ups += usize::from(new);
        new && self.sees.contains(&(b, a))
    }

    /// `a` no longer sees `b`.
    pub(super) fn down(&mut self, a: Index, b: Index) {
        self.sees.remove(&(a, b));
    }

    /// `a` is dead: it sees nobody.
    pub(super) fn died(&mut self, a: Index) {
        self.sees.retain(|(from, _)| *from != a);
    }

    /// Whether somebody sees `b`.
    pub(super) fn seen(&self, b: Index) -> bool {
        self.sees.iter().any(|(_, to)| *to == b)
    }

    /// Everybody sees everybody.
    pub(super) fn is_whole(&self) -> bool {
        self.sees.len() == self.names.len() * self.names.len().saturating_sub(1)
    }

    /// Handshakes that succeeded.
    pub(super) fn handshakes(&self) -> usize {
        self.ups / 2
    }

    pub(super) fn edges(&self) -> Edges {
        let mut found = Edges {
            edges: Vec::new(),
            missing: Vec::new(),
        };
        for (a, one) in self.names.iter().enumerate() {
            for (b, two) in self.names.iter().enumerate().skip(a + 1) {
                let whole = self.sees.contains(&(a, b)) && self.sees.contains(&(b, a));
                let list = if whole {
                    &mut found.edges
                } else {
                    &mut found.missing
                };
                list.push((one.clone(), two.clone()));
            }
        }
        found
    }

    /// A line for each node, a column for each: `●` it sees that one, `·` it does not.
    pub(super) fn matrix(&self) -> String {
        let width = self.names.iter().map(String::len).max().unwrap_or(0);
        let column = |name: &str| format!(".{}", name.rsplit('.').next().unwrap_or(name));
        let mut text = format!("{:width$}  ", "");
        for name in &self.names {
            write!(text, "{:>4}", column(name)).ok();
        }
        text.push('\n');
        for (a, name) in self.names.iter().enumerate() {
            write!(text, "{name:width$}  ").ok();
            for b in 0..self.names.len() {
                let mark = match (a == b, self.sees.contains(&(a, b))) {
                    (true, _) => "–",
                    (false, true) => "●",
                    (false, false) => "·",
                };
                write!(text, "{mark:>4}").ok();
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Mesh {
        Mesh::new(
            ["a@127.0.0.1", "a@127.0.0.2", "a@127.0.0.3"]
                .map(String::from)
                .into(),
        )
    }

    #[test]
    fn an_edge_has_two_sides() {
        let mut mesh = three();
        assert!(!mesh.up(0, 1));
        assert!(mesh.up(1, 0));
        let edges = mesh.edges();
        assert_eq!((edges.edges.len(), edges.missing.len()), (1, 2));
        for (a, b) in [(0, 2), (2, 0), (1, 2), (2, 1)] {
            assert!(!mesh.is_whole());
            mesh.up(a, b);
        }
        assert!(mesh.is_whole());
        assert_eq!(mesh.handshakes(), 3);
        mesh.died(2);
        assert!(mesh.seen(2));
        mesh.down(0, 2);
        mesh.down(1, 2);
        assert!(!mesh.seen(2));
    }

    #[test]
    fn what_is_said_twice_counts_once() {
        let mut mesh = three();
        for (a, b) in [(0, 1), (1, 0)] {
            mesh.up(a, b);
            assert!(!mesh.up(a, b));
        }
        assert_eq!(mesh.handshakes(), 1);
    }

    #[test]
    fn matrix() {
        let mut mesh = three();
        mesh.up(0, 1);
        insta::assert_snapshot!(mesh.matrix(), @r"
                       .1  .2  .3
        a@127.0.0.1     –   ●   ·
        a@127.0.0.2     ·   –   ·
        a@127.0.0.3     ·   ·   –
        ");
    }
}
