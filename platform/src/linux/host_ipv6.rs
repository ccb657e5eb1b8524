//! What the host itself does in IPv6 on a bridge: the files of `/proc/sys/net/ipv6/conf/NAME`.
//!
//! No netlink attribute sets `accept_ra`, `autoconf` or `disable_ipv6`. Read in `net/ipv6/addrconf.c` and
//! `fs/proc/proc_sysctl.c`, and seen on 6.18:
//!
//! - The path is that of the calling thread's network namespace. An open directory stays that of its namespace.
//! - Renaming an interface makes another directory. Files of the former one are gone (`ENOENT`), whoever has the name
//!   by then; the interface keeps its settings.
//! - An interface with an MTU below 1280 has no IPv6, and no directory. It gets a new one, with the defaults.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;

use super::convert::errno;
use super::namespace::Namespace;
use crate::error::{Attempt, CallResult, Meanings};
use crate::ifreq::{Call, Control, IfReq};
use crate::retry::retry;
use crate::{Capability, ErrorKind, HostIpv6, Identity, InterfaceIndex, InterfaceName, Result};

const CONF: &str = "/proc/sys/net/ipv6/conf";
/// The directory in it that new interfaces have their settings from.
const DEFAULT: &str = "default";
/// `IPV6_MIN_MTU`.
const MIN_MTU: u32 = 1280;
/// How often it is tried for a bridge that is being renamed, whose directory comes some milliseconds after its name.
const TRIES: usize = 200;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(1);

/// The settings of all interfaces of a backend's namespace, opened when they are first needed.
#[derive(Debug, Default)]
pub(super) struct HostIpv6Files(OnceLock<Conf>);

#[derive(Debug)]
struct Conf {
    control: Control,
    directory: OwnedFd,
}

/// The settings of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) accept_ra: i32,
    pub(super) autoconf: i32,
    pub(super) disable_ipv6: i32,
}

impl Settings {
    const FILES: [&str; 3] = ["accept_ra", "autoconf", "disable_ipv6"];

    const fn values(self) -> [i32; 3] {
        [self.accept_ra, self.autoconf, self.disable_ipv6]
    }

    fn read(directory: &OwnedFd) -> nix::Result<Self> {
        let value = |file| read_value(&open_file(directory, file, OFlag::O_RDONLY)?);
        let [accept_ra, autoconf, disable_ipv6] = Self::FILES.map(value);
        Ok(Self { accept_ra: accept_ra?, autoconf: autoconf?, disable_ipv6: disable_ipv6? })
    }

    /// What these settings become. `manual` enables no IPv6 that the defaults disable.
    fn with(self, to: HostIpv6, defaults: impl FnOnce() -> nix::Result<Self>) -> nix::Result<Self> {
        let off = Self { accept_ra: 0, autoconf: 0, ..self };
        Ok(match to {
            HostIpv6::Kernel => defaults()?,
            HostIpv6::Manual if self.disable_ipv6 == 0 => off,
            HostIpv6::Manual => Self { disable_ipv6: defaults()?.disable_ipv6, ..off },
            HostIpv6::Disabled => Self { disable_ipv6: 1, ..off },
        })
    }

    pub(super) const fn meaning(self) -> HostIpv6 {
        match self {
            Self { disable_ipv6: 1.., .. } => HostIpv6::Disabled,
            Self { accept_ra: 0, autoconf: 0, .. } => HostIpv6::Manual,
            _ => HostIpv6::Kernel,
        }
    }
}

/// What setting them fails with: `/proc/sys` is read-only, as in many containers, or missing.
const REFUSED: &Meanings = &[(Errno::EROFS, ErrorKind::Unsupported), (Errno::ENOENT, ErrorKind::Unsupported)];

impl HostIpv6Files {
    /// Those of the calling thread's namespace, which is this one.
    pub(super) fn new(namespace: &Namespace) -> Self {
        let files = Self::default();
        // Where it could not be found again, now is the time.
        if !namespace.is_known() {
            if let Ok(Some(conf)) = Conf::open() {
                let _ = files.0.set(conf);
            }
        }
        files
    }

    /// Sets what the host does on a bridge, all of it or nothing. A bridge without IPv6 has nothing to set.
    pub(super) fn set(&self, at: Attempt, namespace: &Namespace, bridge: Identity, to: HostIpv6) -> Result<()> {
        let at = at.with(Capability::HostIpv6);
        let mut left = None;
        let mut set = || {
            let Some(conf) = self.conf(namespace)? else { return Ok(()) };
            conf.on(bridge, |directory| {
                let now = Settings::read(directory)?;
                write(directory, now, now.with(to, || Settings::read(&conf.of(DEFAULT)?))?, &mut left)
            })
        };
        set().meaning(at, REFUSED).map_err(|error| match left {
            Some(errno) => error.rolled_back(Err(at.errno(errno)), format_args!("a part of host-ipv6 {to}")),
            None => error,
        })
    }

    /// Returns what the host does on the bridge of this name; `None` without IPv6, and where `/proc/sys` cannot be
    /// opened: the rest of the bridge is to be read all the same.
    pub(super) fn get(&self, namespace: &Namespace, name: InterfaceName) -> nix::Result<Option<HostIpv6>> {
        let Ok(Some(conf)) = self.conf(namespace) else { return Ok(None) };
        let settings = conf.of(name.as_bytes()).and_then(|directory| Settings::read(&directory));
        Ok(settings.unless(Errno::ENOENT)?.map(Settings::meaning))
    }

