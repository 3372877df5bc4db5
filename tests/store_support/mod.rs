//! Helpers of the crash and damage tests: a disk that loses power, and a history to compare with.
// Each of them uses a part.
#![allow(dead_code)]

pub mod counted;
pub mod disk;
pub mod history;
pub mod index_damage;
