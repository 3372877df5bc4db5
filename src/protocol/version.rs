//! Versions of the extension, and what each brought.

/// The current version. Two peers speak the lower one of their versions.
pub const VERSION: u64 = 2;

/// From this version on large nodes travel in pieces.
pub const WITH_PIECES: u64 = 2;

/// From this version on logs are compared by digests of sets of them, and no vector is sent.
pub const WITH_TREES: u64 = 2;

/// From this version on an entry may be demanded.
pub const WITH_DEMANDS: u64 = 2;
