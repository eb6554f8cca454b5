//! One packet through a program that is on an interface, as if it had come in there: `BPF_PROG_TEST_RUN`. Nothing is sent; what
//! the program does to its maps it does.

use std::borrow::Cow;

use aya::programs::{ProgramError, ProgramInfo, TestRun as _, TestRunOptions, Xdp, loaded_programs};
use aya_obj::programs::XdpAttachType;
use nix::net::if_::if_nametoindex;
use thiserror::Error;

use super::attach::program_id;
use super::pins::{PinnedMode, Pins};

/// Room behind a frame for what is put in front of it, in bytes.
const GROWTH: usize = 256;

/// Why no packet was run.
#[derive(Debug, Error)]
pub enum TestRunError {
    /// The link is empty, or the interface of another network namespace.
    #[error(
        "no program of Spillway is on {interface} here; run in the network namespace of the agent, and see `spillway status`"
    )]
    NotThere {
        /// The interface.
        interface: String,
    },
    /// Older than 5.15.
    #[error("this kernel cannot run a program on a packet of {interface}'s; Linux 5.15 or newer is needed")]
    NoContext {
        /// The interface.
        interface: String,
    },
    /// Anything else.
    #[error("the program on {interface} cannot be run: {source}; CAP_SYS_ADMIN is needed")]
    Refused {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: ProgramError,
    },
}

/// A program in its place.
#[derive(Debug)]
pub struct Placed {
    /// The interface.
    pub interface: String,
    /// The kernel's number for it.
    pub index: u32,
    /// The kernel's number for the program.
    pub program_id: u32,
    program: Xdp,
}

impl Placed {
    /// The program that a pinned link holds on its interface, which must be in this network namespace.
    ///
    /// # Errors
    /// [`TestRunError`].
    pub fn find(link: &PinnedMode, pins: &Pins) -> Result<Self, TestRunError> {
        let interface = link.interface.clone();
        let index = if_nametoindex(interface.as_str()).ok();
        let Some((index, program_id)) = index.zip(program_id(link, pins)) else {
            return Err(TestRunError::NotThere { interface });
        };
        let refused = |source| TestRunError::Refused { interface: link.interface.clone(), source };
        let Some(info) = loaded(program_id).map_err(refused)? else {
            return Err(TestRunError::NotThere { interface });
        };
        let program = Xdp::from_program_info(info, Cow::Borrowed("gateway"), XdpAttachType::Interface);
        Ok(Self { interface, index, program_id, program: program.map_err(refused)? })
    }

    /// Runs it on a frame that comes in by its interface: the action (`enum xdp_action` of `linux/bpf.h`), and the frame
    /// afterwards.
    ///
    /// # Errors
    /// [`TestRunError`].
    pub fn run(&self, frame: &[u8]) -> Result<(u32, Vec<u8>), TestRunError> {
        let mut output = vec![0; frame.len() + GROWTH];
        // `struct xdp_md` of linux/bpf.h: data, data_end, data_meta, ingress_ifindex, and two that stay zero.
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let context: [u32; 6] = [0, length, 0, self.index, 0, 0];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut output),
            ctx_in: Some(bytemuck::bytes_of(&context)),
            ..TestRunOptions::default()
        };
        let result = self.program.test_run(options).map_err(|source| self.error(source))?;
        output.truncate(result.data_size_out as usize);
        Ok((result.return_value, output))
    }

    fn error(&self, source: ProgramError) -> TestRunError {
        let interface = self.interface.clone();
        match &source {
            // Before 5.15 a test packet of XDP has no context.
            ProgramError::SyscallError(error) if error.io_error.raw_os_error() == Some(libc::EINVAL) => {
                TestRunError::NoContext { interface }
            }
            _ => TestRunError::Refused { interface, source },
        }
    }
}

/// The program of this number. One that ends while all are looked through is no trouble, unless it is this one.
fn loaded(id: u32) -> Result<Option<ProgramInfo>, ProgramError> {
    let mut refused = None;
    for program in loaded_programs() {
        match program {
            Ok(info) if info.id() == id => return Ok(Some(info)),
            Ok(_) => {}
            Err(error) => refused = Some(error),
        }
    }
    refused.map_or(Ok(None), Err)
}
