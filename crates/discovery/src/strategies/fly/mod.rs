//! `fly`: the machines of a Fly.io app, found through Fly's private DNS.

mod config;
mod machines;
mod names;
mod question;

use std::sync::Arc;

use toml::Table;
use trunkline_reconcile::evidence::Kind;

use super::dns::{SERVERS, resolver};
use super::options;
use super::{Place, Sources, Strategy};
use crate::config::{BuildCx, ConfigError, Field};
use crate::polling::Polling;
use crate::source::BuiltSource;
use config::{BASENAME, Checked, LABEL, QUERY, REGIONS};
use machines::Machines;
use names::Wanted;
use question::{Naming, Own, Question};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "fly",
    modules: &[],
    summary: "the machines of a Fly.io app",
    fields: &[
        Field::new("app", LABEL, "the app; by default that of this machine").example(r#""hello""#),
        Field::new(
            "query",
            QUERY,
            "another name to look up; by default DNS_CLUSTER_QUERY, else APP.internal",
        )
        .example(r#""hello.internal""#),
        Field::new("regions", REGIONS, "only machines in these regions")
            .default("[]")
            .example(r#"["iad", "ams"]"#),
        Field::new("process_group", LABEL, "only machines of this group").example(r#""web""#),
        Field::new(
            "node_basename",
            BASENAME,
            "the part of the nodes' names before the @; by default that of the own node, so only \
             machines with the same image",
        )
        .example(r#""learn""#),
        Field::new("basename", BASENAME, "the same as node_basename").example(r#""learn""#),
        Field::new(
            "nameservers",
            SERVERS,
            "the name servers to ask instead of the system's",
        )
        .default("[]")
        .example(r#"["[fdaa::3]:53"]"#),
        Field::new(
            "polling_interval",
            options::INTERVAL,
            "the time between two queries",
        )
        .default(r#""5s""#),
    ],
    retired: &[],
    example: r#"app = "hello""#,
    build,
};

fn build(place: &Place<'_>, table: &Table, cx: &BuildCx) -> Result<Sources, ConfigError> {
    let Some(checked) = config::read(place, table, &cx.env)? else {
        let place = match table.contains_key("query") {
            true => "query",
            false => config::VARIABLE,
        };
        return Ok(Sources::Off(format!("{place} is empty")));
    };
    let outside = config::outside(&checked, &cx.env);
    let Checked {
        config,
        interval,
        query,
        app,
    } = checked;
    let resolver = resolver(place, &config.nameservers, cx)?.with_deadline(cx.timeout);
    let machines = Arc::new(Machines::new(app.clone(), resolver.clone()));
    let group = config.process_group.as_deref();
    let wanted = match query {
        Some(query) => vec![Wanted::query(query)],
        None => Wanted::of(app.as_deref().unwrap_or_default(), &config.regions, group),
    };
    let mut sources = Vec::with_capacity(wanted.len());
    for (nth, wanted) in wanted.into_iter().enumerate() {
        let id = format!("{}/{}", place.topology, wanted.names.join(","));
        let question = Question {
            wanted,
            naming: Naming::new(place.path, &config, app.as_deref(), cx)?,
            machines: Arc::clone(&machines),
            resolver: resolver.fresh(),
            own: Own::new(&cx.env, outside.clone().filter(|_| nth == 0)),
        };
        let polling = Polling::new(question, Kind::Sampling, interval);
        sources.push(BuiltSource::new(id, polling));
    }
    Ok(Sources::Ask(sources))
}
