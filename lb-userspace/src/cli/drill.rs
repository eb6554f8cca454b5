use std::thread::sleep;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::admin::Admin;
use super::look::{Look, Source};
use super::output::listing;
use super::{Failure, Pinned};
use crate::config::model::Terms;
use crate::config::scalar::{Time, parse_time};
use crate::daemon::protocol::{DrillOrder, Request};
use crate::evidence::Condition;
use crate::observe::view::{DrillView, DrillsView, drills};

/// How often it is looked whether a drill is over.
const EVERY: Duration = Duration::from_millis(500);
/// How long after its time one must be over: an agent that died has an heir by then.
const GRACE: Duration = Duration::from_secs(30);

/// `spillway drill`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Begin one; the agent must run, and ends it by itself.
    Run(Box<Run>),
    /// End the one that runs.
    Stop(Admin),
    /// How the one that runs fares, or the last one; no agent is asked.
    Status(Source),
}

#[derive(Debug, Args)]
struct Run {
    /// A drill of the configuration; instead of it, `--fail` says what is to be done.
    #[arg(required_unless_present = "fail", conflicts_with_all = ["fail", "slice", "length", "abort_if", "min_samples"])]
    name: Option<String>,
    /// The cluster that is lost.
    #[arg(long, value_name = "CLUSTER")]
    fail: Option<String>,
    /// In how much of the hash space.
    #[arg(long, value_name = "PERCENT", default_value_t = Terms::PERCENT, value_parser = clap::value_parser!(u8).range(1..=100))]
    slice: u8,
    /// For how long: 60s, 10m.
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = length)]
    length: Duration,
    /// It ends at once when this holds of those who stand in.
    #[arg(long, value_name = "CONDITION", default_value = Terms::ABORT_IF)]
    abort_if: Condition,
    /// Flows of theirs that must have been followed before that is asked.
    #[arg(long, value_name = "FLOWS", default_value_t = Terms::MIN_SAMPLES, value_parser = clap::value_parser!(u64).range(1..))]
    min_samples: u64,
    /// Also where the others may not be able to take everything, or a breaker of theirs is not closed.
    #[arg(long)]
    force: bool,
    /// Stay until it is over, and tell what was found; exit code 5 if it was aborted.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    pinned: Pinned,
    #[command(flatten)]
    admin: Admin,
}

fn length(text: &str) -> Result<Duration, String> {
    let Time(time) = parse_time(text).ok_or("write a duration such as 10s, 5m or 1h")?;
    if Terms::LENGTHS.contains(&time) { Ok(time) } else { Err("use 1s to 24h".to_owned()) }
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    match &options.what {
        What::Run(run) => run.begin(),
        What::Stop(admin) => admin.tell(&Request::Drill(DrillOrder::Stop)),
        What::Status(source) => {
            let view = drills(&Look::at(&source.pinned)?.seen());
            source.output.print(&view, text)
        }
    }
}

impl Run {
    fn begin(&self) -> Result<(), Failure> {
        self.admin.tell(&Request::Drill(self.order()))?;
        if self.wait { self.wait() } else { Ok(()) }
    }

    fn order(&self) -> DrillOrder {
        let force = self.force;
        match (&self.name, &self.fail) {
            (Some(name), _) => DrillOrder::Run { name: name.clone(), force },
            (None, fail) => {
                let terms = Terms {
                    fail: fail.clone().unwrap_or_default(),
                    percent: self.slice,
                    length: self.length,
                    abort_if: self.abort_if,
                    min_samples: self.min_samples,
                };
                DrillOrder::Fail { terms, force }
            }
        }
    }

    /// The answer came once the tables said so: the drill is the last one.
    #[expect(clippy::print_stdout, reason = "this is the answer")]
    fn wait(&self) -> Result<(), Failure> {
        loop {
            let last = drills(&Look::at(&self.pinned)?.seen()).last;
            let drill = last.ok_or_else(|| anyhow!("the agent knows of no drill any more"))?;
            if drill.state != "running" {
                println!("{}", drill.says);
                return verdict(&drill);
            }
            if drill.seconds > drill.length + GRACE.as_secs() {
                let mend = "its agent does not run; start it, and it ends the drill";
                return Err(anyhow!("{}; {mend}", drill.says).into());
            }
            sleep(EVERY);
        }
    }
}

fn verdict(drill: &DrillView) -> Result<(), Failure> {
    match drill.state {
        "aborted" => Err(Failure::violation(anyhow!("the drill was aborted"))),
        "stopped" => Err(anyhow!("the drill was stopped before its time").into()),
        _ => Ok(()),
    }
}

fn text(view: &DrillsView) -> String {
    let Some(last) = &view.last else { return "no drill was done".to_owned() };
    let mut rows = vec![("drill", last.says.clone()), ("aborts if", last.abort_if.clone())];
    let services = last.services.iter();
    rows.extend(services.map(|one| ("moved", format!("{} of 4096 rows of {}", one.rows, one.name))));
    listing(&rows)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use time::OffsetDateTime;

    use super::*;
    use crate::observe::view::DrilledView;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn parsed(line: &str) -> Result<Run, clap::Error> {
        let line = Line::try_parse_from(line.split_whitespace())?;
        match line.options.what {
            What::Run(run) => Ok(*run),
            _ => unreachable!("`run` is said"),
        }
    }

    #[test]
    fn a_drill_is_named_or_described() {
        let named = parsed("drill run weekly --force").unwrap().order();
        assert_eq!(named, DrillOrder::Run { name: "weekly".into(), force: true });
        let said = parsed("drill run --fail us-1 --slice 5 --for 10m").unwrap().order();
        let terms = Terms {
            fail: "us-1".into(),
            percent: 5,
            length: Duration::from_mins(10),
            abort_if: Terms::ABORT_IF.parse().unwrap(),
            min_samples: Terms::MIN_SAMPLES,
        };
        assert_eq!(said, DrillOrder::Fail { terms, force: false });
        for wrong in
            ["", "weekly --fail us-1", "weekly --slice 2", "--fail us-1 --slice 101", "--fail us-1 --for 25h"]
        {
            assert!(parsed(&format!("drill run {wrong}")).is_err(), "{wrong}");
        }
    }

    fn drill(state: &'static str) -> DrillView {
        DrillView {
            name: Some("weekly".into()),
            cluster: "us-1".into(),
            percent: 1,
            state,
            began: OffsetDateTime::UNIX_EPOCH,
            seconds: 60,
            length: 60,
            abort_if: Terms::ABORT_IF.into(),
            value: Some(0.0),
            samples: 480,
            services: vec![DrilledView { name: "shop/web".into(), rows: 20 }],
            says: "drill weekly: …".into(),
        }
    }

    #[test]
    fn one_that_was_aborted_has_an_exit_code_of_its_own() {
        assert!(verdict(&drill("done")).is_ok());
        let codes = ["aborted", "stopped"].map(|state| verdict(&drill(state)).unwrap_err().code());
        assert_eq!(codes, [5, 1]);
    }

    #[test]
    fn the_last_one_is_told() {
        let view = DrillsView { last: Some(drill("done")), scheduled: Vec::new() };
        let expected = "\
drill      drill weekly: …
aborts if  failed_handshake_ratio > 0.02
moved      20 of 4096 rows of shop/web";
        assert_eq!(text(&view), expected);
        assert_eq!(text(&DrillsView { last: None, ..view }), "no drill was done");
    }
}
