//! Finding in a text the elements that are understood, and checking that all of it is well-formed.
//!
//! quick-xml leaves some of that to its users: that there is one root, what is outside of it, names,
//! attributes, references, characters and the declaration. As libxml2 has it, a prefix that is bound
//! to no namespace is no error.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use super::element::{
    self, Element, check_declaration, is_blank, is_name, is_xml, part, range_in, referred, text_of,
};
use super::invalid::{DocumentReason, Fault, line};
use super::limits::{MAX_DEPTH, NAMESPACE};

const BYTE_ORDER_MARK: char = '\u{feff}';
/// In how many elements those are that are looked for: `networkstatus`, `network` and `metadata`.
const DEEPEST: usize = 3;

/// The elements of a network that are understood, and those that come before them, in libvirt's
/// order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Name,
    Uuid,
    Title,
    Description,
    Metadata,
    Forward,
    Bridge,
    Mtu,
    Mac,
    Port,
}

impl Kind {
    /// In their order, with their names.
    const ALL: [(Self, &str); 10] = [
        (Self::Name, "name"),
        (Self::Uuid, "uuid"),
        (Self::Title, "title"),
        (Self::Description, "description"),
        (Self::Metadata, "metadata"),
        (Self::Forward, "forward"),
        (Self::Bridge, "bridge"),
        (Self::Mtu, "mtu"),
        (Self::Mac, "mac"),
        (Self::Port, "port"),
    ];

    pub(super) const fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|&(_, other)| other == name).map(|(kind, _)| kind)
    }
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub(super) struct Scan {
    /// Of each kind one.
    pub(super) elements: BTreeMap<Kind, Element>,
    /// The element in the metadata that is vmbridge's own.
    pub(super) extension: Option<Element>,
    /// Whether the host has an IPv6 address in the network.
    pub(super) has_ipv6: bool,
}

/// Where the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the network: in nothing, or in libvirt's `<networkstatus>`.
    Before,
    /// In the network, which is in so many elements.
    Within(usize),
    After,
}

struct Scanner<'t> {
    text: &'t str,
    /// The bytes before those that the reader has.
    skipped: usize,
    reader: NsReader<&'t [u8]>,
    depth: usize,
    has_root: bool,
    place: Place,
    network: usize,
    /// The element of the network in which the reader is.
    current: Option<(Kind, Element)>,
    last: Option<Kind>,
    found: Scan,
}

/// Goes through a whole text.
pub(super) fn scan(text: &str) -> Result<Scan, Fault> {
    if let Some((at, c)) = text.char_indices().find(|&(_, c)| !is_xml(c)) {
        return Err(Fault::new(at, DocumentReason::Character(c)));
    }
    let body = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    // The reader would pass over it, too, but not count it.
    if body.starts_with(BYTE_ORDER_MARK) {
        return Err(Fault::malformed(text.len() - body.len(), "a second byte-order mark"));
    }
    let mut reader = NsReader::from_str(body);
    reader.config_mut().check_comments = true;
    let mut scanner = Scanner {
        text,
        skipped: text.len() - body.len(),
        reader,
        depth: 0,
        has_root: false,
        place: Place::Before,
        network: 0,
        current: None,
        last: None,
        found: Scan::default(),
    };
    while scanner.step()? {}
    Ok(scanner.found)
}

impl<'t> Scanner<'t> {
    fn position(&self) -> usize {
        let position = usize::try_from(self.reader.buffer_position());
        self.skipped + position.expect("the text is in memory")
    }

