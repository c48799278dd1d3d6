//! The zone `internal.`, as Fly's private DNS has it: only machines that run are in it.

use std::collections::{BTreeMap, BTreeSet};

use super::machine::{GROUP, Machine};
use crate::dns::Record;

/// The zone's name.
pub const ORIGIN: &str = "internal";

/// All records of these machines.
pub fn records<'a>(machines: impl Iterator<Item = &'a Machine>) -> Vec<Record> {
    let machines: Vec<_> = machines.collect();
    let mut apps: BTreeMap<&str, Vec<&Machine>> = BTreeMap::new();
    for machine in &machines {
        apps.entry(machine.app.name).or_default().push(machine);
    }
    let mut records = Vec::new();
    if machines.is_empty() {
        return records;
    }
    for (app, machines) in &apps {
        of_app(&mut records, app, machines);
    }
    let instance = |machine: &&Machine| {
        let Machine {
            id,
            region,
            ip,
            app,
            ..
        } = machine;
        format!("instance={id},app={},ip={ip},region={region}", app.name)
    };
    let instances: Vec<_> = machines.iter().map(instance).collect();
    let names: Vec<_> = apps.keys().copied().collect();
    records.push(Record::txt("_instances.internal", &instances.join(";")));
    records.push(Record::txt("_apps.internal", &names.join(",")));
    records
}

fn of_app(records: &mut Vec<Record>, app: &str, machines: &[&Machine]) {
    for machine in machines {
        let Machine { id, region, ip, .. } = machine;
        for name in [
            format!("{app}.internal"),
            format!("global.{app}.internal"),
            format!("{region}.{app}.internal"),
            format!("{GROUP}.process.{app}.internal"),
            format!("{id}.vm.{app}.internal"),
        ] {
            records.push(Record::address(name, *ip));
        }
    }
    let list: Vec<_> = machines
        .iter()
        .map(|machine| format!("{} {}", machine.id, machine.region))
        .collect();
    let regions: BTreeSet<_> = machines.iter().map(|machine| machine.region).collect();
    let regions: Vec<_> = regions.into_iter().collect();
    records.push(Record::txt(format!("vms.{app}.internal"), &list.join(",")));
    records.push(Record::txt(
        format!("regions.{app}.internal"),
        &regions.join(","),
    ));
}
