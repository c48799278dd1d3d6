//! Every operation of the specification: its bytes, its fields, its way through a connection.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use proptest::prelude::*;
use support::hex;
use trunkline_etf::{Atom, Limits as TermLimits, Pid, Reference, Term, atom};
use trunkline_proto::conn::{DEFAULT_TICK_TIME, Inbound, Limits, Outbound, Payload};
use trunkline_proto::control::{AltactTo, Control, Fitted, PidOrName};
use trunkline_proto::{Flags, Instant};

/// Everything that has a number, removed operations (4, 5) left out.
const OPERATIONS: [i64; 31] = [
    1, 2, 3, 6, 7, 8, 12, 13, 16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33,
    34, 35, 36, 37, 37, 37,
];

fn a() -> Pid {
    Pid {
        node: atom!("a@h"),
        id: 1,
        serial: 2,
        creation: 3,
    }
}

fn b() -> Pid {
    Pid {
        node: atom!("b@h"),
        id: 4,
        serial: 0,
        creation: 5,
    }
}

fn r() -> Reference {
    Reference::new(atom!("a@h"), 3, &[6, 7, 8]).unwrap()
}

/// `'a@h'`'s pid, `'b@h'`'s pid and the reference as the wire has them.
const A: &str = "587703614068000000010000000200000003";
const B: &str = "587703624068000000040000000000000005";
const R: &str = "5a0003770361406800000003000000060000000700000008";
/// `''`, `name`, the token `t`, the reason `r`.
const EMPTY: &str = "7700";
const NAME: &str = "77046e616d65";
const T: &str = "770174";
const REASON: &str = "770172";

