//! What is wrong with a network's definition.

use std::{fmt, io};

use super::printable::{excerpt, quoted};
use crate::{InvalidOption, MacReason, NameReason};

/// A value that a network cannot have, and the element or the attribute that has it.
///
/// The text of the error is printable: of the value it has the first 120 characters, escaped.
///
/// ```
/// use vmbridge::network::BridgeName;
///
/// let error = "vir/br".parse::<BridgeName>().unwrap_err();
/// assert_eq!(error.to_string(), r#"bridge@name "vir/br": '/' is not allowed in it"#);
/// assert_eq!((error.element(), error.value()), ("bridge@name", "vir/br"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{element} {}: {reason}", quoted(value))]
pub struct InvalidNetwork {
    element: &'static str,
    value: String,
    reason: NetworkReason,
}

impl InvalidNetwork {
    pub(super) fn new(element: &'static str, value: impl Into<String>, reason: NetworkReason) -> Self {
        Self { element, value: value.into(), reason }
    }

    /// Displays the whole error in one sentence; it has no causes besides.
    #[must_use]
    pub fn report(&self) -> impl fmt::Display {
        self
    }

    /// The element that has the value, as it is called in libvirt's XML: `name`, or `bridge@name`
    /// for an attribute.
    #[must_use]
    pub const fn element(&self) -> &'static str {
        self.element
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn reason(&self) -> &NetworkReason {
        &self.reason
    }
}

impl From<InvalidNetwork> for io::Error {
    /// Has the kind `InvalidInput`; the error itself is the inner one.
    fn from(error: InvalidNetwork) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

/// Why a value of a network was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkReason {
    /// It is no name for an interface.
    #[error("{0}")]
    Name(NameReason),
    /// It is no MAC, or none that a bridge can bear.
    #[error("it {0}")]
    Mac(MacReason),
    /// It is not given yet.
    #[error("a network gets its MAC when it is defined")]
    NoMac,
    /// It is a template still.
    #[error("a bridge gets its name when the network is defined")]
    NoBridgeName,
    /// It is no name for a network.
    #[error(
        "a network's name has 1 to 200 bytes, not all blank, no '/', no control character and no '.' at its beginning"
    )]
    NetworkName,
    /// A network's name has a character that is invisible or reorders the text.
    #[error("U+{:04X} is invisible or reorders the text; leave it out", u32::from(*.0))]
    Invisible(char),
    /// It is no template for names.
    #[error("a template has one '%', as %d, and room for a digit")]
    Template,
    /// Every name that the template can make is in use.
    #[error("each name that it can make is in use")]
    NoFreeName,
    /// No kernel has a bridge of this MTU.
    #[error("an MTU is a number from 68 to 65535")]
    Mtu,
    /// A forward delay that XML cannot have.
    #[error("a forward delay is a whole number of seconds, below 2^63")]
    ForwardDelay,
    /// A word that is not among those that are known.
    #[error("{0} is wanted")]
    Wanted(&'static str),
    /// No option, or no value of an option.
    #[error("{}", excerpt(&.0.to_string()))]
    Option(InvalidOption),
    /// A forward mode whose networks use what is the host's and have no bridge of their own.
    #[error("such a network has no bridge of its own")]
    NoOwnBridge,
    /// A MAC for a bridge that the network does not have.
    #[error("a network of forward mode {0} has no bridge that could bear it")]
    MacWithoutBridge(&'static str),
}
