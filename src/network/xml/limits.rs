//! Limits of documents, and the namespace of what vmbridge adds to them.

pub(super) const MAX_LEN: usize = 1 << 20;
/// libvirt's own elements are five deep; what is in metadata may be deeper.
pub(super) const MAX_DEPTH: usize = 64;
/// libvirt's own elements have fewer than ten. With the depth this bounds the namespaces that there
/// are at once.
pub(super) const MAX_ATTRIBUTES: usize = 64;

/// The namespace of what vmbridge adds to a network's metadata, which libvirt carries through. There,
/// `bridge` has as attributes `anchor` (`tap` or `none`) and the options of the bridge by their names
/// ([`OptionText::name`](crate::OptionText::name)), but those that libvirt has itself.
pub(super) const NAMESPACE: &str = "https://vmbridge.org/network/1";
