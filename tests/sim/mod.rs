//! Helpers of the protocol tests: the model of 1.x, and a simulated network of old and new peers.
#![allow(dead_code)]

pub mod check;
pub mod foe;
pub mod new;
pub mod old;
pub mod recordings;
pub mod rng;
pub mod setup;
pub mod world;
