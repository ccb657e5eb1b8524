//! Deleting a tap.

use std::os::fd::AsFd;

use super::queues::{FEATURES, reopen};
use super::{GONE, Interfaces, is_gone, when_closed};
use crate::error::{Attempt, CallResult};
use crate::linux::abi::tun::{IFF_MULTI_QUEUE, IFF_ONE_QUEUE};
use crate::linux::tun;
use crate::{ErrorKind, Identity, Outcome, Result};

/// Opens a tap and closes it, no longer persistent. So only the tap that was opened can be hit.
pub(super) fn delete(on: &impl Interfaces, at: Attempt, tap: Identity) -> Outcome {
    match when_closed(on, || delete_closed(on, at, tap).map_err(Outcome::Refused)) {
        Ok(()) => Outcome::DONE,
        Err(outcome) => outcome,
    }
}

fn delete_closed(on: &impl Interfaces, at: Attempt, tap: Identity) -> Result<()> {
    // The first process to open a tap with several queues sets its flags. So a flag without a meaning tells
    // whether another process has it open.
    let marked = |flags| if flags & IFF_MULTI_QUEUE == 0 { flags } else { flags ^ IFF_ONE_QUEUE };
    let (queue, asked) = reopen(on, at, tap, marked)?;
    let (name, flags) = tun::interface(queue.as_fd()).meaning(at, GONE)?;
    if flags & IFF_MULTI_QUEUE != 0 && flags & FEATURES != asked & FEATURES {
        return Err(at.error(ErrorKind::TapBusy));
    }
    tun::unpersist(queue.as_fd()).meaning(at, GONE)?;
    drop(queue);
    is_gone(on, at, || on.indexed(at, tap.index())).map_err(|error| match error.kind() {
        ErrorKind::TapBusy => error,
        kind => {
            at.error(kind).rolled_back(Err(error), format_args!("tap {name}, if another process has it open,"))
        }
    })
}
