//! All hosts of a story, and what is asked of them together.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::member::{Member, PATIENCE};
use crate::release::Event;
use crate::turn::Turn;
use crate::wait;

/// The longest that others wait for members to be up.
const TURN: Duration = Duration::from_secs(60);

/// Members by the numbers of their hosts, in the order they were added.
#[derive(Debug, Default)]
pub struct Members {
    list: Vec<Member>,
}

impl Members {
    /// Adds one.
    pub fn add(&mut self, member: Member) {
        self.list.push(member);
    }

    /// All of them, in the order they were added.
    pub fn members(&self) -> &[Member] {
        &self.list
    }

    /// The member with this number, counted from 1 like its host.
    ///
    /// # Panics
    /// When there is none.
    pub fn member(&self, n: u8) -> &Member {
        self.index(n).map_or_else(
            || panic!("there is no member {n}"),
            |index| &self.list[index],
        )
    }

    /// The same, to be changed.
    ///
    /// # Panics
    /// When there is none.
    pub fn member_mut(&mut self, n: u8) -> &mut Member {
        self.index(n).map_or_else(
            || panic!("there is no member {n}"),
            |index| &mut self.list[index],
        )
    }

    /// Starts members with these commands in one turn, all at once, and waits until the application of each answers or its process has
    /// ended.
    ///
    /// # Errors
    /// When a command cannot be started.
    pub fn start(&mut self, turn: Turn, commands: Vec<(u8, Command)>) -> Result<()> {
        let mut started: Vec<u8> = Vec::new();
        for (n, command) in commands {
            self.member_mut(n).start(command)?;
            started.push(n);
        }
        // One that is kept from starting must not keep others for ever.
        wait::within(TURN, || {
            started.retain(|n| !self.member_mut(*n).is_up_or_ended());
            started.is_empty().then_some(())
        });
        drop(turn);
        Ok(())
    }

    /// Waits until a member's application answers on its console.
    ///
    /// # Panics
    /// When it does not; with what it wrote.
    pub fn until_booted(&self, n: u8) {
        let member = self.member(n);
        if wait::within(PATIENCE, || member.release.eval("1").ok()).is_none() {
            panic!("{} does not start:\n{}", member.node, member.log());
        }
    }

    /// Waits until each of these members sees exactly the others.
    ///
    /// # Panics
    /// When it does not come to that; with every member's list and the last lines of its log.
    pub fn until_whole(&self, numbers: &[u8]) {
        let whole = || {
            let seen = numbers.iter().map(|n| self.member(*n).visible());
            let good = |(n, seen): (&u8, Vec<String>)| seen == self.others(*n, numbers);
            numbers.iter().zip(seen).all(good).then_some(())
        };
        if wait::within(PATIENCE, whole).is_none() {
            panic!("no whole mesh of {numbers:?}:\n{}", self.report());
        }
    }

    /// Waits until the agent of each of these members has said of each other one that it is connected.
    ///
    /// # Panics
    /// When one does not.
    pub fn until_settled(&self, numbers: &[u8]) {
        let settled = |n: &u8| {
            let log = self.member(*n).agent_log();
            self.others(*n, numbers).iter().all(|other| {
                let line = format!("connected · {other}");
                log.iter().any(|said| said.contains(&line))
            })
        };
        if wait::within(PATIENCE, || numbers.iter().all(settled).then_some(())).is_none() {
            panic!("not all agents saw all links:\n{}", self.report());
        }
    }

    /// Compares what each member's recorder saw of visible nodes since the last look with `expected` (events of one look in any
    /// order), and remembers the look.
    ///
    /// # Panics
    /// When a list differs.
    pub fn recorded(&mut self, what: &str, expected: impl Fn(u8) -> Vec<(Event, u8)>) {
        let numbers: Vec<u8> = self.list.iter().map(|member| member.host.n()).collect();
        for n in numbers {
            let mut wanted: Vec<String> = expected(n)
                .into_iter()
                .map(|(event, other)| format!("{event:?} {}", self.member(other).node))
                .collect();
            wanted.sort();
            // What is still to come has a moment to come; what came too much is seen by the next look.
            wait::within(PATIENCE, || {
                (self.member(n).news().len() >= wanted.len()).then_some(())
            });
            let news = self.member(n).news();
            let mut found: Vec<String> = news
                .iter()
                .map(|record| format!("{:?} {}", record.event, record.node))
                .collect();
            found.sort();
            assert_eq!(
                found,
                wanted,
                "{what}: the recorder of member {n}\n{news:#?}\n{}",
                self.report()
            );
            self.member_mut(n).looked_at(news.len());
        }
    }

    /// The same for members that meet for the first time: each sees each other come.
    ///
    /// # Panics
    /// When a list differs.
    pub fn met(&mut self, what: &str, numbers: &[u8]) {
        self.until_whole(numbers);
        self.recorded(what, |n| {
            let others = numbers.iter().filter(|other| **other != n);
            let ups = others.map(|other| (Event::Up, *other));
            ups.filter(|_| numbers.contains(&n)).collect()
        });
    }

    /// Watches for the whole of `span` that no recorder sees a visible node come or go.
    ///
    /// # Panics
    /// When one does.
    pub fn quiet(&self, what: &str, span: Duration) {
        wait::stays(what, span, || {
            let loud = self.list.iter().find(|member| !member.news().is_empty());
            loud.map_or(Ok(()), |member| {
                let (node, news) = (&member.node, member.news());
                Err(format!("{node} saw {news:#?}\n{}", self.report()))
            })
        });
    }

    /// How many lines of a member's agent hold this text.
    pub fn times(&self, n: u8, text: &str) -> usize {
        let log = self.member(n).agent_log();
        log.iter().filter(|line| line.contains(text)).count()
    }

    /// Waits until a member's agent has said this.
    ///
    /// # Panics
    /// When it does not.
    pub fn says(&self, n: u8, text: &str) {
        if wait::within(PATIENCE, || (self.times(n, text) > 0).then_some(())).is_none() {
            panic!("member {n} does not say {text:?}:\n{}", self.report());
        }
    }

    /// What each member sees and said last, for a failed story.
    pub fn report(&self) -> String {
        let mut text = String::new();
        for member in &self.list {
            let log = member.log();
            let skip = log.lines().count().saturating_sub(25);
            let last: Vec<&str> = log.lines().skip(skip).collect();
            writeln!(
                text,
                "--- {} sees {:?}\n{}",
                member.node,
                member.visible(),
                last.join("\n")
            )
            .expect("a String takes all");
        }
        text
    }

    fn index(&self, n: u8) -> Option<usize> {
        self.list.iter().position(|member| member.host.n() == n)
    }

    /// The sorted names of all of `numbers` but `n`.
    fn others(&self, n: u8, numbers: &[u8]) -> Vec<String> {
        let others = numbers.iter().filter(|other| **other != n);
        let mut names: Vec<_> = others.map(|n| self.member(*n).node.clone()).collect();
        names.sort();
        names
    }
}
