//! A process that does what it is told. What it receives besides commands is kept in order.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::{sleep, timeout_at};
use trunkline_etf::{Pid, Term, term};
use trunkline_node::{Message, Node, NodeEvent, NodeEvents, Process};

use crate::words;

/// The value of a command; or the process ends for this reason.
pub(crate) type Done = ControlFlow<Term, Term>;

/// A process of the subject.
#[derive(Debug)]
pub(crate) struct Puppet {
    pub(crate) node: Node,
    pub(crate) process: Process,
    /// Received and not asked for yet.
    pub(crate) kept: VecDeque<Term>,
    /// Commands that came while another one waited.
    later: VecDeque<Term>,
    pub(crate) events: Option<NodeEvents>,
    pub(crate) serves: bool,
}

impl Puppet {
    /// Starts one, linked to these.
    pub(crate) fn start(node: &Node, trap: bool, links: &[Pid]) -> Pid {
        let own = node.clone();
        let links = links.to_vec();
        node.spawn(move |process| {
            // Before whoever asked for it hears of it.
            process.trap_exit(trap);
            for pid in &links {
                process.link(pid);
            }
            let puppet = Self {
                node: own,
                process,
                kept: VecDeque::new(),
                later: VecDeque::new(),
                events: None,
                serves: false,
            };
            puppet.run()
        })
    }

    async fn run(mut self) -> Term {
        loop {
            let message = match self.later.pop_front() {
                Some(message) => message,
                None => self.arriving().await,
            };
            if let ControlFlow::Break(reason) = self.take(message).await {
                return reason;
            }
        }
    }

    /// The next thing that comes, commands included.
    async fn arriving(&mut self) -> Term {
        let event = async {
            match &mut self.events {
                Some(events) => events.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // What a node sent comes before the news of its end.
            biased;
            Some(message) = self.process.recv() => Message::into_term(message),
            Some(event) = event => event_term(event),
            else => std::future::pending().await,
        }
    }

    /// The next that is no command, until then; kept ones first.
    pub(crate) async fn next(&mut self, deadline: tokio::time::Instant) -> Option<Term> {
        if let Some(first) = self.kept.pop_front() {
            return Some(first);
        }
        loop {
            let message = timeout_at(deadline, self.arriving()).await.ok()?;
            if !is_command(&message) {
                return Some(message);
            }
            self.later.push_back(message);
        }
    }

    async fn take(&mut self, message: Term) -> ControlFlow<Term> {
        match message.as_tuple() {
            Some([word, from, tag, command]) if word.is_atom("ask") => {
                let result = Box::pin(self.command(command)).await?;
                let answer = term!({answer, (tag), (result)});
                self.tell(from, &answer).await;
            }
            Some([word, command]) if word.is_atom("run") => {
                Box::pin(self.command(command)).await?;
            }
            Some([word, from, request]) if self.serves && word.is_atom("$gen_call") => {
                return self.serve(from, request).await;
            }
            _ => self.kept.push_back(message),
        }
        ControlFlow::Continue(())
    }

    async fn serve(&self, from: &Term, request: &Term) -> ControlFlow<Term> {
        match request.as_tuple() {
            Some([word, reply]) if word.is_atom("echo") => {
                self.process.reply(from, reply.clone()).await.ok();
            }
            Some([word, ms, reply]) if word.is_atom("late") => {
                let (from, reply, limit) = (from.clone(), reply.clone(), words::millis(ms));
                self.node.spawn(async move |process| {
                    sleep(limit).await;
                    process.reply(&from, reply).await.ok();
                });
            }
            Some([word, reason]) if word.is_atom("die") => {
                return ControlFlow::Break(reason.clone());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    async fn tell(&self, to: &Term, message: &Term) {
        if let Some(to) = words::dest(to) {
            // An asker that is gone is told nothing, as in Erlang.
            self.process.send(to.as_dest(), message).await.ok();
        }
    }

    /// Has itself do something later.
    pub(crate) fn remind(&self, limit: Duration, command: &Term) {
        let (me, reminder) = (self.process.pid(), term!({run, (command)}));
        self.node.spawn(async move |process| {
            sleep(limit).await;
            process.send(&me, reminder).await.ok();
        });
    }
}

fn is_command(message: &Term) -> bool {
    match message.as_tuple() {
        Some([word, _, _, _]) => word.is_atom("ask"),
        Some([word, _]) => word.is_atom("run"),
        _ => false,
    }
}

/// As the suite wants to hear it.
fn event_term(event: NodeEvent) -> Term {
    match event {
        NodeEvent::Up { peer, .. } => term!({nodeup, (words::node_atom(&peer))}),
        NodeEvent::Down { peer, reason, .. } => {
            term!({nodedown, (words::node_atom(&peer)), (words::down_reason(&reason))})
        }
        // There are no others yet.
        _ => term!(unknown),
    }
}
