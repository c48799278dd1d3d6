//! The names in Fly's private DNS.

use crate::platform::fly;

/// Fly's own top-level domain.
const INTERNAL: &str = ".internal";

/// One question: the machines that all of these names list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// One name, or a region's and a process group's.
    pub(super) names: Vec<String>,
    /// What is known of every machine that is listed: `region`, `process_group`.
    pub(super) labels: Vec<(&'static str, String)>,
    /// Part of an app: a name that does not exist means that no such machine runs now.
    pub(super) part: bool,
}

impl Wanted {
    /// A name as it was given.
    pub(super) fn query(query: String) -> Self {
        Self {
            names: vec![query],
            labels: Vec::new(),
            part: false,
        }
    }

    /// One question for each region, or one for all. There is no name for a process group in a
    /// region: who is in both is listed by both.
    pub(super) fn of(app: &str, regions: &[String], group: Option<&str>) -> Vec<Self> {
        let of_group = group.map(|group| {
            let name = format!("{group}.process.{app}{INTERNAL}");
            (name, ("process_group", group.to_owned()))
        });
        let of_regions = regions.iter().map(|region| {
            let name = format!("{region}.{app}{INTERNAL}");
            Some((name, ("region", region.clone())))
        });
        let mut parts: Vec<_> = of_regions.collect();
        if parts.is_empty() {
            parts.push(None);
        }
        let each = parts.into_iter().map(|region| {
            let narrowed = region.into_iter().chain(of_group.clone());
            let (names, labels): (Vec<_>, Vec<_>) = narrowed.unzip();
            match names.is_empty() {
                true => Self::query(fly::query(app)),
                false => Self {
                    names,
                    labels,
                    part: true,
                },
            }
        });
        each.collect()
    }
}

/// The list of an app's machines: ids and regions.
pub(super) fn machines(app: &str) -> String {
    format!("vms.{app}{INTERNAL}")
}

/// One machine's address.
pub(super) fn machine(id: &str, app: &str) -> String {
    format!("{id}.vm.{app}{INTERNAL}")
}

/// The list of all machines of an organization, with their addresses.
pub(super) const INSTANCES: &str = "_instances.internal";

/// The app that a name asks for: what stands before `.internal`.
pub(super) fn app_of(query: &str) -> Option<&str> {
    let query = query.strip_suffix('.').unwrap_or(query);
    let before = query.strip_suffix(INTERNAL)?;
    let app = before.rsplit('.').next().unwrap_or(before);
    is_label(app).then_some(app)
}

/// Whether this can be one label of a name: an app, a region, a machine's id.
pub(super) fn is_label(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=63).contains(&text.len()) && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions() {
        let names = |regions: &[&str], group| {
            let regions: Vec<_> = regions.iter().map(|r| (*r).to_owned()).collect();
            let all = Wanted::of("hello", &regions, group);
            all.iter()
                .map(|w| w.names.join(" and "))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&[], None), ["hello.internal"]);
        assert_eq!(
            names(&["iad", "ams"], None),
            ["iad.hello.internal", "ams.hello.internal"]
        );
        assert_eq!(names(&[], Some("web")), ["web.process.hello.internal"]);
        assert_eq!(
            names(&["iad"], Some("web")),
            ["iad.hello.internal and web.process.hello.internal"]
        );
    }

    #[test]
    fn the_app_of_a_query() {
        for (query, app) in [
            ("hello.internal", Some("hello")),
            ("iad.hello.internal.", Some("hello")),
            ("top3.nearest.of.hello.internal", Some("hello")),
            ("hello.example.com", None),
            ("internal", None),
            (".internal", None),
        ] {
            assert_eq!(app_of(query), app, "{query}");
        }
    }
}
