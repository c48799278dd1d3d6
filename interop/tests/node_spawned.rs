//! Our processes and those of real OTP nodes, both ways: links, exits, monitors, aliases, names,
//! trapping, calls. All with OTP 25 and with OTP 27.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::time::timeout;
use trunkline_etf::{Pid, Term, atom, term};
use trunkline_interop::otp::{Epmd, Otp, Release};
use trunkline_interop::process::Process as Program;
use trunkline_interop::{wait, workspace};
use trunkline_node::{AliasMode, CallError, Message, Node, NodeType, Process};
use trunkline_proto::{Cookie, NodeName};

const SOON: Duration = Duration::from_secs(60);

struct Pair {
    otp: Otp,
    node: Node,
    app: NodeName,
    _epmd: Epmd,
}

/// Nobody has connected yet: whoever sends first does.
async fn pair(release: Release) -> Result<Pair> {
    let epmd = Epmd::start()?;
    let otp = Otp::of_release(release, &epmd, "app@127.0.0.1", "monster", &[])?;
    let node = Node::builder("rust@127.0.0.1".parse()?)
        .cookie(Cookie::new("monster")?)
        .epmd_port(epmd.port)
        .listen([Ipv4Addr::LOCALHOST.into()], 0)
        .connect_timeout(SOON)
        .start()
        .await?;
    Ok(Pair {
        app: otp.name().parse()?,
        otp,
        node,
        _epmd: epmd,
    })
}

async fn next(process: &mut Process) -> Message {
    let message = timeout(SOON, process.recv()).await;
    message.expect("a message").expect("the process lives")
}

fn trapping(node: &Node) -> Process {
    let process = node.process();
    process.trap_exit(true);
    process
}

/// A process of ours that has a name, and ends for the reason that it is sent.
fn ours(node: &Node, name: &'static str, trap: bool) -> Pid {
    node.spawn(async move |mut process: Process| {
        process.register(&trunkline_etf::Atom::new(name).expect("an atom"));
        process.trap_exit(trap);
        match process.recv().await {
            Some(Message::Term(reason)) => reason,
            Some(Message::Exit { reason, .. }) => term!({trapped, (reason)}),
            other => panic!("{other:?}"),
        }
    })
}

async fn registered(node: &Node, name: trunkline_etf::Atom) {
    let there = async {
        while node.whereis(&name).is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, there).await.expect("it registers");
}

async fn both(test: impl AsyncFn(Pair) -> Result<()>) -> Result<()> {
    for release in [Release::Otp25, Release::Otp27] {
        test(pair(release).await?)
            .await
            .with_context(|| format!("with {release:?}"))?;
    }
    Ok(())
}

/// What an Erlang process hears of our processes' ends, by link and by monitor, by pid and by name;
/// and what its signals do to them.
#[tokio::test(flavor = "multi_thread")]
async fn exits_of_our_processes_as_otp_sees_them() -> Result<()> {
    both(async |pair| {
        let heard = |send: &str| {
            format!(
                "P = element(2, {{ok, gen_server:call({{asked, 'rust@127.0.0.1'}}, pid)}}), process_flag(trap_exit, true), link(P), \
                 M = monitor(process, P), N = monitor(process, {{victim, 'rust@127.0.0.1'}}), {send}, \
                 A = receive {{'EXIT', P, R1}} -> R1 after 50000 -> late end, \
                 B = receive {{'DOWN', M, process, P, R2}} -> R2 after 50000 -> late end, \
                 C = receive {{'DOWN', N, process, {{victim, 'rust@127.0.0.1'}}, R3}} -> R3 after 50000 -> late end, {{A, B, C}}"
            )
        };
        for (trap, send, wanted) in [
            (false, "P ! done", "{done,done,done}"),
            (false, "P ! normal", "{normal,normal,normal}"),
            (false, "exit(P, oops)", "{oops,oops,oops}"),
            (false, "exit(P, kill)", "{killed,killed,killed}"),
            (true, "exit(P, kill)", "{killed,killed,killed}"),
            (true, "exit(P, oops)", "{{trapped,oops},{trapped,oops},{trapped,oops}}"),
            (true, "exit(P, normal)", "{{trapped,normal},{trapped,normal},{trapped,normal}}"),
        ] {
            let victim = ours(&pair.node, "victim", trap);
            registered(&pair.node, atom!("victim")).await;
            let asked = pair.node.spawn(async move |mut process: Process| {
                process.register(&atom!("asked"));
                if let Some(Message::Term(call)) = process.recv().await {
                    let from = &call.as_tuple().expect("a call")[1];
                    process.reply(from, victim).await.expect("connected");
                }
            });
            registered(&pair.node, atom!("asked")).await;
            let told = tokio::task::block_in_place(|| pair.otp.eval(&heard(send)))?;
            ensure!(told == wanted, "{send}, trapping {trap}: {told}");
            wait::until("it ends when it has answered", SOON, || (!pair.node.is_alive(&asked)).then_some(()));
        }
        Ok(())
    })
    .await
}

