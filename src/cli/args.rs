//! What the command line may say.

use std::num::NonZeroU16;
use std::str::FromStr;

use clap::builder::PossibleValuesParser;
use clap::{Args as ClapArgs, CommandFactory, Parser, Subcommand};
use vmbridge::{
    AVAILABLE, BridgeOptions, Guest, InterfaceName, InvalidMac, PortOptions, TapSpec, UnicastMac, VlanId,
    VlanRange, VlanTagging, VnetHeader,
};

use super::network;
use super::options::Given;

/// Network bridges for virtual machines whose MAC address never changes.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_STATUS)]
pub(super) struct Args {
    /// The kernel interface to use; the native one of this system if absent.
    #[arg(long, global = true, value_name = "BACKEND", value_parser = backend_names())]
    pub(super) backend: Option<String>,
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXIT_STATUS: &str = "Exit status: 0 done, 1 refused by the system or the state of things, 2 wrong usage.";

#[derive(Debug, Subcommand)]
// Only the arguments of the command that is called are built.
#[command(defer = true)]
pub(super) enum Command {
    /// Create a bridge and print its MAC, which it keeps for life.
    Create {
        /// The bridge's name, of 1 to 15 bytes.
        name: InterfaceName,
        /// Its MAC, or `auto` for one under 52:54:00 that no interface of the host has.
        #[arg(long, default_value = "auto", value_name = "MAC|auto")]
        mac: MacChoice,
        /// Its MTU in bytes, which it keeps on Linux; the kernel's choice if absent.
        #[arg(long, value_name = "BYTES")]
        mtu: Option<u32>,
        /// Up from the start.
        #[arg(long)]
        up: bool,
        #[command(flatten)]
        options: Given<BridgeOptions>,
    },
    /// Delete bridges; their ports stay, without them.
    Delete {
        /// The bridges' names. Each is tried.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<InterfaceName>,
    },
    /// List the bridges.
    List {
        /// As JSON: an array of objects with name, index, mac, mtu, link and options.
        #[arg(long)]
        json: bool,
    },
    /// Show a bridge and its ports, with their options.
    Show {
        /// The bridge's name.
        name: InterfaceName,
        /// As JSON: an object with name, index, mac, mtu, link, options, and ports, an array of the
        /// same and stp-state.
        #[arg(long)]
        json: bool,
    },
    /// Change a bridge.
    #[command(override_usage = "vmbridge set [OPTIONS] <NAME>")]
    Set {
        /// The bridge's name.
        name: InterfaceName,
        #[command(flatten)]
        change: Change,
    },
    /// Make interfaces ports of a bridge.
    Attach {
        /// The bridge's name.
        bridge: InterfaceName,
        /// The interfaces' names. Each is tried, and joins with its options or not at all. A port that
        /// the bridge already has gets the options: if the command was killed, repeat it.
        #[arg(required = true, value_name = "PORT")]
        ports: Vec<InterfaceName>,
        /// The MAC of the port's guest, the only one that it may speak with; what that prevents
        /// depends on the system, and is printed. For one port.
        #[arg(long, value_name = "MAC")]
        only_mac: Option<UnicastMac>,
        #[command(flatten)]
        options: Given<PortOptions>,
    },
    /// Release a port from a bridge.
    Detach {
        /// The bridge's name.
        bridge: InterfaceName,
        /// The port's name.
        port: InterfaceName,
    },
    /// Show or change a port of a bridge.
    #[command(subcommand)]
    Port(PortCommand),
    /// The forwarding database of a bridge: which address is behind which port.
    #[command(subcommand)]
    Fdb(FdbCommand),
    /// The VLANs of a port.
    #[command(subcommand)]
    Vlan(VlanCommand),
    /// Taps: the cards of guests.
    #[command(subcommand)]
    Tap(TapCommand),
    /// Networks: definitions that give a bridge its MAC for life.
    Network(network::Args),
    /// List what the kernel interface can do with the running kernel, and what it cannot.
    ///
    /// On Linux this takes root, which tries the kernel in a network namespace of its own. Without root, it
    /// takes a bridge that exists; else options that the kernel may lack are listed, too.
    Capabilities {
        /// As JSON: an object with backend and capabilities, an object of booleans.
        #[arg(long)]
        json: bool,
    },
    /// Show what a MAC of its own does for a bridge, in a network that leaves no trace.
    Demo,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum PortCommand {
    /// Show a port of a bridge.
    Show {
        /// The bridge's name.
        bridge: InterfaceName,
        /// The port's name.
        port: InterfaceName,
        /// As JSON: an object with name, index, mac, mtu, link, options and stp-state.
        #[arg(long)]
        json: bool,
    },
    /// Change a port of a bridge.
    #[command(override_usage = "vmbridge port set [OPTIONS] <BRIDGE> <PORT>")]
    Set(PortChange),
    /// Let a port speak only with its guest's MAC; what that prevents depends on the system, and is
    /// printed.
    Restrict {
        /// The bridge's name.
        bridge: InterfaceName,
        /// The port's name.
        port: InterfaceName,
        /// The guest's MAC.
        mac: UnicastMac,
    },
    /// Check that restricted ports still have the static entry of their guest: a process that holds the
    /// descriptor of a Linux tap can remove another guest's. The exit status is 1 if one is missing.
    Check(PortCheck),
    /// Undo `restrict`, or `attach --only-mac`.
    Unrestrict {
        /// The bridge's name.
        bridge: InterfaceName,
        /// The port's name.
        port: InterfaceName,
        /// The guest's MAC.
        mac: UnicastMac,
    },
}

#[derive(Debug, ClapArgs)]
pub(super) struct PortCheck {
    /// The ports' names; all restricted ports if absent.
    #[arg(value_name = "PORT")]
    pub(super) ports: Vec<InterfaceName>,
    /// All restricted ports of this bridge.
    #[arg(long, conflicts_with = "ports")]
    pub(super) bridge: Option<InterfaceName>,
    /// Restore missing entries, where entries in VLANs or `--mac` tell the guest's MAC.
    #[arg(long)]
    pub(super) repair: bool,
    /// The guest's MAC. For one port.
    #[arg(long, value_name = "MAC", requires = "repair", requires = "ports")]
    pub(super) mac: Option<UnicastMac>,
    /// As JSON: an array of objects with bridge, port, macs and state: ok, restored or no-entry.
    #[arg(long)]
    pub(super) json: bool,
}

// The requirement is of the arguments, which are not there before the command is called.
#[derive(Debug, ClapArgs)]
#[group(skip)]
#[command(mut_group("port-options", |group| group.required(true)))]
pub(super) struct PortChange {
    /// The bridge's name.
    pub(super) bridge: InterfaceName,
    /// The port's name.
    pub(super) port: InterfaceName,
    #[command(flatten)]
    pub(super) options: Given<PortOptions>,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum FdbCommand {
    /// List the entries, learned and static.
    List {
        /// The bridge's name.
        bridge: InterfaceName,
        /// As JSON: an array of objects with mac, port, vlan, origin and age in seconds.
        #[arg(long)]
        json: bool,
    },
    /// Add a static entry.
    Add {
        /// The bridge's name.
        bridge: InterfaceName,
        /// The name of the port that the address is behind.
        port: InterfaceName,
        /// The address.
        mac: UnicastMac,
        /// In this VLAN.
        #[arg(long, value_name = "N")]
        vlan: Option<VlanId>,
        /// In the place of an entry that there is, learned or static.
        #[arg(long)]
        replace: bool,
    },
    /// Remove an entry, learned or static.
    Remove {
        /// The bridge's name.
        bridge: InterfaceName,
        /// The address.
        mac: UnicastMac,
        /// In this VLAN.
        #[arg(long, value_name = "N")]
        vlan: Option<VlanId>,
    },
    /// Forget what was learned; static entries stay.
    Flush {
        /// The bridge's name.
        bridge: InterfaceName,
    },
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum VlanCommand {
    /// List the VLANs that a port lets through.
    List {
        /// The port's name.
        port: InterfaceName,
        /// As JSON: an array of objects with vlans (such as "7" or "10-20") and tagging.
        #[arg(long)]
        json: bool,
    },
    /// Let VLANs through a port, or change how they pass it.
    Add {
        /// The port's name.
        port: InterfaceName,
        /// One VLAN, as 7, or several, as 10-20.
        vlans: VlanRange,
        #[command(flatten)]
        tagging: Tagging,
    },
    /// Let VLANs no longer through a port.
    Remove {
        /// The port's name.
        port: InterfaceName,
        /// One VLAN, as 7, or several, as 10-20.
        vlans: VlanRange,
    },
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum TapCommand {
    /// Create a tap for a guest on a bridge, up, which stays until it is deleted.
    ///
    /// Its own MAC, that of the host's side, is the guest's with the first byte fe.
    Create(NewTap),
    /// Delete a tap that nobody has open.
    Delete {
        /// The tap's name.
        name: InterfaceName,
    },
    /// List the taps.
    List {
        /// As JSON: an array of objects with name, index, mac, mtu, link, bridge, persistent,
        /// multi-queue, vnet-hdr, owner, group and device; null is what the system does not tell.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, ClapArgs)]
pub(super) struct NewTap {
    /// The tap's name, of 1 to 15 bytes.
    pub(super) name: InterfaceName,
    /// The bridge that it becomes a port of.
    #[arg(long)]
    pub(super) bridge: InterfaceName,
    /// The guest's MAC.
    #[arg(long, value_name = "MAC")]
    pub(super) guest_mac: UnicastMac,
    /// Take a tap of this name that is there already.
    #[arg(long)]
    pub(super) adopt: bool,
    /// Let the guest speak only with its MAC; what that prevents depends on the system, and is
    /// printed.
    #[arg(long)]
    pub(super) restrict: bool,
    /// The number of the user who may open it without privilege; root alone if neither owner nor group is given (Linux).
    #[arg(long, value_name = "UID")]
    pub(super) owner: Option<u32>,
    /// The number of the group whose members may.
    #[arg(long, value_name = "GID")]
    pub(super) group: Option<u32>,
    /// How many queues it is opened with.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(super) queues: NonZeroU16,
    /// Each frame has a header of virtio before it.
    #[arg(long)]
    pub(super) vnet_hdr: bool,
    #[command(flatten)]
    pub(super) options: Given<PortOptions>,
}

impl Args {
    /// Ends the process for wrong usage that clap does not know of.
    pub(super) fn wrong_usage(text: &str) -> ! {
        Self::command().error(clap::error::ErrorKind::ArgumentConflict, text).exit()
    }
}

impl NewTap {
    pub(super) fn guest(&self) -> Guest {
        let mut tap = TapSpec::new().name(self.name).queues(self.queues);
        (tap.owner, tap.group) = (self.owner, self.group);
        tap.vnet_hdr = self.vnet_hdr.then(VnetHeader::default);
        if self.adopt {
            tap = tap.adopt_existing();
        }
        let guest = Guest::new(self.guest_mac).tap(tap).options(self.options.0).persistent();
        if self.restrict { guest.restricted() } else { guest }
    }
}

#[derive(Debug, Clone, Copy, ClapArgs)]
pub(super) struct Tagging {
    /// Their frames leave the port without a tag.
    #[arg(long)]
    untagged: bool,
    /// What comes in without a tag belongs to this VLAN.
    #[arg(long)]
    pvid: bool,
}

impl From<Tagging> for VlanTagging {
    fn from(tagging: Tagging) -> Self {
        match (tagging.untagged, tagging.pvid) {
            (false, false) => Self::Tagged,
            (true, false) => Self::Untagged,
            (true, true) => Self::Pvid,
            (false, true) => Self::PvidTagged,
        }
    }
}

#[derive(Debug, ClapArgs)]
#[group(skip)]
#[command(mut_group("bridge-options", |group| group.required(true)))]
pub(super) struct Change {
    /// Its new MAC.
    #[arg(long, group = "bridge-options")]
    pub(super) mac: Option<UnicastMac>,
    /// Its new MTU in bytes.
    #[arg(long, value_name = "BYTES", group = "bridge-options")]
    pub(super) mtu: Option<u32>,
    /// Up.
    #[arg(long, group = "bridge-options")]
    pub(super) up: bool,
    /// Down.
    #[arg(long, conflicts_with = "up", group = "bridge-options")]
    pub(super) down: bool,
    #[command(flatten)]
    pub(super) options: Given<BridgeOptions>,
}

/// The MAC of a bridge to be made.
#[derive(Debug, Clone, Copy)]
pub(super) enum MacChoice {
    Auto,
    This(UnicastMac),
}

impl FromStr for MacChoice {
    type Err = InvalidMac;

    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::This) }
    }
}

fn backend_names() -> PossibleValuesParser {
    PossibleValuesParser::new(AVAILABLE.iter().map(|backend| backend.name))
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::Args;

    /// What is built only when a command is called must not say something else of the command.
    #[test]
    fn a_command_is_about_what_its_parents_help_says() {
        fn check(command: &Command, path: &[&str]) {
            let help = Args::command().try_get_matches_from([path, &["-h"]].concat());
            let help = help.expect_err("that is how clap gives help").to_string();
            for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
                let about = command.get_about().expect("each has its doc comment").to_string();
                assert!(help.contains(&about), "{about:?} is not in {help}");
                check(command, &[path, &[command.get_name()]].concat());
            }
        }

        let mut all = Args::command();
        all.build();
        check(&all, &["vmbridge"]);
    }
}
