//! Elements and their attributes, and what characters, names and references they can have.

use std::ops::Range;

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart};
use quick_xml::name::QName;

use super::MAX_ATTRIBUTES;
use super::invalid::{DocumentReason, Fault};

/// An element of a text.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// Where its `<` is.
    pub(super) start: usize,
    /// Where the name in its tag ends.
    pub(super) name_end: usize,
    /// Where it ends, with the comments after it in the same line.
    pub(super) end: usize,
    pub(super) attributes: Vec<Attribute>,
    /// All text in it, of its name and its UUID only.
    pub(super) text: String,
}

/// An attribute of an element.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: String,
    /// Where the value is, without its quotes.
    pub(super) span: Range<usize>,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

/// An element by its tag, whose attributes are checked.
pub(super) fn element(text: &str, tag: &BytesStart<'_>, start: usize) -> Result<Element, Fault> {
    let content = start + "<".len();
    let name_end = content + tag.name().0.len();
    if !is_name(tag.name().0) {
        return Err(Fault::malformed(start, format_args!("{:?} is no name", text_of(tag.name().0))));
    }
    let mut attributes = Vec::new();
    for attribute in tag.attributes() {
        if attributes.len() == MAX_ATTRIBUTES {
            return Err(Fault::new(start, DocumentReason::TooManyAttributes));
        }
        let attribute = attribute.map_err(|error| Fault::malformed(start, error))?;
        let QName(name) = attribute.key;
        // The reader does not say where its parts are, but they are parts of the tag.
        let offset = |part: &[u8]| content + (part.as_ptr() as usize - tag.as_ptr() as usize);
        let span = offset(&attribute.value)..offset(&attribute.value) + attribute.value.len();
        let fault = |what: &str| Fault::malformed(span.start, format_args!("{what}: {:?}", text_of(name)));
        if !is_name(name) {
            return Err(fault("no name for an attribute"));
        }
        if !text[..offset(name)].ends_with(is_blank) {
            return Err(fault("no blank before an attribute"));
        }
        if attribute.value.contains(&b'<') {
            return Err(fault("`<` in the value of an attribute"));
        }
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|error| Fault::malformed(span.start, error))?.into_owned();
        if let Some(c) = value.chars().find(|&c| !is_xml(c)) {
            return Err(Fault::new(span.start, DocumentReason::Character(c)));
        }
        attributes.push(Attribute { name: text_of(name).to_owned(), value, span });
    }
    Ok(Element { start, name_end, attributes, ..Element::default() })
}

/// What a reference stands for: with no DOCTYPE there are five entities.
pub(super) fn referred(reference: &BytesRef<'_>) -> Result<String, DocumentReason> {
    let malformed = |what: &dyn std::fmt::Display| DocumentReason::Malformed(what.to_string());
    if let Some(c) = reference.resolve_char_ref().map_err(|error| malformed(&error))? {
        return if is_xml(c) { Ok(c.into()) } else { Err(DocumentReason::Character(c)) };
    }
    let name = text_of(reference);
    let entity = resolve_predefined_entity(name).map(str::to_owned);
    entity.ok_or_else(|| malformed(&format_args!("there is no entity {name:?}")))
}

/// A part of the text, which the reader has as bytes.
pub(super) fn text_of(part: &[u8]) -> &str {
    // It splits at ASCII characters only.
    std::str::from_utf8(part).unwrap_or_default()
}

pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// The characters of XML 1.0.
pub(super) fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Names of elements and attributes.
pub(super) fn is_name(name: &[u8]) -> bool {
    let is_first = |c: u8| c.is_ascii_alphabetic() || matches!(c, b'_' | b':' | 0x80..);
    let is_other = |c: u8| is_first(c) || c.is_ascii_digit() || matches!(c, b'-' | b'.');
    name.first().copied().is_some_and(is_first) && name.iter().copied().all(is_other)
}
