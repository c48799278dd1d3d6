//! What the suite prints, and the table made of it.

use std::fmt;

/// One case.
#[derive(Debug)]
struct Case {
    group: String,
    name: String,
    millis: u64,
    /// Why it failed.
    why: Option<String>,
}

/// All that have ended so far.
#[derive(Debug)]
pub(crate) struct Report {
    cases: Vec<Case>,
    done: bool,
}

impl Report {
    /// Reads the driver's output; what is not for it is passed over.
    pub(crate) fn read(output: &str) -> Self {
        Self {
            cases: output.lines().filter_map(case).collect(),
            done: output.lines().any(|line| line.starts_with("done ")),
        }
    }

    /// Whether the suite came to its end and nothing failed.
    pub(crate) fn passed(&self) -> bool {
        self.done && !self.cases.is_empty() && self.cases.iter().all(|case| case.why.is_none())
    }
}

/// `case GROUP NAME ok|failed MILLISECONDS [WHY]`
fn case(line: &str) -> Option<Case> {
    let mut words = line.strip_prefix("case ")?.splitn(5, ' ');
    let (group, name) = (words.next()?.to_owned(), words.next()?.to_owned());
    let ok = words.next()? == "ok";
    let millis = words.next()?.parse().ok()?;
    let why = (!ok).then(|| words.next().unwrap_or("?").to_owned());
    Some(Case {
        group,
        name,
        millis,
        why,
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cases: Vec<_> = self.cases.iter().collect();
        cases.sort_by_key(|case| &case.group);
        for case in &cases {
            let mark = if case.why.is_some() { "FAILED" } else { "ok" };
            let (group, name, millis) = (&case.group, &case.name, case.millis);
            writeln!(f, "  {group:<13} {name:<66} {millis:>6} ms  {mark}")?;
        }
        for case in cases {
            if let Some(why) = &case.why {
                writeln!(f, "  {} {}: {why}", case.group, case.name)?;
            }
        }
        let failed = self.cases.iter().filter(|case| case.why.is_some()).count();
        let end = if self.done {
            ""
        } else {
            ", and did not come to its end"
        };
        write!(f, "  {} cases, {failed} failed{end}", self.cases.len())
    }
}
