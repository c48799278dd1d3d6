//! Processes of one node: spawning, receiving, links, exits, monitors, names, aliases.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use proptest::prelude::*;
use tokio::sync::oneshot;
use tokio::time::timeout;
use trunkline_etf::{Pid, Term, atom, term};
use trunkline_node::{
    AliasMode, CallError, MaxMailbox, Message, Node, Process, RecvError, SendError, WhenFull,
};
use trunkline_proto::Cookie;

const SOON: Duration = Duration::from_secs(20);

async fn node() -> Node {
    Node::builder("one@127.0.0.1".parse().expect("a node name"))
        .cookie(Cookie::new("monster").expect("a cookie"))
        .start()
        .await
        .expect("it starts")
}

async fn next(process: &mut Process) -> Message {
    let message = timeout(SOON, process.recv()).await;
    message.expect("a message").expect("the process lives")
}

/// What comes until everything that was sent before has come.
async fn all(process: &mut Process) -> Vec<Message> {
    let me = process.pid();
    process.send(&me, term!(stop)).await.expect("always");
    let mut all = Vec::new();
    loop {
        match next(process).await {
            Message::Term(term) if term.is_atom("stop") => return all,
            message => all.push(message),
        }
    }
}

fn trapping(node: &Node) -> Process {
    let process = node.process();
    process.trap_exit(true);
    process
}

/// A process that waits for ever, or ends for the reason that it is sent.
fn waiter(process: &Process, trap: bool) -> Pid {
    process.spawn_link(async move |mut process: Process| {
        process.trap_exit(trap);
        match process.recv().await {
            Some(Message::Term(reason)) => reason,
            other => term!({got, (other.map_or(Term::nil(), Message::into_term))}),
        }
    })
}

