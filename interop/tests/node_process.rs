//! Processes, calls, links and monitors across a connection with a real OTP node.

use std::time::Duration;

use anyhow::Result;
use tokio::time::timeout;
use trunkline_etf::{Atom, Term, atom};
use trunkline_interop::otp::{Epmd, Otp};
use trunkline_node::{Message, Node, Process, RpcError, SpawnError, Target};
use trunkline_proto::conn::Sending;
use trunkline_proto::{Cookie, Flags, NodeName};

const SOON: Duration = Duration::from_secs(60);

struct Pair {
    otp: Otp,
    node: Node,
    _epmd: Epmd,
}

async fn pair() -> Result<Pair> {
    pair_with(Flags::hidden_default()).await
}

async fn pair_with(flags: Flags) -> Result<Pair> {
    pair_that_sends(flags, Sending::default()).await
}

async fn pair_that_sends(flags: Flags, sending: Sending) -> Result<Pair> {
    let epmd = Epmd::start()?;
    let otp = Otp::start(&epmd, "app@127.0.0.1", "monster", &[])?;
    let node = Node::builder("rust@127.0.0.1".parse()?)
        .cookie(Cookie::new("monster")?)
        .epmd_port(epmd.port)
        .connect_timeout(SOON)
        .auto_connect(false)
        .flags(flags)
        .sending(sending)
        .start()
        .await?;
    node.connect(&Target::new(otp.name().parse()?)).await?;
    Ok(Pair {
        otp,
        node,
        _epmd: epmd,
    })
}

impl Pair {
    fn peer(&self) -> NodeName {
        self.otp.name().parse().expect("a node name")
    }

    async fn erpc(&self, m: &str, f: &str, args: Vec<Term>) -> Result<Term, RpcError> {
        self.node.erpc(&self.peer(), m, f, args, SOON).await
    }
}

fn trapping(node: &Node) -> Process {
    let process = node.process();
    process.trap_exit(true);
    process
}

