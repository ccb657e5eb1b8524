//! What a record says beside the definition that its network was started with: who created the bridge.
//!
//! It is a processing instruction after the definition, so that a record stays one file, replaced in one step.

use crate::network::{Document, InvalidDocument};

const ADOPTED: &str = "<?vmbridge adopted?>";

/// Who created the bridge of an active network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::network) enum BridgeOrigin {
    /// vmbridge, or another program that has written the record.
    Created,
    /// Someone else. vmbridge adopted it.
    Adopted,
}

impl BridgeOrigin {
    pub(in crate::network) fn of(record: &Document) -> Self {
        if record.text().trim_end().ends_with(ADOPTED) { Self::Adopted } else { Self::Created }
    }

    /// Returns the record of a network with this definition, which may be an old record.
    pub(super) fn record(self, definition: &Document) -> Result<Document, InvalidDocument> {
        if self == Self::of(definition) {
            return Ok(definition.clone());
        }
        let text = definition.text();
        match self {
            Self::Adopted if text.ends_with('\n') => format!("{text}{ADOPTED}\n").parse(),
            Self::Adopted => format!("{text}\n{ADOPTED}\n").parse(),
            Self::Created => {
                let mut text = text.trim_end();
                while let Some(rest) = text.strip_suffix(ADOPTED) {
                    text = rest.trim_end();
                }
                text.parse()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_who_created_the_bridge_and_is_the_definition_otherwise() {
        for text in [
            "<network><name>lan</name></network>",
            "<?xml version='1.0'?>\r\n<network><name>lan</name></network>\r\n<!-- <?vmbridge adopted?> -->\r\n",
            "<networkstatus><network><name>lan</name></network></networkstatus>\n",
        ] {
            let definition: Document = text.parse().expect("a definition");
            assert_eq!(BridgeOrigin::of(&definition), BridgeOrigin::Created);
            let record =
                |origin: BridgeOrigin, of: &Document| origin.record(of).expect("it is one").text().to_owned();
            assert_eq!(record(BridgeOrigin::Created, &definition), text);
            let adopted = BridgeOrigin::Adopted.record(&definition).expect("it is one");
            assert_eq!(BridgeOrigin::of(&adopted), BridgeOrigin::Adopted);
            assert_eq!(adopted.parsed(), definition.parsed());
            assert_eq!(record(BridgeOrigin::Adopted, &adopted), adopted.text());
            assert_eq!(record(BridgeOrigin::Created, &adopted).trim_end(), text.trim_end());
        }
    }
}
