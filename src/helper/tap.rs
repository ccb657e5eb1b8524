//! The guest's tap.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use vmbridge::{Backend, Bridges, Capability, Guest, InterfaceName, Tap, TapSpec, VnetHeader};

use crate::args::Frames;

/// Why there is no tap on the bridge.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no bridge {0}")]
    NoBridge(InterfaceName),
    /// By another name (`ip link property add altname`) one would get round a deny of its own.
    #[error("{0} is another name of bridge {1}, which must be called by its own")]
    OtherName(InterfaceName, InterfaceName),
    #[error(transparent)]
    Backend(#[from] vmbridge::Error),
}

/// Whether a bridge keeps its MAC whatever MAC a port has: 3 is `NET_ADDR_SET` (`addr_assign_type`). Without a sysfs
/// this is not known.
pub(crate) fn keeps_its_mac(bridge: InterfaceName) -> bool {
    let directory = Path::new("/sys/class/net").join(OsStr::from_bytes(bridge.as_bytes()));
    fs::read(directory.join("addr_assign_type")).is_ok_and(|text| text.trim_ascii() == b"3")
}

/// A tap on a bridge, up, which vanishes with its descriptor. It belongs to this user, so that nobody else can open it
/// should its descriptor make it persistent.
pub(crate) fn tap_on(
    bridges: &dyn Backend,
    bridge: InterfaceName,
    frames: Frames,
    user: u32,
) -> Result<Tap, Error> {
    let found = bridges.find(bridge)?.ok_or(Error::NoBridge(bridge))?;
    if found.name != bridge {
        return Err(Error::OtherName(bridge, found.name));
    }
    let mut spec = TapSpec::new();
    if frames == Frames::WithVnetHeader && bridges.implemented().contains(Capability::TapVnetHdr) {
        spec = spec.vnet_hdr(VnetHeader::Legacy);
    }
    spec.owner = bridges.implemented().contains(Capability::TapOwner).then_some(user);
    // QEMU does not tell the guest's MAC; any will do to make one of the host's side.
    let guest = Guest::new(vmbridge::unused_mac(bridges)?).tap(spec);
    Ok(vmbridge::plug(bridges, &found, &guest)?.tap)
}

#[cfg(test)]
mod tests {
    use vmbridge::model::Model;
    use vmbridge::{BridgeSpec, ErrorKind, LinkState};

    use super::*;

    const USER: u32 = 1000;

    fn name(text: &str) -> InterfaceName {
        text.parse().expect("a name")
    }

    fn host() -> Model {
        let host = Model::new();
        host.create(&BridgeSpec::new(name("br0")).mtu(1400)).expect("it can be made");
        host
    }

    #[test]
    fn makes_what_qemus_helper_makes() {
        for (frames, vnet_hdr) in [(Frames::Bare, false), (Frames::WithVnetHeader, true)] {
            let host = host();
            let tap = tap_on(&host, name("br0"), frames, USER).expect("it can be made");
            let [state] = &host.taps().expect("a list")[..] else { panic!("there is one tap") };
            assert_eq!((state.name, state.mtu, state.link), (tap.name(), 1400, LinkState::Up));
            assert_eq!(state.mac.bytes()[0], 0xfe);
            assert_eq!((state.persistent, state.multi_queue), (Some(false), Some(false)));
            assert_eq!((state.vnet_hdr, state.owner), (Some(vnet_hdr), Some(USER)));
            assert_eq!(host.ports(name("br0")).expect("a list")[0].name, tap.name());
            drop(tap);
            assert!(host.taps().expect("a list").is_empty());
        }
    }

    #[test]
    fn does_without_the_header_and_the_owner_where_there_are_none() {
        let lacking = [Capability::TapVnetHdr, Capability::TapOwner];
        let capabilities = host().capabilities().iter().filter(|one| !lacking.contains(one)).collect();
        let host = host().limited_to(capabilities);
        let _tap = tap_on(&host, name("br0"), Frames::WithVnetHeader, USER).expect("it can be made");
        let taps = host.taps().expect("a list");
        assert_eq!((taps[0].vnet_hdr, taps[0].owner), (Some(false), None));
    }

    #[test]
    fn leaves_nothing_where_there_is_no_bridge() {
        let host = host();
        let why = |bridge| tap_on(&host, name(bridge), Frames::Bare, USER).expect_err("it is no bridge");
        assert!(matches!(why("br1"), Error::NoBridge(_)));
        host.add_interface(name("eth0"), "52:54:00:00:00:01".parse().expect("a MAC")).expect("it can be made");
        assert!(matches!(why("eth0"), Error::Backend(error) if error.kind() == ErrorKind::NotABridge));
        host.set_privileged(false);
        assert!(matches!(why("br0"), Error::Backend(error) if error.kind() == ErrorKind::PermissionDenied));
        assert!(host.taps().expect("a list").is_empty());
    }
}
