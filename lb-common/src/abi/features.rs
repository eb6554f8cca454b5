flag_set! {
    /// What the loaded program can do beyond what every configuration needs. A constant of the program (section
    /// `.rodata.features`), not a map: code of a feature that is not there is dead, and the verifier removes it. A
    /// feature only ever permits: maps that do not use it mean the same with and without.
    Features {
        /// Outer headers of Generic UDP Encapsulation.
        GUE = 0;
        /// Outer headers of VXLAN.
        VXLAN = 1;
        /// Services that route QUIC by connection id.
        QUIC = 2;
        /// Services that admit by source.
        ADMISSION = 3;
        /// Services of ranges of ports.
        PORT_RANGES = 4;
        /// Services whose packets carry the earlier owners of their rows.
        CHAIN = 5;
        /// Outer headers of Generic UDP Encapsulation with a keyed tag.
        TAG = 6;
        /// Other clusters' gateways that packets are sent on to, or come from.
        REDIRECT = 7;
        /// Flows that are sampled, for what they say about the backends.
        EVIDENCE = 8;
    }
}

impl Features {
    /// The name of the program's global.
    pub const GLOBAL: &str = "FEATURES";
    /// All of them: every bit up to the last.
    pub const ALL: Self = Self((Self::EVIDENCE.0 << 1) - 1);

    /// The bits.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// From [`Features::bits`].
    #[inline(always)]
    pub const fn of_bits(bits: u32) -> Self {
        Self(bits)
    }
}
