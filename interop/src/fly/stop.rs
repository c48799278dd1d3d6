//! What OTP says of a node that stops, and that a story must not take for trouble.

use std::collections::BTreeMap;

use crate::members::Members;

/// How Elixir and Erlang begin what is worth a look, and what a torn mesh says.
const WORDS: [&str; 4] = ["[error]", "[warning]", "=ERROR", "overlapping partitions"];

/// A machine that a story stopped, and that moment in everybody's log: it lasts until the machine starts again.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) n: u8,
    node: String,
    begun: BTreeMap<u8, usize>,
    ended: BTreeMap<u8, usize>,
}

impl Stop {
    /// Before anybody sees it.
    pub(super) fn begin(n: u8, members: &Members) -> Self {
        Self {
            n,
            node: members.member(n).node.clone(),
            begun: lengths(members),
            ended: BTreeMap::new(),
        }
    }

    /// Before it starts again; only the first time counts.
    pub(super) fn end(&mut self, members: &Members) {
        if self.ended.is_empty() {
            self.ended = lengths(members);
        }
    }

    /// Whether a line that begins at byte `at` of member `n`'s log is one that this stop explains: nodes lose a node that stops
    /// one after the other, and `global` of one that has lost it has another drop it too.
    fn allows(&self, n: u8, at: usize, line: &str) -> bool {
        let begun = self.begun.get(&n).is_some_and(|begun| *begun <= at);
        let ended = self.ended.get(&n).is_some_and(|ended| *ended <= at);
        let dropped = [" requested disconnect from node ", " disconnected node "];
        let dropped = dropped.map(|it| format!("{it}:\"{}\" in order to", self.node));
        let global = line.contains("[warning] 'global' at node :");
        begun && !ended && global && dropped.iter().any(|it| line.contains(it))
    }
}

/// The lines of member `n`'s log that hold one of [`WORDS`], without those that a stop explains.
pub(super) fn warnings(log: &str, n: u8, stops: &[Stop]) -> Vec<String> {
    let mut at = 0;
    let mut found = Vec::new();
    for line in log.split_inclusive('\n') {
        let explained = || stops.iter().any(|stop| stop.allows(n, at, line));
        if WORDS.iter().any(|word| line.contains(word)) && !explained() {
            found.push(line.trim_end().to_owned());
        }
        at += line.len();
    }
    found
}

fn lengths(members: &Members) -> BTreeMap<u8, usize> {
    let members = members.members().iter();
    members.map(|it| (it.host.n(), it.log().len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(asker: &str, dropped: &str) -> String {
        format!(
            "07:39:58.896 [warning] 'global' at node :\"{asker}\" requested disconnect from node :\"{dropped}\" in order to prevent \
             overlapping partitions\n"
        )
    }

    fn stop(begun: usize, ended: Option<usize>) -> Stop {
        Stop {
            n: 3,
            node: String::from("app@three"),
            begun: BTreeMap::from([(1, begun)]),
            ended: ended.map(|at| (1, at)).into_iter().collect(),
        }
    }

    #[test]
    fn only_the_stopped_machine_may_be_dropped_and_only_while_it_is_stopped() {
        let dropped = line("app@one", "app@three");
        assert!(warnings(&dropped, 1, &[stop(0, None)]).is_empty());
        assert!(warnings(&dropped, 1, &[stop(0, Some(dropped.len()))]).is_empty());
        // Before it, after it, in the log of one that was not there, without any stop.
        assert_eq!(warnings(&dropped, 1, &[stop(1, None)]).len(), 1);
        assert_eq!(warnings(&dropped, 1, &[stop(0, Some(0))]).len(), 1);
        assert_eq!(warnings(&dropped, 2, &[stop(0, None)]).len(), 1);
        assert_eq!(warnings(&dropped, 1, &[]).len(), 1);
    }

    #[test]
    fn nobody_else_may_be_dropped_and_nothing_else_said() {
        let stops = [stop(0, None)];
        for other in [
            line("app@one", "app@two"),
            line("app@three", "app@one"),
            line("app@one", "app@three-too"),
            String::from("07:39:58.896 [error] GenServer terminating app@three\n"),
            String::from(
                "07:39:58.896 [warning] app@three disconnected node :\"app@three\" in order to\n",
            ),
        ] {
            let log = format!("all is well\n{other}{}", line("app@one", "app@three"));
            assert_eq!(warnings(&log, 1, &stops), [other.trim_end()]);
        }
    }
}
