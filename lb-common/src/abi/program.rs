/// A program that the gateway's calls, by its place in `programs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Program {
    /// ICMP.
    Message = 0,
    /// Fragments, and packets that do not fit the path.
    Part = 1,
}

impl Program {
    /// All of them, in order.
    pub const ALL: [Self; 2] = [Self::Message, Self::Part];

    /// The function that is its entry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Part => "part",
        }
    }
}