/// The other way round: what our processes hear of theirs, and what our signals do.
#[tokio::test(flavor = "multi_thread")]
async fn exits_of_their_processes_as_we_see_them() -> Result<()> {
    both(async |pair| {
        let mut me = trapping(&pair.node);
        let spawn = async |trap: bool| {
            let fun = format!(
                "spawn(fun() -> process_flag(trap_exit, {trap}), receive {{'EXIT', _, R}} -> exit({{trapped, R}}); R -> exit(R) end end)"
            );
            let eval = format!("catch unregister(theirs), register(theirs, {fun})");
            tokio::task::block_in_place(|| pair.otp.eval(&eval))?;
            let args = vec![Term::atom("theirs")];
            let pid = pair.node.erpc(&pair.app, "erlang", "whereis", args, SOON).await?;
            anyhow::Ok(pid.as_pid().context("a pid")?.clone())
        };
        for (trap, reason, ends) in [
            (false, term!(oops), term!(oops)),
            (false, term!(kill), term!(killed)),
            (true, term!(oops), term!({trapped, oops})),
            (true, term!(kill), term!(killed)),
            (true, term!(normal), term!({trapped, normal})),
        ] {
            let pid = spawn(trap).await?;
            me.link(&pid);
            let monitor = me.monitor(&pid);
            me.exit(&pid, reason.clone())?;
            let mut came = [next(&mut me).await, next(&mut me).await];
            came.sort_by_key(|message| matches!(message, Message::Down { .. }));
            let wanted = [
                Message::Exit { from: pid.clone(), reason: ends.clone() },
                Message::Down { reference: monitor, node: pid.node.clone(), from: pid.into(), reason: ends },
            ];
            ensure!(came == wanted, "{reason}, trapping {trap}: {came:?}");
        }
        // One that does not trap ends with what it is linked to.
        let pid = spawn(false).await?;
        let (linked, monitor) = {
            let pid = pid.clone();
            me.spawn_monitor(async move |process: Process| {
                process.link(&pid);
                process.send(&pid, term!(bye)).await.expect("connected");
                std::future::pending::<()>().await;
            })
        };
        let down = Message::Down { reference: monitor, node: linked.node.clone(), from: linked.into(), reason: term!(bye) };
        ensure!(next(&mut me).await == down);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_both_ways() -> Result<()> {
    both(async |pair| {
        let mut me = pair.node.process();
        me.register(&atom!("me"));
        // Ours, used by them: once, and in vain.
        let once = me.alias(AliasMode::Reply);
        let there = |to: Term, what: &'static str| {
            pair.node.erpc(&pair.app, "erlang", "send", vec![to, Term::atom(what)], SOON)
        };
        there(Term::from(&once), "first").await?;
        there(Term::from(&once), "second").await?;
        there(Term::from(me.pid()), "last").await?;
        ensure!(next(&mut me).await == Message::Term(term!(first)));
        ensure!(next(&mut me).await == Message::Term(term!(last)));
        // Theirs, used by us.
        let asking = "A = alias([reply]), {me, 'rust@127.0.0.1'} ! {alias, A}, receive X -> X after 50000 -> late end";
        let answering = tokio::spawn(async move {
            let Message::Term(message) = next(&mut me).await else {
                panic!("no message");
            };
            let alias = &message.as_tuple().expect("a tuple")[1];
            let alias = alias.as_reference().expect("an alias");
            me.send(alias, term!({by, alias})).await.expect("connected");
        });
        let told = tokio::task::block_in_place(|| pair.otp.eval(asking))?;
        answering.await?;
        ensure!(told == "{by,alias}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_both_ways() -> Result<()> {
    both(async |pair| {
        let (node, app) = (&pair.node, &pair.app);
        let limit = Duration::from_millis(50);
        // `application_controller` is a `gen_server` of every node.
        let controller = (atom!("application_controller"), app);
        let asked = node.call(controller, term!(which_applications), SOON).await?;
        ensure!(asked.to_string().contains("kernel"), "{asked}");
        let none = node.call((atom!("none"), app), term!(hello), SOON).await;
        ensure!(none == Err(CallError::NoProcess), "{none:?}");
        pair.otp.eval("register(mute, spawn(fun() -> timer:sleep(infinity) end))")?;
        let mute = node.call((atom!("mute"), app), term!(hello), limit).await;
        ensure!(mute == Err(CallError::Timeout), "{mute:?}");
        pair.otp.eval("register(dying, spawn(fun() -> receive _ -> exit(because) end end))")?;
        let dying = node.call((atom!("dying"), app), term!(hello), SOON).await;
        ensure!(dying == Err(CallError::Exit(term!(because))), "{dying:?}");
        // The call that timed out left no monitor there.
        let watched = || pair.otp.eval("process_info(whereis(mute), monitored_by)");
        wait::until("the monitor is gone", SOON, || watched().is_ok_and(|by| by == "{monitored_by,[]}").then_some(()));

        node.spawn(async |mut process: Process| {
            process.register(&atom!("doubles"));
            while let Some(Message::Term(call)) = process.recv().await {
                let [_, from, number] = call.as_tuple().expect("a call") else {
                    panic!("{call}");
                };
                let double = number.as_i64().expect("a number") * 2;
                process.reply(from, double).await.expect("connected");
            }
        });
        registered(node, atom!("doubles")).await;
        let told = tokio::task::block_in_place(|| {
            pair.otp.eval("{gen_server:call({doubles, 'rust@127.0.0.1'}, 21), catch gen_server:call({doubles, 'rust@127.0.0.1'}, x)}")
        })?;
        ensure!(told.starts_with("{42,{'EXIT',{{panic,<<\"a number\">>,<<"), "{told}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_lost() -> Result<()> {
    both(async |pair| {
        let mut me = trapping(&pair.node);
        me.monitor_node(&pair.app);
        let rex = pair
            .node
            .erpc(
                &pair.app,
                "erlang",
                "whereis",
                vec![Term::atom("rex")],
                SOON,
            )
            .await?;
        let rex = rex.as_pid().context("rex is there")?.clone();
        me.link(&rex);
        me.monitor((atom!("rex"), &pair.app));
        pair.otp.eval("erlang:disconnect_node('rust@127.0.0.1')")?;
        let mut words = Vec::new();
        for _ in 0..3 {
            words.push(match next(&mut me).await {
                Message::Exit { reason, .. } => format!("exit {reason}"),
                Message::Down { reason, .. } => format!("down {reason}"),
                Message::NodeDown { node } => format!("nodedown {node}"),
                other => format!("{other:?}"),
            });
        }
        words.sort();
        ensure!(
            words
                == [
                    "down noconnection",
                    "exit noconnection",
                    "nodedown app@127.0.0.1"
                ],
            "{words:?}"
        );
        Ok(())
    })
    .await
}

/// The example runs, and does what its comment says, with an Erlang node that is not connected yet.
#[test]
fn the_example_that_erlang_links_to() -> Result<()> {
    for release in [Release::Otp25, Release::Otp27] {
        let epmd = Epmd::start()?;
        let otp = Otp::of_release(release, &epmd, "app@127.0.0.1", "monster", &[])?;
        let dir = TempDir::new()?;
        let mut command = Command::new(workspace::example("linked_from_erlang"));
        command
            .arg(otp.name())
            .env("ERL_EPMD_PORT", epmd.port.to_string())
            .env("RELEASE_COOKIE", "monster");
        let mut program = Program::start(command, dir.path().join("log"))?;
        wait::until("it runs", SOON, || {
            program.output().contains("ready").then_some(())
        });
        let told = otp.eval(
            "process_flag(trap_exit, true), Worker = gen_server:call({worker, 'rust@127.0.0.1'}, whoareyou), link(Worker), \
             A = gen_server:call(Worker, {divide, 6, 3}), B = catch gen_server:call(Worker, {divide, 6, 0}), \
             receive {'EXIT', Worker, {panic, _, _}} -> {A, element(1, B)} after 50000 -> late end",
        )?;
        ensure!(told == "{2,'EXIT'}", "{told}");
        drop(otp);
        wait::until("it ends with the node", SOON, || program.ended());
        ensure!(
            program.output().contains("app@127.0.0.1 is gone"),
            "{}",
            program.output()
        );
    }
    Ok(())
}

/// OTP takes UNLINK_ID and EXIT to a process of its former incarnation for an invalid message, and closes.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_former_incarnation_is_ended_in_peace() -> Result<()> {
    both(async |pair| {
        let rex = || {
            let args = vec![Term::atom("rex")];
            pair.node.erpc(&pair.app, "erlang", "whereis", args, SOON)
        };
        let now = rex().await?.as_pid().context("a pid")?.clone();
        let creation = now.creation.wrapping_add(1);
        let former = Pid { creation, ..now };
        let mut events = pair.node.monitor_nodes_of(NodeType::All);
        let mut me = trapping(&pair.node);
        me.link(&former);
        me.unlink(&former);
        me.link(&former);
        // And one who ends before he hears that there is nobody: his EXIT is as invalid.
        let brief = pair.node.process();
        brief.link(&former);
        drop(brief);
        // Of one of the two: the other is none by then, or comes for nothing.
        let exit = next(&mut me).await;
        ensure!(matches!(exit, Message::Exit { from, reason } if from == former && reason.is_atom("noproc")));
        // All of it has been read there.
        rex().await?;
        let lost = timeout(Duration::ZERO, events.next()).await;
        ensure!(lost.is_err(), "{lost:?}");
        Ok(())
    })
    .await
}

/// The loss of the connection has ended the call. A reply to it, given when there is none and sent by a new one, goes where nobody is any
/// more: to the alias, not into the caller's mailbox.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_after_the_connection_was_lost_is_nobodys() -> Result<()> {
    both(async |pair| {
        let mut server = pair.node.process();
        server.register(&atom!("late"));
        pair.otp.eval(
            "register(caller, spawn(fun() -> catch gen_server:call({late, 'rust@127.0.0.1'}, question, infinity), \
             receive last -> ok end, receive {tell, To} -> To ! {has, process_info(self(), messages)} end end)), ok",
        )?;
        let Message::Term(call) = next(&mut server).await else {
            panic!("no call");
        };
        pair.node.disconnect(&pair.app);
        wait::until("apart", SOON, || pair.node.connection(&pair.app).is_none().then_some(()));
        let from = &call.as_tuple().context("a call")?[1];
        server.reply(from, term!(late)).await?;
        server.send((atom!("caller"), &pair.app), term!(last)).await?;
        let told = "caller ! {tell, self()}, receive {has, Has} -> Has after 50000 -> late end";
        let told = tokio::task::block_in_place(|| pair.otp.eval(told))?;
        ensure!(told == "{messages,[]}", "{told}");
        Ok(())
    })
    .await
}
