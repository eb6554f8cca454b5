use anyhow::{Context as _, Result, bail};
use aya::Ebpf;
use aya::programs::Program;
use lb_tests::lab::{Objects, is_root};

/// What the other tests load, with each of its features.
const GATEWAY: &str = "gateway";

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

/// How many programs of an object the kernel has taken: all, or an error.
fn load(object: &mut Ebpf) -> Result<usize> {
    for (name, program) in object.programs_mut() {
        let Program::Xdp(program) = program else { bail!("{name} is no XDP program") };
        program.load().with_context(|| name.to_owned())?;
    }
    Ok(object.programs().count())
}
