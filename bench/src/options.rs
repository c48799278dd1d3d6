//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::figure::Figure;
use crate::pair::{self, Flavour, Pair};

/// What to measure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) figures: Vec<Figure>,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) rounds: usize,
    /// How long a run is to last, so that its ends do not count.
    pub(crate) run: Duration,
    /// This many messages in each run, and no run before to find out how many.
    pub(crate) count: Option<u64>,
    /// Whether system calls are counted, in a run of their own.
    pub(crate) syscalls: bool,
    /// Where the report goes, beside the tables on standard output.
    pub(crate) json: Option<PathBuf>,
}

pub(crate) fn usage() -> String {
    let figures: Vec<_> = Figure::ALL.iter().map(|figure| figure.name()).collect();
    format!(
        "\
usage: trunkline-bench FIGURE… [OPTION…]
  FIGURE           {} or all
  --peer LIST      which pairs, with commas; default: all. {}
  --flavour LIST   multi, current: tokio's runtime; default: both
  --rounds N       how often each pair has its turn; default: 5
  --quick          3 rounds of shorter runs
  --count N        messages per sender in each run; default: as many as fill a quarter of a second
  --syscalls       count system calls, too, in a run of their own (wants perf)
  --json FILE      write the report there too; other figures that it has stay
",
        figures.join(", "),
        pair::NAMES.join(", "),
    )
}

/// `None` when help is asked for.
pub(crate) fn parse(args: &[String]) -> Result<Option<Options>> {
    let mut figures = Vec::new();
    let mut peers: Vec<String> = pair::NAMES.iter().map(ToString::to_string).collect();
    let mut flavours = Flavour::ALL.to_vec();
    let mut options = Options {
        figures: Vec::new(),
        pairs: Vec::new(),
        rounds: 5,
        run: Duration::from_millis(250),
        count: None,
        syscalls: false,
        json: None,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--peer" => peers = list(value()?),
            "--flavour" => flavours = each(value()?, Flavour::parse)?,
            "--rounds" => options.rounds = value()?.parse()?,
            "--quick" => {
                options.rounds = 3;
                options.run = Duration::from_millis(60);
            }
            "--count" => options.count = Some(value()?.parse()?),
            "--syscalls" => options.syscalls = true,
            "--json" => options.json = Some(value()?.into()),
            "--help" | "-h" => return Ok(None),
            "all" => figures.extend(Figure::ALL),
            name => figures.push(figure(name)?),
        }
    }
    if figures.is_empty() {
        return Ok(None);
    }
    for name in &peers {
        options.pairs.extend(Pair::named(name, &flavours)?);
    }
    options.figures = figures;
    Ok(Some(options))
}

fn figure(name: &str) -> Result<Figure> {
    match Figure::ALL.iter().find(|figure| figure.name() == name) {
        Some(figure) => Ok(*figure),
        None => bail!("there is no figure {name:?}\n{}", usage()),
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

fn each<T>(text: &str, parse: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    text.split(',').map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Option<Options>> {
        let args: Vec<String> = text.split(' ').map(str::to_owned).collect();
        parse(&args)
    }

    #[test]
    fn figures_peers_and_flavours() {
        let options = parsed("oneway pingpong --peer rust,otp --quick")
            .unwrap()
            .unwrap();
        assert_eq!(options.figures, [Figure::OneWay, Figure::PingPong]);
        let names: Vec<_> = options.pairs.iter().map(Pair::name).collect();
        assert_eq!(names, ["rust multi", "rust current", "otp"]);
        assert_eq!(options.rounds, 3);
        let one = parsed("all --peer rust --flavour current")
            .unwrap()
            .unwrap();
        assert_eq!(one.pairs.len(), 1);
        assert_eq!(one.figures, Figure::ALL);
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        assert!(parsed("--help").unwrap().is_none());
        assert!(parsed("oneway --peer nobody").is_err());
        assert!(parsed("sideways").is_err());
        assert!(parsed("oneway --rounds").is_err());
    }
}
