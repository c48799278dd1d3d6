//! One real node after the other on one host, and what happens to them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use trunkline_interop::netns::Host;
use trunkline_interop::otp::{Otp, Release};

use crate::rng::Rng;
use crate::world::World;
use crate::{COOKIE, PAIRS, TICK_TIME};

pub(crate) struct Slot<'a> {
    world: &'a Arc<World>,
    at: usize,
    host: &'a Host,
    release: Release,
    module: &'a Path,
    rng: Rng,
}

impl<'a> Slot<'a> {
    pub(crate) fn new(
        world: &'a Arc<World>,
        at: usize,
        host: &'a Host,
        release: Release,
        module: &'a Path,
        seed: u64,
    ) -> Self {
        let rng = Rng::new(seed.wrapping_add(at as u64));
        Self {
            world,
            at,
            host,
            release,
            module,
            rng,
        }
    }

    /// Trouble until `end`; then a node that is well.
    pub(crate) fn run(mut self, end: Instant) -> Result<Otp> {
        let mut otp = self.start()?;
        while Instant::now() < end {
            // So that pairs come to talk: what nobody says cannot be lost.
            self.pause(2500);
            otp = self.trouble(otp)?;
        }
        Ok(otp)
    }

    fn trouble(&mut self, otp: Otp) -> Result<Otp> {
        let rust = self.world.node().name().as_str().to_owned();
        let from = rust.split_once('@').map_or("", |(_, host)| host);
        match self.rng.up_to(10) {
            1 | 2 => {
                self.world.count("nodes killed");
                otp.signal(Signal::KILL);
                check(&otp)?;
                drop(otp);
                self.pause(1500);
                return self.start();
            }
            3 | 4 => {
                self.world.count("nodes stopped");
                otp.signal(Signal::STOP);
                // Longer than the tick time, or not.
                self.pause(TICK_TIME * 1500);
                otp.signal(Signal::CONT);
            }
            5 | 6 => {
                self.world.count("connections reset");
                let rule = format!("ip saddr {from} tcp flags != syn reject with tcp reset");
                self.behind(&rule, 300)?;
            }
            7 => {
                self.world.count("cables cut");
                self.behind(&format!("ip saddr {from} drop"), TICK_TIME * 1500)?;
            }
            8 | 9 => {
                self.world.count("disconnected here");
                self.world.node().disconnect(self.world.peer(self.at));
            }
            _ => {
                self.world.count("disconnected there");
                otp.eval(&format!("erlang:disconnect_node('{rust}')"))?;
            }
        }
        Ok(otp)
    }

    /// For at most so many milliseconds this is what its host does to what comes.
    fn behind(&mut self, rule: &str, most: u64) -> Result<()> {
        self.host.firewall(&[rule])?;
        self.pause(most);
        self.host.open_firewall()
    }

    fn pause(&mut self, most: u64) {
        std::thread::sleep(Duration::from_millis(self.rng.up_to(most)));
    }

    fn start(&mut self) -> Result<Otp> {
        let tick = TICK_TIME.to_string();
        let module = self.module.to_str().context("a path in UTF-8")?;
        let args = [
            ["-kernel", "net_ticktime"].as_slice(),
            &[&tick, "-pa", module],
        ];
        let name = self.world.peer(self.at).as_str();
        let otp = Otp::on(self.host, self.release, name, COOKIE, &args.concat())?;
        let rust = self.world.node().name().as_str();
        let seed = self.rng.next() >> 20;
        otp.eval(&format!("soak:start('{rust}', {seed}, {PAIRS})"))?;
        Ok(otp)
    }
}

/// What OTP's halves have said.
pub(crate) fn check(otp: &Otp) -> Result<()> {
    let output = otp.output();
    let heard = ["VIOLATION", "Error in process", "CRASH REPORT"];
    ensure!(
        !heard.iter().any(|word| output.contains(word)),
        "{}: {output}",
        otp.name()
    );
    Ok(())
}
