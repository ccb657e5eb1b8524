//! The options of bridges and of their ports: one table, of which their arguments are made and by
//! which they are printed.

use clap::{Arg, ArgGroup, ArgMatches, Command, Error, FromArgMatches, Id};
use vmbridge::{BridgeOption, BridgeOptions, OptionValue, PortOption, PortOptions};

/// A set of options that the command line can give.
pub(super) trait Options: FromIterator<Self::Option> {
    type Option: Copy + Send + Sync + 'static;

    /// The name of clap's group of them.
    const GROUP: &str;

    /// An argument for each.
    fn arguments() -> Vec<Arg>;

    /// The name and the value of those that are known.
    fn texts(&self) -> Vec<(&'static str, String)>;
}

macro_rules! options {
    ($Options:ident of $Option:ident, $group:literal, $heading:literal: $($Variant:ident $name:literal $help:literal;)+) => {
        impl Options for $Options {
            type Option = $Option;

            const GROUP: &str = $group;

            fn arguments() -> Vec<Arg> {
                vec![$(argument($name, $help, $Option::$Variant).help_heading($heading)),+]
            }

            fn texts(&self) -> Vec<(&'static str, String)> {
                self.iter()
                    .map(|option| match option {
                        $($Option::$Variant(value) => ($name, value.text()),)+
                        // A test sees to it that the table has them all.
                        _ => unreachable!("{option:?} is not in the table"),
                    })
                    .collect()
            }
        }
    };
}

fn argument<V: OptionValue + 'static, O: Clone + Send + Sync + 'static>(
    name: &'static str,
    help: &'static str,
    option: fn(V) -> O,
) -> Arg {
    let parse = move |text: &str| V::parse(text).map(option);
    Arg::new(name).long(name).value_name(V::FORM).help(help).value_parser(parse)
}

options! {
    BridgeOptions of BridgeOption, "bridge-options", "Options of the bridge":
    Stp "stp" "Speak STP (Linux)";
    StpProtocol "stp-protocol" "The protocol that STP is spoken with (FreeBSD)";
    ForwardDelay "forward-delay" "How long a port listens, and then learns, before it forwards";
    HelloTime "hello-time" "How often STP says hello";
    MaxAge "max-age" "How long STP believes a hello";
    Priority "priority" "The bridge with the lowest becomes STP's root";
    AgeingTime "ageing-time" "How long a learned address stays without a frame from it";
    MaxAddresses "max-addresses" "How many addresses are learned (FreeBSD)";
    VlanFiltering "vlan-filtering" "Tell VLANs apart (Linux)";
    DefaultPvid "default-pvid" "The VLAN of what comes in untagged, on ports that join (Linux)";
    MulticastSnooping "multicast-snooping" "Send multicast only where it is asked for (Linux)";
    GroupForwardMask "group-forward-mask"
        "Which of the groups 01:80:c2:00:00:0X to forward, as a mask of X: 0x4000 for LLDP (Linux)";
}

options! {
    PortOptions of PortOption, "port-options", "Options of the port":
    Isolated "isolated" "Keep it from other isolated ports";
    Learning "learning" "Learn addresses from frames that come in";
    UnicastFlood "unicast-flood" "Send frames to unknown addresses out";
    MulticastFlood "multicast-flood" "Send multicast that nobody asked for out (Linux)";
    BroadcastFlood "broadcast-flood" "Send broadcast out (Linux)";
    BpduGuard "bpdu-guard" "Disable the port when a BPDU comes in (Linux)";
    RootBlock "root-block" "Never let it become the way to STP's root (Linux)";
    FastLeave "fast-leave" "Leave a multicast group as soon as a message says so (Linux)";
    Hairpin "hairpin" "Let frames out where they came in (Linux)";
    NeighborSuppression "neighbor-suppression" "Answer ARP and neighbour discovery for others (Linux)";
    Locked "locked" "Let in only frames from its entries in the FDB (Linux 5.18)";
    PathCost "path-cost" "STP's cost of the port";
    Priority "priority" "STP's priority of the port";
    Stp "stp" "Speak STP on this port (FreeBSD)";
    Sticky "sticky" "Keep learned addresses with the port (FreeBSD)";
}

/// The options that were given, as arguments of a command.
#[derive(Debug, Clone)]
pub(super) struct Given<O>(pub(super) O);

impl<O: Options> clap::Args for Given<O> {
    fn group_id() -> Option<Id> {
        Some(O::GROUP.into())
    }

    fn augment_args(command: Command) -> Command {
        let arguments = O::arguments();
        let group = ArgGroup::new(O::GROUP).multiple(true).args(arguments.iter().map(Arg::get_id));
        command.args(arguments).group(group)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<O: Options> FromArgMatches for Given<O> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let arguments = O::arguments();
        let given =
            arguments.iter().filter_map(|argument| matches.get_one::<O::Option>(argument.get_id().as_str()));
        Ok(Self(given.copied().collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Args;
    use serde::Serialize;
    use vmbridge::Capability;

    use super::*;

    /// Gives every option of the table, and says which names the text and the JSON have, and which
    /// capabilities they take.
    fn all<O: Options + Serialize>() -> (O, BTreeSet<String>) {
        let sample = |form: &str| match form {
            "on|off" => "on",
            "stp|rstp" => "rstp",
            _ => "7",
        };
        let words = O::arguments().into_iter().flat_map(|argument| {
            let form = argument.get_value_names().expect("it takes a value")[0].to_string();
            [format!("--{}", argument.get_id()), sample(&form).to_owned()]
        });
        let command = Given::<O>::augment_args(Command::new("test").no_binary_name(true));
        let Given(options) = Given::<O>::from_arg_matches(&command.get_matches_from(words)).expect("they fit");
        let json = serde_json::to_value(&options).expect("it is serializable");
        let names = json.as_object().expect("an object").keys().cloned().collect();
        (options, names)
    }

    fn names(texts: Vec<(&'static str, String)>) -> BTreeSet<String> {
        texts.into_iter().map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn the_table_has_every_option_by_its_own_name() {
        let (bridge, bridge_names) = all::<BridgeOptions>();
        let (port, port_names) = all::<PortOptions>();
        assert_eq!(names(bridge.texts()), bridge_names);
        assert_eq!(names(port.texts()), port_names);
        let given = bridge.iter().map(BridgeOption::capability).chain(port.iter().map(PortOption::capability));
        let given: BTreeSet<Capability> = given.collect();
        let options = Capability::ALL
            .iter()
            .copied()
            .filter(|&capability| (Capability::StpProtocol..=Capability::Sticky).contains(&capability));
        assert_eq!(given, options.collect());
    }

    #[test]
    fn json_has_times_as_seconds_and_comes_back() {
        let options: BridgeOptions = [
            BridgeOption::AgeingTime(std::time::Duration::from_millis(42_949_672_950)),
            BridgeOption::ForwardDelay(std::time::Duration::from_secs(15)),
            BridgeOption::DefaultPvid(None),
        ]
        .into_iter()
        .collect();
        let text = serde_json::to_string(&options).expect("it is serializable");
        assert_eq!(text, r#"{"forward-delay":15.0,"ageing-time":42949672.95,"default-pvid":null}"#);
        assert_eq!(serde_json::from_str::<BridgeOptions>(&text).expect("it comes back"), options);
        assert_eq!(serde_json::from_str::<BridgeOptions>("{}").expect("an object"), BridgeOptions::default());
        for bad in ["-1", "1e300", r#""15""#] {
            assert!(serde_json::from_str::<BridgeOptions>(&format!(r#"{{"max-age":{bad}}}"#)).is_err(), "{bad}");
        }
    }
}
