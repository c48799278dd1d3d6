//! Names that are lent, cookies of single peers, and who is allowed.

use anyhow::Result;
use trunkline_etf::Term;
use trunkline_interop::otp::{Epmd, Otp};
use trunkline_node::{Node, NodeKind, StartError, Target};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn we_ask_for_a_name() -> Result<()> {
    for release in RELEASES {
        let epmd = Epmd::start()?;
        let otp = Otp::of_release(release, &epmd, "app@127.0.0.1", "monster", &[])?;
        let other = Otp::of_release(release, &epmd, "other@127.0.0.1", "monster", &[])?;
        let nameless = || {
            Node::nameless("127.0.0.1")
                .cookie(cookie("monster"))
                .epmd_port(epmd.port)
                .connect_timeout(SOON)
        };
        let target = Target::new(name(otp.name()));
        let one = nameless().start_through(&target).await?;
        let two = nameless().start_through(&target).await?;
        let mut names = [one.name(), two.name()].map(|name| format!("'{name}'"));
        names.sort();
        // Our side is ready first.
        let both = format!("[{}]", names.join(","));
        until("both are listed there", || {
            otp.eval("lists:sort(nodes(hidden))")
                .is_ok_and(|nodes| nodes == both)
        })
        .await;
        // Both sides count as hidden to each other.
        assert_eq!(one.nodes(&[NodeKind::Hidden]), [name(otp.name())]);
        one.connect(&Target::new(name(other.name()))).await?;
        let one_alone = format!("['{}']", one.name());
        until("it is listed there, too", || {
            other
                .eval("nodes(hidden)")
                .is_ok_and(|nodes| nodes == one_alone)
        })
        .await;
        // It is a node like any other: others send to its processes.
        let mut inbox = one.process();
        let me = Term::from(inbox.pid());
        let send = vec![me, Term::atom("hello")];
        one.erpc(&name(otp.name()), "erlang", "send", send, SOON)
            .await?;
        assert_eq!(received(&mut inbox).await, "hello");

        let lent = one.name().clone();
        otp.eval(&format!("erlang:disconnect_node('{lent}')"))?;
        until("all end", || one.connected().is_empty()).await;
        until("gone there", || {
            other.eval("nodes(hidden)").is_ok_and(|nodes| nodes == "[]")
        })
        .await;
        let why = one.connect(&target).await.expect_err("the name is gone");
        assert_eq!(why.reason().code(), "closed");
        let again = nameless().start_through(&target).await?;
        // OTP lends what came back, in a new incarnation.
        assert!(again.name() != one.name() || again.creation() != one.creation());

        otp.eval("net_kernel:allow(['friend@127.0.0.1'])")?;
        let refused = nameless().start_through(&target).await;
        assert!(
            matches!(refused, Err(StartError::NotNamed(_))),
            "{refused:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn we_give_names() -> Result<()> {
    for release in RELEASES {
        let epmd = Epmd::start()?;
        let node = builder(&epmd, "rust@127.0.0.1").start().await?;
        let mut lent = Vec::new();
        let clients = [(); 2]
            .map(|()| Otp::of_release(release, &epmd, "undefined@127.0.0.1", "monster", &[]));
        for client in clients {
            let client = client?;
            assert_eq!(
                client.eval("net_kernel:connect_node('rust@127.0.0.1')")?,
                "true"
            );
            let name: NodeName = client.eval("node()")?.trim_matches('\'').parse()?;
            assert_eq!(name.alive().len(), 13, "{name}");
            assert_eq!(client.eval("nodes(connected)")?, "['rust@127.0.0.1']");
            assert_eq!(client.eval("net_adm:ping('rust@127.0.0.1')")?, "pong");
            let seen = client
                .eval("erlang:system_info(creation)")?
                .parse::<u32>()?;
            let connected = node.connection(&name).map(|agreed| agreed.creation.0);
            assert_eq!(connected, Some(seen));
            lent.push((name, client));
        }
        let mut names: Vec<_> = lent.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        assert_eq!(node.nodes(&[NodeKind::Hidden]), names);
        assert_eq!(node.list(), []);
        let (first, client) = lent.remove(0);
        node.disconnect(&first);
        until("nameless again", || {
            client
                .eval("node()")
                .is_ok_and(|node| node == "nonode@nohost")
        })
        .await;
        assert_eq!(
            client.eval("net_kernel:connect_node('rust@127.0.0.1')")?,
            "true"
        );
        until("both again", || node.connected().len() == 2).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_for_one_peer() -> Result<()> {
    for release in RELEASES {
        let epmd = Epmd::start()?;
        let otp = Otp::of_release(release, &epmd, "app@127.0.0.1", "theirs", &[])?;
        let target = Target::new(name(otp.name()));
        let node = builder(&epmd, "rust@127.0.0.1").start().await?;
        let why = node.connect(&target).await.expect_err("the cookies differ");
        assert_eq!(why.reason().code(), "cookie_mismatch");
        assert_eq!(otp.eval("net_adm:ping('rust@127.0.0.1')")?, "pang");
        node.set_cookie(name(otp.name()), cookie("theirs"));
        node.connect(&target).await?;
        node.disconnect(&target.name);
        until("gone", || {
            otp.eval("nodes(hidden)").is_ok_and(|nodes| nodes == "[]")
        })
        .await;
        assert_eq!(otp.eval("net_adm:ping('rust@127.0.0.1')")?, "pong");
        node.disconnect(&target.name);
        // And as OTP has it.
        otp.eval("erlang:set_cookie('rust@127.0.0.1', monster)")?;
        let why = node.connect(&target).await.expect_err("they differ again");
        assert_eq!(why.reason().code(), "cookie_mismatch");
        node.set_cookie(name(otp.name()), cookie("monster"));
        node.connect(&target).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_allowed() -> Result<()> {
    for release in RELEASES {
        let epmd = Epmd::start()?;
        let otp = Otp::of_release(release, &epmd, "app@127.0.0.1", "monster", &[])?;
        let strict = builder(&epmd, "rust@127.0.0.1").allow(name("friend@127.0.0.1"));
        let node = strict.start().await?;
        let target = Target::new(name(otp.name()));
        assert_eq!(otp.eval("net_adm:ping('rust@127.0.0.1')")?, "pang");
        let why = node.connect(&target).await.expect_err("not on our list");
        assert_eq!(why.reason().code(), "not_allowed");
        node.allow(target.name.clone());
        assert_eq!(otp.eval("net_adm:ping('rust@127.0.0.1')")?, "pong");
        node.disconnect(&target.name);
        otp.eval("net_kernel:allow(['friend@127.0.0.1'])")?;
        let why = node.connect(&target).await.expect_err("not on theirs");
        assert_eq!(why.reason().code(), "not_allowed");
    }
    Ok(())
}
