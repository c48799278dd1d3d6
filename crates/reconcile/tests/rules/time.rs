use std::time::Duration;

use trunkline_reconcile::evidence::Kind;

use crate::world::World;

#[test]
fn time_that_goes_back_stands_still() {
    let mut world = World::fleet(3);
    world.run(100);
    let links = world.links.clone();
    world.engine.audit(trunkline_proto::Instant::ZERO, &links);
    world.run(100);
    assert_eq!(world.links.len(), 2);
}

#[test]
fn the_same_state_at_another_time_is_the_same_rebased() {
    let at = |start: u64| {
        let mut world = World::new();
        world.now = Duration::from_secs(start);
        world.engine.me_up(world.at(), &Default::default());
        world.source("web", "api", Kind::Authoritative);
        world.list("api", 1..=3);
        world.poll();
        world.engine
    };
    assert_ne!(at(0), at(77));
    assert_eq!(at(0).rebased(), at(77).rebased());
}
