use anyhow::{Context as _, Result};
use aya::programs::{TestRun as _, TestRunOptions};
use lb_common::reason::Reason;
use lb_tests::fixture::{Case, Expected, World, cases};
use lb_tests::lab::{WorkDir, is_root};
use lb_userspace::datapath::load::Loaded;
use lb_userspace::datapath::pins::Pins;

/// Test runs come in on the loopback interface.
const INTERFACE: u32 = 1;
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
/// The kernel runs no test on a frame shorter than an Ethernet header.
const SHORTEST: usize = 14;

/// The program, loaded over maps that hold the vectors' world.
struct Program {
    loaded: Loaded,
    // Dropped last: the pins lie in it.
    _work: WorkDir,
}

impl Program {
    fn load() -> Result<Self> {
        let work = WorkDir::new()?;
        let mut loaded = Loaded::load(&Pins::new(&work.bpf()), &World::sizes())?;
        World::load()?.install(&mut loaded.maps, INTERFACE)?;
        Ok(Self { loaded, _work: work })
    }

    fn run(&mut self, frame: &[u8]) -> Result<(u32, Vec<u8>)> {
        let mut output = vec![0; frame.len() + 256];
        let mut options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
        options.data_out = Some(&mut output);
        let result = self.loaded.program()?.test_run(options)?;
        let (verdict, length) = (result.return_value, result.data_size_out as usize);
        output.truncate(length);
        Ok((verdict, output))
    }

    fn check(&mut self, case: &Case) -> Result<()> {
        let before = self.counts();
        let (verdict, bytes) = self.run(&case.input)?;
        let about = &case.about;
        match &case.expected {
            Expected::Pass => assert_eq!((verdict, &bytes), (XDP_PASS, &case.input), "{about}"),
            Expected::Transmit(expected) => assert_eq!((verdict, &bytes), (XDP_TX, expected), "{about}"),
            Expected::Drop(reason) => {
                assert_eq!(verdict, XDP_DROP, "{about}");
                let counted: Vec<_> = Reason::ALL
                    .iter()
                    .zip(before.iter().zip(self.counts()))
                    .filter(|(_, (before, after))| *before != after)
                    .map(|(reason, _)| reason.name())
                    .collect();
                assert_eq!(counted, [reason.as_str()], "{about}");
            }
        }
        Ok(())
    }

    fn counts(&self) -> Vec<u64> {
        Reason::ALL.iter().map(|reason| self.loaded.maps.reason_count(*reason)).collect()
    }
}

#[test]
fn every_frame_comes_out_as_the_oracle_says() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let mut program = Program::load()?;
    let mut ran = 0;
    for case in cases()?.iter().filter(|case| case.input.len() >= SHORTEST) {
        program.check(case).with_context(|| case.about.clone())?;
        ran += 1;
    }
    assert!(ran > 100, "{ran} frames");
    Ok(())
}
