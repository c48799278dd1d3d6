//! `fly deploy`: a new image, machine by machine, at the addresses of the old one.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test does"
)]

use std::time::Duration;

use trunkline_interop::fly::machine::App;
use trunkline_interop::fly::{Fly, Settings};
use trunkline_interop::in_fly_worlds;
use trunkline_interop::release::Event;

mod apart {
    use super::*;

    in_fly_worlds!(generations_apart:
        otp_25_unbound: System, true, GUIDE, true;
        otp_27_every_edge_ours: Otp27, false, TRUNKLINE, false;
    );
}

mod together {
    use super::*;

    in_fly_worlds!(generations_together:
        otp_25_every_edge_ours: System, false, TRUNKLINE, false;
        otp_27_guide_unbound: Otp27, true, GUIDE, true;
    );
}

const LEARN: &str = "[topologies.fly]\nstrategy = \"fly\"\nbasename = \"learn\"\n";

const NEW: App = App::hello().with_release("01J7Q5W8XC");

/// By default nodes of two images are two clusters.
fn generations_apart(settings: Settings) {
    let mut fly = Fly::new(settings).unwrap();
    fly.scale(&App::hello(), &[1, 2, 3]).unwrap();
    fly.met("the old image", &[1, 2, 3]);

    fly.stop(&[1]).unwrap();
    downs(&mut fly, 1, &[2, 3]);
    fly.update(1, &NEW);
    fly.start(&[1]).unwrap();
    fly.until_booted(1);
    // Several polls: the new one is in the same answers as the old ones.
    fly.quiet("a new one among old ones", Duration::from_secs(16));
    fly.until_whole(&[1]);
    fly.until_whole(&[2, 3]);

    fly.stop(&[2]).unwrap();
    downs(&mut fly, 2, &[3]);
    fly.update(2, &NEW);
    fly.start(&[2]).unwrap();
    fly.met("two new ones", &[1, 2]);
    fly.until_whole(&[3]);

    fly.stop(&[3]).unwrap();
    fly.recorded("the last old one stops", |_| Vec::new());
    fly.update(3, &NEW);
    fly.start(&[3]).unwrap();
    fly.until_whole(&[1, 2, 3]);
    arrives(&mut fly, 3);
}

/// With `learn` every node of the app is a peer, whatever its image.
fn generations_together(mut settings: Settings) {
    settings.config = Some(LEARN);
    let mut fly = Fly::new(settings).unwrap();
    fly.scale(&App::hello(), &[1, 2, 3]).unwrap();
    fly.met("the old image", &[1, 2, 3]);
    for n in 1..=3 {
        fly.stop(&[n]).unwrap();
        let others: Vec<u8> = (1..=3).filter(|other| *other != n).collect();
        downs(&mut fly, n, &others);
        fly.update(n, &NEW);
        fly.start(&[n]).unwrap();
        fly.until_whole(&[1, 2, 3]);
        arrives(&mut fly, n);
    }
    fly.quiet("after the deploy", Duration::from_secs(6));
}

/// `n` has gone, and just `seers` saw it.
fn downs(fly: &mut Fly, n: u8, seers: &[u8]) {
    fly.recorded(&format!("{n} stops"), |seer| {
        let saw = seers.contains(&seer).then_some((Event::Down, n));
        saw.into_iter().collect()
    });
}

/// `n` is new, and meets the two others.
fn arrives(fly: &mut Fly, n: u8) {
    fly.recorded(&format!("{n} starts with the new image"), |seer| {
        let others = (1..=3).filter(|other| *other != n);
        if seer == n {
            others.map(|other| (Event::Up, other)).collect()
        } else {
            vec![(Event::Up, n)]
        }
    });
}
