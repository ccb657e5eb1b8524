//! Changing one value of a text, and no other byte.

use quick_xml::escape::escape;

use super::element::part;
use super::invalid::Fault;
use super::scan::{Kind, Scan};

/// The text with this value of an attribute of an element, of which it has one at most.
pub(super) fn edited(text: &str, found: &Scan, kind: Kind, attribute: &str, value: &str) -> Result<String, Fault> {
    let value = escape(value);
    let Some(element) = found.elements.get(&kind) else {
        let new = format!("<{} {attribute}={1}{value}{1}/>", kind.name(), quote(text, found));
        return with_element(text, found, kind, &new);
    };
    if let Some(old) = element.attribute(attribute) {
        return spliced(text, old.span.start, old.span.end, &value);
    }
    let new = format!(" {attribute}={0}{value}{0}", quote(text, found));
    spliced(text, element.name_end, element.name_end, &new)
}

/// The text, which has no UUID, with this one.
#[cfg(feature = "store")]
pub(super) fn with_uuid(text: &str, found: &Scan, uuid: &str) -> Result<String, Fault> {
    with_element(text, found, Kind::Uuid, &format!("<uuid>{}</uuid>", escape(uuid)))
}

/// With a new element after the last of those that libvirt writes before it, in a line of its own if
/// that one has one.
fn with_element(text: &str, found: &Scan, kind: Kind, new: &str) -> Result<String, Fault> {
    let before = found.elements.range(..kind).next_back();
    let (_, before) = before.expect("each network has a name, which comes first");
    let line = part(text, 0..before.start, before.start)?.rsplit_once('\n');
    let indented = line.filter(|(_, indent)| indent.chars().all(|c| matches!(c, ' ' | '\t')));
    let Some((lines, indent)) = indented else { return spliced(text, before.end, before.end, new) };
    let ending = if lines.ends_with('\r') { "\r\n" } else { "\n" };
    spliced(text, before.end, before.end, &format!("{ending}{indent}{new}"))
}

fn spliced(text: &str, start: usize, end: usize, new: &str) -> Result<String, Fault> {
    Ok([part(text, 0..start, start)?, new, part(text, end..text.len(), end)?].concat())
}

/// The quotes that the file has around the bridge's attributes; libvirt's are single ones.
fn quote(text: &str, found: &Scan) -> char {
    let bridge = found.elements.get(&Kind::Bridge).and_then(|bridge| bridge.attributes.first());
    let after = bridge.and_then(|attribute| text.get(attribute.span.end..));
    if after.is_some_and(|after| after.starts_with('"')) { '"' } else { '\'' }
}
