//! The names of networks' bridges, and templates that make them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::{InvalidNetwork, NetworkReason};
use crate::{InterfaceName, InvalidName};

/// What a network calls its bridge.
///
/// ```
/// use vmbridge::network::BridgeName;
///
/// let name: BridgeName = "virbr%d".parse()?;
/// let in_use = ["virbr0".parse()?, "virbr2".parse()?];
/// assert_eq!(name.resolve(in_use)?, "virbr1".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BridgeName {
    /// By this name.
    Fixed(InterfaceName),
    /// By the first name of this form that is not in use when the network is defined.
    Template(BridgeTemplate),
}

impl BridgeName {
    /// The name of the bridge on a host that uses these names already: a template's with the
    /// lowest number that is free, and a fixed name whether or not it is among them.
    ///
    /// # Errors
    /// [`NetworkReason::NoFreeName`].
    pub fn resolve(
        &self,
        in_use: impl IntoIterator<Item = InterfaceName>,
    ) -> Result<InterfaceName, InvalidNetwork> {
        match self {
            Self::Fixed(name) => Ok(*name),
            Self::Template(template) => template.resolve(&in_use.into_iter().collect()),
        }
    }
}

impl Default for BridgeName {
    /// `virbr%d`.
    fn default() -> Self {
        Self::Template(BridgeTemplate::default())
    }
}

impl fmt::Display for BridgeName {
    /// Writes the text of a definition, in which a name has no escapes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(name) => match checked_name(name) {
                Ok(text) => f.pad(text),
                Err(_) => name.fmt(f),
            },
            Self::Template(template) => template.fmt(f),
        }
    }
}

impl FromStr for BridgeName {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        if text.contains('%') {
            return text.parse().map(Self::Template);
        }
        InterfaceName::new(text).map(Self::Fixed).map_err(|error| invalid_name(text, &error))
    }
}

/// A name for bridges with one `%d` in it, for a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BridgeTemplate(String);

impl BridgeTemplate {
    fn with(&self, number: usize) -> Option<InterfaceName> {
        InterfaceName::new(&self.0.replacen("%d", &number.to_string(), 1)).ok()
    }

    /// Whether it could have made this name.
    #[cfg(feature = "store")]
    pub(super) fn makes(&self, name: InterfaceName) -> bool {
        let around = self.0.split_once("%d");
        let number = around.and_then(|(before, after)| name.as_str()?.strip_prefix(before)?.strip_suffix(after));
        // Neither a sign nor leading zeros.
        number.and_then(|number| self.with(number.parse().ok()?)) == Some(name)
    }

    fn resolve(&self, in_use: &BTreeSet<InterfaceName>) -> Result<InterfaceName, InvalidNetwork> {
        // One of as many names as are in use and one more is free; and once a number is too long
        // for a name, so are those after it.
        let mut names = (0..=in_use.len()).map_while(|number| self.with(number));
        let free = names.find(|name| !in_use.contains(name));
        free.ok_or_else(|| invalid(&self.0, NetworkReason::NoFreeName))
    }
}

impl Default for BridgeTemplate {
    /// `virbr%d`.
    fn default() -> Self {
        Self("virbr%d".to_owned())
    }
}

impl fmt::Display for BridgeTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for BridgeTemplate {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let template = Self(text.to_owned());
        let is_template = text.matches('%').count() == 1 && text.contains("%d");
        if is_template && template.with(0).is_some() {
            Ok(template)
        } else {
            Err(invalid(text, NetworkReason::Template))
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for BridgeName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Returns the text that a definition has for the name of a bridge.
pub(super) fn checked_name(bridge: &InterfaceName) -> Result<&str, InvalidNetwork> {
    let checked = bridge.check().map(|()| bridge.as_str().unwrap_or_default());
    checked.map_err(|error| invalid_name(&bridge.to_string(), &error))
}

pub(super) fn invalid_name(bridge: &str, error: &InvalidName) -> InvalidNetwork {
    invalid(bridge, NetworkReason::Name(error.reason()))
}

fn invalid(name: &str, reason: NetworkReason) -> InvalidNetwork {
    InvalidNetwork::new("bridge@name", name, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NameReason;

    fn name(text: &str) -> InterfaceName {
        text.parse().expect("a name")
    }

    /// A backslash is libvirt's own, and a kernel may report any byte but NUL.
    #[test]
    fn a_definition_has_names_without_escapes() {
        let backslash = r"a\x1b".parse::<BridgeName>().expect("a name");
        assert_eq!(backslash.to_string(), r"a\x1b");
        let odd = InterfaceName::from_bytes(b"a\x1b").expect("a name");
        assert_eq!(BridgeName::Fixed(odd).to_string(), r"a\x1b");
        let error = checked_name(&odd).expect_err("no definition can have it");
        assert_eq!(error.reason(), &NetworkReason::Name(NameReason::Character('\x1b')));
    }

    #[test]
    fn a_template_takes_the_lowest_number_that_is_free() {
        let used = |names: &[&str]| names.iter().map(|text| name(text)).collect::<Vec<_>>();
        let resolved = |text: &str, names: &[&str]| text.parse::<BridgeName>().expect(text).resolve(used(names));
        assert_eq!(resolved("virbr%d", &[]), Ok(name("virbr0")));
        assert_eq!(resolved("virbr%d", &["virbr1", "br0"]), Ok(name("virbr0")));
        assert_eq!(resolved("virbr%d", &["virbr0", "virbr00", "virbr1", "virbr3"]), Ok(name("virbr2")));
        assert_eq!(resolved("%d-lan", &["0-lan"]), Ok(name("1-lan")));
        assert_eq!(resolved("br7", &["br7"]), Ok(name("br7")));

        let ten: Vec<_> = (0..10).map(|number| format!("fourteen-bytes{number}")).collect();
        let ten: Vec<_> = ten.iter().map(String::as_str).collect();
        assert_eq!(resolved("fourteen-bytes%d", &ten[..9]), Ok(name("fourteen-bytes9")));
        let error = resolved("fourteen-bytes%d", &ten).expect_err("they are all in use");
        assert_eq!((error.value(), error.reason()), ("fourteen-bytes%d", &NetworkReason::NoFreeName));
    }

    #[cfg(feature = "store")]
    #[test]
    fn a_template_knows_what_it_makes() {
        let makes =
            |template: &str, made: &str| template.parse::<BridgeTemplate>().expect("one").makes(name(made));
        assert!(makes("virbr%d", "virbr0") && makes("virbr%d", "virbr12") && makes("%d-lan", "3-lan"));
        for other in ["virbr", "virbr00", "virbr+1", "virbr1x", "br0"] {
            assert!(!makes("virbr%d", other), "{other}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_bridge_name() {
        let reason = |text: &str| text.parse::<BridgeName>().expect_err(text).reason().clone();
        for text in ["%", "%s", "a%d%d", "a%d%", "%%d", "fifteen-bytes-x%d", "a b%d", "a/%d", "% d", "%5d"] {
            assert_eq!(reason(text), NetworkReason::Template, "{text}");
        }
        assert_eq!(reason(""), NetworkReason::Name(NameReason::Empty));
        assert_eq!(reason("a b"), NetworkReason::Name(NameReason::Character(' ')));
        assert_eq!(reason("sixteen-bytes-xx"), NetworkReason::Name(NameReason::TooLong));
    }
}
