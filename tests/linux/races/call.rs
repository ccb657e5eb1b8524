//! A system call that a stopped thread enters, and its part in the network configuration.

use std::ffi::CStr;
use std::fmt;
use std::fs;
use std::io::IoSliceMut;
use std::path::{Path, PathBuf};

use nix::libc::{self, c_long};
use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC, statfs};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

/// Requests of `ioctl` (`include/uapi/linux/sockios.h` and `if_tun.h`).
const IOCTLS: [(u64, &str); 19] = [
    (SIOCGIFNAME, "SIOCGIFNAME"),
    (SIOCGIFINDEX, "SIOCGIFINDEX"),
    (0x8913, "SIOCGIFFLAGS"),
    (SIOCSIFFLAGS, "SIOCSIFFLAGS"),
    (0x8921, "SIOCGIFMTU"),
    (SIOCSIFMTU, "SIOCSIFMTU"),
    (SIOCSIFNAME, "SIOCSIFNAME"),
    (0x8927, "SIOCGIFHWADDR"),
    (SIOCSIFHWADDR, "SIOCSIFHWADDR"),
    (0x8940, "SIOCGIFBR"),
    (0x8946, "SIOCETHTOOL"),
    (SIOCBRADDBR, "SIOCBRADDBR"),
    (SIOCBRDELBR, "SIOCBRDELBR"),
    (SIOCBRADDIF, "SIOCBRADDIF"),
    (SIOCBRDELIF, "SIOCBRDELIF"),
    (SIOCDEVPRIVATE, "SIOCDEVPRIVATE"),
    (0x4004_54ca, "TUNSETIFF"),
    (0x4004_54cb, "TUNSETPERSIST"),
    (0x8004_54d2, "TUNGETIFF"),
];
const SIOCGIFNAME: u64 = 0x8910;
const SIOCGIFINDEX: u64 = 0x8933;
const SIOCSIFFLAGS: u64 = 0x8914;
const SIOCSIFMTU: u64 = 0x8922;
const SIOCSIFNAME: u64 = 0x8923;
const SIOCSIFHWADDR: u64 = 0x8924;
const SIOCBRADDBR: u64 = 0x89a0;
const SIOCBRDELBR: u64 = 0x89a1;
const SIOCBRADDIF: u64 = 0x89a2;
const SIOCBRDELIF: u64 = 0x89a3;
const SIOCDEVPRIVATE: u64 = 0x89f0;

/// Types of netlink messages (`include/uapi/linux/rtnetlink.h`).
const MESSAGES: [(u16, &str); 7] = [
    (libc::RTM_NEWLINK, "RTM_NEWLINK"),
    (libc::RTM_DELLINK, "RTM_DELLINK"),
    (libc::RTM_GETLINK, "RTM_GETLINK"),
    (libc::RTM_SETLINK, "RTM_SETLINK"),
    (libc::RTM_NEWNEIGH, "RTM_NEWNEIGH"),
    (libc::RTM_DELNEIGH, "RTM_DELNEIGH"),
    (libc::RTM_GETNEIGH, "RTM_GETNEIGH"),
];

/// The device of taps. A call on its descriptor is about the descriptor's own tap.
const TUN: &str = "/dev/net/tun";

/// A system call that a thread is about to make.
pub(super) struct Call {
    thread: Pid,
    number: c_long,
    arguments: [u64; 6],
}

