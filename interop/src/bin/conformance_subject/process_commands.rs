//! Commands about processes: links, monitors, names, aliases, messages.

use std::ops::ControlFlow;

use trunkline_etf::{Atom, Pid, Term, atom, term};
use trunkline_node::AliasMode;

use crate::puppet::{Done, Puppet};
use crate::words::{self, To};

impl Puppet {
    /// Carries out one command.
    pub(crate) async fn command(&mut self, command: &Term) -> Done {
        let (word, args) = match command.as_tuple() {
            Some([word, args @ ..]) => (word, args),
            _ => (command, &[][..]),
        };
        let word = word.as_atom().map_or("", Atom::as_str);
        if let Some(value) = self.at_once(word, args) {
            return ControlFlow::Continue(value);
        }
        match (word, args) {
            ("all", [commands]) => self.all(commands).await,
            ("exit", [reason]) => ControlFlow::Break(reason.clone()),
            ("crash", []) => panic!("told to crash"),
            ("take", [count, ms]) => {
                let count = count.as_u64().unwrap_or(0);
                ControlFlow::Continue(self.taken(count, words::millis(ms)).await)
            }
            ("tally", [count, ms]) => {
                let count = count.as_u64().unwrap_or(0);
                ControlFlow::Continue(self.tallied(count, words::millis(ms)).await)
            }
            ("send", [to, message]) => {
                if let Some(to) = words::dest(to) {
                    self.process.send(to.as_dest(), message).await.ok();
                }
                ControlFlow::Continue(term!(ok))
            }
            ("stream", [to, tag, first, last, bytes]) => {
                ControlFlow::Continue(self.stream(to, tag, [first, last, bytes]).await)
            }
            ("bulk", [to, tag, count, place, bytes]) => {
                ControlFlow::Continue(self.bulk(to, tag, [count, place, bytes]).await)
            }
            _ => ControlFlow::Continue(self.node_command(word, args).await),
        }
    }

    async fn all(&mut self, commands: &Term) -> Done {
        let mut results = Vec::new();
        for command in commands.as_list().unwrap_or_default() {
            results.push(Box::pin(self.command(command)).await?);
        }
        ControlFlow::Continue(Term::list(results))
    }

    /// What waits for nobody.
    fn at_once(&mut self, word: &str, args: &[Term]) -> Option<Term> {
        if self.silent(word, args).is_some() {
            return Some(term!(ok));
        }
        let value = match (word, args) {
            ("puppet", []) => Self::start(&self.node, false, &[]).into(),
            ("puppet", [options]) => self.puppet(options).into(),
            ("puppets", [count]) => {
                let count = count.as_u64()?;
                Term::list((0..count).map(|_| Self::start(&self.node, false, &[])))
            }
            ("echo", [value]) => value.clone(),
            ("pid", []) => self.process.pid().into(),
            ("monitor", [whom]) => self.process.monitor(words::dest(whom)?.as_dest()).into(),
            ("monitor", [whom, options]) => {
                let mode = alias_mode(options.as_tuple()?.get(1)?)?;
                let whom = words::dest(whom)?;
                self.process.monitor_with_alias(whom.as_dest(), mode).into()
            }
            ("register", [name]) => self.process.register(name.as_atom()?).into(),
            ("unregister", [name]) => self.node.unregister(name.as_atom()?).into(),
            ("whereis", [name]) => {
                let found = self.node.whereis(name.as_atom()?);
                found.map_or_else(|| term!(undefined), Term::from)
            }
            ("alias", []) => self.process.alias(AliasMode::Explicit).into(),
            ("alias", [mode]) => self.process.alias(alias_mode(mode)?).into(),
            ("unalias", [alias]) => self.process.unalias(alias.as_reference()?).into(),
            _ => return None,
        };
        Some(value)
    }

    /// What gives nothing but `ok`.
    fn silent(&mut self, word: &str, args: &[Term]) -> Option<()> {
        match (word, args) {
            ("after", [ms, command]) => self.remind(words::millis(ms), command),
            ("serve", [serves]) => self.serves = serves.as_bool()?,
            ("trap", [trap]) => {
                self.process.trap_exit(trap.as_bool()?);
            }
            ("link", [pid]) => self.process.link(pid.as_pid()?),
            ("unlink", [pid]) => self.process.unlink(pid.as_pid()?),
            ("exit", [pid, reason]) => {
                // To a lost node it goes nowhere, as in Erlang.
                self.process.exit(pid.as_pid()?, reason.clone()).ok();
            }
            ("demonitor" | "demonitor_flush", [monitor]) => {
                let monitor = monitor.as_reference()?;
                self.process.demonitor(monitor);
                self.forget_down(monitor);
            }
            _ => return None,
        }
        Some(())
    }

    fn puppet(&self, options: &Term) -> Pid {
        let options = options.as_list().unwrap_or_default();
        let links = options.iter().filter_map(|option| match option.as_tuple() {
            Some([word, pid]) if word.is_atom("link") => pid.as_pid().cloned(),
            _ => None,
        });
        let trap = options.iter().any(|option| option.is_atom("trap"));
        Self::start(&self.node, trap, &links.collect::<Vec<_>>())
    }

    async fn stream(&self, to: &Term, tag: &Term, numbers: [&Term; 3]) -> Term {
        let (Some(to), [Some(first), Some(last), Some(bytes)]) =
            (words::dest(to), numbers.map(Term::as_u64))
        else {
            return term!(bad_stream);
        };
        let mut payload = vec![0; 4 + usize::try_from(bytes).unwrap_or(0)];
        for number in first..=last {
            let short = u32::try_from(number).unwrap_or(u32::MAX);
            payload[..4].copy_from_slice(&short.to_be_bytes());
            let message = term!({(tag), (number), (Term::binary(payload.clone()))});
            self.process.send(to.as_dest(), message).await.ok();
        }
        term!(ok)
    }

    async fn bulk(&self, to: &Term, tag: &Term, numbers: [&Term; 3]) -> Term {
        let (Some(to), [Some(count), Some(place), Some(bytes)]) =
            (words::dest(to), numbers.map(Term::as_u64))
        else {
            return term!(bad_bulk);
        };
        let large = b"0123456789abcdef".repeat(usize::try_from(bytes / 16).unwrap_or(0));
        let large = Term::binary(large);
        for number in 1..=count {
            let short = u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
            let message = term!({(tag), (number), (Term::binary(short.to_vec()))});
            self.send(&to, &message).await;
            if number == place {
                self.send(&to, &term!({(tag), big, (&large)})).await;
            }
        }
        term!(ok)
    }

    async fn send(&self, to: &To, message: &Term) {
        // A lost node is told nothing, as in Erlang.
        self.process.send(to.as_dest(), message).await.ok();
    }
}

fn alias_mode(mode: &Term) -> Option<AliasMode> {
    let known = [
        (atom!("reply"), AliasMode::Reply),
        (atom!("explicit_unalias"), AliasMode::Explicit),
        (atom!("demonitor"), AliasMode::Demonitor),
        (atom!("reply_demonitor"), AliasMode::ReplyDemonitor),
    ];
    let mode = mode.as_atom()?;
    known
        .into_iter()
        .find(|(word, _)| word == mode)
        .map(|(_, mode)| mode)
}
