use std::io;

use crate::daemon::RunError;
use crate::datapath::load::LoadError;

/// An error and the exit code it leads to.
#[derive(Debug)]
pub struct Failure {
    /// What is told.
    pub error: anyhow::Error,
    code: u8,
}

impl Failure {
    /// Something failed.
    const FAILED: u8 = 1;
    /// The arguments make no sense together.
    const USAGE: u8 = 2;
    /// A configuration is invalid.
    const CONFIG: u8 = 3;
    /// A privilege or a kernel feature is missing.
    const PRIVILEGE: u8 = 4;
    /// A plan found a violation, or the kernel does not do what was computed.
    const VIOLATION: u8 = 5;

    /// 0 ok, 1 failed, 2 usage, 3 invalid configuration, 4 missing privilege or kernel
    /// feature, 5 a plan found a violation, or `explain --live` a difference.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// For arguments that the parser cannot refuse one by one.
    pub(super) fn usage(error: anyhow::Error) -> Self {
        Self { error, code: Self::USAGE }
    }

    /// For something that the kernel refused: for want of a privilege, or for another reason.
    pub(super) fn of_kernel(error: anyhow::Error) -> Self {
        let denied = |cause: &(dyn std::error::Error + 'static)| {
            let error = cause.downcast_ref::<io::Error>();
            error.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
        };
        if error.chain().any(denied) {
            let error = error.context("a privilege is missing; run as root");
            return Self { error, code: Self::PRIVILEGE };
        }
        error.into()
    }

    /// For a plan after which something is wrong, and a program that does something else than was computed.
    pub(super) fn violation(error: anyhow::Error) -> Self {
        Self { error, code: Self::VIOLATION }
    }

    /// For something that this kernel cannot do.
    pub(super) fn incapable(error: anyhow::Error) -> Self {
        Self { error, code: Self::PRIVILEGE }
    }

    /// For an invalid configuration.
    pub(super) fn config(error: anyhow::Error) -> Self {
        Self { error, code: Self::CONFIG }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { error, code: Self::FAILED }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        use crate::datapath::attach::AttachError;
        let code = match &error {
            RunError::Config(_) => Self::CONFIG,
            RunError::Privilege(_)
            | RunError::Load(LoadError::Program(_) | LoadError::NotBpfFileSystem { .. })
            | RunError::Attach(AttachError::NoLinks | AttachError::NoNativeMode { .. }) => Self::PRIVILEGE,
            _ => Self::FAILED,
        };
        Self { error: error.into(), code }
    }
}
