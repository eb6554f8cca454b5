//! From single probes to a verdict; pure.
//!
//! 1. Before its first verdict a node is unknown, and serves.
//! 2. The first pass makes an unknown node up: there is no history to be careful about.
//! 3. `fall` failures in a row make an unknown or an up node down, so nothing is down before a probe has run.
//! 4. `rise` passes in a row make a down node up.
//! 5. Anything else changes nothing; one probe of the other kind starts the count again.

/// What one probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The node answered as its check expects.
    Pass,
    /// It did not.
    Fail,
}

/// What the probes so far say about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Verdict {
    /// Not enough probes have run.
    #[default]
    Unknown,
    /// Passing.
    Up,
    /// Failing.
    Down,
}

impl Verdict {
    /// Whether a node with this verdict takes traffic: all but a node known to be down.
    pub fn serves(self) -> bool {
        self != Self::Down
    }
}

/// Counts the probes of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judge {
    rise: u32,
    fall: u32,
    verdict: Verdict,
    last: Option<Outcome>,
    run: u32,
}

impl Judge {
    /// A judge who has seen nothing. `rise` and `fall` are counts of probes; 0 is taken as 1.
    pub fn new(rise: u32, fall: u32) -> Self {
        Self { rise: rise.max(1), fall: fall.max(1), verdict: Verdict::Unknown, last: None, run: 0 }
    }

    /// The same who goes on with the verdict of another.
    #[must_use]
    pub fn resuming(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
    }

    /// Takes new thresholds and keeps the verdict and the count; they apply from the next probe on.
    pub fn retune(&mut self, rise: u32, fall: u32) {
        self.rise = rise.max(1);
        self.fall = fall.max(1);
    }

    /// The verdict so far.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// How many probes in a row ended like the last one.
    pub fn run(&self) -> u32 {
        self.run
    }

    /// Counts a probe; the new verdict if it changed.
    pub fn observe(&mut self, outcome: Outcome) -> Option<Verdict> {
        self.run = if self.last == Some(outcome) { self.run.saturating_add(1) } else { 1 };
        self.last = Some(outcome);
        let verdict = self.follows(outcome);
        (std::mem::replace(&mut self.verdict, verdict) != verdict).then_some(verdict)
    }

    fn follows(&self, outcome: Outcome) -> Verdict {
        match (self.verdict, outcome) {
            (Verdict::Unknown, Outcome::Pass) => Verdict::Up,
            (Verdict::Down, Outcome::Pass) if self.run >= self.rise => Verdict::Up,
            (Verdict::Unknown | Verdict::Up, Outcome::Fail) if self.run >= self.fall => Verdict::Down,
            (unchanged, _) => unchanged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Fail, Pass};
    use super::*;
    use proptest::prelude::*;

    fn verdicts(rise: u32, fall: u32, probes: &[Outcome]) -> Vec<Verdict> {
        let mut judge = Judge::new(rise, fall);
        probes
            .iter()
            .map(|&probe| {
                let before = judge.verdict();
                let changed = judge.observe(probe);
                assert_eq!(changed, (judge.verdict() != before).then_some(judge.verdict()));
                judge.verdict()
            })
            .collect()
    }

    fn rank(verdict: Verdict) -> u8 {
        match verdict {
            Verdict::Down => 0,
            Verdict::Unknown => 1,
            Verdict::Up => 2,
        }
    }

    #[test]
    fn an_unknown_node_serves_and_its_first_pass_makes_it_up() {
        assert!(Judge::new(3, 3).verdict().serves());
        assert_eq!(verdicts(3, 3, &[Fail, Fail, Pass]), [Verdict::Unknown, Verdict::Unknown, Verdict::Up]);
    }

    #[test]
    fn fall_failures_take_an_unknown_node_down_and_rise_passes_bring_it_back() {
        use Verdict::{Down, Unknown, Up};
        let probes = [Fail, Fail, Fail, Pass, Fail, Pass, Pass];
        assert_eq!(verdicts(2, 3, &probes), [Unknown, Unknown, Down, Down, Down, Down, Up]);
    }

    #[test]
    fn new_thresholds_keep_the_verdict() {
        let mut judge = Judge::new(1, 3);
        assert_eq!(judge.observe(Pass), Some(Verdict::Up));
        assert_eq!(judge.observe(Fail), None);
        judge.retune(1, 2);
        assert_eq!(judge.verdict(), Verdict::Up);
        assert_eq!(judge.observe(Fail), Some(Verdict::Down));
    }

    #[test]
    fn zero_thresholds_are_one() {
        assert_eq!(verdicts(0, 0, &[Fail, Pass]), [Verdict::Down, Verdict::Up]);
    }

    fn probes() -> impl Strategy<Value = Vec<(bool, bool)>> {
        prop::collection::vec((any::<bool>(), any::<bool>()), 1..60)
    }

    fn outcome(pass: bool) -> Outcome {
        if pass { Pass } else { Fail }
    }

    proptest! {
        #[test]
        fn a_flip_ends_exactly_the_run_it_needs(rise in 1u32..6, fall in 1u32..6, bits in probes()) {
            let probes: Vec<_> = bits.iter().map(|b| outcome(b.0)).collect();
            let mut before = Verdict::Unknown;
            for (end, verdict) in verdicts(rise, fall, &probes).into_iter().enumerate() {
                let run = probes[..=end].iter().rev().take_while(|&&p| p == probes[end]).count();
                let needed = match (before, probes[end]) {
                    (Verdict::Unknown, Pass) => Some((1, Verdict::Up)),
                    (Verdict::Down, Pass) => Some((rise as usize, Verdict::Up)),
                    (Verdict::Unknown | Verdict::Up, Fail) => Some((fall as usize, Verdict::Down)),
                    _ => None,
                };
                let expected = needed.filter(|(length, _)| run >= *length).map_or(before, |(_, next)| next);
                prop_assert_eq!(verdict, expected);
                before = verdict;
            }
        }

        #[test]
        fn a_probe_that_passes_instead_never_makes_a_verdict_worse(
            rise in 1u32..6, fall in 1u32..6, bits in probes()
        ) {
            let worse: Vec<_> = bits.iter().map(|b| outcome(b.0)).collect();
            let better: Vec<_> = bits.iter().map(|b| outcome(b.0 || b.1)).collect();
            let pairs = verdicts(rise, fall, &worse).into_iter().zip(verdicts(rise, fall, &better));
            for (worse, better) in pairs {
                prop_assert!(rank(better) >= rank(worse), "{better:?} < {worse:?}");
            }
        }
    }
}
