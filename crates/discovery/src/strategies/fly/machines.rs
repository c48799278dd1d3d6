//! Which machine has which address: Fly's TXT records. They make labels and nothing else: that a
//! machine is there is said by its address alone.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout};

use super::names;
use crate::dns::{Family, Resolver};

/// Peers wait for their labels no longer than this.
const PATIENCE: Duration = Duration::from_secs(1);
/// Addresses that nobody knew, or whose labels may have changed, are asked for again after this.
const AGAIN: Duration = Duration::from_secs(60);
/// Machines whose addresses are asked for one by one, and how many at a time.
const ONE_BY_ONE: usize = 128;
const SIDE_BY_SIDE: usize = 16;

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    /// Its id, as `fly status` shows it.
    pub(super) id: String,
    /// Its region.
    pub(super) region: String,
    /// Its app.
    pub(super) app: Option<String>,
}

/// The machines that were asked for, shared by all questions of a topology.
#[derive(Debug)]
pub(super) struct Machines {
    app: Option<String>,
    resolver: Resolver,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_address: BTreeMap<IpAddr, Machine>,
    /// When each address was last asked for, found or not.
    asked: BTreeMap<IpAddr, Instant>,
}

impl Machines {
    pub(super) fn new(app: Option<String>, resolver: Resolver) -> Self {
        Self {
            app,
            resolver,
            known: Mutex::default(),
        }
    }

