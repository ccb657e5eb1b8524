//! Network bridges for virtual machines whose MAC address never changes, on Linux and FreeBSD.
//!
//! This crate is policy and knows no operating system; the kernel side is the crate
//! [`vmbridge_platform`], which is re-exported here.
#![forbid(unsafe_code)]

pub use vmbridge_platform::*;
