//! Giving a MAC to networks that were defined without one.
//!
//! libvirt's packages did that once, in 2011, with a script of sed and grep. It gave a second MAC to a
//! file that had one already if its twin had none, gave one to networks that use a host's bridge, tore
//! bridges of several lines apart, and took comments and DHCP entries for what they are not.

use std::{fmt, io};

use super::{Document, InvalidDocument, NetworkName, printable, report};
use crate::UnicastMac;

/// The files of one network: in the configuration directory, and in the state directory while it
/// is active. Either may be missing.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct NetworkFiles {
    /// In the configuration directory.
    pub configuration: Option<Document>,
    /// In the state directory.
    pub state: Option<Document>,
}

/// What a migration changes in the files of one network; what is `None` stays as it is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Migration {
    /// The MAC that both files have then.
    pub mac: UnicastMac,
    /// The new file in the configuration directory.
    pub configuration: Option<Document>,
    /// The new file in the state directory.
    pub state: Option<Document>,
}

impl NetworkFiles {
    /// Creates the pair from the file of each directory.
    #[must_use]
    pub const fn new(configuration: Option<Document>, state: Option<Document>) -> Self {
        Self { configuration, state }
    }

    /// The MAC that the network has, in either file. A file whose network has no bridge of its own
    /// says nothing.
    ///
    /// # Errors
    /// [`InvalidFiles::Names`], [`InvalidFiles::Macs`].
    pub fn mac(&self) -> Result<Option<UnicastMac>, InvalidFiles> {
        if let (Some(configuration), Some(state)) = (&self.configuration, &self.state) {
            let [configuration, state] = [configuration, state].map(|file| file.parsed().name());
            if configuration != state {
                return Err(InvalidFiles::Names { configuration: configuration.clone(), state: state.clone() });
            }
        }
        match [&self.configuration, &self.state].map(|file| file.as_ref()?.parsed().own()?.mac()) {
            [Some(configuration), Some(state)] if configuration != state => {
                Err(InvalidFiles::Macs { configuration, state })
            }
            [configuration, state] => Ok(configuration.or(state)),
        }
    }

    /// What is to be changed, so that each file of a network with a bridge of its own has the MAC
    /// that one of them has already, or `new` if none has; `None` if there is nothing to change.
    ///
    /// The one that is there wins since a bridge bears it, or has borne it. What was changed so has
    /// nothing more to change.
    ///
    /// # Errors
    /// Those of [`mac`](Self::mac), and [`InvalidFiles::Document`].
    pub fn migration(&self, new: UnicastMac) -> Result<Option<Migration>, InvalidFiles> {
        let mac = self.mac()?.unwrap_or(new);
        let [configuration, state] = [&self.configuration, &self.state].map(|file| with_mac(file.as_ref(), mac));
        let migration = Migration { mac, configuration: configuration?, state: state? };
        Ok(Some(migration).filter(|changed| changed.configuration.is_some() || changed.state.is_some()))
    }
}

/// The file with this MAC, if its network can have one and has none.
fn with_mac(file: Option<&Document>, mac: UnicastMac) -> Result<Option<Document>, InvalidFiles> {
    let lacks_mac = |file: &&Document| file.parsed().own().is_some_and(|network| network.mac().is_none());
    Ok(file.filter(lacks_mac).map(|file| file.with_mac(mac)).transpose()?)
}

/// Why the files of a network cannot be migrated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFiles {
    /// They are not of one network.
    #[error(
        "the file in the configuration directory defines network {configuration}, the one in the state directory {state}"
    )]
    #[non_exhaustive]
    Names {
        /// The network in the configuration directory.
        configuration: NetworkName,
        /// The network in the state directory.
        state: NetworkName,
    },
    /// Each has a MAC, and not the same. Someone must say which it is to be: the one in the state
    /// directory is the one that the bridge bears now.
    #[error(
        "the file in the configuration directory has MAC {configuration}, the one in the state directory {state}"
    )]
    #[non_exhaustive]
    Macs {
        /// The MAC in the configuration directory.
        configuration: UnicastMac,
        /// The MAC in the state directory.
        state: UnicastMac,
    },
    /// A file cannot be changed.
    #[error(transparent)]
    Document(#[from] InvalidDocument),
}

impl InvalidFiles {
    /// Displays the whole error in one sentence, all causes included.
    #[must_use]
    pub fn report(&self) -> impl fmt::Display {
        report::from_fn(move |f| match self {
            Self::Document(error) => write!(f, "{}", error.report()),
            other => write!(f, "{other}"),
        })
    }

    pub(super) fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Document(error) => error.io_kind(),
            Self::Names { .. } | Self::Macs { .. } => io::ErrorKind::InvalidData,
        }
    }
}

