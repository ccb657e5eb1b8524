//! Taps (tap(4), `net/if_tuntap.c`).
//!
//! `SIOCIFCREATE2` makes a tap together with its device, `/dev/tapN`. The device keeps its name
//! when the tap is renamed; the new name becomes a link to it, if nothing else in `/dev` has that.
//! Two things of the kernel's rule what is done here:
//!
//! - `SIOCIFDESTROY` of a tap that is open waits for whoever has it open, whom no signal to the
//!   caller hurries, and every other `SIOCIFDESTROY` of the host waits with it (seen). So a tap is
//!   destroyed only after its device could be opened, which one process at a time can.
//! - A closed tap goes down and loses its addresses, unless it has the flag `link0`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use libc::c_int;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::backend::{FreeBsdBackend, macs, still_there};
use super::driver::Driver;
use super::flags::Flags;
use super::sysctl;
use super::tuntap::{self, Closed};
use crate::error::{Attempt, CallResult, Meanings, unless};
use crate::ifreq::Control;
use crate::setting::{self, Setting};
use crate::{
    Capability, Error, ErrorKind, ExistingTap, Identity, InterfaceName, LinkState, MacAddr, Made, Outcome, Result,
    Seen, Tap, TapChange, TapSpec, TapState, Target, UnicastMac,
};

/// The `__FreeBSD_version` from which on a tap can be told to go when it is closed: 15.0's.
const TRANSIENT_TAPS: c_int = 1_500_068;

/// How often two networks are compared that may be one.
const NETWORK_LOOKS: usize = 16;

/// What a call for taps fails with on anything else.
const NOT_A_TAP: &Meanings = &[
    (Errno::ENOTTY, ErrorKind::NotATap),
    (Errno::EINVAL, ErrorKind::NotATap),
    (Errno::ENODEV, ErrorKind::NotATap),
    (Errno::EOPNOTSUPP, ErrorKind::NotATap),
];

/// What a call fails with that the kernel does not have.
const NO_SUCH_CALL: &Meanings = &[(Errno::ENOTTY, ErrorKind::Unsupported)];

impl FreeBsdBackend {
    /// Checks that the process is in the network where the handle works: of which driver an
    /// interface is, and so which device a tap has, the kernel tells by sysctl(3), and that for the
    /// network of the process. A jail does not tell which one it is, so both networks are looked at.
    pub(super) fn check_network(&self, at: Attempt) -> Result<()> {
        let here = Control::open().at(at)?;
        for _ in 0..NETWORK_LOOKS {
            // They differ as well if an interface comes or goes between the two.
            if self.macs(at)? == macs(at, &here)? {
                return Ok(());
            }
        }
        Err(at.with(Capability::Tap).error(ErrorKind::Unsupported))
    }

    /// What creating a tap is about: the tap that is adopted.
    pub(super) fn seen_for_tap(&self, at: Attempt, spec: &TapSpec) -> Result<Seen> {
        self.check_network(at)?;
        let Some(name) = spec.name else { return Ok(Seen::Nothing) };
        match (self.find_interface(at, name.into())?, spec.existing) {
            (None, _) => Ok(Seen::Nothing),
            (Some(_), ExistingTap::Refuse) => Err(self.name_taken(at, Driver::Tap, name)),
            (Some(_), ExistingTap::Adopt) => {
                let tap = unless(ErrorKind::NotFound, self.seen_tap_here(at, name.into(), spec.mac.is_some()))?;
                Ok(tap.map_or(Seen::Nothing, Seen::Tap))
            }
        }
    }

    /// What a change of a tap is about. A MAC costs a list of all interfaces: where the change has none, it is all
    /// zero. A change of nothing looks at everything.
    pub(super) fn seen_tap(&self, at: Attempt, tap: Target, change: &TapChange) -> Result<TapState> {
        self.check_network(at)?;
        // The kernel takes any.
        change.mac.map(UnicastMac::new).transpose().map_err(|_| at.error(ErrorKind::InvalidMac))?;
        self.seen_tap_here(at, tap, change.mac.is_some() || *change == TapChange::default())
    }

    /// A tap.
    pub(super) fn tap(&self, at: Attempt, tap: Target) -> Result<TapState> {
        self.check_network(at)?;
        self.seen_tap_here(at, tap, true)
    }

    /// A tap, whose MAC does not matter.
    pub(super) fn tap_without_mac(&self, at: Attempt, tap: Target) -> Result<TapState> {
        self.check_network(at)?;
        self.seen_tap_here(at, tap, false)
    }

    /// Makes a tap.
    pub(super) fn make_tap(&self, at: Attempt, spec: &TapSpec) -> Result<Outcome> {
        self.make(at, Driver::Tap, spec.name, |made| {
            let device = open(at, &device_path(made.name()))?;
            // If that fails, the device is closed, without which the tap could not be deleted.
            let tap = self.complete_tap(at, &device, made, spec)?;
            Ok(Made::Tap(Tap::new(tap, vec![device])))
        })
    }

