use anyhow::{Context as _, Result, bail};
use aya::Ebpf;
use aya::programs::Program as Loadable;
use lb_common::abi::Features;
use lb_tests::fixture::{Effort, INTERFACE, World};
use lb_tests::lab::{Objects, is_root};
use lb_userspace::datapath::packet_log::PacketLog;

use crate::program::Program;

/// What the other tests load.
const GATEWAY: &str = "gateway";
/// Bytes of the code that writes headers of GUE and VXLAN, at the least.
const TUNNELS: u32 = 512;

/// Whatever else there is.
#[test]
fn the_kernel_takes_every_program_of_the_other_objects() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let mut taken = 0;
    for path in Objects::from_env()?.all()?.iter().filter(|path| !path.ends_with(GATEWAY)) {
        let object = Ebpf::load_file(path);
        taken += load(&mut object.with_context(|| path.display().to_string())?)?;
    }
    assert!(taken > 4, "{taken} programs");
    Ok(())
}

/// Without a feature, with each alone (unless few tries are asked for) and with all: what the verifier removes is never
/// what it needed to see.
#[test]
fn the_kernel_takes_the_gateway_with_any_feature_and_without() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let world = World::load()?;
    let mut sizes = Vec::new();
    let few = Effort::from_env(Effort::USUAL)?.frames < Effort::USUAL;
    let between = if few { Vec::new() } else { each().collect() };
    for features in [Features::default()].into_iter().chain(between).chain([Features::ALL]) {
        let mut program = Program::load_with(&world, INTERFACE, PacketLog::Off, features)?;
        let info = program.info().with_context(|| format!("{features:?}"))?;
        let size = info.size_translated().context("this kernel does not tell the size; 4.13 does")?;
        let verified = info.verified_instruction_count();
        println!("{features:?}: {size} bytes, instructions verified: {verified:?}");
        sizes.push(size);
    }
    let (without, with) = (sizes[0], sizes[sizes.len() - 1]);
    assert!(sizes.iter().all(|size| (without..=with).contains(size)), "{sizes:?}");
    assert!(without + TUNNELS < with, "the code of features is left in a program without them: {sizes:?}");
    Ok(())
}

fn each() -> impl Iterator<Item = Features> {
    let alone = (0..u32::BITS).map(|bit| Features::of_bits(1 << bit));
    alone.filter(|feature| Features::ALL.has(*feature))
}

/// How many programs of an object the kernel has taken: all, or an error.
fn load(object: &mut Ebpf) -> Result<usize> {
    for (name, program) in object.programs_mut() {
        match program {
            Loadable::Xdp(program) => program.load(),
            Loadable::SchedClassifier(program) => program.load(),
            _ => bail!("{name} is of another kind"),
        }
        .with_context(|| name.to_owned())?;
    }
    Ok(object.programs().count())
}
