//! Elements and their attributes, and what characters, names and references they can have.

use std::ops::Range;

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart};
use quick_xml::name::QName;

use super::invalid::{DocumentReason, Fault};
use super::limits::MAX_ATTRIBUTES;

/// An element of a text.
#[derive(Debug, Clone, Default)]
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
#[derive(Debug, Clone)]
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
    let name_end = range_in(text, tag.name().0, start)?.end;
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
        let name_start = range_in(text, name, start)?.start;
        let span = range_in(text, &attribute.value, start)?;
        let fault = |what: &str| Fault::malformed(span.start, format_args!("{what}: {:?}", text_of(name)));
        if !is_name(name) {
            return Err(fault("no name for an attribute"));
        }
        if !part(text, 0..name_start, start)?.ends_with(is_blank) {
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

/// Returns where a part of the text is, which the reader lends without its position.
///
/// The reader copies nothing, and splits at ASCII characters. If a later version copies a part, that
/// part has no range in the text, and the document is refused with an error at `at`.
pub(super) fn range_in(text: &str, part: &[u8], at: usize) -> Result<Range<usize>, Fault> {
    let range = subslice_range(text.as_bytes(), part).filter(|range| text.get(range.clone()).is_some());
    range.ok_or_else(|| no_place(at))
}

/// Returns a part of the text, or an error at `at` if the range is not one of whole characters in it.
pub(super) fn part(text: &str, range: Range<usize>, at: usize) -> Result<&str, Fault> {
    text.get(range).ok_or_else(|| no_place(at))
}

fn no_place(at: usize) -> Fault {
    Fault::malformed(at, "a part of the document has no place in it")
}

/// Returns the range of a part in its whole, or `None` if it does not lie inside
/// (`<[T]>::subslice_range`, which is not stable).
fn subslice_range(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
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

/// Names of elements and attributes (XML 1.0, fifth edition, as libxml2 has it).
pub(super) fn is_name(name: &[u8]) -> bool {
    let is_first = |c: char| {
        matches!(c,
            'A'..='Z' | 'a'..='z' | '_' | ':' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
            | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
            | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}'
            | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}'
        )
    };
    let is_other = |c: char| {
        matches!(c, '0'..='9' | '-' | '.' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
            || is_first(c)
    };
    let name = text_of(name);
    name.starts_with(is_first) && name.chars().all(is_other)
}

/// Checks the declaration at the beginning of a document.
pub(super) fn check_declaration(text: &str, declaration: &BytesDecl<'_>, start: usize) -> Result<(), Fault> {
    let tag = BytesStart::from_content(text_of(declaration), "xml".len());
    // Its attributes are as those of an element.
    let Element { attributes, .. } = element(text, &tag, start)?;
    let names: Vec<_> = attributes.iter().map(|attribute| attribute.name.as_str()).collect();
    let forms = [
        &["version"][..],
        &["version", "encoding"],
        &["version", "standalone"],
        &["version", "encoding", "standalone"],
    ];
    if !forms.contains(&&names[..]) {
        return Err(Fault::malformed(start, "a declaration has a version, and may have encoding and standalone"));
    }
    for Attribute { name, value, span } in &attributes {
        let fits = match name.as_str() {
            "version" => value.strip_prefix("1.").is_some_and(|minor| minor.parse::<u8>().is_ok()),
            "standalone" => matches!(value.as_str(), "yes" | "no"),
            _ if value.eq_ignore_ascii_case("utf-8") => true,
            _ => return Err(Fault::new(span.start, DocumentReason::Encoding(value.clone()))),
        };
        if !fits {
            return Err(Fault::malformed(span.start, format_args!("{name} {value:?} in the declaration")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_part_of_a_text_has_a_range_in_it() {
        let whole = "<a bé='c'/>";
        let (text, beside) = whole.split_at(whole.len() - 2);
        for range in [0..0, 0..1, 3..6, 0..text.len(), text.len()..text.len()] {
            assert_eq!(subslice_range(text.as_bytes(), &text.as_bytes()[range.clone()]), Some(range));
        }
        let after = whole.len() - 1..whole.len();
        for outside in [beside.as_bytes(), &whole.as_bytes()[after], whole.as_bytes(), "a".to_owned().as_bytes()] {
            assert_eq!(subslice_range(text.as_bytes(), outside), None, "{outside:?}");
        }
        assert_eq!(subslice_range(beside.as_bytes(), text.as_bytes()), None);
        // Half of a character is no text.
        assert!(range_in(text, &text.as_bytes()[4..5], 0).is_err());
    }
}
