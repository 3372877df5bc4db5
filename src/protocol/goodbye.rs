//! Why a peer ends a link, and the numbers that stand for it on the wire.

/// Why a peer ends a link, as its goodbye says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoodbyeReason {
    /// Its emitter closes.
    Closing,
    /// It refuses the link: because of a limit or an encoding.
    Refused,
    /// Its store has failed.
    Damaged,
    /// It has received nothing for too long, or its bytes were not taken.
    Silent,
    /// It received something that breaks the protocol.
    Protocol,
    /// It wants a new link instead.
    Renewed,
    /// The other side may not connect, or may not do what it did.
    Rights,
    /// The other side belongs to another network.
    Network,
    /// The link is not secure, or not secure enough for it.
    Insecure,
    /// A reason of a later version.
    Other,
}

impl GoodbyeReason {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u64 {
        match self {
            GoodbyeReason::Other => 0,
            GoodbyeReason::Closing => 1,
            GoodbyeReason::Refused => 2,
            GoodbyeReason::Damaged => 3,
            GoodbyeReason::Silent => 4,
            GoodbyeReason::Protocol => 5,
            GoodbyeReason::Renewed => 6,
            GoodbyeReason::Rights => 7,
            GoodbyeReason::Network => 8,
            GoodbyeReason::Insecure => 9,
        }
    }

    pub(super) fn of(code: u64) -> Self {
        match code {
            1 => GoodbyeReason::Closing,
            2 => GoodbyeReason::Refused,
            3 => GoodbyeReason::Damaged,
            4 => GoodbyeReason::Silent,
            5 => GoodbyeReason::Protocol,
            6 => GoodbyeReason::Renewed,
            7 => GoodbyeReason::Rights,
            8 => GoodbyeReason::Network,
            9 => GoodbyeReason::Insecure,
            _ => GoodbyeReason::Other,
        }
    }
}
