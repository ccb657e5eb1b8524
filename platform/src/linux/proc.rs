//! What /proc/net says of a network namespace.
//!
//! `/proc/thread-self/net` is resolved when a file in it is opened, and the open file holds on
//! to the namespace (`seq_open_net()`, `fs/proc/proc_net.c`): a thread that moves elsewhere later
//! still reads the right one. sysfs, which shows the namespace it was mounted in, would not do.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::InterfaceName;

/// The netlink protocol of uevents (`NETLINK_KOBJECT_UEVENT`).
const UEVENT: &[u8] = b"15";
/// The group that the kernel sends its uevents to, as a bit of the mask.
const KERNEL_GROUP: u32 = 1;

/// The interfaces of one network namespace.
#[derive(Debug)]
pub(super) struct Interfaces(File);

impl Interfaces {
    /// Those of the calling thread's namespace.
    pub(super) fn open() -> io::Result<Self> {
        File::open("/proc/thread-self/net/dev").map(Self)
    }

    pub(super) fn names(&self) -> io::Result<Vec<InterfaceName>> {
        Ok(interface_names(&read(&self.0)?).collect())
    }
}

/// The netlink sockets of one network namespace.
#[derive(Debug)]
pub(super) struct NetlinkSockets(File);

impl NetlinkSockets {
    /// Those of the calling thread's namespace.
    pub(super) fn open() -> io::Result<Self> {
        File::open("/proc/thread-self/net/netlink").map(Self)
    }

    /// Whether anyone listens to the kernel's uevents, as udev does.
    pub(super) fn has_uevent_listener(&self) -> io::Result<bool> {
        Ok(lists_uevent_listener(&read(&self.0)?))
    }
}

/// All of a file, from its beginning, without moving an offset that other threads share.
fn read(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4096];
    let mut len = 0;
    loop {
        match file.read_at(&mut bytes[len..], len as u64) {
            Ok(0) => {
                bytes.truncate(len);
                return Ok(bytes);
            }
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if len == bytes.len() {
            bytes.resize(len.saturating_mul(2), 0);
        }
    }
}

/// The names in `/proc/net/dev`: two lines of headings, then `  name: numbers`.
fn interface_names(dev: &[u8]) -> impl Iterator<Item = InterfaceName> {
    dev.split(|&byte| byte == b'\n').skip(2).filter_map(|line| {
        let name = line.split(|&byte| byte == b':').next()?;
        InterfaceName::from_kernel(name.trim_ascii_start())
    })
}

/// Whether `/proc/net/netlink` (`netlink_native_seq_show()`) has a socket of protocol 15 (the
/// column `Eth`) in the kernel's group (`Groups`, in hexadecimal).
fn lists_uevent_listener(netlink: &[u8]) -> bool {
    let groups = |column| u32::from_str_radix(std::str::from_utf8(column).ok()?, 16).ok();
    netlink.split(|&byte| byte == b'\n').skip(1).any(|line| {
        let mut columns = line.split(u8::is_ascii_whitespace).filter(|column| !column.is_empty());
        columns.nth(1) == Some(UEVENT)
            && columns.nth(1).and_then(groups).is_some_and(|groups| groups & KERNEL_GROUP != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_names_and_nothing_else() {
        let dev = b"Inter-|   Receive  |  Transmit\n face |bytes packets|bytes packets\n    lo:  96  1\n\
            vmb0123456789a: 0 0\nbr-\xff: 1 1\n";
        let names: Vec<String> = interface_names(dev).map(|name| name.to_string()).collect();
        assert_eq!(names, ["lo", "vmb0123456789a", r"br-\xff"]);
    }

    #[test]
    fn tells_udev_from_other_netlink_sockets() {
        let head = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n";
        let with = |lines: &str| lists_uevent_listener(format!("{head}{lines}").as_bytes());
        assert!(!with("0000000000000000 15  0          00000000 0        0        0     2        0        12\n"));
        assert!(!with("0000000000000000 15  4711       00000002 0        0        0     2        0        12\n"));
        assert!(!with("0000000000000000 0   4711       00000001 0        0        0     2        0        12\n"));
        assert!(with("0000000000000000 15  1          00000001 0        0        0     2        0        12\n"));
        assert!(!with("nonsense\n\n15\n"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = (interface_names(&bytes).count(), lists_uevent_listener(&bytes));
        }

        #[test]
        fn no_columns_panic(columns in prop::collection::vec("[0-9a-f:]{0,12}", 0..24), width in 1_usize..8) {
            let lines: Vec<_> = columns.chunks(width).map(|line| line.join(" ")).collect();
            let bytes = lines.join("\n").into_bytes();
            let _ = (interface_names(&bytes).count(), lists_uevent_listener(&bytes));
        }
    }
}
