//! The suite that every [`Store`] has to pass: what the log relies on, as cases that start with an empty medium.
//!
//! It is compiled into the library, without dependencies of its own, so that stores outside this crate can run it
//! too. It panics on the first difference.
// A test suite: it panics by design, and its numbers are small.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod cases;
mod model;
mod random;
mod random_commit;
mod relabel_cases;
mod reopening;
mod searches;

use std::sync::Arc;

use super::Store;

pub use model::{compare, Model};
pub use random::Random;
pub use random_commit::random_commit;
pub use searches::{compare_searches, random_event, random_filter};

/// One medium, empty at first, that a case opens, closes and opens again.
pub trait Medium {
    /// Opens what the medium holds. The store of the previous call has been closed.
    fn open(&self) -> Arc<dyn Store>;

    /// Whether commits survive closing. If not, the cases do not reopen the store.
    fn keeps(&self) -> bool {
        true
    }
}

/// One case of the suite.
pub type Case = fn(&dyn Medium);

/// Every case by name.
pub const CASES: &[(&str, Case)] = cases::ALL;

/// Runs every case, each on a medium of its own.
pub fn run(fresh: &dyn Fn() -> Box<dyn Medium>) {
    for (name, case) in CASES {
        eprintln!("store conformance: {name}");
        case(fresh().as_ref());
    }
}
