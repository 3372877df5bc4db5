//! What the crash and damage tests stand on: a disk that loses power, and a history to compare with.
#![allow(dead_code)] // each of the two uses a part

pub mod disk;
pub mod history;