    /// Gives a tap that was just made all that its spec says; its name last.
    fn complete_tap(&self, at: Attempt, device: &OwnedFd, made: Identity, spec: &TapSpec) -> Result<Identity> {
        self.check_device(at, device, made)?;
        if self.has_transient_taps() {
            // From here on nothing is left of it should the process die.
            tuntap::when_closed(device, Closed::Goes).meaning(at.with(Capability::TapTransient), NO_SUCH_CALL)?;
        }
        // `net.link.tap.up_on_open` may be 1.
        self.set_link(at, made, LinkState::Down)?;
        if let Some(mac) = spec.mac {
            self.fix_mac(at, made, mac)?;
        }
        if let Some(mtu) = spec.mtu {
            self.set(at, Driver::Tap, made, Setting::Mtu(mtu))?;
        }
        set_vnet_hdr(at, device, spec)?;
        self.rename(at, Driver::Tap, made, spec.name.unwrap_or(made.name()))
    }

    /// Opens a tap that is there, and sets what its spec says of it.
    pub(super) fn adopt(&self, at: Attempt, before: &TapState, spec: &TapSpec) -> Result<Outcome> {
        let device = self.open_tap(at, before)?;
        let change = TapChange { mac: spec.mac.map(Into::into), mtu: spec.mtu, ..TapChange::default() };
        let tap = before.identity();
        let adopt = || {
            self.check_device(at, &device, tap)?;
            // `net.link.tap.up_on_open` may be 1.
            self.set_link(at, tap, before.link)?;
            set_vnet_hdr(at, &device, spec)?;
            setting::of_tap(before, &change).into_iter().try_for_each(|one| self.set(at, Driver::Tap, tap, one))
        };
        Ok(match adopt() {
            Ok(()) => Outcome::Done(Made::Tap(Tap::new(tap, vec![device]))),
            // It is closed, and so it goes down.
            Err(error) => Outcome::unclear(error),
        })
    }

    /// Whether a tap can be told to go when it is closed.
    pub(super) fn has_transient_taps(&self) -> bool {
        self.version >= TRANSIENT_TAPS
    }

    pub(super) fn keep_tap(&self, at: Attempt, tap: &Tap) -> Result<()> {
        let device = tap.queues().first().ok_or_else(|| at.errno(Errno::ENXIO))?;
        self.set_flags(at, tap.identity(), Flags::kept_when_closed)?;
        if self.has_transient_taps() {
            tuntap::when_closed(device, Closed::Stays).meaning(at.with(Capability::TapTransient), NO_SUCH_CALL)?;
        }
        Ok(())
    }

    /// Takes over the device of a tap that another process has opened. A tap has one, and the kernel tells its name
    /// only: that the name is this tap's here is told by the number of the device.
    pub(super) fn adopt_device(&self, at: Attempt, devices: Vec<OwnedFd>) -> Result<Tap> {
        let [device] = <[OwnedFd; 1]>::try_from(devices)
            .map_err(|_| at.with(Capability::TapQueues).error(ErrorKind::InvalidOption))?;
        let name = tuntap::interface(&device).meaning(at, NOT_A_TAP)?;
        let name = name.ok_or_else(|| at.errno(Errno::ENXIO))?;
        let at = at.on(name);
        let tap = self.tap_without_mac(at, name.into())?;
        let failed = |error: io::Error| at.io(ErrorKind::Os, error);
        let device = File::from(device);
        let path = tap.device.as_deref().unwrap_or(Path::new(""));
        if device.metadata().map_err(failed)?.rdev() != fs::metadata(path).map_err(failed)?.rdev() {
            return Err(at.error(ErrorKind::NotFound));
        }
        let device = OwnedFd::from(device);
        self.check_device(at, &device, tap.identity())?;
        fcntl(&device, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).at(at)?;
        Ok(Tap::new(tap.identity(), vec![device]))
    }

    /// Deletes a tap, once its device could be opened: nobody else has it open then.
    ///
    /// Where closing does not destroy it, someone might open it in between, and destroying it would
    /// wait for them. The kernel has no call that does both.
    pub(super) fn remove_tap(&self, at: Attempt, tap: &TapState) -> Result<()> {
        let device = match self.open_tap(at, tap) {
            Ok(device) => Some(device),
            // Nobody has opened it: it is one that was just made.
            Err(error) if is_hidden(&error) && self.is_running(tap) == Ok(false) => None,
            Err(error) => return Err(error),
        };
        let checked = device.as_ref().map_or(Ok(()), |device| self.check_device(at, device, tap.identity()));
        if let Some(device) = device.as_ref().filter(|_| checked.is_ok() && self.has_transient_taps()) {
            // If it stays nevertheless, it is destroyed below.
            let _ = tuntap::when_closed(device, Closed::Goes);
        }
        drop(device);
        let destroy = || match self.verified(at, tap.identity()) {
            // From FreeBSD 15 on, closing has destroyed it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            verified => self.control.destroy(verified?).at(at),
        };
        // Between the two calls it may have been renamed, or have gone: the next try tells.
        let destroyed = checked.and_then(|()| destroy().or_else(|_| destroy()).or_else(|_| destroy()));
        // Closing has taken it down, and nothing takes back a deletion.
        destroyed.map_err(|error| match self.set_link(at, tap.identity(), tap.link) {
            Err(left) if left.kind() != ErrorKind::NotFound => {
                error.rolled_back(Err(left), format_args!("tap {}, which was {}", tap.name, tap.link))
            }
            _ => error.rolled_back(Ok(()), ""),
        })
    }

