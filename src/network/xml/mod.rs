//! Networks as libvirt's XML (`docs/schemas/network.rng`, `virNetworkDefParseXML()` and
//! `virNetworkDefFormatBuf()` in `src/conf/network_conf.c`).
//!
//! A document keeps its text. What is understood of it is found by its place in the text, and a
//! change replaces or inserts those bytes only, so that all that is not understood (addresses, DHCP,
//! comments, other namespaces, white space) stays as its owner wrote it.

mod document;
mod edit;
mod element;
mod foreign;
mod invalid;
mod limits;
mod parsed;
mod read;
mod scan;
mod write;

#[cfg(test)]
mod any;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use self::document::Document;
pub use self::foreign::{ForeignMode, ForeignNetwork};
pub use self::invalid::{DocumentReason, InvalidDocument};
pub use self::parsed::ParsedNetwork;
