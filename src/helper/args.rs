//! The command line, which QEMU's `net_bridge_run_helper()` (`net/tap.c`) writes. Whoever started
//! the helper may have written anything.

use std::ffi::OsString;
use std::os::fd::RawFd;

use vmbridge::{InterfaceName, InvalidName};

pub(crate) const USAGE: &str = "usage: vmbridge-helper [--use-vnet] --br=BRIDGE --fd=UNIX_SOCKET";

/// What the helper is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Help,
    Version,
    Plug(Plug),
}

/// A tap on a bridge, its descriptor to be sent through a socket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plug {
    pub(crate) bridge: InterfaceName,
    pub(crate) frames: Frames,
    pub(crate) socket: RawFd,
}

/// What the tap's descriptor carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frames {
    Bare,
    /// With a virtio-net header before each, where the kernel has that.
    WithVnetHeader,
}

/// A command line that is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Usage {
    #[error("argument {0} is none of vmbridge-helper's; {USAGE}")]
    Unknown(usize),
    #[error("argument {0} says what was said before; {USAGE}")]
    Repeated(usize),
    #[error("--fd is no descriptor's number")]
    Descriptor,
    #[error("--br: {0}")]
    Bridge(#[from] InvalidName),
    #[error("--br is no interface name: it is longer than {} bytes", InterfaceName::MAX_LEN)]
    LongBridge,
    #[error("--br and --fd are both needed; {USAGE}")]
    Missing,
}

/// Reads the arguments after the program's name.
///
/// As with QEMU's helper there is only `--br=BRIDGE`, not `--br BRIDGE`. Where `--use-vnet` is repeated
/// the administrator had it in `helper=…` already, and QEMU adds its own.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, Usage> {
    let mut frames = Frames::Bare;
    let mut bridge = None;
    let mut socket = None;
    for (number, arg) in (1..).zip(args) {
        let arg = arg.to_str().ok_or(Usage::Unknown(number))?;
        if arg == "--use-vnet" {
            frames = Frames::WithVnetHeader;
        } else if let Some(name) = arg.strip_prefix("--br=") {
            set_once(&mut bridge, number, parse_bridge(name)?)?;
        } else if let Some(descriptor) = arg.strip_prefix("--fd=") {
            set_once(&mut socket, number, parse_descriptor(descriptor)?)?;
        } else if arg == "--help" {
            return Ok(Request::Help);
        } else if arg == "--version" {
            return Ok(Request::Version);
        } else {
            return Err(Usage::Unknown(number));
        }
    }
    match (bridge, socket) {
        (Some(bridge), Some(socket)) => Ok(Request::Plug(Plug { bridge, frames, socket })),
        _ => Err(Usage::Missing),
    }
}

fn set_once<T>(place: &mut Option<T>, number: usize, value: T) -> Result<(), Usage> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Usage::Repeated(number)),
    }
}

fn parse_bridge(name: &str) -> Result<InterfaceName, Usage> {
    // The error of a name repeats it, and this may be 128 KiB.
    if name.len() > InterfaceName::MAX_LEN {
        return Err(Usage::LongBridge);
    }
    Ok(name.parse()?)
}

/// Digits alone: where they say nothing, C's `atoi()` says 0, the standard input.
fn parse_descriptor(digits: &str) -> Result<RawFd, Usage> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Usage::Descriptor);
    }
    digits.parse().map_err(|_| Usage::Descriptor)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use proptest::prelude::*;

    use super::*;

    fn read(args: &str) -> Result<Request, String> {
        let args = args.split_whitespace().map(OsString::from);
        parse(args).map_err(|usage| usage.to_string())
    }

    fn plug(frames: Frames) -> Request {
        Request::Plug(Plug { bridge: "br0".parse().expect("a name"), frames, socket: 3 })
    }

    #[test]
    fn reads_what_qemu_writes() {
        assert_eq!(read("--use-vnet --fd=3 --br=br0"), Ok(plug(Frames::WithVnetHeader)));
        assert_eq!(read("--br=br0 --fd=3"), Ok(plug(Frames::Bare)));
        let from_a_helper_with_arguments = "--use-vnet --br=br0 --use-vnet --fd=3";
        assert_eq!(read(from_a_helper_with_arguments), Ok(plug(Frames::WithVnetHeader)));
    }

    #[test]
    fn reads_what_people_write() {
        assert_eq!(read("--help"), Ok(Request::Help));
        assert_eq!(read("--version"), Ok(Request::Version));
    }

    #[test]
    fn refuses_all_else() {
        let wrong = [
            "",
            "--br=br0",
            "--fd=3",
            "--br br0 --fd 3",
            "--br=br0 --fd=3 --",
            "--br=br0 --fd=3 more",
            "--br=br0 --fd=3 --use-vnet=1",
            "--br=br0 --fd=3 --br=br0",
            "--br=br0 --fd=3 --fd=3",
            "--br= --fd=3",
            "--br=br%d --fd=3",
            "--br=../br0 --fd=3",
            "--br=all --fd=3",
            "--br=0123456789abcdef --fd=3",
            "--br=br0 --fd=",
            "--br=br0 --fd=-1",
            "--br=br0 --fd=+3",
            "--br=br0 --fd=3x",
            "--br=br0 --fd=0x3",
            "--br=br0 --fd=2147483648",
            "--br=br0 --fd=4294967299",
        ];
        for args in wrong {
            assert!(read(args).is_err(), "{args:?}");
        }
    }

    #[test]
    fn says_little_of_what_is_long() {
        let error = read(&format!("--br={} --fd=3", "b".repeat(100_000))).expect_err("too long");
        assert_eq!(error, "--br is no interface name: it is longer than 15 bytes");
    }

    proptest! {
        #[test]
        fn never_panics(args in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5)) {
            let _ = parse(args.into_iter().map(OsString::from_vec));
        }
    }
}
