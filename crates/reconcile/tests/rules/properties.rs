//! Whatever happens, in whatever order.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use trunkline_proto::{Reason, Step};
use trunkline_reconcile::evidence::{Kind, TopologyId};
use trunkline_reconcile::{Action, HealthRule, TopologyRules};

use crate::world::{Peerish, World, node, refused};

/// One thing that happens to the world.
#[derive(Clone, Debug)]
enum Happening {
    Lists(&'static str, BTreeSet<u8>),
    Fails(&'static str),
    Peer(u8, u8),
    Cut(u8),
    DialIn(u8),
    Away,
    Back,
    Freeze(u16),
    Wait(u16),
}

fn happening() -> impl Strategy<Value = Happening> {
    let source = || prop::sample::select(vec!["api", "hosts", "dns"]);
    let peer = || 2_u8..10;
    prop_oneof![
        (source(), prop::collection::btree_set(1_u8..10, 0..9))
            .prop_map(|(source, nodes)| Happening::Lists(source, nodes)),
        source().prop_map(Happening::Fails),
        (peer(), 0_u8..6).prop_map(|(peer, how)| Happening::Peer(peer, how)),
        peer().prop_map(Happening::Cut),
        peer().prop_map(Happening::DialIn),
        Just(Happening::Away),
        Just(Happening::Back),
        (0_u16..300).prop_map(Happening::Freeze),
        (0_u16..120).prop_map(Happening::Wait),
    ]
}

fn world() -> World {
    let mut world = World::new();
    world.source("web", "api", Kind::Authoritative);
    world.source("db", "hosts", Kind::Authoritative);
    world.source("db", "dns", Kind::Sampling);
    let health = Some(HealthRule::default());
    let db = TopologyId("db".into());
    world.engine.add_topology(db, TopologyRules { health });
    world.healthy.extend((2..10).map(node));
    world
}

fn happen(world: &mut World, what: Happening) {
    match what {
        Happening::Lists(source, nodes) => world.list(source, nodes),
        Happening::Fails(source) => world.fail(source, "no answer"),
        Happening::Peer(i, how) => world.set(
            i,
            match how {
                0 => Peerish::Fails(refused(i)),
                1 => Peerish::Fails(Reason::Timeout { step: Step::Port }),
                2 => Peerish::Fails(Reason::NameMismatch {
                    actual: node(i % 8 + 2),
                }),
                3 => Peerish::OtherCookie,
                4 => Peerish::OnlyFromHere,
                _ => Peerish::Lives,
            },
        ),
        Happening::Cut(i) => world.cut(i),
        Happening::DialIn(i) => world.dial_in(i),
        Happening::Away => {
            world.engine.me_down(world.at());
            world.links.clear();
        }
        Happening::Back => world.engine.me_up(world.at(), &world.links.clone()),
        Happening::Freeze(secs) => world.now += Duration::from_secs(secs.into()),
        Happening::Wait(secs) => world.run(secs.into()),
    }
}

proptest! {
    // A failing case prints its seed and is kept beside this file.
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happened_all_listed_living_peers_are_connected_in_the_end(
        story in prop::collection::vec(happening(), 0..40),
    ) {
        let mut world = world();
        for what in story {
            happen(&mut world, what);
            world.settle();
            let status = world.engine.status(world.at());
            let up = world.engine.clone().rebased();
            prop_assert_eq!(&up, &up.rebased());
            prop_assert!(!status.peers.iter().any(|peer| peer.node == node(1)));
        }
        // Everything mends.
        (2..10).for_each(|i| {
            world.set(i, Peerish::Lives);
            world.creations.insert(node(i), 77);
        });
        world.engine.me_up(world.at(), &world.links.clone());
        for source in ["api", "hosts", "dns"] {
            world.list(source, 1..10);
        }
        world.run(1300);
        let status = world.engine.status(world.at());
        prop_assert_eq!(status.connected(), 8, "{:#?}", status);
        prop_assert!(status.topologies.iter().all(|t| !t.left && t.missing == 0));
        // And then nothing happens any more.
        world.hush();
        world.run(600);
        prop_assert!(world.said.is_empty(), "{:?}", world.said);
        prop_assert!(world.wanted.iter().all(|(_, action)| *action == Action::Audit));
    }

    #[test]
    fn sources_that_only_fail_or_are_empty_never_cost_a_link(
        story in prop::collection::vec((any::<bool>(), 0_u16..200), 1..30),
    ) {
        let mut world = World::fleet(6);
        world.run(20);
        for (empty, secs) in story {
            if empty { world.list("api", []) } else { world.fail("api", "no answer") }
            world.run(secs.into());
        }
        prop_assert_eq!(world.links.len(), 5);
        prop_assert!(!world.is_left("web"));
        prop_assert_eq!(world.wanted(|a| matches!(a, Action::Leave { .. })), 0);
    }

    #[test]
    fn a_peer_with_another_cookie_sees_at_most_ten_handshakes_an_hour(
        seed in any::<u64>(), polls in 1_u64..50,
    ) {
        let mut world = World::fleet(3);
        world.engine = {
            let mut engine = trunkline_reconcile::Engine::new(node(1), Default::default(), seed);
            engine.me_up(world.at(), &Default::default());
            engine
        };
        world.source("web", "api", Kind::Authoritative);
        world.set(2, Peerish::OtherCookie);
        for _ in 0..polls {
            // The list flickers, which is no change of that peer's.
            world.list("api", [1, 3]);
            world.run(36 / polls.min(36));
            world.list("api", 1..=3);
            world.run(3564 / polls);
        }
        let hours = world.now.as_secs().div_ceil(3600).max(1);
        let seen = u64::from(world.handshakes[&node(2)]);
        prop_assert!(seen <= 10 * hours, "{seen} in {hours} h");
    }
}
