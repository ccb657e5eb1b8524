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
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libc::c_int;
use nix::errno::Errno;

use super::bridge::{FreeBsdBackend, macs, mtu_error, still_there};
use super::control::Control;
use super::driver::Driver;
use super::sysctl;
use super::tuntap::{self, Closed};
use crate::change::{self, Step};
use crate::error::Attempt;
use crate::{
    Capability, Error, ErrorKind, ExistingTap, InterfaceIndex, InterfaceName, LinkState, MacAddr, Result, Tap,
    TapChange, TapSpec, TapState, Undo, UnicastMac,
};

/// The `__FreeBSD_version` from which on a tap can be told to go when it is closed: 15.0's.
const TRANSIENT_TAPS: c_int = 1_500_068;

/// The bytes of a `struct virtio_net_hdr` without `num_buffers`, which is what Linux begins with, too.
const VIRTIO_NET_HDR: c_int = 10;

/// How often two networks are compared that may be one.
const NETWORK_LOOKS: usize = 16;

impl FreeBsdBackend {
    /// Checks that the process is in the network where the handle works: of which driver an
    /// interface is, and so which device a tap has, the kernel tells by sysctl(3), and that for the
    /// network of the process. A jail does not tell which one it is, so both networks are looked at.
    pub(super) fn check_network(&self, at: Attempt) -> Result<()> {
        let here = Control::open().map_err(|errno| at.errno(errno))?;
        for _ in 0..NETWORK_LOOKS {
            // They differ as well if an interface comes or goes between the two.
            if self.macs(at)? == macs(at, &here)? {
                return Ok(());
            }
        }
        Err(at.with(Capability::Tap).error(ErrorKind::Unsupported))
    }

    pub(super) fn new_tap(&self, at: Attempt, spec: &TapSpec) -> Result<Tap> {
        match (spec.name, spec.existing) {
            (Some(name), ExistingTap::Adopt) if self.control.index(name) != Err(Errno::ENXIO) => {
                self.adopt(at, name, spec)
            }
            (Some(name), _) => {
                self.check_free(at, Driver::Tap, name)?;
                self.make_tap(at, spec)
            }
            (None, _) => self.make_tap(at, spec),
        }
    }

    /// Makes a tap that is all that its spec says, or none.
    fn make_tap(&self, at: Attempt, spec: &TapSpec) -> Result<Tap> {
        let made = self.make_bare(at, Driver::Tap, spec.name)?;
        let device = match open(at, &device_path(made.name)) {
            Ok(device) => device,
            // Destroying it would have to wait for whoever was faster.
            Err(error) if error.kind() == ErrorKind::TapBusy => {
                return Err(error.undone(Err(at.error(ErrorKind::TapBusy)), format_args!("tap {}", made.name)));
            }
            Err(error) => return Err(self.unmade(at, Driver::Tap, &made, error)),
        };
        match self.complete_tap(at, &device, (made.name, made.index), spec) {
            Ok(name) => Ok(Tap::new(name, made.index, vec![device])),
            Err(error) => {
                let name = tuntap::interface(&device).ok().flatten().unwrap_or(made.name);
                let outcome = self.close_and_destroy(at, (name, made.index), device);
                Err(error.undone(outcome, format_args!("tap {name}")))
            }
        }
    }

    /// Whether an interface is a tap that is down and a port of no bridge.
    pub(super) fn is_idle_tap(&self, at: Attempt, name: InterfaceName) -> bool {
        self.tap(at, name).is_ok_and(|tap| tap.link == LinkState::Down)
            && self.is_port_elsewhere(at, name, name).is_ok_and(|is_port| !is_port)
    }

    /// Gives a tap that was just made all that its spec says; its name last.
    fn complete_tap(
        &self,
        at: Attempt,
        device: &OwnedFd,
        (made, index): (InterfaceName, InterfaceIndex),
        spec: &TapSpec,
    ) -> Result<InterfaceName> {
        self.check_device(at, device, (made, index))?;
        if self.has_transient_taps() {
            // From here on nothing is left of it should the process die.
            tuntap::when_closed(device, Closed::Goes).map_err(|errno| transient_error(at, errno))?;
        }
        // `net.link.tap.up_on_open` may be 1.
        self.put_link(made, LinkState::Down).map_err(|errno| at.errno(errno))?;
        if let Some(mac) = spec.mac {
            self.fix_mac(at, made, mac)?;
        }
        if let Some(mtu) = spec.mtu {
            self.control.set_mtu(made, mtu).map_err(|errno| mtu_error(at, errno))?;
        }
        set_vnet_hdr(at, device, spec)?;
        let Some(name) = spec.name.filter(|&name| name != made) else { return Ok(made) };
        self.control.rename(made, name).map_err(|errno| match errno {
            Errno::EEXIST => self.name_taken(at, Driver::Tap, name),
            errno => at.errno(errno),
        })?;
        Ok(name)
    }