async fn next(process: &mut Process) -> Message {
    let message = timeout(SOON, process.recv()).await;
    message.expect("a message").expect("the node lives")
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_how_they_end() -> Result<()> {
    let pair = pair().await?;
    let list = Term::list([3, 1, 2]);
    let sorted = pair.erpc("lists", "sort", vec![list]).await?;
    assert_eq!(sorted, Term::list([1, 2, 3]));

    let ball = || vec![Term::atom("ball")];
    let thrown = pair.erpc("erlang", "throw", ball()).await;
    assert_eq!(thrown, Err(RpcError::Throw(Term::atom("ball"))));
    let exited = pair.erpc("erlang", "exit", ball()).await;
    assert_eq!(exited, Err(RpcError::Exit(Term::atom("ball"))));
    let failed = pair.erpc("erlang", "error", ball()).await;
    assert!(
        matches!(&failed, Err(RpcError::Error { reason, .. }) if reason.is_atom("ball")),
        "{failed:?}"
    );
    let undefined = pair.erpc("no_such_module", "f", vec![]).await;
    match undefined {
        Err(RpcError::Error { reason, stack }) => {
            // erpc takes its own frame for the error: {exception, undef, Stack}.
            let text = format!("{reason} {stack}");
            assert!(
                text.contains("undef") && text.contains("no_such_module"),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
    let late = Duration::from_millis(100);
    let slept = pair
        .node
        .erpc(&pair.peer(), "timer", "sleep", vec![60_000.into()], late)
        .await;
    assert_eq!(slept, Err(RpcError::Timeout));
    // What is printed is taken, so that the call comes back.
    let printed = pair
        .erpc("io", "format", vec![Term::string("hello~n")])
        .await;
    assert_eq!(printed, Ok(atom!("ok").into()));
    let stranger = pair
        .node
        .erpc(&"nobody@127.0.0.1".parse()?, "erlang", "node", vec![], SOON)
        .await;
    assert_eq!(stranger, Err(RpcError::Disconnected));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_through_rex_where_nothing_is_spawned() -> Result<()> {
    let pair = pair_with(Flags::hidden_default().without(Flags::SPAWN)).await?;
    let sorted = pair
        .erpc("lists", "sort", vec![Term::list([3, 1, 2])])
        .await?;
    assert_eq!(sorted, Term::list([1, 2, 3]));
    let undefined = pair.erpc("no_such_module", "f", vec![]).await;
    assert!(
        matches!(&undefined, Err(RpcError::Exit(why)) if why.to_string().contains("undef")),
        "{undefined:?}"
    );
    let process = trapping(&pair.node);
    let refused = process
        .spawn_link_at(&pair.peer(), "timer", "sleep", vec![1.into()])
        .await;
    assert_eq!(refused, Err(SpawnError::NotSupported));
    Ok(())
}

/// With fewer flags other frames and control messages are used: the least that OTP takes.
#[tokio::test(flavor = "multi_thread")]
async fn the_least_flags_that_a_node_may_offer() -> Result<()> {
    let monitors = Flags::DIST_MONITOR | Flags::DIST_MONITOR_NAME;
    let pair = pair_with(Flags::MANDATORY_26 | monitors).await?;
    let size = 1024 * 1024;
    let args = vec![Term::binary(vec![b'x']), Term::from(size)];
    let copied = pair.erpc("binary", "copy", args).await?;
    assert_eq!(copied.as_binary().map(<[u8]>::len), Some(size));
    let mut process = trapping(&pair.node);
    let rex = pair
        .erpc("erlang", "whereis", vec![Term::atom("rex")])
        .await?;
    process.monitor(rex.as_pid().expect("rex is there"));
    process.monitor((&atom!("nobody"), &pair.peer()));
    assert!(
        matches!(next(&mut process).await, Message::Down { reason, .. } if reason.is_atom("noproc"))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn large_values_in_both_directions() -> Result<()> {
    let pair = pair().await?;
    let size = 16 * 1024 * 1024;
    let args = vec![Term::binary(vec![b'x']), Term::from(size)];
    let copied = pair.erpc("binary", "copy", args).await?;
    assert_eq!(copied.as_binary().map(<[u8]>::len), Some(size));
    let measured = pair.erpc("erlang", "byte_size", vec![copied]).await?;
    assert_eq!(measured.as_u64(), Some(size as u64));
    // A large list is fragments with many small terms.
    let long = pair
        .erpc("lists", "seq", vec![1.into(), 500_000.into()])
        .await?;
    assert_eq!(long.as_list().map(<[Term]>::len), Some(500_000));
    Ok(())
}

/// More atoms than the cache has slots, twice, in messages that are whole and in fragments; long
/// ones among them.
#[tokio::test(flavor = "multi_thread")]
async fn atoms_through_the_cache() -> Result<()> {
    let sending = Sending::default()
        .with_atom_cache(true)
        .with_whole(4000)
        .with_piece(1500);
    let pair = pair_that_sends(Flags::hidden_default(), sending).await?;
    let atoms: Vec<Term> = (0..3000)
        .map(|number| {
            let long = if number % 100 == 0 {
                "é".repeat(200)
            } else {
                String::new()
            };
            Atom::new(&format!("atom_{number}_{long}")).map(Term::from)
        })
        .collect::<Result<_, _>>()?;
    for size in [150, 1000, 70] {
        for some in atoms.chunks(size) {
            let list = Term::list(some.iter().cloned());
            let reversed = pair.erpc("lists", "reverse", vec![list]).await?;
            assert_eq!(reversed, Term::list(some.iter().rev().cloned()));
        }
    }
    Ok(())
}

/// What a process sends behind a large message comes behind it, whoever else sends meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_among_small_ones() -> Result<()> {
    let pair = pair().await?;
    pair.otp.eval(
        "register(log, spawn(fun() -> Loop = fun(F, Seen) -> receive \
         {get, To} -> To ! {seen, lists:reverse(Seen)}; \
         {Word, Bytes} -> F(F, [{Word, byte_size(Bytes)} | Seen]) end end, Loop(Loop, []) end))",
    )?;
    let (large, small) = (trapping(&pair.node), trapping(&pair.node));
    let name = atom!("log");
    let message = |word: &'static str, size: usize| {
        Term::tuple([Term::atom(word), Term::binary(vec![1; size])])
    };
    let size = 32 << 20;
    large
        .send((&name, &pair.peer()), &message("large", size))
        .await?;
    for _ in 0..5 {
        large
            .send((&name, &pair.peer()), &message("behind", 1))
            .await?;
    }
    let mut asker = trapping(&pair.node);
    for _ in 0..100 {
        small
            .send((&name, &pair.peer()), &message("small", 1))
            .await?;
    }
    // Of the large process: behind all that it has sent.
    let get = Term::tuple([Term::atom("get"), Term::from(asker.pid())]);
    large.send((&name, &pair.peer()), &get).await?;
    let Message::Term(seen) = next(&mut asker).await else {
        panic!("no message");
    };
    let seen = seen.as_tuple().unwrap()[1].as_list().unwrap().to_vec();
    let at = |word: &str| {
        seen.iter()
            .enumerate()
            .filter(|(_, one)| one.as_tuple().unwrap()[0].is_atom(word))
            .map(|(at, _)| at)
            .collect::<Vec<_>>()
    };
    let (large, behind, small) = (at("large"), at("behind"), at("small"));
    assert_eq!((large.len(), behind.len(), small.len()), (1, 5, 100));
    assert!(large[0] < behind[0], "{large:?} {behind:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once() -> Result<()> {
    let pair = pair().await?;
    let calls = (0..500_i64).map(|n| {
        let node = pair.node.clone();
        let peer = pair.peer();
        tokio::spawn(async move {
            node.erpc(&peer, "erlang", "*", vec![n.into(), 2.into()], SOON)
                .await
        })
    });
    for (n, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(call.await??.as_u64(), Some(2 * n as u64));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_by_pid_and_by_name() -> Result<()> {
    let pair = pair().await?;
    let mut process = trapping(&pair.node);
    assert!(process.register(&atom!("inbox")));
    pair.otp
        .eval("{inbox, 'rust@127.0.0.1'} ! {hello, self()}, ok")?;
    let Message::Term(hello) = next(&mut process).await else {
        panic!("no message");
    };
    assert!(hello.as_tuple().unwrap()[0].is_atom("hello"));

    pair.otp.eval(
        "register(echo, spawn(fun F() -> receive {From, M} -> From ! {echo, M}, F() end end))",
    )?;
    let message = Term::tuple([Term::from(process.pid()), Term::map([("k", 1)])]);
    process
        .send((&atom!("echo"), &pair.peer()), &message)
        .await?;
    let echo = Message::Term(Term::tuple([Term::atom("echo"), Term::map([("k", 1)])]));
    assert_eq!(next(&mut process).await, echo);

    let echo_pid = pair
        .erpc("erlang", "whereis", vec![Term::atom("echo")])
        .await?;
    process.send(echo_pid.as_pid().unwrap(), &message).await?;
    assert_eq!(next(&mut process).await, echo);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_monitors_of_their_processes() -> Result<()> {
    let pair = pair().await?;
    let mut process = trapping(&pair.node);
    let pid = |text: &str| -> Result<_> {
        pair.otp.eval(&format!(
            "register({text}, spawn(fun() -> receive R -> exit(R) end end))"
        ))?;
        Ok(())
    };
    for process in ["one", "two", "three"] {
        pid(process)?;
    }
    let whereis = async |name: &'static str| {
        let term = pair.erpc("erlang", "whereis", vec![Term::atom(name)]).await;
        term.unwrap().as_pid().unwrap().clone()
    };
    let one = whereis("one").await;
    process.link(&one);
    process.send(&one, &Term::atom("because")).await?;
    let exit = Message::Exit {
        from: one.clone(),
        reason: Term::atom("because"),
    };
    assert_eq!(next(&mut process).await, exit);

    let two = whereis("two").await;
    let monitor = process.monitor(&two);
    let named = process.monitor((&atom!("two"), &pair.peer()));
    process.send(&two, &Term::atom("because")).await?;
    for _ in 0..2 {
        match next(&mut process).await {
            Message::Down {
                reference, reason, ..
            } => {
                assert!(reference == monitor || reference == named);
                assert!(reason.is_atom("because"));
            }
            other => panic!("{other:?}"),
        }
    }
    // A dead one, by link and by monitor.
    process.link(&one);
    assert!(
        matches!(next(&mut process).await, Message::Exit { reason, .. } if reason.is_atom("noproc"))
    );
    process.monitor(&one);
    assert!(
        matches!(next(&mut process).await, Message::Down { reason, .. } if reason.is_atom("noproc"))
    );

    // Unlinked and demonitored ones say nothing any more.
    let three = whereis("three").await;
    process.link(&three);
    process.unlink(&three);
    let monitor = process.monitor(&three);
    process.demonitor(&monitor);
    let links = pair.erpc(
        "erlang",
        "process_info",
        vec![Term::from(three.clone()), Term::atom("links")],
    );
    assert_eq!(links.await?.to_string(), "{links,[]}");
    process.send(&three, &Term::atom("because")).await?;
    let me = Term::from(process.pid());
    pair.erpc("erlang", "send", vec![me, Term::atom("last")])
        .await?;
    assert_eq!(next(&mut process).await, Message::Term(Term::atom("last")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_monitors_of_our_processes() -> Result<()> {
    let pair = pair().await?;
    let process = trapping(&pair.node);
    process.register(&atom!("ours"));
    pair.otp.eval(
        "register(watch, spawn(fun() -> process_flag(trap_exit, true), M = monitor(process, {ours, 'rust@127.0.0.1'}), \
         P = receive {pid, X} -> X end, link(P), N = monitor(process, P), P ! ready, \
         A = receive {'DOWN', M, _, _, R1} -> R1 end, B = receive {'DOWN', N, _, _, R2} -> R2 end, \
         C = receive {'EXIT', P, R3} -> R3 end, receive {tell, To} -> To ! {A, B, C} end end))",
    )?;
    let mut process = process;
    let hello = Term::tuple([Term::atom("pid"), Term::from(process.pid())]);
    process
        .send((&atom!("watch"), &pair.peer()), &hello)
        .await?;
    assert_eq!(next(&mut process).await, Message::Term(Term::atom("ready")));
    let gone = process.pid();
    process.end(Term::atom("normal"));
    let told = pair
        .otp
        .eval("watch ! {tell, self()}, receive T -> T after 50000 -> late end")?;
    assert_eq!(told, "{normal,normal,normal}");
    // The name is free again, and the dead are dead.
    assert!(trapping(&pair.node).register(&atom!("ours")));
    let mut other = trapping(&pair.node);
    assert_ne!(other.pid(), gone);
    let former = Term::from(gone);
    pair.erpc("erlang", "send", vec![former, Term::atom("lost")])
        .await?;
    let alive = Term::from(other.pid());
    pair.erpc("erlang", "send", vec![alive, Term::atom("found")])
        .await?;
    assert_eq!(next(&mut other).await, Message::Term(Term::atom("found")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn spawned_processes_die_with_us_and_we_hear_of_theirs() -> Result<()> {
    let pair = pair().await?;
    let mut process = trapping(&pair.node);
    let forever = || vec![Term::atom("infinity")];
    let spawned = process
        .spawn_link_at(&pair.peer(), "timer", "sleep", forever())
        .await?;
    let alive = |pid: &trunkline_etf::Pid| vec![Term::from(pid.clone())];
    assert_eq!(
        pair.erpc("erlang", "is_process_alive", alive(&spawned))
            .await?,
        true.into()
    );
    process.exit(&spawned, Term::atom("enough"))?;
    assert_eq!(
        next(&mut process).await,
        Message::Exit {
            from: spawned,
            reason: Term::atom("enough")
        }
    );
    // What is linked to a process that is dropped ends with it.
    let watcher = process
        .spawn_link_at(&pair.peer(), "timer", "sleep", forever())
        .await?;
    drop(process);
    dead(&pair, &watcher).await;

    let mut process = trapping(&pair.node);
    let watcher = process
        .spawn_link_at(&pair.peer(), "timer", "sleep", forever())
        .await?;
    let (monitored, monitor) = process
        .spawn_monitor_at(&pair.peer(), "timer", "sleep", forever())
        .await?;
    pair.node.disconnect(&pair.peer());
    let mut lost = vec![next(&mut process).await, next(&mut process).await];
    lost.sort_by_key(|message| matches!(message, Message::Down { .. }));
    let reason = Term::atom("noconnection");
    assert_eq!(
        lost,
        [
            Message::Exit {
                from: watcher.clone(),
                reason: reason.clone()
            },
            Message::Down {
                reference: monitor,
                node: Atom::new(pair.peer().as_str())?,
                from: monitored.into(),
                reason
            }
        ]
    );
    // A node that is lost is dialled again; one that was never there is not reached.
    let nobody = "nobody@127.0.0.1".parse()?;
    let refused = process
        .spawn_link_at(&nobody, "timer", "sleep", forever())
        .await;
    assert!(matches!(refused, Err(SpawnError::Send(_))), "{refused:?}");
    // The link's end there: the watcher is gone.
    pair.node.connect(&Target::new(pair.peer())).await?;
    dead(&pair, &watcher).await;
    Ok(())
}

async fn dead(pair: &Pair, pid: &trunkline_etf::Pid) {
    let alive = || vec![Term::from(pid.clone())];
    let died = async {
        while pair.erpc("erlang", "is_process_alive", alive()).await != Ok(false.into()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, died).await.expect("it dies");
}
