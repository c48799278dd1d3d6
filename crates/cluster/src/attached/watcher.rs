//! The one process that we run on the attached node: it forwards what `net_kernel` says of links.
//!
//! It is made of an expression that `erl_eval` runs, so no module is loaded there, and it is
//! linked to us: it dies with our connection.

use trunkline_etf::{Pid, Term};
use trunkline_proto::NodeName;

/// What the watcher sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It has subscribed: from now on nothing is missed.
    Watching,
    /// A link came to be.
    Up(NodeName),
    /// A link ended, for this reason.
    Down(NodeName, String),
}

/// Module, function and arguments of
///
/// ```erlang
/// net_kernel:monitor_nodes(true, [{node_type, all}, nodedown_reason]),
/// Agent ! trunkline_watching,
/// (fun Forward() -> receive Event -> Agent ! Event, Forward() end end)()
/// ```
///
/// as `erl_eval:exprs/2` runs it, by way of `erpc:execute_call/4`: what is raised there (`undef`
/// where a release has no `erl_eval`) is then our exit reason and no error report in its log.
pub(super) fn program(agent: &Pid) -> (&'static str, &'static str, Vec<Term>) {
    // Any term may name the call: it comes back with what was raised.
    let call = vec![
        Term::from(agent.clone()),
        atom("erl_eval"),
        atom("exprs"),
        Term::list(expressions(agent)),
    ];
    ("erpc", "execute_call", call)
}

/// What was raised in the watcher, of the reason for which it ended; any other reason as it is.
pub(super) fn raised<'a>(agent: &Pid, reason: &'a Term) -> &'a Term {
    match reason.as_tuple() {
        Some([call, _class, raised, ..]) if call.as_pid() == Some(agent) => raised,
        _ => reason,
    }
}

/// The arguments of `erl_eval:exprs/2`: the expressions in abstract form, and what is bound.
fn expressions(agent: &Pid) -> Vec<Term> {
    let options = list([
        tuple([
            atom("tuple"),
            ANNO.into(),
            list([lit("node_type"), lit("all")]),
        ]),
        lit("nodedown_reason"),
    ]);
    let subscribe = call(
        tuple([
            atom("remote"),
            ANNO.into(),
            lit("net_kernel"),
            lit("monitor_nodes"),
        ]),
        list([lit("true"), cons(options.as_list().unwrap_or_default())]),
    );
    let announce = send(lit(WATCHING));
    let forward = tuple([
        atom("named_fun"),
        ANNO.into(),
        atom("Forward"),
        list([clause(
            list([]),
            list([tuple([
                atom("receive"),
                ANNO.into(),
                list([clause(
                    list([var("Event")]),
                    list([send(var("Event")), call(var("Forward"), list([]))]),
                )]),
            ])]),
        )]),
    ]);
    let bindings = list([tuple([atom("Agent"), Term::from(agent.clone())])]);
    vec![
        list([subscribe, announce, call(forward, list([]))]),
        bindings,
    ]
}

/// A message of the watcher; `None` for one that is not about links.
pub(super) fn parse(message: &Term) -> Option<Seen> {
    if message.is_atom(WATCHING) {
        return Some(Seen::Watching);
    }
    let [event, node, info] = message.as_tuple()? else {
        return None;
    };
    let node = node.as_atom()?.as_str().parse().ok()?;
    match event.as_atom()?.as_str() {
        "nodeup" => Some(Seen::Up(node)),
        "nodedown" => Some(Seen::Down(node, down_reason(info))),
        _ => None,
    }
}

fn down_reason(info: &Term) -> String {
    let pairs = info.as_list().unwrap_or_default().iter();
    pairs
        .filter_map(Term::as_tuple)
        .find_map(|pair| match pair {
            [key, reason] if key.is_atom("nodedown_reason") => Some(reason.to_string()),
            _ => None,
        })
        .unwrap_or_else(|| "no reason given".to_owned())
}

const WATCHING: &str = "trunkline_watching";

/// The line that the abstract form says it stands on.
const ANNO: i64 = 1;

fn atom(text: &'static str) -> Term {
    Term::atom(text)
}

fn tuple<const N: usize>(items: [Term; N]) -> Term {
    Term::tuple(items)
}

fn list<const N: usize>(items: [Term; N]) -> Term {
    Term::list(items)
}

fn lit(text: &'static str) -> Term {
    tuple([atom("atom"), ANNO.into(), atom(text)])
}

fn var(name: &'static str) -> Term {
    tuple([atom("var"), ANNO.into(), atom(name)])
}

fn send(what: Term) -> Term {
    tuple([atom("op"), ANNO.into(), atom("!"), var("Agent"), what])
}

fn call(function: Term, args: Term) -> Term {
    tuple([atom("call"), ANNO.into(), function, args])
}

fn clause(patterns: Term, body: Term) -> Term {
    tuple([atom("clause"), ANNO.into(), patterns, list([]), body])
}

/// The form of a list expression.
fn cons(items: &[Term]) -> Term {
    let nil = tuple([atom("nil"), ANNO.into()]);
    items.iter().rev().fold(nil, |tail, item| {
        tuple([atom("cons"), ANNO.into(), item.clone(), tail])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &'static str, info: Vec<Term>) -> Term {
        Term::tuple([Term::atom(text), Term::atom("b@h"), Term::list(info)])
    }

    #[test]
    fn link_events_are_understood() {
        let b: NodeName = "b@h".parse().unwrap();
        assert_eq!(
            parse(&Term::atom("trunkline_watching")),
            Some(Seen::Watching)
        );
        assert_eq!(parse(&event("nodeup", vec![])), Some(Seen::Up(b.clone())));
        let why = Term::tuple([
            Term::atom("nodedown_reason"),
            Term::atom("net_tick_timeout"),
        ]);
        assert_eq!(
            parse(&event("nodedown", vec![why])),
            Some(Seen::Down(b, "net_tick_timeout".into()))
        );
        assert_eq!(parse(&Term::atom("hello")), None);
        assert_eq!(parse(&event("nodesideways", vec![])), None);
    }
}