    /// All taps. The group `tap` would not do: anyone with root may add to it and take from it.
    pub(super) fn all_taps(&self, at: Attempt) -> Result<Vec<TapState>> {
        self.check_network(at)?;
        let all = self.macs(at)?.into_iter();
        let taps = all.map(|(name, mac)| self.tap_with(self.control.identity(name)?, mac));
        let mut taps: Vec<_> = still_there(at, taps)?.into_iter().flatten().collect();
        taps.sort_unstable_by_key(|tap| tap.index);
        Ok(taps)
    }

    /// A tap of the network of the process, which is that of the handle.
    fn seen_tap_here(&self, at: Attempt, tap: Target, wants_mac: bool) -> Result<TapState> {
        let find = || Ok([self.interface(at, tap)?.identity]);
        self.read(at, find, |[tap]| {
            let mac = if wants_mac { self.mac(at, tap.name())? } else { None };
            self.tap_with(tap, mac).at(at)?.ok_or_else(|| at.error(ErrorKind::NotATap))
        })
    }

    /// The state of an interface if it is a tap.
    fn tap_with(&self, tap: Identity, mac: Option<MacAddr>) -> nix::Result<Option<TapState>> {
        let Some(made) = sysctl::driver_name(tap.index())?.filter(|&made| Driver::Tap.is_name(made)) else {
            return Ok(None);
        };
        let name = tap.name();
        let (mtu, link) = (self.control.mtu(name)?, self.control.flags(name)?.link());
        let mut state = TapState::new(name, tap.index(), mac.unwrap_or(MacAddr::ZERO), mtu, link);
        state.incarnation = tap.incarnation();
        // Only whoever has it open is told whether it goes.
        state.persistent = (!self.has_transient_taps()).then_some(true);
        state.multi_queue = Some(false);
        state.device = Some(device_path(made));
        Ok(Some(state))
    }

    fn is_running(&self, tap: &TapState) -> nix::Result<bool> {
        self.control.flags(tap.name).map(Flags::is_running)
    }

    /// Opens the device of a tap that nobody has open. Opening the device of one that has gone would make another:
    /// directly before, it is there.
    fn open_tap(&self, at: Attempt, tap: &TapState) -> Result<OwnedFd> {
        let path = tap.device.as_deref().ok_or_else(|| at.errno(Errno::ENXIO))?;
        self.verified(at, tap.identity())?;
        open(at, path)
    }

    /// Checks that a device that was just opened is that of this interface.
    fn check_device(&self, at: Attempt, device: &OwnedFd, tap: Identity) -> Result<()> {
        let is_it = || {
            let name = tuntap::interface(device)?.ok_or(Errno::ENXIO)?;
            if self.control.identity(name)? == tap { Ok(()) } else { Err(Errno::ENXIO) }
        };
        // Between the two calls it may have been renamed.
        is_it().or_else(|_| is_it()).at(at)
    }
}

/// The device of the tap that was made by this name.
fn device_path(made: InterfaceName) -> PathBuf {
    Path::new("/dev").join(OsStr::from_bytes(made.as_bytes()))
}

/// Opens the device of a tap that was just seen to be there.
fn open(at: Attempt, path: &Path) -> Result<OwnedFd> {
    tuntap::open(path).map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EBUSY) => at.means(ErrorKind::TapBusy, Errno::EBUSY),
        Some(Errno::ENOENT) => {
            let text = format!("{} is not there: devfs.rules(5) of a jail may hide it", path.display());
            at.io(ErrorKind::Os, io::Error::new(io::ErrorKind::NotFound, text))
        }
        Some(errno) => at.errno(errno),
        None => at.io(ErrorKind::Os, error),
    })
}

/// Whether opening failed since the process's devfs does not show the device.
fn is_hidden(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::NotFound)
}

fn set_vnet_hdr(at: Attempt, device: &OwnedFd, spec: &TapSpec) -> Result<()> {
    let Some(header) = spec.vnet_hdr else { return Ok(()) };
    let at = at.with(Capability::TapVnetHdr);
    let size = c_int::try_from(header.size()).map_err(|_| at.errno(Errno::EINVAL))?;
    tuntap::set_vnet_hdr(device, size).meaning(at, NO_SUCH_CALL)
}
