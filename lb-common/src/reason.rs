//! Why a packet was dropped, or passed although it was ours. Append-only: a number never changes its
//! meaning, for counters outlive programs.

macro_rules! reasons {
    ($(#[$doc:meta])* $reasons:ident;
     $($variant:ident = $number:literal, $name:literal, $expected:literal, $sentence:literal;)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub enum $reasons { $(#[doc = $sentence] $variant = $number,)* }

        impl $reasons {
            /// Every reason, by number.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Short name, as in JSON and metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One sentence for people.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)* }
            }

            /// Whether it is seen in ordinary operation; the others point to a defect.
            pub const fn expected(self) -> bool {
                match self { $(Self::$variant => $expected,)* }
            }
        }
    };
}

reasons! {
    /// Why a packet did not leave a gateway toward a backend.
    Reason;
    NotOurs = 0, "not-ours", true, "The destination is not a VIP; passed to the kernel and not counted.";
    NoService = 1, "no-service", true, "The destination is a VIP, but no service has this protocol and port; dropped.";
    LocalVip = 2, "local-vip", true, "No service matches and the VIP is also an address of this machine; passed to the kernel.";
    NoBackend = 3, "no-backend", true, "No backend of the service serves; dropped.";
    Truncated = 4, "truncated", true, "The packet is shorter than its headers claim; dropped.";
    Fragment = 5, "fragment", true, "A fragment, which has no ports to go by; dropped.";
    TooBig = 6, "too-big", true, "Encapsulated, the packet would not fit the path to the backend, and its sender is not told (it allows fragments, or too many were told lately); dropped.";
    LocalBackend = 7, "local-backend", true, "The backend is this machine; passed to the kernel unencapsulated.";
    TooManyHeaders = 8, "too-many-headers", true, "More than six IPv6 extension headers, or one that has no place there; dropped.";
    MissingEntry = 9, "missing-entry", false, "A table names an entry that does not exist; dropped.";
    NoHeadroom = 10, "no-headroom", false, "The driver left no room in front of the packet for the outer header; dropped.";
    EchoReply = 11, "echo-reply", true, "An echo request to a VIP, answered by the gateway.";
    EchoLimited = 12, "echo-limited", true, "An echo request to a VIP beyond the rate at which the gateway answers; dropped.";
    TooBigReported = 13, "too-big-reported", true, "Encapsulated, the packet would not fit the path to the backend; dropped, and its sender told the MTU by ICMP.";
    Denied = 14, "denied", true, "The service's access policy does not admit the source; dropped.";
    RateLimited = 15, "rate-limited", true, "The source begins more flows than the service's access policy allows; dropped.";
    UnknownGateway = 16, "unknown-gateway", true, "A packet that another cluster's gateway redirected, from an address that is none of those known; dropped.";
    BadRedirect = 17, "bad-redirect", true, "A packet that another cluster's gateway redirected, which is not whole or not for a service of this gateway; dropped.";
}

reasons! {
    /// Why a receiver left a packet's headers as they are, or dropped it.
    ReceiverReason;
    NotTunnelled = 0, "not-tunnelled", true, "No tunnel packet for this node; passed to the kernel and not counted.";
    UnknownPeer = 1, "unknown-peer", true, "A tunnel packet from an address that is no gateway's; dropped.";
    OuterFragment = 2, "outer-fragment", true, "A fragment of a tunnel packet, which no gateway makes; dropped.";
    OuterTruncated = 3, "outer-truncated", true, "A tunnel packet that is shorter than its headers claim; dropped.";
    BadTunnel = 4, "bad-tunnel", true, "A tunnel header with another version, kind or network, or an option that is not known; dropped.";
    Congested = 5, "congested", true, "The path marked congestion on a packet whose sender does not know such marks; dropped (RFC 6040).";
    NotMoved = 6, "not-moved", false, "The driver did not let the outer headers be taken off; dropped.";
    SentOn = 7, "sent-on", true, "The connection is not this node's; sent on to a node that had its row before.";
    SentBack = 8, "sent-back", true, "The connection is nobody's; sent back to the node that has its row now.";
    NobodysTaken = 9, "nobodys-taken", true, "The connection is nobody's, and its row is this node's; passed to the kernel.";
    NoNextHop = 10, "no-next-hop", true, "The way to the node that a packet is to be sent on to is not known; dropped.";
    WrongTag = 11, "wrong-tag", true, "A tunnel packet with a keyed tag of an epoch that is not known, or not made with its key; dropped.";
    MissingTag = 12, "missing-tag", true, "A tunnel packet without a keyed tag, where one is required; dropped.";
}

impl ReceiverReason {
    /// Whether the packet ends here; otherwise another node has it, or the kernel.
    pub const fn drops(self) -> bool {
        !matches!(self, Self::NotTunnelled | Self::SentOn | Self::SentBack | Self::NobodysTaken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    #[test]
    fn numbers_are_dense_and_names_unique() {
        let gateways = Reason::ALL.iter().map(|reason| (*reason as u32, reason.name(), reason.sentence()));
        let receivers =
            ReceiverReason::ALL.iter().map(|reason| (*reason as u32, reason.name(), reason.sentence()));
        for reasons in [gateways.collect::<Vec<_>>(), receivers.collect()] {
            let names: BTreeSet<_> = reasons.iter().map(|(_, name, _)| name).collect();
            assert_eq!(names.len(), reasons.len());
            assert!(
                (0..).zip(&reasons).all(|(number, reason)| reason.0 == number && reason.2.ends_with('.'))
            );
        }
    }
}