/// The specification's table, written by hand: fields as bytes, and what they mean.
fn table() -> Vec<(u8, Vec<&'static str>, Control)> {
    let t = || Some(Term::atom("t"));
    let reason = || Term::atom("r");
    let name = || atom!("name");
    let exit = |token| Control::Exit {
        from: a(),
        to: b(),
        token,
        reason: reason(),
    };
    let exit2 = |token| Control::Exit2 {
        from: a(),
        to: b(),
        token,
        reason: reason(),
    };
    let altact = |flags, to, token| Control::AltactSend {
        flags,
        from: a(),
        to,
        token,
    };
    let spawn = |token| Control::SpawnRequest {
        request: r(),
        from: a(),
        group_leader: b(),
        module: name(),
        function: name(),
        arity: 2,
        options: Term::nil(),
        token,
    };
    let mfa = "680377046e616d6577046e616d656102";
    vec![
        (1, vec![A, B], Control::Link { from: a(), to: b() }),
        (
            2,
            vec![EMPTY, B],
            Control::Send {
                to: b(),
                token: None,
            },
        ),
        (3, vec![A, B, REASON], exit(None)),
        (
            6,
            vec![A, EMPTY, NAME],
            Control::RegSend {
                from: a(),
                to: name(),
                token: None,
            },
        ),
        (
            7,
            vec![A, B],
            Control::GroupLeader {
                leader: a(),
                to: b(),
            },
        ),
        (8, vec![A, B, REASON], exit2(None)),
        (
            12,
            vec![EMPTY, B, T],
            Control::Send {
                to: b(),
                token: t(),
            },
        ),
        (13, vec![A, B, T, REASON], exit(t())),
        (
            16,
            vec![A, EMPTY, NAME, T],
            Control::RegSend {
                from: a(),
                to: name(),
                token: t(),
            },
        ),
        (18, vec![A, B, T, REASON], exit2(t())),
        (
            19,
            vec![A, NAME, R],
            Control::MonitorP {
                from: a(),
                to: name().into(),
                reference: r(),
            },
        ),
        (
            20,
            vec![A, B, R],
            Control::DemonitorP {
                from: a(),
                to: b().into(),
                reference: r(),
            },
        ),
        (
            21,
            vec![NAME, B, R, REASON],
            Control::MonitorPExit {
                from: name().into(),
                to: b(),
                reference: r(),
                reason: reason(),
            },
        ),
        (
            22,
            vec![A, B],
            Control::SendSender {
                from: a(),
                to: b(),
                token: None,
            },
        ),
        (
            23,
            vec![A, B, T],
            Control::SendSender {
                from: a(),
                to: b(),
                token: t(),
            },
        ),
        (
            24,
            vec![A, B],
            Control::PayloadExit {
                from: a(),
                to: b(),
                token: None,
            },
        ),
        (
            25,
            vec![A, B, T],
            Control::PayloadExit {
                from: a(),
                to: b(),
                token: t(),
            },
        ),
        (
            26,
            vec![A, B],
            Control::PayloadExit2 {
                from: a(),
                to: b(),
                token: None,
            },
        ),
        (
            27,
            vec![A, B, T],
            Control::PayloadExit2 {
                from: a(),
                to: b(),
                token: t(),
            },
        ),
        (
            28,
            vec![A, B, R],
            Control::PayloadMonitorPExit {
                from: a().into(),
                to: b(),
                reference: r(),
            },
        ),
        (29, vec![R, A, B, mfa, "6a"], spawn(None)),
        (30, vec![R, A, B, mfa, "6a", T], spawn(t())),
        (
            31,
            vec![R, B, "6103", A],
            Control::SpawnReply {
                request: r(),
                to: b(),
                flags: Control::SPAWNED_WITH_LINK | Control::SPAWNED_WITH_MONITOR,
                result: a().into(),
                token: None,
            },
        ),
        (
            32,
            vec![R, B, "6100", NAME, T],
            Control::SpawnReply {
                request: r(),
                to: b(),
                flags: 0,
                result: name().into(),
                token: t(),
            },
        ),
        (
            33,
            vec![A, R],
            Control::AliasSend {
                from: a(),
                alias: r(),
                token: None,
            },
        ),
        (
            34,
            vec![A, R, T],
            Control::AliasSend {
                from: a(),
                alias: r(),
                token: t(),
            },
        ),
        (
            35,
            vec!["6e0800ffffffffffffffff", A, B],
            Control::UnlinkId {
                id: u64::MAX,
                from: a(),
                to: b(),
            },
        ),
        (
            36,
            vec!["6101", A, B],
            Control::UnlinkIdAck {
                id: 1,
                from: a(),
                to: b(),
            },
        ),
        (
            37,
            vec!["6101", A, B],
            altact(Control::ALTACT_PRIO, AltactTo::Pid(b()), None),
        ),
        (
            37,
            vec!["6106", A, R, T],
            altact(
                Control::ALTACT_ALIAS | Control::ALTACT_TOKEN,
                AltactTo::Alias(r()),
                t(),
            ),
        ),
        (
            37,
            vec!["6108", A, NAME],
            altact(Control::ALTACT_NAME, AltactTo::Name(name()), None),
        ),
    ]
}

#[test]
fn every_operation_has_the_bytes_of_the_specification() {
    let table = table();
    let listed: Vec<_> = table.iter().map(|(op, ..)| i64::from(*op)).collect();
    assert_eq!(listed, OPERATIONS);
    for (op, fields, control) in table {
        let arity = u8::try_from(fields.len() + 1).unwrap();
        let bytes = [vec![131, 104, arity, 97, op], hex(&fields.concat())].concat();
        let term = Term::decode(&bytes.clone().into(), &TermLimits::default()).unwrap();
        assert_eq!(Control::from_term(&term).as_ref(), Ok(&control), "{op}");
        assert_eq!(control.to_term().to_vec(), bytes, "{op}");
        let mut bare = Vec::new();
        control.encode_bare(&mut bare);
        assert_eq!(bare, bytes[1..], "{op}");
        assert_eq!(
            control.has_payload(),
            matches!(op, 2 | 6 | 12 | 16 | 22..=30 | 33 | 34 | 37),
            "{op}"
        );
    }
}

