//! A document: the text of a network's definition.

use std::fmt;
use std::io::Read;
use std::str::FromStr;

use super::invalid::Fault;
use super::limits::MAX_LEN;
use super::scan::{self, Kind, Scan};
use super::{DocumentReason, ForeignNetwork, InvalidDocument, ParsedNetwork, edit, read, write};
use crate::network::bridge_name::checked_name;
use crate::network::{BridgeName, InvalidNetwork, Network, NetworkReason};
use crate::{InterfaceName, UnicastMac};

/// A network's definition as libvirt's XML.
///
/// It reads the definitions of any version, and the files of libvirt's state directory, where the
/// definition is in a `<networkstatus>`. What is read is well-formed XML in UTF-8 of at most 1 MiB,
/// without a DOCTYPE.
///
/// libvirt takes more than that: other encodings and a DOCTYPE; an element twice, of which it reads
/// the first; a MAC of zeros, and whatever follows a blank after a MAC; MTUs that no bridge has, names
/// that no interface has or that are no file's.
///
/// ```
/// use vmbridge::network::Document;
///
/// let document: Document = "<network>
///   <name>default</name>
///   <bridge name='virbr0'/>  <!-- the first -->
///   <ip address='192.168.122.1' netmask='255.255.255.0'/>
/// </network>"
///     .parse()?;
/// assert_eq!(document.network()?.mac(), None);
///
/// let document = document.with_mac("52:54:00:12:34:56".parse()?)?;
/// assert_eq!(document.to_string(), "<network>
///   <name>default</name>
///   <bridge name='virbr0'/>  <!-- the first -->
///   <mac address='52:54:00:12:34:56'/>
///   <ip address='192.168.122.1' netmask='255.255.255.0'/>
/// </network>");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What only libvirt refuses
#[doc = include_str!("refused-by-libvirt.md")]
#[derive(Debug, Clone)]
pub struct Document {
    text: String,
    found: Scan,
    definition: ParsedNetwork,
}

impl Document {
    /// The longest document, in bytes: room for the DHCP entries of some 10,000 guests, and little
    /// enough to be read whole.
    pub const MAX_LEN: usize = MAX_LEN;

    /// Reads a document, at most [`MAX_LEN`](Self::MAX_LEN) bytes and one.
    ///
    /// # Errors
    /// [`InvalidDocument`] if it cannot be read to its end or is no definition of a network.
    pub fn read(reader: impl Read) -> Result<Self, InvalidDocument> {
        let mut bytes = Vec::new();
        // One more, so that what is too long is not taken for what is cut.
        let limit = u64::try_from(MAX_LEN + 1).unwrap_or(u64::MAX);
        reader.take(limit).read_to_end(&mut bytes).map_err(DocumentReason::Io)?;
        // What is too long may be cut within a character.
        check_len(bytes.len())?;
        Self::new(String::from_utf8(bytes).map_err(|_| DocumentReason::NotUtf8)?)
    }

    fn new(text: String) -> Result<Self, InvalidDocument> {
        check_len(text.len())?;
        let found = scan::scan(&text).map_err(|fault| fault.within(&text))?;
        let definition = read::definition(&found).map_err(|fault| fault.within(&text))?;
        Ok(Self { text, found, definition })
    }

    /// Writes a network as a new document, in libvirt's order.
    ///
    /// libvirt itself wants an `<ip>` in a network of another forward mode than isolated. Its schema
    /// (`virsh net-define --validate`) has no template but the one that it has by default, which is not
    /// written, and no names of bridges but those of ASCII letters, digits, `_`, `.`, `-` and `\`.
    ///
    /// # Errors
    /// [`DocumentReason::Character`] if the bridge's name has a character that XML cannot have, and
    /// [`NetworkReason::Name`] if [`InterfaceName::check`] refuses the name.
    pub fn of(network: &Network) -> Result<Self, InvalidDocument> {
        if let BridgeName::Fixed(name) = network.bridge() {
            checked_name(name).map_err(DocumentReason::Network)?;
        }
        Self::new(write::text(network))
    }

    /// What it defines.
    #[must_use]
    pub const fn parsed(&self) -> &ParsedNetwork {
        &self.definition
    }

    /// The network that it defines.
    ///
    /// # Errors
    /// [`NetworkReason::NoOwnBridge`] if that uses what is the host's, or
    /// [`NetworkReason::MacWithoutBridge`] if it has a MAC nevertheless.
    pub fn network(&self) -> Result<&Network, InvalidNetwork> {
        match &self.definition {
            ParsedNetwork::Own(network) => Ok(network),
            ParsedNetwork::Foreign(ForeignNetwork { mode, mac: None, .. }) => {
                Err(InvalidNetwork::new("forward@mode", mode.name(), NetworkReason::NoOwnBridge))
            }
            ParsedNetwork::Foreign(ForeignNetwork { mode, mac: Some(mac), .. }) => {
                Err(InvalidNetwork::new("mac@address", mac, NetworkReason::MacWithoutBridge(mode.name())))
            }
        }
    }

    /// The network's UUID, by which libvirt knows it, in lower case with a `-` between its five parts.
    #[must_use]
    pub fn uuid(&self) -> Option<String> {
        read::uuid(&self.found.elements.get(&Kind::Uuid)?.text)
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// With this MAC for the bridge: in place of the one that is there, or where libvirt writes
    /// it. No other byte changes.
    ///
    /// # Errors
    /// As [`network`](Self::network); [`DocumentReason::TooLong`].
    pub fn with_mac(&self, mac: UnicastMac) -> Result<Self, InvalidDocument> {
        self.edited(Kind::Mac, "address", &mac.to_string())
    }

    /// With a bridge of this name, as [`with_mac`](Self::with_mac).
    ///
    /// # Errors
    /// As [`with_mac`](Self::with_mac) and [`of`](Self::of).
    pub fn with_bridge(&self, name: InterfaceName) -> Result<Self, InvalidDocument> {
        let name = checked_name(&name).map_err(DocumentReason::Network)?;
        self.edited(Kind::Bridge, "name", name)
    }

    /// With this UUID, where libvirt writes it, for a network that has none.
    #[cfg(feature = "store")]
    pub(in crate::network) fn with_uuid(&self, uuid: &str) -> Result<Self, InvalidDocument> {
        self.changed(edit::with_uuid(&self.text, &self.found, uuid))
    }

    fn edited(&self, element: Kind, attribute: &str, value: &str) -> Result<Self, InvalidDocument> {
        self.network().map_err(DocumentReason::Network)?;
        self.changed(edit::edited(&self.text, &self.found, element, attribute, value))
    }

    /// Read again, since what it says and where it says it has changed.
    fn changed(&self, edited: Result<String, Fault>) -> Result<Self, InvalidDocument> {
        Self::new(edited.map_err(|fault| fault.within(&self.text))?)
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Document {
    type Err = InvalidDocument;

    fn from_str(text: &str) -> Result<Self, InvalidDocument> {
        Self::new(text.to_owned())
    }
}

fn check_len(len: usize) -> Result<(), DocumentReason> {
    if len > MAX_LEN { Err(DocumentReason::TooLong) } else { Ok(()) }
}
