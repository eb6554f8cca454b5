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
    /// A configuration is invalid.
    const CONFIG: u8 = 3;
    /// A privilege or a kernel feature is missing.
    const PRIVILEGE: u8 = 4;

    /// 0 ok, 1 failed, 2 usage (by the argument parser), 3 invalid configuration, 4 missing privilege or kernel
    /// feature.
    pub fn code(&self) -> u8 {
        self.code
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
