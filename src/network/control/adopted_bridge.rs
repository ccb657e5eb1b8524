//! Adopted bridges, when their networks are stopped.

/// What stopping a network does with a bridge that vmbridge adopted, or that no record says anything of.
///
/// If someone deletes an adopted bridge and a [`NetworkWatcher`](crate::network::NetworkWatcher) creates it again, it
/// still counts as adopted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdoptedBridge {
    /// Leaves it to its owner.
    #[default]
    Leave,
    /// Deletes it.
    Delete,
}