/// A peer that says both sends to the alias.
#[test]
fn an_alias_is_no_name_as_well() {
    let bytes = [vec![131, 104, 4, 97, 37], hex(&["610c", A, R].concat())].concat();
    let term = Term::decode(&bytes.into(), &TermLimits::default()).unwrap();
    let control = Control::from_term(&term).unwrap();
    let expected = Control::AltactSend {
        flags: Control::ALTACT_ALIAS,
        from: a(),
        to: AltactTo::Alias(r()),
        token: None,
    };
    assert_eq!(control, expected);
    assert_eq!(Control::from_term(&control.to_term()), Ok(expected));
}

#[test]
fn what_both_ends_have_decides_the_form() {
    let all = Flags::hidden_default().with(Flags::ALTACT_SIG);
    let plain = |control: &Control| Fitted {
        control: control.clone(),
        payload: None,
    };
    for (op, _, control) in table() {
        let fitted = control.clone().fit(all);
        assert_eq!(control.fits(all), fitted == plain(&control));
        let expected = match op {
            3 => 24,
            13 => 25,
            8 => 26,
            18 => 27,
            21 => 28,
            _ => {
                assert_eq!(fitted, plain(&control));
                continue;
            }
        };
        let number = fitted.control.to_term().as_tuple().unwrap()[0].as_i64();
        assert_eq!(number, Some(expected));
        assert_eq!(fitted.payload, Some(Term::atom("r")));
    }
    for (op, fields, control) in table() {
        let fitted = control.clone().fit(Flags::NONE);
        assert_eq!(control.fits(Flags::NONE), fitted == plain(&control));
        assert_eq!(fitted.payload, None);
        let number = fitted.control.to_term().as_tuple().unwrap()[0].as_i64();
        let expected = match (op, fields[0]) {
            (22, _) | (37, "6101") => 2,
            (23, _) => 12,
            (37, "6106") => 34,
            (37, "6108") => 6,
            (op, _) => i64::from(op),
        };
        assert_eq!(number, Some(expected), "{control:?}");
    }
    let exit = Control::AltactSend {
        flags: Control::ALTACT_EXIT | Control::ALTACT_PRIO,
        from: a(),
        to: AltactTo::Pid(b()),
        token: None,
    };
    assert_eq!(exit.clone().fit(all).control, exit);
    let fitted = exit.fit(Flags::hidden_default()).control;
    assert!(matches!(fitted, Control::PayloadExit2 { .. }), "{fitted:?}");
}

fn pid() -> impl Strategy<Value = Pid> {
    ("[a-zé]{0,3}@[0-9.]{1,260}", any::<[u32; 3]>()).prop_map(|(node, [id, serial, creation])| {
        Pid {
            node: Atom::new(&node.chars().take(255).collect::<String>()).unwrap(),
            id,
            serial,
            creation,
        }
    })
}

fn reference() -> impl Strategy<Value = Reference> {
    (pid(), prop::collection::vec(any::<u32>(), 1..6))
        .prop_map(|(pid, words)| Reference::new(pid.node, pid.creation, &words).unwrap())
}

fn name() -> impl Strategy<Value = Atom> {
    "\\PC{0,255}".prop_map(|text| Atom::new(&text).unwrap())
}

fn pid_or_name() -> impl Strategy<Value = PidOrName> {
    prop_oneof![
        pid().prop_map(PidOrName::Pid),
        name().prop_map(PidOrName::Name)
    ]
}

fn term() -> impl Strategy<Value = Term> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Term::from),
        name().prop_map(Term::from),
        pid().prop_map(Term::from),
        prop::collection::vec(any::<u8>(), 0..9000).prop_map(Term::binary),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(Term::tuple)
    })
}

fn token() -> impl Strategy<Value = Option<Term>> {
    prop::option::weighted(0.3, term())
}