async fn exit_of(process: &mut Process, pid: &Pid) -> Term {
    match next(process).await {
        Message::Exit { from, reason } if from == *pid => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_process_ends_for_what_its_future_returns() {
    let node = node().await;
    let mut me = trapping(&node);
    let unit = me.spawn_link(async |_| ());
    assert_eq!(exit_of(&mut me, &unit).await, term!(normal));
    let term = me.spawn_link(async |_| term!({shutdown, 1}));
    assert_eq!(exit_of(&mut me, &term).await, term!({shutdown, 1}));
    let failed = me.spawn_link(async |_| Err::<(), _>(SendError::NotConnected));
    assert_eq!(
        exit_of(&mut me, &failed).await,
        term!({error, "the node is not connected"})
    );
    assert!(!node.is_alive(&unit));
}

#[tokio::test]
async fn a_panic_is_a_reason_and_hurts_nobody_else() {
    let node = node().await;
    let mut me = trapping(&node);
    let bystander = waiter(&me, false);
    let panics = me.spawn_link(async |process: Process| {
        assert!(process.pid().serial > 0, "number {}", 7);
    });
    let reason = exit_of(&mut me, &panics).await;
    let Some([tag, text, place]) = reason.as_tuple() else {
        panic!("{reason}");
    };
    assert!(tag.is_atom("panic"));
    assert_eq!(text.to_text().as_deref(), Some("number 7"));
    let place = place.to_text().expect("a place");
    assert!(place.contains("processes.rs:"), "{place}");
    me.send(&bystander, term!(fine)).await.expect("always");
    assert_eq!(exit_of(&mut me, &bystander).await, term!(fine));
}

/// The table of the reference manual: who hears what, and who dies.
#[tokio::test]
async fn exit_signals_do_what_they_do_in_erlang() {
    let node = node().await;
    // By `exit/2`: trapping or not, the reason, what becomes of the receiver.
    for (trap, reason, ends) in [
        (false, term!(normal), None),
        (false, term!(oops), Some(term!(oops))),
        (false, term!(kill), Some(term!(killed))),
        (
            true,
            term!(normal),
            Some(term!({got, {(atom!("EXIT")), me, normal}})),
        ),
        (
            true,
            term!(oops),
            Some(term!({got, {(atom!("EXIT")), me, oops}})),
        ),
        (true, term!(kill), Some(term!(killed))),
    ] {
        let mut me = trapping(&node);
        let other = me.spawn_link(async move |mut process: Process| {
            process.trap_exit(trap);
            let ready = process.recv().await.map(Message::into_term);
            let parent = ready.and_then(|term| term.as_pid().cloned());
            let parent = parent.expect("its parent's pid");
            process.send(&parent, term!(ready)).await.expect("always");
            match process.recv().await.map(Message::into_term) {
                // The pid is another one each time.
                Some(exit) => match exit.into_tuple().expect("a tuple").as_slice() {
                    [tag, _, reason] => term!({got, {(tag), me, (reason)}}),
                    more => term!({got, (more.len())}),
                },
                None => term!(none),
            }
        });
        me.send(&other, Term::from(me.pid())).await.expect("always");
        assert_eq!(next(&mut me).await, Message::Term(term!(ready)));
        me.exit(&other, reason.clone()).expect("always");
        match ends {
            Some(ends) => assert_eq!(exit_of(&mut me, &other).await, ends, "{trap} {reason}"),
            None => {
                assert_eq!(all(&mut me).await, [], "{trap} {reason}");
                assert!(node.is_alive(&other));
            }
        }
    }
}

/// By a link: what a process's end does to one that is linked to it.
#[tokio::test]
async fn links_break_as_in_erlang() {
    let node = node().await;
    for (reason, middle) in [
        (term!(normal), None),
        (term!(oops), Some(term!(oops))),
        // By a link `kill` is a reason like any other.
        (term!(kill), Some(term!(kill))),
        (term!(shutdown), Some(term!(shutdown))),
    ] {
        let mut me = trapping(&node);
        // me - middle - last: the last one ends, the middle one does not trap.
        let (tell, last) = oneshot::channel();
        let middle_pid = me.spawn_link(async move |process: Process| {
            let last = waiter(&process, false);
            tell.send(last).expect("it is awaited");
            std::future::pending::<()>().await;
        });
        let last = last.await.expect("it runs");
        me.link(&last);
        me.send(&last, reason.clone()).await.expect("always");
        assert_eq!(exit_of(&mut me, &last).await, reason);
        match middle {
            Some(ends) => assert_eq!(exit_of(&mut me, &middle_pid).await, ends, "{reason}"),
            None => {
                assert_eq!(all(&mut me).await, [], "{reason}");
                assert!(node.is_alive(&middle_pid));
            }
        }
    }
}

#[tokio::test]
async fn a_process_without_a_task_ends_by_exit_signals_too() {
    let node = node().await;
    let mut me = trapping(&node);
    let mut plain = node.process();
    let other = plain.pid();
    let monitor = me.monitor(&other);
    me.exit(&other, term!(normal)).expect("always");
    assert!(node.is_alive(&other));
    me.exit(&other, term!(enough)).expect("always");
    assert_eq!(timeout(SOON, plain.recv()).await, Ok(None));
    assert_eq!(
        next(&mut me).await,
        Message::Down {
            reference: monitor,
            node: other.node.clone(),
            from: other.clone().into(),
            reason: term!(enough)
        }
    );
    // To itself `normal` is no exception: `exit(self(), normal)`.
    let own = node.process();
    let pid = own.pid();
    own.exit(&pid, term!(normal)).expect("always");
    assert!(!node.is_alive(&pid));
}

/// One that is ended while it runs comes to the next point where it waits, and does nothing there: it is not even told.
#[tokio::test]
async fn who_is_being_ended_receives_nothing_more() {
    let node = node().await;
    let mut me = trapping(&node);
    let (tell, told) = oneshot::channel();
    let ends = me.spawn_link(async move |mut process: Process| {
        let own = process.pid();
        process.send(&own, term!(hello)).await.expect("always");
        process.exit(&own, term!(kill)).expect("always");
        let got = process.recv().await;
        tell.send(got).expect("it is awaited");
    });
    assert_eq!(exit_of(&mut me, &ends).await, term!(killed));
    assert!(told.await.is_err(), "it went on");
}

#[tokio::test]
async fn a_dead_one_is_told_of_at_once() {
    let node = node().await;
    let mut me = trapping(&node);
    let gone = node.process().pid();
    me.link(&gone);
    assert_eq!(exit_of(&mut me, &gone).await, term!(noproc));
    let reference = me.monitor(atom!("nobody"));
    assert_eq!(
        next(&mut me).await,
        Message::Down {
            reference,
            node: atom!("one@127.0.0.1"),
            from: atom!("nobody").into(),
            reason: term!(noproc)
        }
    );
    // Not trapping it ends of it.
    let mut plain = node.process();
    plain.link(&gone);
    assert_eq!(timeout(SOON, plain.recv()).await, Ok(None));
}

#[tokio::test]
async fn unlinked_and_demonitored_in_time() {
    let node = node().await;
    let mut me = trapping(&node);
    let other = waiter(&me, false);
    me.unlink(&other);
    let first = me.monitor(&other);
    let second = me.monitor(&other);
    assert!(me.demonitor(&first));
    assert!(!me.demonitor(&first));
    me.send(&other, term!(bye)).await.expect("always");
    match next(&mut me).await {
        Message::Down { reference, .. } => assert_eq!(reference, second),
        message => panic!("{message:?}"),
    }
    assert_eq!(all(&mut me).await, []);
    // Fired, and not received: forgotten with it.
    let (pid, third) = me.spawn_monitor(async |_| ());
    while node.is_alive(&pid) {
        tokio::task::yield_now().await;
    }
    assert!(!me.demonitor(&third));
    assert_eq!(all(&mut me).await, []);
}

#[tokio::test]
async fn receiving_what_matches_leaves_the_rest_in_order() {
    let node = node().await;
    let mut me = node.process();
    let pid = me.pid();
    for n in 0..10 {
        me.send(&pid, Term::from(n)).await.expect("always");
    }
    let is = |n: i64| move |message: &Message| message.as_term().and_then(Term::as_i64) == Some(n);
    assert!(me.recv_matching(is(7)).await.is_some());
    let mark = me.mark();
    let mut looked = 0;
    me.send(&pid, Term::from(3)).await.expect("always");
    let found = me
        .recv_matching_since(mark, |message| {
            looked += 1;
            is(3)(message)
        })
        .await;
    assert!(found.is_some());
    assert_eq!(looked, 1, "what was there before is not looked at");
    let late = me
        .recv_matching_timeout(Duration::from_millis(1), is(99))
        .await;
    assert_eq!(late, Err(RecvError::Timeout));
    let mut rest = Vec::new();
    while let Ok(Message::Term(term)) = me.recv_timeout(Duration::ZERO).await {
        rest.extend(term.as_i64());
    }
    assert_eq!(rest, [0, 1, 2, 3, 4, 5, 6, 8, 9]);
}

#[tokio::test]
async fn names_die_with_their_processes() {
    let node = node().await;
    let me = node.process();
    let name = atom!("server");
    assert!(me.register(&name));
    assert!(!me.register(&atom!("other")), "a process has one name");
    assert!(!node.process().register(&name), "a name has one process");
    assert!(!node.process().register(&atom!("undefined")));
    assert_eq!(node.whereis(&name), Some(me.pid()));
    drop(me);
    assert_eq!(node.whereis(&name), None);
    let mut me = node.process();
    assert!(node.register(&name, &me.pid()));
    assert_eq!(node.registered(), std::slice::from_ref(&name));
    me.send(&name, term!(hello)).await.expect("it has the name");
    me.send((&name, node.name()), term!(again))
        .await
        .expect("always");
    assert_eq!(next(&mut me).await, Message::Term(term!(hello)));
    assert_eq!(next(&mut me).await, Message::Term(term!(again)));
    assert!(node.unregister(&name));
    assert!(!node.unregister(&name));
    let lost = me.send(&name, term!(hello)).await;
    assert_eq!(lost, Err(SendError::NotRegistered));
}

#[tokio::test]
async fn aliases_hold_as_long_as_they_say() {
    let node = node().await;
    let mut me = node.process();
    // It is linked to its parent, and ends with that.
    let parent = node.process();
    let other = waiter(&parent, false);
    let explicit = me.alias(AliasMode::Explicit);
    let once = me.alias(AliasMode::Reply);
    let monitor = me.monitor_with_alias(&other, AliasMode::ReplyDemonitor);
    for alias in [&explicit, &once, &monitor] {
        for n in 0..2 {
            me.send(alias, term!((n))).await.expect("always");
        }
    }
    assert!(me.unalias(&explicit));
    assert!(!me.unalias(&explicit));
    assert!(!me.unalias(&once));
    me.send(&explicit, term!(late)).await.expect("always");
    let came: Vec<_> = all(&mut me)
        .await
        .into_iter()
        .map(Message::into_term)
        .collect();
    assert_eq!(came, [term!(0), term!(1), term!(0), term!(0)]);
    assert!(!me.demonitor(&monitor), "the reply ended it");
    // With the monitor the alias ends.
    let (pid, gone) = {
        let gone = node.process();
        let alias = me.monitor_with_alias(&gone.pid(), AliasMode::Demonitor);
        (gone.pid(), alias)
    };
    me.send(&gone, term!(late)).await.expect("always");
    assert!(matches!(&all(&mut me).await[..], [Message::Down { from, .. }] if *from == pid.into()));
}

#[tokio::test]
async fn a_call_here() {
    let node = node().await;
    let server = node.spawn(async |mut process: Process| {
        while let Some(Message::Term(message)) = process.recv().await {
            let Some([_, from, request]) = message.as_tuple() else {
                continue;
            };
            if request.is_atom("stop") {
                return term!(stopped);
            }
            process.reply(from, request.clone()).await.ok();
        }
        term!(normal)
    });
    assert_eq!(
        node.call(&server, term!(hello), SOON).await,
        Ok(term!(hello))
    );
    let stopped = node.call(&server, term!(stop), SOON).await;
    assert_eq!(stopped, Err(CallError::Exit(term!(stopped))));
    let gone = node.call(&server, term!(hello), SOON).await;
    assert_eq!(gone, Err(CallError::NoProcess));
    let mute = node.process();
    let limit = Duration::from_millis(5);
    assert_eq!(
        node.call(&mute.pid(), term!(hello), limit).await,
        Err(CallError::Timeout)
    );
    assert!(format!("{node:?}").contains("calls_and_aliases: 0"));
}

#[tokio::test]
async fn a_full_mailbox_kills_or_drops() {
    let node = node().await;
    let me = node.process();
    let mut full = node.process();
    let limit = |when_full| MaxMailbox {
        messages: 10,
        bytes: 1 << 20,
        when_full,
    };
    full.max_mailbox(Some(limit(WhenFull::DropNew)));
    for n in 0..15 {
        me.send(&full.pid(), Term::from(n)).await.expect("always");
    }
    assert_eq!((full.waiting(), full.dropped()), (10, 5));
    for n in 0..10 {
        assert_eq!(next(&mut full).await, Message::Term(Term::from(n)));
    }
    full.max_mailbox(Some(limit(WhenFull::Kill)));
    let mut watch = node.process();
    watch.monitor(&full.pid());
    for n in 0..11 {
        assert!(node.is_alive(&full.pid()), "{n}");
        me.send(&full.pid(), Term::from(n)).await.expect("always");
    }
    assert_eq!(timeout(SOON, full.recv()).await, Ok(None));
    match next(&mut watch).await {
        Message::Down { reason, .. } => assert_eq!(
            reason.as_tuple().map(|parts| &parts[..2]),
            Some(&[term!(max_mailbox), term!(11)][..])
        ),
        message => panic!("{message:?}"),
    }
}

/// What a process has looked at and left waits for it like all the rest.
#[tokio::test]
async fn who_waits_for_one_message_is_full_of_others() {
    let node = node().await;
    let me = node.process();
    let mut full = node.process();
    let drop_new = |messages, bytes| MaxMailbox {
        messages,
        bytes,
        when_full: WhenFull::DropNew,
    };
    full.max_mailbox(Some(drop_new(10, 1 << 20)));
    for n in 0..15 {
        me.send(&full.pid(), Term::from(n)).await.expect("always");
        let none = full.recv_matching_timeout(Duration::ZERO, |_| false);
        assert_eq!(none.await, Err(RecvError::Timeout));
    }
    assert_eq!((full.waiting(), full.dropped()), (10, 5));
    // What is received makes room, from the front and from the middle.
    assert_eq!(next(&mut full).await, Message::Term(Term::from(0)));
    let fourth = Message::Term(Term::from(3));
    let found = full.recv_matching(|message| *message == fourth).await;
    assert_eq!(found, Some(fourth));
    for n in 15..18 {
        me.send(&full.pid(), Term::from(n)).await.expect("always");
    }
    assert_eq!((full.waiting(), full.dropped()), (10, 6));
    // Bytes count in the same way: a place in the mailbox has some.
    full.max_mailbox(Some(drop_new(1000, 1)));
    me.send(&full.pid(), Term::from(18)).await.expect("always");
    assert_eq!((full.waiting(), full.dropped()), (10, 7));
    // What was left before there was a limit counts from its first moment on.
    let mut late = node.process();
    for n in 0..5 {
        me.send(&late.pid(), Term::from(n)).await.expect("always");
    }
    let none = late.recv_matching_timeout(Duration::ZERO, |_| false);
    assert_eq!(none.await, Err(RecvError::Timeout));
    late.max_mailbox(Some(drop_new(6, 1 << 20)));
    for n in 5..8 {
        me.send(&late.pid(), Term::from(n)).await.expect("always");
    }
    assert_eq!((late.waiting(), late.dropped()), (6, 2));
}

/// What a process has in its hand, to say whether it wants it, has its place still.
#[tokio::test]
async fn whoever_looks_at_a_message_makes_no_room() {
    let node = node().await;
    let me = node.process();
    let mut full = node.process();
    full.max_mailbox(Some(MaxMailbox {
        messages: 10,
        bytes: 1 << 20,
        when_full: WhenFull::DropNew,
    }));
    let pid = full.pid();
    let send = || {
        let sent = me.send(&pid, term!(more)).now_or_never();
        sent.expect("at once").expect("always");
    };
    for _ in 0..10 {
        send();
    }
    let looks = full.recv_matching_timeout(Duration::ZERO, |_| {
        send();
        false
    });
    assert_eq!(looks.await, Err(RecvError::Timeout));
    assert_eq!((full.waiting(), full.dropped()), (10, 10));
}

/// Nor does a mailbox while it is emptied, for whoever sends at the same time.
#[tokio::test]
async fn a_limit_holds_all_the_time() {
    let node = node().await;
    let mut full = node.process();
    full.max_mailbox(Some(MaxMailbox {
        messages: 4,
        bytes: 1 << 20,
        when_full: WhenFull::DropNew,
    }));
    let (pid, over) = (full.pid(), Arc::new(AtomicBool::new(false)));
    let sends = std::thread::spawn({
        let (me, over) = (node.process(), Arc::clone(&over));
        move || {
            while !over.load(Ordering::Relaxed) {
                let sent = me.send(&pid, term!(more)).now_or_never();
                sent.expect("at once").expect("always");
            }
        }
    });
    let mut most = 0;
    for _ in 0..100_000 {
        full.recv().await.expect("it lives");
        most = most.max(full.waiting());
    }
    over.store(true, Ordering::Relaxed);
    sends.join().expect("no panic");
    assert!(most <= 4, "{most}");
}

#[tokio::test]
async fn processes_end_with_their_node() {
    let node = node().await;
    let (tell, told) = oneshot::channel::<()>();
    node.spawn(async move |_| {
        let _held = tell;
        std::future::pending::<()>().await;
    });
    let mut me = node.process();
    drop(node);
    assert_eq!(timeout(SOON, me.recv()).await, Ok(None));
    assert!(timeout(SOON, told).await.expect("it is dropped").is_err());
}

/// What makes the future belongs to the process, not to whoever starts it.
#[tokio::test]
async fn a_panic_before_there_is_a_future_is_the_new_processs_end() {
    let node = node().await;
    let mut me = trapping(&node);
    let panics = me.spawn_link(|_| -> std::future::Ready<()> { panic!("no future") });
    let reason = exit_of(&mut me, &panics).await;
    let Some([tag, text, place]) = reason.as_tuple() else {
        panic!("{reason}");
    };
    assert!(tag.is_atom("panic"));
    assert_eq!(text.to_text().as_deref(), Some("no future"));
    assert!(place.to_text().expect("a place").contains("processes.rs:"));
    assert!(!node.is_alive(&panics));
}

/// A process that has ended links and monitors nobody, and the node keeps nothing for it.
#[tokio::test]
async fn who_has_ended_does_nothing_more() {
    let node = node().await;
    let mut me = node.process();
    me.exit(&me.pid(), term!(kill)).expect("always");
    assert_eq!(me.recv().await, None);
    let mut other = trapping(&node);
    me.alias(AliasMode::Explicit);
    let monitor = me.monitor_with_alias(&other.pid(), AliasMode::Demonitor);
    me.monitor((atom!("nobody"), node.name()));
    me.link(&other.pid());
    assert!(!me.demonitor(&monitor));
    let (monitored, _) = me.spawn_monitor(async |_| std::future::pending::<()>().await);
    let linked = me.spawn_link(async |_| std::future::pending::<()>().await);
    let ended = other.monitor(&linked);
    let why = next(&mut other).await;
    assert!(
        matches!(&why, Message::Down { reference, reason, .. } if *reference == ended && reason.is_atom("noproc")),
        "{why:?}"
    );
    assert!(node.is_alive(&monitored));
    assert_eq!(all(&mut other).await, []);
    assert!(format!("{node:?}").contains("calls_and_aliases: 0"));
}

/// What a process does about what it receives.
#[derive(Clone, Debug)]
enum Step {
    /// A message comes.
    Send,
    /// The news of a monitor comes.
    Down,
    /// That monitor, if its news has not been received, is forgotten.
    Demonitor(usize),
    Mark,
    /// Receives what came since this mark.
    Since(usize),
    Receive,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Send),
        3 => Just(Step::Down),
        3 => (0..8_usize).prop_map(Step::Demonitor),
        3 => Just(Step::Mark),
        3 => (0..8_usize).prop_map(Step::Since),
        1 => Just(Step::Receive),
    ]
}

