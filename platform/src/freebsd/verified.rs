//! Which interface a name means, compared directly before each call that changes one.
//!
//! The kernel's calls take names, and a name may be another interface's by now. So an operation knows its
//! interfaces by their identities, and a call that changes one takes a [`Verified`] name: one that had the
//! identity a moment ago.
//!
//! Two things are left:
//! - A rename between the comparison and the call is not seen. Of a bridge and its port, the port is compared
//!   first: there the bridge's comparison, two calls, is between as well.
//! - The kernel gives a new interface the lowest free index, and tells the time of its attachment in seconds.
//!   Within one second, an interface may go and another may come with its index, and so with its identity. As a
//!   bridge, only another bridge is taken for it.

use crate::ifreq::IfReq;
use crate::{Identity, InterfaceName};

/// The name of an interface, compared with its identity directly before. A call that changes the interface
/// takes it away, so that there is a comparison for each call.
#[derive(Debug)]
pub(super) struct Verified(InterfaceName);

impl Verified {
    /// Returns the name if the interface that has it now is the one that is meant.
    pub(super) fn compare(meant: Identity, now: Identity) -> Option<Self> {
        (meant == now).then(|| Self(now.name()))
    }

    pub(super) const fn name(&self) -> InterfaceName {
        self.0
    }

    pub(super) const fn into_name(self) -> InterfaceName {
        self.0
    }

    pub(super) fn into_request(self) -> IfReq {
        IfReq::on(self.0)
    }
}

/// A bridge and an interface that is or becomes its port, both compared: the port first.
#[derive(Debug)]
pub(super) struct VerifiedPort {
    pub(super) bridge: Verified,
    pub(super) port: Verified,
}