    /// Opens a tap that is there, and sets what its spec says of it.
    fn adopt(&self, at: Attempt, name: InterfaceName, spec: &TapSpec) -> Result<Tap> {
        let before = self.tap(at, name)?;
        let change = TapChange { mac: spec.mac.map(Into::into), mtu: spec.mtu, link: None };
        let device = self.open_and(at, &before, |device| {
            // The header goes when it is closed, and needs no undoing.
            set_vnet_hdr(at, device, spec)?;
            self.set_tap(at, &before, &change)
        })?;
        Ok(Tap::new(name, before.index, vec![device]))
    }

    /// Whether a tap can be told to go when it is closed.
    pub(super) fn has_transient_taps(&self) -> bool {
        self.version >= TRANSIENT_TAPS
    }

    pub(super) fn keep_tap(&self, at: Attempt, tap: &Tap) -> Result<()> {
        let device = tap.queues().first().ok_or_else(|| at.errno(Errno::ENXIO))?;
        // It may have been renamed.
        let name = tuntap::interface(device).map_err(|errno| at.errno(errno))?.unwrap_or(tap.name());
        self.control.keep_link_when_closed(name).map_err(|errno| at.errno(errno))?;
        if self.has_transient_taps() {
            tuntap::when_closed(device, Closed::Stays).map_err(|errno| transient_error(at, errno))?;
        }
        Ok(())
    }

    pub(super) fn alter_tap(&self, at: Attempt, tap: InterfaceName, change: &TapChange) -> Result<()> {
        let before = self.tap(at, tap)?;
        self.set_tap(at, &before, change)
    }

    fn set_tap(&self, at: Attempt, before: &TapState, change: &TapChange) -> Result<()> {
        let name = before.name;
        // The kernel takes any.
        change.mac.map(UnicastMac::new).transpose().map_err(|_| at.error(ErrorKind::InvalidMac))?;
        let set = |step| match step {
            Step::Mtu(mtu) => self.control.set_mtu(name, mtu).map_err(|errno| mtu_error(at, errno)),
            Step::Mac(mac) => self.control.set_mac(name, mac).map_err(|errno| at.errno(errno)),
            Step::Link(link) => self.control.set_link(name, link).map_err(|errno| at.errno(errno)),
            Step::Option(_) => Ok(()),
        };
        change::apply_to_tap(before, change, set, || self.tap(at, name))
    }

    pub(super) fn remove_tap(&self, at: Attempt, tap: InterfaceName) -> Result<()> {
        let before = self.tap(at, tap)?;
        let device = self.open_and(at, &before, |_| Ok(()))?;
        let outcome = self.close_and_destroy(at, (tap, before.index), device);
        outcome.map_err(|error| self.with_link_restored(at, &before, error))
    }

    /// All taps. The group `tap` would not do: anyone with root may add to it and take from it.
    pub(super) fn all_taps(&self, at: Attempt) -> Result<Vec<TapState>> {
        let all = self.macs(at)?.into_iter();
        let mut taps: Vec<_> = still_there(at, all.map(|(name, mac)| self.tap_with(name, mac)))?;
        taps.sort_unstable_by_key(|tap| tap.as_ref().map(|tap| tap.index));
        Ok(taps.into_iter().flatten().collect())
    }

    /// The tap of this name.
    fn tap(&self, at: Attempt, name: InterfaceName) -> Result<TapState> {
        let mac = *self.macs(at)?.get(&name).ok_or_else(|| at.errno(Errno::ENXIO))?;
        let tap = self.tap_with(name, mac).map_err(|errno| at.errno(errno))?;
        tap.ok_or_else(|| at.error(ErrorKind::NotATap))
    }

