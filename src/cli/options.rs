//! The options of bridges and of their ports: the tables of their arguments, which also order the help.

use clap::{Arg, ArgGroup, ArgMatches, Command, Error, FromArgMatches, Id};
use vmbridge::{BridgeOption, BridgeOptions, OptionText, PortOption, PortOptions};

/// A set of options that the command line can give.
pub(super) trait Options: FromIterator<Self::Option> {
    type Option: OptionText + Send + Sync + 'static;

    /// The name of clap's group of them.
    const GROUP: &str;
    /// Their heading in the help.
    const HEADING: &str;
    /// The name and the help of each, in the order of the arguments.
    const HELP: &[(&str, &str)];

    /// Returns those that are known.
    fn known(&self) -> impl Iterator<Item = Self::Option>;

    /// Returns an argument for each.
    fn arguments() -> impl Iterator<Item = Arg> {
        Self::HELP.iter().map(|&(name, help)| {
            let argument = Arg::new(name).long(name).help(help).help_heading(Self::HEADING);
            let form = Self::Option::form(name).unwrap_or("VALUE");
            argument.value_name(form).value_parser(move |text: &str| Self::Option::parse(name, text))
        })
    }
}

impl Options for BridgeOptions {
    type Option = BridgeOption;

    const GROUP: &str = "bridge-options";
    const HEADING: &str = "Options of the bridge";
    const HELP: &[(&str, &str)] = &[
        ("stp", "Speak STP (Linux)"),
        ("stp-protocol", "The protocol that STP is spoken with (FreeBSD)"),
        ("forward-delay", "How long a port listens, and then learns, before it forwards"),
        ("hello-time", "How often STP says hello"),
        ("max-age", "How long STP believes a hello"),
        ("priority", "The bridge with the lowest becomes STP's root"),
        ("ageing-time", "How long a learned address stays without a frame from it"),
        ("max-addresses", "How many addresses are learned (FreeBSD)"),
        ("vlan-filtering", "Tell VLANs apart (Linux)"),
        ("default-pvid", "The VLAN of what comes in untagged, on ports that join (Linux)"),
        ("multicast-snooping", "Send multicast only where it is asked for (Linux)"),
        (
            "group-forward-mask",
            "Which of the groups 01:80:c2:00:00:0X to forward, as a mask of X: 0x4000 for LLDP (Linux)",
        ),
        (
            "host-ipv6",
            "The host's own IPv6 on the bridge: `kernel` lets guests configure it by router advertisements (Linux), \
             `manual` does not, `disabled` is none",
        ),
    ];

    fn known(&self) -> impl Iterator<Item = BridgeOption> {
        self.iter()
    }
}

impl Options for PortOptions {
    type Option = PortOption;

    const GROUP: &str = "port-options";
    const HEADING: &str = "Options of the port";
    const HELP: &[(&str, &str)] = &[
        ("isolated", "Keep it from other isolated ports"),
        ("learning", "Learn addresses from frames that come in"),
        ("unicast-flood", "Send frames to unknown addresses out"),
        ("multicast-flood", "Send multicast that nobody asked for out (Linux)"),
        ("broadcast-flood", "Send broadcast out (Linux)"),
        ("bpdu-guard", "Disable the port when a BPDU comes in (Linux)"),
        ("root-block", "Never let it become the way to STP's root (Linux)"),
        ("fast-leave", "Leave a multicast group as soon as a message says so (Linux)"),
        ("hairpin", "Let frames out where they came in (Linux)"),
        ("neighbor-suppression", "Answer ARP and neighbour discovery for others (Linux)"),
        ("locked", "Let in only frames from its entries in the FDB (Linux 5.18)"),
        ("path-cost", "STP's cost of the port"),
        ("priority", "STP's priority of the port"),
        ("stp", "Speak STP on this port (FreeBSD)"),
        ("sticky", "Keep learned addresses with the port (FreeBSD)"),
    ];

    fn known(&self) -> impl Iterator<Item = PortOption> {
        self.iter()
    }
}

/// The options that were given, as arguments of a command.
#[derive(Debug, Clone)]
pub(super) struct Given<O>(pub(super) O);

impl<O: Options> clap::Args for Given<O> {
    fn group_id() -> Option<Id> {
        Some(O::GROUP.into())
    }

    fn augment_args(command: Command) -> Command {
        let names = O::HELP.iter().map(|&(name, _)| name);
        command.args(O::arguments()).group(ArgGroup::new(O::GROUP).multiple(true).args(names))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<O: Options> FromArgMatches for Given<O> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self(O::HELP.iter().filter_map(|&(name, _)| matches.get_one::<O::Option>(name)).copied().collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Serialize;

    use super::*;

    /// Checks that the table has every option, and that JSON has each under the same name.
    fn check<O: Options + Serialize>() {
        let of_table: BTreeSet<_> = O::HELP.iter().map(|&(name, _)| name).collect();
        let of_all: BTreeSet<_> = O::Option::NAMES.iter().copied().collect();
        assert_eq!(of_table, of_all);
        let of_any_type = ["on", "7", "stp", "manual"];
        let option = |&name: &&str| of_any_type.into_iter().find_map(|value| O::Option::parse(name, value).ok());
        let options: O = O::Option::NAMES.iter().filter_map(option).collect();
        let json = serde_json::to_value(&options).expect("it is serializable");
        let of_json: BTreeSet<_> = json.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(of_json, of_all);
    }

    #[test]
    fn the_table_has_every_option_by_its_own_name() {
        check::<BridgeOptions>();
        check::<PortOptions>();
    }
}
