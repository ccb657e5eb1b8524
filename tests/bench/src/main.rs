//! vmbridge side by side with others on one kernel, and what it costs in user space, counted.
//!
//! `ci/bench` and `ci/counts` run it.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod linux;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}