impl From<InvalidFiles> for io::Error {
    /// Keeps the kind; the error itself is the inner one.
    fn from(error: InvalidFiles) -> Self {
        Self::new(error.io_kind(), error)
    }
}

impl Document {
    /// What another document changes in this one, as `diff -u` has it, with this name for the file;
    /// nothing if they are the same.
    ///
    /// It can be printed: control characters and those that cannot be seen are escaped, and a line ends after
    /// 4,096 characters. Without such, `patch` takes it.
    #[must_use]
    pub fn diff(&self, file: impl fmt::Display, changed: &Self) -> String {
        let file = file.to_string();
        let mut options = diffy::DiffOptions::new();
        options.set_original_filename(file.clone()).set_modified_filename(file);
        let patch = options.create_patch(self.text(), changed.text());
        if patch.hunks().is_empty() {
            return String::new();
        }
        patch.to_string().split_inclusive('\n').map(|line| printable::line(line).to_string()).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEW: &str = "02:00:00:00:0a:0b";

    fn new() -> UnicastMac {
        NEW.parse().expect("a MAC")
    }

    fn network(body: &str) -> String {
        format!("<network>\n  <name>n</name>\n{body}</network>\n")
    }

    fn state(body: &str) -> String {
        format!("<networkstatus>\n  <class_id bitmap='0-2'/>\n  {}</networkstatus>\n", network(body))
    }

    fn files(configuration: Option<&str>, state: Option<&str>) -> NetworkFiles {
        let read = |text: &str| text.parse().expect("a definition");
        NetworkFiles { configuration: configuration.map(read), state: state.map(read) }
    }

    /// What becomes of the two files, `None` where a file stays; and a second run changes nothing.
    fn migrated(configuration: Option<&str>, state: Option<&str>) -> [Option<String>; 2] {
        let before = files(configuration, state);
        let Some(migration) = before.migration(new()).expect("it can be done") else { return [None, None] };
        let [changed, changed_state] =
            [&migration.configuration, &migration.state].map(|file| file.as_ref().map(ToString::to_string));
        let configuration = changed.as_deref().or(configuration);
        let after = files(configuration, changed_state.as_deref().or(state));
        assert_eq!(after.mac().expect("they agree"), Some(migration.mac));
        assert!(after.migration(new()).expect("it can be done").is_none());
        [changed, changed_state]
    }

    #[test]
    fn both_files_get_the_same_mac() {
        let bridge = "  <bridge name='virbr0'/>\n";
        let with = format!("{bridge}  <mac address='{NEW}'/>\n");
        let (configuration, status) = (network(bridge), state(bridge));
        let expected = [Some(network(&with)), Some(state(&with))];
        assert_eq!(migrated(Some(&configuration), Some(&status)), expected);
        assert_eq!(migrated(Some(&configuration), None), [expected[0].clone(), None]);
        assert_eq!(migrated(None, Some(&status)), [None, expected[1].clone()]);
        assert_eq!(migrated(None, None), [None, None]);
    }

    #[test]
    fn the_mac_that_is_there_wins_and_is_not_written_again() {
        let without = "  <bridge name='virbr0'/>\n";
        let with = "  <bridge name='virbr0'/>\n  <mac address='52:54:00:00:00:01'/>\n";
        assert_eq!(migrated(Some(&network(with)), Some(&state(without))), [None, Some(state(with))]);
        assert_eq!(migrated(Some(&network(without)), Some(&state(with))), [Some(network(with)), None]);
        assert_eq!(migrated(Some(&network(with)), Some(&state(with))), [None, None]);
        // The same, written otherwise.
        let otherwise = with.replace("'52:54:00:00:00:01'", "\"52:54:0:0:0:1\"");
        assert_eq!(migrated(Some(&network(with)), Some(&state(&otherwise))), [None, None]);
    }

    #[test]
    fn two_macs_are_an_error_that_names_both() {
        let [one, two] = [1, 2].map(|n| format!("<bridge/><mac address='52:54:00:00:00:0{n}'/>"));
        let error = files(Some(&network(&one)), Some(&state(&two))).migration(new()).expect_err("which?");
        assert_eq!(
            error.to_string(),
            "the file in the configuration directory has MAC 52:54:00:00:00:01, the one in the state directory \
             52:54:00:00:00:02"
        );
    }

    #[test]
    fn files_of_two_networks_are_an_error() {
        let other = network("").replace(">n<", ">m<");
        let error = files(Some(&network("")), Some(&other)).migration(new()).expect_err("whose?");
        assert!(matches!(error, InvalidFiles::Names { .. }), "{error}");
    }

    #[test]
    fn networks_that_use_what_is_the_hosts_are_left_alone() {
        for mode in ["bridge", "private", "vepa", "passthrough", "hostdev"] {
            let text = network(&format!("  <forward mode='{mode}'/>\n  <bridge name='br0'/>\n"));
            assert_eq!(migrated(Some(&text), Some(&text)), [None, None]);
            // The script had given them one: it is neither taken nor refused.
            let with = network(&format!("  <forward mode='{mode}'/>\n  <mac address='52:54:00:00:00:01'/>\n"));
            assert_eq!(migrated(Some(&with), None), [None, None]);
            let own = state("  <bridge name='virbr0'/>\n");
            assert!(migrated(Some(&with), Some(&own))[1].as_ref().is_some_and(|text| text.contains(NEW)));
        }
        for mode in
            ["<forward/>", "<forward mode='nat'/>", "<forward mode='route'/>", "<forward mode='open'/>", ""]
        {
            let text = network(&format!("  {mode}\n"));
            assert!(migrated(Some(&text), None)[0].is_some(), "{mode}");
        }
    }

    #[test]
    fn a_bridge_of_several_lines_stays_whole() {
        let bridge = "  <bridge name='virbr0'\n          stp='on'\n          delay='0'\n  />\n";
        let [changed, _] = migrated(Some(&network(bridge)), None);
        assert_eq!(changed, Some(network(&format!("{bridge}  <mac address='{NEW}'/>\n"))));
    }

    #[test]
    fn what_only_looks_like_a_bridge_or_a_mac_is_not_taken_for_one() {
        let before =
            "  <!-- <bridge name='old'/> <mac address='52:54:00:00:00:01'/> -->\n  <bridge name='virbr0'/>\n";
        let after = "  <ip>\n    <dhcp><host mac='52:54:00:00:00:01'/></dhcp>\n  </ip>\n";
        let [changed, _] = migrated(Some(&network(&format!("{before}{after}"))), None);
        assert_eq!(changed, Some(network(&format!("{before}  <mac address='{NEW}'/>\n{after}"))));
        // And a MAC is one however it is written.
        let odd = network("  <bridge/>\n  <mac\n    address = \"52:54:00:00:00:01\"></mac>\n");
        assert_eq!(migrated(Some(&odd), None), [None, None]);
    }

    #[test]
    fn a_dry_run_shows_what_would_change() {
        let bridge = "  <bridge name='virbr0'/>\n";
        let files = files(Some(&network(bridge)), None);
        let changed =
            files.migration(new()).expect("it can be done").and_then(|migration| migration.configuration);
        let before = files.configuration.expect("it was given");
        let changed = changed.expect("it has no MAC");
        assert_eq!(
            before.diff("/etc/libvirt/qemu/networks/n.xml", &changed),
            "--- /etc/libvirt/qemu/networks/n.xml
+++ /etc/libvirt/qemu/networks/n.xml
@@ -1,4 +1,5 @@
 <network>
   <name>n</name>
   <bridge name='virbr0'/>
+  <mac address='02:00:00:00:0a:0b'/>
 </network>
"
        );
        assert_eq!(before.diff("n.xml", &before), "");
    }

    proptest! {
        #[test]
        fn whatever_is_migrated_agrees_and_stays(
            macs in proptest::array::uniform2(proptest::option::of(0..3_u8)),
            modes in proptest::array::uniform2(proptest::sample::select(vec!["", "<forward mode='bridge'/>"])),
        ) {
            let text = |number: usize| {
                let mac = macs[number].map(|mac| format!("<mac address='52:54:00:00:00:0{mac}'/>"));
                network(&format!("{}<bridge/>{}\n", modes[number], mac.unwrap_or_default()))
            };
            let before = files(Some(&text(0)), Some(&text(1)));
            let own: Vec<_> = (0..2).filter(|&number| modes[number].is_empty()).collect();
            let known: std::collections::BTreeSet<_> = own.iter().filter_map(|&number| macs[number]).collect();
            match before.migration(new()) {
                Err(InvalidFiles::Macs { .. }) => prop_assert_eq!(known.len(), 2),
                Ok(None) => prop_assert!(own.iter().all(|&number| macs[number].is_some())),
                Ok(Some(migration)) => {
                    let known = known.first().map(|mac| format!("52:54:00:00:00:0{mac}"));
                    prop_assert_eq!(migration.mac.to_string(), known.unwrap_or_else(|| NEW.to_owned()));
                    let changed = [migration.configuration.is_some(), migration.state.is_some()];
                    let expected = [0, 1].map(|number| modes[number].is_empty() && macs[number].is_none());
                    prop_assert_eq!(changed, expected);
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }
}