    fn tap_with(&self, name: InterfaceName, mac: Option<MacAddr>) -> nix::Result<Option<TapState>> {
        let index = self.control.index(name)?;
        let Some(made) = sysctl::driver_name(index)?.filter(|&made| Driver::Tap.is_name(made)) else {
            return Ok(None);
        };
        let (mac, mtu) = (mac.unwrap_or(MacAddr::ZERO), self.control.mtu(name)?);
        let mut state = TapState::new(name, index, mac, mtu, self.control.link(name)?);
        // Only whoever has it open is told whether it goes.
        state.persistent = (!self.has_transient_taps()).then_some(true);
        state.multi_queue = Some(false);
        state.device = Some(device_path(made));
        Ok(Some(state))
    }

    /// Opens a tap that nobody has open, does something to it, and closes it if that fails. Up or
    /// down, it is what it was before.
    fn open_and(&self, at: Attempt, tap: &TapState, act: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<OwnedFd> {
        let path = tap.device.as_deref().ok_or_else(|| at.errno(Errno::ENXIO))?;
        let device = open(at, path)?;
        let acted = self
            .check_device(at, &device, (tap.name, tap.index))
            // `net.link.tap.up_on_open` may be 1.
            .and_then(|()| self.put_link(tap.name, tap.link).map_err(|errno| at.errno(errno)))
            .and_then(|()| act(&device));
        acted.map(|()| device).map_err(|error| self.with_link_restored(at, tap, error))
    }

    /// Checks that a device that was just opened is that of this interface: had that gone meanwhile,
    /// opening would have made another.
    fn check_device(
        &self,
        at: Attempt,
        device: &OwnedFd,
        (name, index): (InterfaceName, InterfaceIndex),
    ) -> Result<()> {
        let found = tuntap::interface(device).map_err(|errno| at.errno(errno))?;
        let is_it = found == Some(name) && self.control.index(name) == Ok(index);
        if is_it { Ok(()) } else { Err(at.errno(Errno::ENXIO)) }
    }

    /// Closes a tap that is open, and sees that it goes.
    ///
    /// Where closing does not destroy it, someone might open it in between, and destroying it would
    /// wait for them. The kernel has no call that does both.
    fn close_and_destroy(
        &self,
        at: Attempt,
        (name, index): (InterfaceName, InterfaceIndex),
        device: OwnedFd,
    ) -> Result<()> {
        if self.has_transient_taps() {
            // If it stays nevertheless, it is destroyed below.
            let _ = tuntap::when_closed(&device, Closed::Goes);
        }
        drop(device);
        let destroyed = match self.control.index(name) {
            Ok(found) if found == index => self.control.destroy(name),
            Ok(_) => Ok(()),
            Err(errno) => Err(errno),
        };
        match destroyed {
            Err(Errno::ENXIO) => Ok(()),
            outcome => outcome.map_err(|errno| at.errno(errno)),
        }
    }

    /// An error after which a tap that was closed is up again, if it was.
    fn with_link_restored(&self, at: Attempt, before: &TapState, error: Error) -> Error {
        let restored = match self.control.index(before.name) {
            Ok(index) if index == before.index => self.put_link(before.name, before.link),
            Err(Errno::ENXIO) | Ok(_) => Ok(()),
            Err(errno) => Err(errno),
        };
        match (error.undo(), restored) {
            (Undo::Failed { .. }, _) => error,
            (_, outcome) => {
                let left = format_args!("tap {}, which was {}", before.name, before.link);
                error.undone(outcome.map_err(|errno| at.errno(errno)), left)
            }
        }
    }

    fn put_link(&self, tap: InterfaceName, link: LinkState) -> nix::Result<()> {
        if self.control.link(tap)? == link { Ok(()) } else { self.control.set_link(tap, link) }
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

fn set_vnet_hdr(at: Attempt, device: &OwnedFd, spec: &TapSpec) -> Result<()> {
    if !spec.vnet_hdr {
        return Ok(());
    }
    let at = at.with(Capability::TapVnetHdr);
    tuntap::set_vnet_hdr(device, VIRTIO_NET_HDR).map_err(|errno| match errno {
        Errno::ENOTTY => at.means(ErrorKind::Unsupported, errno),
        errno => at.errno(errno),
    })
}

fn transient_error(at: Attempt, errno: Errno) -> Error {
    let at = at.with(Capability::TapTransient);
    match errno {
        Errno::ENOTTY => at.means(ErrorKind::Unsupported, errno),
        errno => at.errno(errno),
    }
}