    /// What is known of these addresses. Asks when one of them is new, else once a minute. A
    /// failure leaves what was known.
    pub(super) async fn at(&self, addresses: &[IpAddr]) -> BTreeMap<IpAddr, Machine> {
        if !self.lock().is_fresh(addresses) {
            let found = timeout(PATIENCE, self.look_up(addresses)).await;
            self.lock().learn(addresses, found.unwrap_or_default());
        }
        let known = self.lock();
        let of = |ip: &IpAddr| Some((*ip, known.by_address.get(ip)?.clone()));
        addresses.iter().filter_map(of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From the organization's list; from the app's where that has not all.
    async fn look_up(&self, addresses: &[IpAddr]) -> BTreeMap<IpAddr, Machine> {
        let records = self.resolver.txt(names::INSTANCES).await;
        let mut found: BTreeMap<_, _> = records
            .iter()
            .flatten()
            .flat_map(|text| instances(text))
            .filter(|(ip, _)| addresses.contains(ip))
            .collect();
        if let Some(app) = self
            .app
            .as_deref()
            .filter(|_| found.len() < addresses.len())
        {
            let machines = self.one_by_one(app, &found).await;
            found.extend(
                machines
                    .into_iter()
                    .filter(|(ip, _)| addresses.contains(ip)),
            );
        }
        found
    }

    /// The machines of an app that were not found yet: the list has ids, each id has an address.
    async fn one_by_one(
        &self,
        app: &str,
        found: &BTreeMap<IpAddr, Machine>,
    ) -> Vec<(IpAddr, Machine)> {
        let records = self.resolver.txt(&names::machines(app)).await;
        let listed = records.iter().flatten().flat_map(|text| machines(text));
        let new = listed.filter(|(id, _)| !found.values().any(|machine| machine.id == *id));
        let questions = new.take(ONE_BY_ONE).map(|(id, region)| async move {
            let name = names::machine(id, app);
            let ips = self.resolver.lookup(&name, Family::V6).await;
            let machine = Machine {
                id: id.to_owned(),
                region: region.to_owned(),
                app: Some(app.to_owned()),
            };
            let ips = ips.unwrap_or_default().into_iter();
            ips.map(|ip| (ip, machine.clone())).collect::<Vec<_>>()
        });
        let questions: Vec<_> = questions.collect();
        let answers = stream::iter(questions).buffer_unordered(SIDE_BY_SIDE);
        answers.collect::<Vec<_>>().await.concat()
    }
}

impl Known {
    fn is_fresh(&self, addresses: &[IpAddr]) -> bool {
        let fresh = |ip: &IpAddr| self.asked.get(ip).is_some_and(|at| at.elapsed() < AGAIN);
        addresses.iter().all(fresh)
    }

    /// Addresses that nobody asked for in a while are no machines of ours any more.
    fn learn(&mut self, addresses: &[IpAddr], found: BTreeMap<IpAddr, Machine>) {
        let now = Instant::now();
        self.by_address.extend(found);
        self.asked.extend(addresses.iter().map(|ip| (*ip, now)));
        self.asked.retain(|_, at| at.elapsed() < AGAIN * 10);
        self.by_address.retain(|ip, _| self.asked.contains_key(ip));
    }
}

/// `instance=ID,app=APP,ip=ADDRESS,region=REGION;instance=…`. What does not read so is passed over.
fn instances(text: &str) -> impl Iterator<Item = (IpAddr, Machine)> {
    text.split(';').filter_map(|entry| {
        let value = |wanted: &str| {
            let mut pairs = entry.split(',').filter_map(|pair| pair.split_once('='));
            let (_, value) = pairs.find(|(key, _)| key.trim() == wanted)?;
            Some(value.trim())
        };
        let label = |wanted| value(wanted).filter(|text| names::is_label(text));
        let machine = Machine {
            id: label("instance")?.to_owned(),
            region: label("region")?.to_owned(),
            app: label("app").map(str::to_owned),
        };
        Some((value("ip")?.parse().ok()?, machine))
    })
}

/// `ID REGION,ID REGION`.
fn machines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(',').filter_map(|entry| {
        let mut words = entry.split_whitespace();
        let (id, region) = (words.next()?, words.next()?);
        (names::is_label(id) && names::is_label(region)).then_some((id, region))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever stands in the records, a label is a word.
        #[test]
        fn any_text(parts in prop::collection::vec(
            prop::sample::select(vec![
                "instance=", "app=", "ip=", "region=", "fdaa::1", "::ffff:10.0.0.1", "6e82", "sea", "a.b",
                ",", ";", "=", " ", "\u{7}", "é", "\"", "\n", "../",
            ]),
            0..60,
        )) {
            let text = parts.concat();
            for (_, machine) in instances(&text) {
                let Machine { id, region, app } = machine;
                let all = [Some(id), Some(region), app];
                prop_assert!(all.iter().flatten().all(|label| names::is_label(label)));
            }
            for (id, region) in machines(&text) {
                prop_assert!(names::is_label(id) && names::is_label(region));
            }
        }
    }

    #[test]
    fn the_organizations_list() {
        let text = "instance=6e82dd00f75687,app=hello,ip=fdaa:0:1da8:a7b:ac4:b204:7e29:2,region=sea;\
                    instance=0e2869ea63d486,app=db,ip=fdaa:0:1da8::2,region=ewr;\
                    instance=,app=a,ip=fdaa::9,region=sea;instance=x y,ip=fdaa::8,region=sea;\
                    ip=nowhere,instance=a,region=sea;=;,,;instance=b,ip=fdaa::7,region=s\u{7}a";
        let found: Vec<_> = instances(text)
            .map(|(ip, m)| format!("{ip} {} {} {:?}", m.id, m.region, m.app))
            .collect();
        assert_eq!(
            found,
            [
                "fdaa:0:1da8:a7b:ac4:b204:7e29:2 6e82dd00f75687 sea Some(\"hello\")",
                "fdaa:0:1da8::2 0e2869ea63d486 ewr Some(\"db\")",
            ]
        );
    }

    #[test]
    fn the_apps_list() {
        let text = "6e82dd00f75687 sea, 0e2869ea63d486 ewr,,x,a b\u{7}, .. sea";
        let found: Vec<_> = machines(text).collect();
        assert_eq!(
            found,
            [("6e82dd00f75687", "sea"), ("0e2869ea63d486", "ewr")]
        );
    }
}
