//! Fly's private DNS with machines that a test makes up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::dns_server::{AAAA, Answer, Asked, DnsServer, Rr, TXT};

/// One started machine.
#[derive(Clone, Debug)]
pub struct Machine {
    pub id: String,
    pub ip: String,
    pub region: String,
    pub group: String,
    pub app: String,
}

/// `ID@IP REGION GROUP` of the app `hello`; `ID@IP REGION GROUP APP`.
pub fn machine(text: &str) -> Machine {
    let words: Vec<_> = text.split([' ', '@']).map(str::to_owned).collect();
    Machine {
        id: words[0].clone(),
        ip: words[1].clone(),
        region: words[2].clone(),
        group: words[3].clone(),
        app: words.get(4).map_or("hello", String::as_str).to_owned(),
    }
}

#[derive(Default)]
struct Zone {
    machines: Vec<Machine>,
    faults: BTreeMap<String, Answer>,
}

pub struct FlyDns {
    pub server: DnsServer,
    zone: Arc<Mutex<Zone>>,
}

impl FlyDns {
    pub async fn start(machines: &[&str]) -> Self {
        let zone: Arc<Mutex<Zone>> = Arc::default();
        let script = Arc::clone(&zone);
        let server = DnsServer::serve(move |asked| script.lock().unwrap().answer(asked)).await;
        let this = Self { server, zone };
        this.set(machines);
        this
    }

    /// These machines run now.
    pub fn set(&self, machines: &[&str]) {
        self.zone.lock().unwrap().machines = machines.iter().map(|text| machine(text)).collect();
    }

    /// From now on `name` is answered so, whatever is asked.
    pub fn fault(&self, name: &str, answer: Answer) {
        let mut zone = self.zone.lock().unwrap();
        zone.faults.insert(name.into(), answer);
    }

    pub fn heal(&self) {
        self.zone.lock().unwrap().faults.clear();
    }

    /// The names that were asked for, each once.
    pub fn asked(&self) -> Vec<String> {
        let mut names: Vec<_> = self.server.asked().into_iter().map(|a| a.name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// How often `name` was asked for.
    pub fn count(&self, name: &str) -> usize {
        let asked = self.server.asked();
        asked.iter().filter(|asked| asked.name == name).count()
    }

    pub fn options(&self, more: &str) -> String {
        let server = self.server.address;
        format!("strategy = 'fly'\nnameservers = ['{server}']\n{more}")
    }
}

impl Zone {
    fn answer(&self, asked: &Asked) -> Answer {
        if let Some(fault) = self.faults.get(&asked.name) {
            return fault.clone();
        }
        match asked.kind {
            AAAA => self.addresses(&asked.name),
            TXT => self.texts(&asked.name),
            _ => Answer::Records(Vec::new()),
        }
    }

    /// What nobody has does not exist.
    fn addresses(&self, name: &str) -> Answer {
        let has = |m: &&Machine| {
            let app = &m.app;
            name == format!("{app}.internal")
                || name == format!("{}.{app}.internal", m.region)
                || name == format!("{}.process.{app}.internal", m.group)
                || name == format!("{}.vm.{app}.internal", m.id)
        };
        let found: Vec<_> = self.machines.iter().filter(has).collect();
        if found.is_empty() {
            return Answer::Code(3);
        }
        Answer::Records(found.iter().map(|m| m.ip.parse().unwrap()).collect())
    }

    fn texts(&self, name: &str) -> Answer {
        let all = self.machines.iter();
        let text = if name == "_instances.internal" {
            let one = |m: &Machine| {
                let Machine {
                    id,
                    app,
                    ip,
                    region,
                    ..
                } = m;
                format!("instance={id},app={app},ip={ip},region={region}")
            };
            all.map(one).collect::<Vec<_>>().join(";")
        } else {
            let of = |m: &&Machine| name == format!("vms.{}.internal", m.app);
            let one = |m: &Machine| format!("{} {}", m.id, m.region);
            all.filter(of).map(one).collect::<Vec<_>>().join(",")
        };
        if text.is_empty() {
            return Answer::Code(3);
        }
        // Strings of at most 255 bytes, cut wherever that is.
        let bytes: Vec<_> = text.as_bytes().chunks(255).collect();
        let strings: Vec<_> = bytes
            .iter()
            .map(|b| std::str::from_utf8(b).unwrap())
            .collect();
        // The list is kept by nobody, so that each question for it is seen.
        vec![Rr::txt(name, &strings).ttl(0)].into()
    }
}