prop_compose! {
    fn parts()(
        from in pid(), to in pid(), who in pid_or_name(), reference in reference(),
        name in name(), token in token(), reason in term(), flags in any::<u32>(), id in any::<u64>(),
    ) -> (Pid, Pid, PidOrName, Reference, Atom, Option<Term>, Term, u32, u64) {
        (from, to, who, reference, name, token, reason, flags, id)
    }
}

/// Any message, every variant as likely as any other.
fn control() -> impl Strategy<Value = Control> {
    (0_u8..21, parts()).prop_map(
        |(variant, (from, to, who, reference, name, token, reason, flags, id))| match variant {
            0 => Control::Link { from, to },
            1 => Control::Send { to, token },
            2 => Control::Exit {
                from,
                to,
                token,
                reason,
            },
            3 => Control::RegSend {
                from,
                to: name,
                token,
            },
            4 => Control::GroupLeader { leader: from, to },
            5 => Control::Exit2 {
                from,
                to,
                token,
                reason,
            },
            6 => Control::MonitorP {
                from,
                to: who,
                reference,
            },
            7 => Control::DemonitorP {
                from,
                to: who,
                reference,
            },
            8 => Control::MonitorPExit {
                from: who,
                to,
                reference,
                reason,
            },
            9 => Control::SendSender { from, to, token },
            10 => Control::PayloadExit { from, to, token },
            11 => Control::PayloadExit2 { from, to, token },
            12 => Control::PayloadMonitorPExit {
                from: who,
                to,
                reference,
            },
            13 => Control::SpawnRequest {
                request: reference,
                from,
                group_leader: to,
                module: name.clone(),
                function: name,
                arity: flags,
                options: reason,
                token,
            },
            14 => Control::SpawnReply {
                request: reference,
                to,
                flags,
                result: who,
                token,
            },
            15 => Control::AliasSend {
                from,
                alias: reference,
                token,
            },
            16 => Control::UnlinkId { id, from, to },
            17 => Control::UnlinkIdAck { id, from, to },
            other => {
                let (kind, to) = match other {
                    18 => (0, AltactTo::Pid(to)),
                    19 => (Control::ALTACT_ALIAS, AltactTo::Alias(reference)),
                    _ => (Control::ALTACT_NAME, AltactTo::Name(name)),
                };
                let token_flag = if token.is_some() {
                    Control::ALTACT_TOKEN
                } else {
                    0
                };
                let others =
                    flags & !(Control::ALTACT_ALIAS | Control::ALTACT_NAME | Control::ALTACT_TOKEN);
                Control::AltactSend {
                    flags: others | kind | token_flag,
                    from,
                    to,
                    token,
                }
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_in_comes_out(messages in prop::collection::vec((control(), term()), 1..12), headers in any::<bool>()) {
        let flags = if headers { Flags::hidden_default() } else { Flags::MANDATORY_26 };
        let mut outbound = Outbound::new(Instant::ZERO, flags, flags, DEFAULT_TICK_TIME);
        let mut inbound = Inbound::new(Instant::ZERO, flags, DEFAULT_TICK_TIME, Limits::default());
        for (control, payload) in &messages {
            let term = control.to_term();
            prop_assert_eq!(Control::from_term(&term), Ok(control.clone()));
            let mut bare = Vec::new();
            control.encode_bare(&mut bare);
            prop_assert_eq!(&bare, &term.to_vec()[1..]);
            let with = if control.has_payload() { Payload::Term(payload) } else { Payload::None };
            outbound.push(Instant::ZERO, control, with).unwrap();
        }
        inbound.read_buf().extend_from_slice(&outbound.segments().collect::<Vec<_>>().concat());
        for (control, payload) in messages {
            let signal = inbound.next().unwrap().unwrap();
            let seen = signal.payload.map(|raw| raw.decode(&TermLimits::default()).unwrap());
            prop_assert_eq!(seen, control.has_payload().then_some(payload));
            prop_assert_eq!(signal.control, control);
        }
        prop_assert!(inbound.next().is_none());
    }
}
