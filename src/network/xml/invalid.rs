//! Why a document was refused.

use std::{fmt, io};

use super::limits::{MAX_ATTRIBUTES, MAX_DEPTH, MAX_LEN};
use crate::network::InvalidNetwork;
use crate::network::getters::getters;
use crate::network::printable::{excerpt, quoted};
use crate::network::report;

/// A document that is no definition of a network, or none that can be written down.
#[derive(Debug)]
pub struct InvalidDocument {
    line: Option<usize>,
    pub(super) reason: DocumentReason,
}

impl InvalidDocument {
    getters! {
        /// The line, from 1, where it is a certain one's fault.
        line: Option<usize>;
        /// What is wrong.
        reason: &DocumentReason;
    }

    /// Displays the whole error in one sentence, all causes included.
    #[must_use]
    pub fn report(&self) -> impl fmt::Display {
        report::from_fn(move |f| match &self.reason {
            DocumentReason::Io(error) => write!(f, "{self}: {error}"),
            _ => write!(f, "{self}"),
        })
    }

    pub(in crate::network) fn io_kind(&self) -> io::ErrorKind {
        match &self.reason {
            DocumentReason::Io(error) => error.kind(),
            _ => io::ErrorKind::InvalidData,
        }
    }
}

impl fmt::Display for InvalidDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.reason),
            None => self.reason.fmt(f),
        }
    }
}

impl std::error::Error for InvalidDocument {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The text of the reason is part of this error's.
        self.reason.source()
    }
}

impl From<InvalidDocument> for io::Error {
    /// Keeps the kind of a failure to read, else has `InvalidData`; the error itself is the inner one.
    fn from(error: InvalidDocument) -> Self {
        Self::new(error.io_kind(), error)
    }
}

impl From<DocumentReason> for InvalidDocument {
    fn from(reason: DocumentReason) -> Self {
        Self { line: None, reason }
    }
}

/// Why a document was refused.
///
/// The texts are printable: of a part of the document they have the first 120 characters, escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentReason {
    /// It could not be read to its end.
    #[error("cannot read it")]
    Io(#[source] io::Error),
    /// It is longer than [`Document::MAX_LEN`](super::Document::MAX_LEN).
    #[error("a document has at most {MAX_LEN} bytes")]
    TooLong,
    /// Elements in elements in elements.
    #[error("elements are at most {MAX_DEPTH} deep")]
    TooDeep,
    /// More attributes than anybody needs.
    #[error("an element has at most {MAX_ATTRIBUTES} attributes")]
    TooManyAttributes,
    /// It is not in UTF-8.
    #[error("it is not in UTF-8")]
    NotUtf8,
    /// It says that it is in another encoding.
    #[error("encoding {}: UTF-8 is wanted", quoted(.0))]
    Encoding(String),
    /// A character that XML cannot have.
    #[error("{0:?} is no character of XML")]
    Character(char),
    /// A document type, which could define entities.
    #[error("a DOCTYPE is not taken")]
    Doctype,
    /// It is no well-formed XML.
    #[error("{}", excerpt(.0))]
    Malformed(String),
    /// It is about something else.
    #[error("<{}> is no definition of a network", excerpt(.0))]
    Root(String),
    /// An element that each network has, such as its name.
    #[error("<{0}> is missing")]
    Missing(&'static str),
    /// An element that there can be one of is there again.
    #[error("a second <{element}>; the first is in line {first}")]
    #[non_exhaustive]
    Duplicate {
        /// The element.
        element: &'static str,
        /// The line of the first.
        first: usize,
    },
    /// A value that a network cannot have.
    #[error(transparent)]
    Network(#[from] InvalidNetwork),
}

/// What is wrong at a place of a text.
#[derive(Debug)]
pub(super) struct Fault {
    at: usize,
    pub(super) reason: DocumentReason,
}

impl Fault {
    pub(super) fn new(at: usize, reason: impl Into<DocumentReason>) -> Self {
        Self { at, reason: reason.into() }
    }

    pub(super) fn malformed(at: usize, what: impl fmt::Display) -> Self {
        Self::new(at, DocumentReason::Malformed(what.to_string()))
    }

    pub(super) fn within(self, text: &str) -> InvalidDocument {
        InvalidDocument { line: Some(line(text, self.at)), reason: self.reason }
    }
}

/// The number of the line, from 1, in which a byte is.
pub(super) fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1
}