/// What waits, as a list: the number in the order of arrival, and what it is.
type Model = Vec<(usize, Message)>;

async fn what_is_forgotten_moves_no_mark(steps: Vec<Step>) {
    let node = node().await;
    let mut me = node.process();
    let (mut model, mut came) = (Model::new(), 0);
    let (mut monitors, mut marks) = (Vec::new(), vec![(0, me.mark())]);
    for step in steps {
        match step {
            Step::Send => {
                me.send(&me.pid(), term!((came))).await.expect("always");
                model.push((came, Message::Term(term!((came)))));
                came += 1;
            }
            Step::Down => {
                let reference = me.monitor((atom!("nobody"), node.name()));
                monitors.push(reference.clone());
                let down = Message::Down {
                    reference,
                    node: atom!("one@127.0.0.1"),
                    from: atom!("nobody").into(),
                    reason: term!(noproc),
                };
                model.push((came, down));
                came += 1;
            }
            Step::Demonitor(which) if !monitors.is_empty() => {
                let monitor = monitors.swap_remove(which % monitors.len());
                me.demonitor(&monitor);
                let is = |message: &Message| matches!(message, Message::Down { reference, .. } if *reference == monitor);
                model.retain(|(_, message)| !is(message));
            }
            Step::Mark => marks.push((came, me.mark())),
            Step::Since(which) => {
                let (since, mark) = marks[which % marks.len()];
                let first = model.iter().position(|(number, _)| *number >= since);
                if let Some(first) = first {
                    let (_, expected) = model.remove(first);
                    let found = me.recv_matching_since(mark, |_| true);
                    // It is looked for before the time is.
                    let found = timeout(Duration::ZERO, found).await.expect("it is there");
                    assert_eq!(found, Some(expected));
                }
            }
            Step::Receive if !model.is_empty() => {
                assert_eq!(next(&mut me).await, model.remove(0).1);
            }
            Step::Demonitor(_) | Step::Receive => {}
        }
        assert_eq!(me.waiting(), model.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn marks_hold(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(what_is_forgotten_moves_no_mark(steps));
    }
}

/// Who looks at a node in a log sees how much there is, and of whom.
#[tokio::test]
async fn nothing_that_waits_is_shown() {
    let node = node().await;
    let (mut me, other) = (trapping(&node), node.process());
    let ended = node.process();
    let secret = || term!({password, "xyzzy"});
    me.monitor(&ended.pid());
    let (fields, pid) = (["password", "xyzzy", "120, 121"], me.pid());
    for _ in 0..3 {
        other.send(&pid, secret()).await.expect("always");
    }
    // Looked at, taken, and still in the mailbox.
    let last = term!(last);
    let skips = me.recv_matching_timeout(Duration::ZERO, |message| {
        *message == Message::Term(last.clone())
    });
    assert_eq!(skips.await, Err(RecvError::Timeout));
    other.send(&pid, secret()).await.expect("always");
    other.exit(&pid, secret()).expect("always");
    ended.end(secret());
    // The reason of an end that waits for a connection.
    let away = Pid {
        node: atom!("nobody@127.0.0.1"),
        ..pid.clone()
    };
    other.exit(&away, secret()).expect("it is dialled");
    for shown in [format!("{me:?}"), format!("{me:#?}"), format!("{node:?}")] {
        for field in fields {
            assert!(!shown.contains(field), "{field} in {shown}");
        }
    }
    let shown = format!("{me:?}");
    assert!(shown.contains("waiting: 6"), "{shown}");
}