impl Call {
    /// Returns the call that a thread is stopped in (`proc_pid_syscall(5)`).
    pub(super) fn of(thread: Pid) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{thread}/syscall")).ok()?;
        let mut words = text.split_ascii_whitespace();
        let number = words.next()?.parse().ok()?;
        let mut arguments = [0; 6];
        for argument in &mut arguments {
            *argument = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
        }
        Some(Self { thread, number, arguments })
    }

    /// Returns whether the call reads or changes the kernel's network configuration.
    pub(super) fn concerns_the_network(&self) -> bool {
        match self.number {
            libc::SYS_ioctl => self.is_on_tun() || (0x8900..0x8a00).contains(&self.request()),
            libc::SYS_sendto | libc::SYS_sendmsg | libc::SYS_recvfrom | libc::SYS_recvmsg => true,
            libc::SYS_setsockopt => {
                self.arguments[1..3] == [libc::SOL_SOCKET as u64, libc::SO_BINDTODEVICE as u64]
            }
            libc::SYS_read | libc::SYS_pread64 | libc::SYS_write | libc::SYS_pwrite64 => self.is_on_network_file(),
            libc::SYS_openat => self.is_relative() && self.is_on_network_file(),
            // Closing the last descriptor deletes a tap that is not persistent.
            libc::SYS_close => self.is_on_tun(),
            _ => false,
        }
    }

    /// Returns whether the call makes a bridge, by name.
    pub(super) fn makes_a_bridge(&self) -> bool {
        self.number == libc::SYS_ioctl && self.request() == SIOCBRADDBR
    }

    /// Returns whether the call reads the name of an index or the index of a name.
    pub(super) fn compares(&self) -> bool {
        self.number == libc::SYS_ioctl && matches!(self.request(), SIOCGIFNAME | SIOCGIFINDEX)
    }

    /// Returns whether the call changes an interface that it names.
    pub(super) fn changes_by_name(&self) -> bool {
        if self.number != libc::SYS_ioctl || self.is_on_tun() {
            return false;
        }
        match self.request() {
            SIOCSIFFLAGS | SIOCSIFMTU | SIOCSIFNAME | SIOCSIFHWADDR | SIOCBRDELBR | SIOCBRADDIF | SIOCBRDELIF => {
                true
            }
            // `BRCTL_SET_…` (`include/uapi/linux/if_bridge.h`).
            SIOCDEVPRIVATE => self.bridge_operation().is_some_and(|number| matches!(number, 8..=11 | 14..=17)),
            _ => false,
        }
    }

    /// Returns whether the call sends a request to netlink that the kernel answers before the call ends.
    pub(super) fn gets_an_answer(&self) -> bool {
        // `nlmsg_flags`.
        let flags = self.memory(self.arguments[1] + 6).map(u16::from_ne_bytes);
        let is_list = flags.is_none_or(|flags| i32::from(flags) & libc::NLM_F_DUMP == libc::NLM_F_DUMP);
        self.number == libc::SYS_sendto && !is_list
    }

    /// Returns whether the call receives an answer.
    pub(super) fn receives(&self) -> bool {
        matches!(self.number, libc::SYS_recvfrom | libc::SYS_recvmsg)
    }

    /// Returns whether the call opens or reads a file.
    pub(super) fn is_on_a_file(&self) -> bool {
        matches!(self.number, libc::SYS_openat | libc::SYS_read | libc::SYS_pread64)
    }

    fn request(&self) -> u64 {
        self.arguments[1] & 0xffff_ffff
    }

    /// Returns the first number of the array that the `ifreq` of `SIOCDEVPRIVATE` points to.
    fn bridge_operation(&self) -> Option<u64> {
        let numbers = self.word(self.arguments[2] + libc::IFNAMSIZ as u64)?;
        self.word(numbers)
    }

    fn word(&self, address: u64) -> Option<u64> {
        Some(u64::from_ne_bytes(self.memory(address)?))
    }

    fn memory<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        let base = usize::try_from(address).ok()?;
        let read =
            process_vm_readv(self.thread, &mut [IoSliceMut::new(&mut bytes)], &[RemoteIoVec { base, len: N }]);
        (read == Ok(N)).then_some(bytes)
    }

    /// Returns the link in /proc for the descriptor in the first argument.
    fn file(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", self.thread, self.arguments[0]))
    }

    fn target(&self) -> PathBuf {
        fs::read_link(self.file()).unwrap_or_default()
    }

    fn is_on_tun(&self) -> bool {
        self.target() == Path::new(TUN)
    }

    fn is_on_network_file(&self) -> bool {
        match statfs(&self.file()).map(|found| found.filesystem_type()) {
            Ok(SYSFS_MAGIC) => true,
            Ok(PROC_SUPER_MAGIC) => {
                let target = self.target();
                target.ends_with("net/dev") || target.starts_with("/proc/sys/net")
            }
            _ => false,
        }
    }

    /// Returns whether the path of an `openat` is relative to the descriptor.
    fn is_relative(&self) -> bool {
        self.memory::<1>(self.arguments[1]).is_some_and(|first| first != *b"/")
    }

    fn path(&self) -> Option<String> {
        // Byte by byte: the memory may end behind the path.
        let mut bytes = Vec::new();
        for offset in 0..64 {
            let [byte] = self.memory(self.arguments[1] + offset)?;
            bytes.push(byte);
            if byte == 0 {
                break;
            }
        }
        Some(CStr::from_bytes_until_nul(&bytes).ok()?.to_string_lossy().into_owned())
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target();
        match self.number {
            libc::SYS_ioctl => match IOCTLS.iter().find(|(request, _)| *request == self.request()) {
                Some((_, name)) => write!(f, "ioctl {name}")?,
                None => write!(f, "ioctl {:#x}", self.request())?,
            },
            libc::SYS_sendto => {
                let kind = self.memory(self.arguments[1] + 4).map_or(0, u16::from_ne_bytes);
                match MESSAGES.iter().find(|(other, _)| *other == kind) {
                    Some((_, name)) => write!(f, "sendto {name}")?,
                    None => write!(f, "sendto of a message of type {kind}")?,
                }
            }
            libc::SYS_openat => write!(f, "openat {}", self.path().unwrap_or_default())?,
            number => {
                let names = [
                    (libc::SYS_recvfrom, "recvfrom"),
                    (libc::SYS_recvmsg, "recvmsg"),
                    (libc::SYS_sendmsg, "sendmsg"),
                    (libc::SYS_setsockopt, "setsockopt SO_BINDTODEVICE"),
                    (libc::SYS_read, "read"),
                    (libc::SYS_pread64, "pread64"),
                    (libc::SYS_write, "write"),
                    (libc::SYS_pwrite64, "pwrite64"),
                    (libc::SYS_close, "close"),
                ];
                let name = names.iter().find(|(other, _)| *other == number).map_or("call", |(_, name)| name);
                write!(f, "{name}")?;
            }
        }
        if target.is_absolute() { write!(f, " on {}", target.display()) } else { Ok(()) }
    }
}
