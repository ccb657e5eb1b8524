//! The forwarding database through `BRCTL_GET_FDB_ENTRIES` (`br_fdb_fillbuf()` in
//! `net/bridge/br_fdb.c`).
//!
//! It tells no VLANs and none of the bridge's own entries. Only their age tells static entries from learned
//! ones: a static entry's is always 0, a learned one's only until 10 ms after a frame.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bridge_ioctl::FDB_CHUNK;
use super::{IoctlBackend, still_there};
use crate::error::{Attempt, CallResult};
use crate::{ErrorKind, FdbEntry, FdbOrigin, Identity, MacAddr, Result};

/// How often a list is read that is too long for one call, until two readings agree.
const READINGS: usize = 32;
/// The time between two readings; a learned entry that hears nothing has an age after it.
const PAUSE: Duration = Duration::from_millis(30);

/// Port number and MAC, and of each whether it is local and its age in 1/100 s.
type Reading = BTreeMap<(u16, [u8; 6]), (bool, u32)>;

impl IoctlBackend {
    /// The FDB of an interface that is known to be a bridge.
    pub(super) fn read_fdb(&self, at: Attempt, bridge: Identity) -> Result<Vec<FdbEntry>> {
        let read = || self.fdb_reading(bridge).at(at);
        let (mut before, mut is_whole) = read()?;
        for _ in 0..READINGS {
            let is_clear = before.values().all(|&(is_local, age)| is_local || age > 0);
            if is_whole && is_clear {
                return self.fdb_entries(bridge, &before, &before).at(at);
            }
            std::thread::sleep(PAUSE);
            let (now, is_whole_now) = read()?;
            if is_whole_now || before.keys().eq(now.keys()) {
                return self.fdb_entries(bridge, &now, &before).at(at);
            }
            (before, is_whole) = (now, is_whole_now);
        }
        Err(at.error(ErrorKind::ListChanged))
    }

    /// All entries, and whether they are of one moment: they came in one call.
    fn fdb_reading(&self, bridge: Identity) -> nix::Result<(Reading, bool)> {
        let mut reading = Reading::new();
        let mut from = 0;
        loop {
            let entries = self.control.read(bridge, |name| self.control.fdb_entries(name, from))?;
            for entry in &entries {
                let port = u16::from_le_bytes([entry.port_no, entry.port_hi]);
                // One for each VLAN: the youngest counts.
                let value = (entry.is_local != 0, entry.ageing_timer_value);
                let known = reading.entry((port, entry.mac_addr)).or_insert(value);
                *known = (known.0 && value.0, known.1.min(value.1));
            }
            from += entries.len();
            if entries.len() < FDB_CHUNK {
                return Ok((reading, from < FDB_CHUNK));
            }
        }
    }

    fn fdb_entries(&self, bridge: Identity, now: &Reading, before: &Reading) -> nix::Result<Vec<FdbEntry>> {
        let ports = self.fdb_ports(bridge)?;
        let mut entries: Vec<_> = now
            .iter()
            .filter_map(|(&(number, mac), &(is_local, age))| {
                // A port that left took its entries along.
                let port = ports.get(&number)?;
                let has_no_age = age == 0 && before.get(&(number, mac)).is_some_and(|&(_, age)| age == 0);
                let (origin, age) = match (is_local, has_no_age) {
                    (true, _) => (FdbOrigin::Local, None),
                    (false, true) => (FdbOrigin::Static, None),
                    (false, false) => (FdbOrigin::Learned, Some(Duration::from_millis(u64::from(age) * 10))),
                };
                Some((port.index(), FdbEntry { age, ..FdbEntry::new(MacAddr::new(mac), *port, None, origin) }))
            })
            .collect();
        entries.sort_by_key(|(index, entry)| (*index, entry.mac));
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    fn fdb_ports(&self, bridge: Identity) -> nix::Result<BTreeMap<u16, Identity>> {
        let ports = self.control.read(bridge, |name| self.control.numbered_ports(name))?;
        let ports = ports.into_iter().map(|(number, index)| Ok((number, self.current(index)?)));
        Ok(still_there(ports)?.into_iter().collect())
    }
}
