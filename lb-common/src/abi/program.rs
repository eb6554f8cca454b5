use super::Features;

/// A program that the gateway's calls, by its place in `programs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Program {
    /// ICMP.
    Message = 0,
    /// Fragments, and packets that do not fit the path.
    Part = 1,
    /// What other clusters' gateways send here.
    Redirected = 2,
}

impl Program {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Message, Self::Part, Self::Redirected];

    /// The function that is its entry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Part => "part",
            Self::Redirected => "redirected",
        }
    }

    /// The feature without which nothing calls it.
    pub const fn feature(self) -> Option<Features> {
        match self {
            Self::Message | Self::Part => None,
            Self::Redirected => Some(Features::REDIRECT),
        }
    }
}