    /// `None` if the kernel has no IPv6; `ENOENT` without `/proc/sys`.
    fn conf(&self, namespace: &Namespace) -> nix::Result<Option<&Conf>> {
        if let Some(conf) = self.0.get() {
            return Ok(Some(conf));
        }
        // The module may be loaded later.
        let Some(conf) = namespace.run(Conf::open)?? else { return Ok(None) };
        Ok(Some(self.0.get_or_init(|| conf)))
    }
}

impl Conf {
    fn open() -> nix::Result<Option<Self>> {
        let directory =
            |path: &Path| open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
        let conf = Path::new(CONF);
        match directory(conf) {
            Ok(directory) => Ok(Some(Self { control: Control::open()?, directory })),
            // That it is not there says something only where the rest of /proc/sys is.
            Err(Errno::ENOENT) => {
                conf.ancestors().nth(2).map_or(Ok(()), |net| directory(net).map(drop)).map(|()| None)
            }
            Err(errno) => Err(errno),
        }
    }

    fn of<P: ?Sized + NixPath>(&self, name: &P) -> nix::Result<OwnedFd> {
        open_in(&self.directory, name, OFlag::O_PATH | OFlag::O_DIRECTORY)
    }

    /// Does something in the directory of a bridge, unless the bridge has none.
    ///
    /// Its index is compared with the name when the directory is open. If the directory was another interface's, that
    /// has lost the name before, and nothing in the directory can be opened any more.
    ///
    /// `ENODEV` if the bridge has left, `EBUSY` if it is renamed all the time.
    fn on(&self, bridge: Identity, mut act: impl FnMut(&OwnedFd) -> nix::Result<()>) -> nix::Result<()> {
        let mut name = bridge.name();
        for _ in 0..TRIES {
            let directory = self.of(name.as_bytes());
            let now = self.name(bridge.index())?;
            if now != name {
                name = now;
                continue;
            }
            match directory.and_then(|directory| act(&directory)) {
                Err(Errno::ENOENT) if self.control.mtu(name)? < MIN_MTU => return Ok(()),
                // It was renamed, or is being renamed.
                Err(Errno::ENOENT) => thread::sleep(PAUSE),
                outcome => return outcome,
            }
        }
        Err(Errno::EBUSY)
    }

    fn name(&self, index: InterfaceIndex) -> nix::Result<InterfaceName> {
        self.control.call(Call::GET_NAME, IfReq::empty().with_index(index))?.name().ok_or(Errno::ENODEV)
    }
}

/// Writes what is not like that already. What was written before a failure is written back; if that fails, too, the
/// settings are `left` as they are.
fn write(directory: &OwnedFd, now: Settings, wanted: Settings, left: &mut Option<Errno>) -> nix::Result<()> {
    let changes = Settings::FILES.into_iter().zip(now.values()).zip(wanted.values());
    let changes: Vec<_> = changes.filter(|((_, now), wanted)| now != wanted).collect();
    for (done, &((file, _), wanted)) in changes.iter().enumerate() {
        if let Err(errno) = write_value(directory, file, wanted) {
            let mut back = changes[..done].iter().map(|&((file, former), _)| write_value(directory, file, former));
            // With the files, the name is gone, or the bridge.
            *left = back.find_map(nix::Result::err).filter(|&errno| errno != Errno::ENOENT);
            return Err(errno);
        }
    }
    Ok(())
}

fn write_value(directory: &OwnedFd, file: &str, value: i32) -> nix::Result<()> {
    let file = open_file(directory, file, OFlag::O_WRONLY)?;
    // In one call: what is written is one value.
    retry(|| file.write_at(value.to_string().as_bytes(), 0).map_err(|error| errno(&error))).map(drop)
}

fn read_value(file: &File) -> nix::Result<i32> {
    let mut bytes = [0; 16];
    let len = retry(|| file.read_at(&mut bytes, 0).map_err(|error| errno(&error)))?;
    let text = std::str::from_utf8(&bytes[..len]).map_err(|_| Errno::EBADMSG)?;
    text.trim_end().parse().map_err(|_| Errno::EBADMSG)
}

fn open_file(directory: &OwnedFd, file: &str, flags: OFlag) -> nix::Result<File> {
    open_in(directory, file, flags).map(File::from)
}

fn open_in<P: ?Sized + NixPath>(directory: &OwnedFd, path: &P, flags: OFlag) -> nix::Result<OwnedFd> {
    retry(|| openat(directory.as_fd(), path, flags | OFlag::O_CLOEXEC, Mode::empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meaning_of_settings() {
        for accept_ra in 0..=2 {
            for autoconf in 0..=1 {
                for disable_ipv6 in 0..=1 {
                    let defaults = Settings { accept_ra, autoconf, disable_ipv6 };
                    for to in [HostIpv6::Kernel, HostIpv6::Manual, HostIpv6::Disabled] {
                        // From the defaults, and from no IPv6: the host does no more than it may, by either.
                        for from in [defaults, Settings { disable_ipv6: 1, ..defaults }] {
                            let set = from.with(to, || Ok(defaults)).expect("they are known");
                            assert!(set.meaning() >= to.max(defaults.meaning()), "{from:?} to {to}: {set:?}");
                        }
                    }
                }
            }
        }
    }
}
