//! Samples, round by round, so that what changes in the machine changes for all cases alike.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Effort;
use super::case::Case;
use super::quiet::{self, Calibration};

/// Packets of a sample that is only rehearsed.
const REHEARSAL: u32 = 1_000;

/// What can be measured.
pub(crate) trait Subject {
    /// Brings into the caches, and into the table of connections, what the case's flows need.
    fn warm_up(&mut self, case: &Case) -> Result<()>;
    /// Nanoseconds per packet over this many packets, each of which did what the case says.
    fn sample(&mut self, case: &Case, packets: u32) -> Result<f64>;
}

/// A sample and the slower of the spins beside it.
#[derive(Clone, Copy)]
struct Sample {
    nanoseconds: f64,
    spin: f64,
}

/// The undisturbed samples of every case, in the cases' order, each sorted.
pub(crate) fn measure(subject: &mut impl Subject, cases: &[Case], effort: &Effort) -> Result<Vec<Vec<f64>>> {
    let wanted = effort.samples as usize;
    let end = Instant::now() + Duration::from_secs(effort.seconds.into());
    let mut calibration = Calibration::new();
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); cases.len()];
    let mut quiet = undisturbed(&samples);
    while Instant::now() < end {
        let short = |(_, quiet): &(_, &Vec<f64>)| quiet.len() < wanted;
        for ((case, taken), _) in cases.iter().zip(&mut samples).zip(&quiet).filter(short) {
            taken.extend(sample(subject, case, case.packets(effort.packets), &mut calibration)?);
        }
        quiet = undisturbed(&samples);
        if quiet.iter().all(|quiet| quiet.len() >= wanted) {
            return Ok(quiet);
        }
    }
    if let Some((case, _)) = cases.iter().zip(&quiet).find(|(_, quiet)| quiet.is_empty()) {
        bail!(
            "no sample of {} was undisturbed; try again on a quieter machine, or give it more --seconds",
            case.name
        );
    }
    eprintln!("bench: the machine is busy; fewer undisturbed samples than asked for");
    Ok(quiet)
}

/// A small sample of every case, of which only that it can be taken is of interest.
pub(crate) fn rehearse(subject: &mut impl Subject, cases: &[Case]) -> Result<()> {
    for case in cases {
        subject.warm_up(case)?;
        subject.sample(case, REHEARSAL)?;
    }
    Ok(())
}

/// Nothing if the processor is busy already: the sample would be thrown away.
fn sample(
    subject: &mut impl Subject,
    case: &Case,
    packets: u32,
    calibration: &mut Calibration,
) -> Result<Option<Sample>> {
    if !calibration.wait() {
        return Ok(None);
    }
    subject.warm_up(case)?;
    let before = calibration.spin();
    let nanoseconds = subject.sample(case, packets)?;
    Ok(Some(Sample { nanoseconds, spin: before.max(calibration.spin()) }))
}

fn undisturbed(samples: &[Vec<Sample>]) -> Vec<Vec<f64>> {
    let best = samples.iter().flatten().map(|sample| sample.spin).fold(f64::INFINITY, f64::min);
    let quiet = |taken: &Vec<Sample>| {
        let quiet = taken.iter().filter(|sample| quiet::undisturbed(sample.spin, best));
        let mut quiet: Vec<f64> = quiet.map(|sample| sample.nanoseconds).collect();
        quiet.sort_by(f64::total_cmp);
        quiet
    };
    samples.iter().map(quiet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_spin_discards_its_sample() {
        let sample = |nanoseconds, spin| Sample { nanoseconds, spin };
        let samples = [vec![sample(3.0, 1.0), sample(9.0, 1.2), sample(2.0, 1.05)], vec![sample(5.0, 1.11)]];
        assert_eq!(undisturbed(&samples), [vec![2.0, 3.0], vec![]]);
    }
}