    /// Takes the next piece of the text, if there is one.
    fn step(&mut self) -> Result<bool, Fault> {
        let start = self.position();
        let event = self.reader.read_event().map_err(|error| Fault::malformed(start, error))?;
        let end = self.position();
        let raw = part(self.text, start..end, start)?;
        match event {
            Event::Start(tag) => {
                self.open(&tag, start)?;
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(Fault::new(start, DocumentReason::TooDeep));
                }
            }
            Event::Empty(tag) => {
                self.open(&tag, start)?;
                self.close(end);
            }
            Event::End(_) => {
                // An end without a beginning is an error of the reader's.
                self.depth = self.depth.saturating_sub(1);
                self.close(end);
            }
            Event::Text(_) if raw.contains("]]>") => {
                return Err(Fault::malformed(start, "`]]>` outside of a CDATA section"));
            }
            Event::Text(_) => self.content(start, raw)?,
            Event::CData(cdata) => {
                self.inside(start)?;
                let content = range_in(self.text, &cdata, start)?;
                self.content(start, part(self.text, content, start)?)?;
            }
            Event::GeneralRef(reference) => {
                self.inside(start)?;
                let referred = referred(&reference).map_err(|reason| Fault::new(start, reason))?;
                self.add(&referred);
            }
            Event::Comment(_) => self.comment(end)?,
            Event::PI(pi) if !is_name(pi.target()) || pi.target().eq_ignore_ascii_case(b"xml") => {
                return Err(Fault::malformed(start, "a processing instruction with no name or a reserved one"));
            }
            Event::PI(_) => {}
            Event::Decl(_) if start != self.skipped => {
                return Err(Fault::malformed(start, "a declaration that is not at the beginning"));
            }
            Event::Decl(declaration) => check_declaration(self.text, &declaration, start)?,
            Event::DocType(_) => return Err(Fault::new(start, DocumentReason::Doctype)),
            Event::Eof => return self.end(end).map(|()| false),
        }
        Ok(true)
    }

    /// An element begins.
    fn open(&mut self, tag: &BytesStart<'t>, start: usize) -> Result<(), Fault> {
        let element = element::element(self.text, tag, start)?;
        // Deeper is nothing that is looked for, and looking names up in many namespaces takes time.
        if self.depth > DEEPEST {
            return Ok(());
        }
        let (namespace, local) = self.reader.resolver().resolve_element(tag.name());
        // libvirt looks for elements that are in no namespace.
        let plain = matches!(namespace, ResolveResult::Unbound).then(|| text_of(local.into_inner()));
        let is_own = matches!(namespace, ResolveResult::Bound(Namespace(name)) if name == NAMESPACE.as_bytes());
        match self.place {
            _ if self.depth == 0 && self.has_root => {
                return Err(Fault::malformed(start, "an element after the root"));
            }
            Place::Before if plain == Some("network") && self.depth <= 1 => {
                self.place = Place::Within(self.depth);
                self.network = start;
            }
            Place::Before if self.depth == 0 && plain != Some("networkstatus") => {
                return Err(Fault::new(start, DocumentReason::Root(text_of(tag.name().0).to_owned())));
            }
            Place::Within(network) if self.depth == network + 1 => {
                // What else there is ends the line of the element before.
                self.last = None;
                let family = element.attribute("family").map(|family| family.value.as_str());
                self.found.has_ipv6 |= plain == Some("ip") && family == Some("ipv6");
                if let Some(kind) = plain.and_then(Kind::of) {
                    self.once(kind.name(), self.found.elements.get(&kind), start)?;
                    self.current = Some((kind, element));
                }
            }
            Place::Within(network)
                if self.depth == network + 2 && is_own && text_of(local.into_inner()) == "bridge" =>
            {
                if matches!(self.current, Some((Kind::Metadata, _))) {
                    self.once("vmbridge:bridge", self.found.extension.as_ref(), start)?;
                    self.found.extension = Some(element);
                }
            }
            Place::After if plain == Some("network") && self.depth == 1 => {
                let first = line(self.text, self.network);
                return Err(Fault::new(start, DocumentReason::Duplicate { element: "network", first }));
            }
            _ => {}
        }
        self.has_root = true;
        Ok(())
    }

    /// An element has ended, in which `depth` others are still open.
    fn close(&mut self, end: usize) {
        match self.place {
            Place::Within(network) if self.depth == network => self.place = Place::After,
            Place::Within(network) if self.depth == network + 1 => {
                if let Some((kind, element)) = self.current.take() {
                    self.found.elements.insert(kind, Element { end, ..element });
                    self.last = Some(kind);
                }
            }
            _ => {}
        }
    }

    /// A comment that begins in the line in which an element ends is that element's.
    fn comment(&mut self, end: usize) -> Result<(), Fault> {
        let is_child = matches!(self.place, Place::Within(network) if self.depth == network + 1);
        let last = self.last.filter(|_| is_child).and_then(|kind| self.found.elements.get_mut(&kind));
        if let Some(element) = last {
            if !part(self.text, element.end..end, end)?.contains('\n') {
                element.end = end;
            }
        }
        Ok(())
    }

    fn content(&mut self, start: usize, raw: &str) -> Result<(), Fault> {
        if !raw.trim_matches(is_blank).is_empty() {
            self.inside(start)?;
        }
        self.add(&raw.replace("\r\n", "\n").replace('\r', "\n"));
        Ok(())
    }

    fn add(&mut self, text: &str) {
        if let Some((Kind::Name | Kind::Uuid, element)) = &mut self.current {
            element.text.push_str(text);
        }
    }

    fn inside(&self, start: usize) -> Result<(), Fault> {
        if self.depth == 0 { Err(Fault::malformed(start, "text outside of the root")) } else { Ok(()) }
    }

    fn once(&self, element: &'static str, first: Option<&Element>, start: usize) -> Result<(), Fault> {
        let Some(first) = first else { return Ok(()) };
        let first = line(self.text, first.start);
        Err(Fault::new(start, DocumentReason::Duplicate { element, first }))
    }

    fn end(&self, end: usize) -> Result<(), Fault> {
        if self.depth > 0 || !self.has_root {
            return Err(Fault::malformed(end, "the document ends too early"));
        }
        match self.place {
            Place::After => Ok(()),
            _ => Err(Fault::new(end, DocumentReason::Missing("network"))),
        }
    }
}
