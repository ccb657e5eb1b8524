//! What the command line may say.

use std::str::FromStr;

use clap::builder::PossibleValuesParser;
use clap::{Args as ClapArgs, Parser, Subcommand};
use vmbridge::{AVAILABLE, InterfaceName, InvalidMac, UnicastMac};

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
pub(super) enum Command {
    /// Create a bridge and print its MAC, which it keeps for life.
    Create {
        /// The bridge's name, of 1 to 15 bytes.
        name: InterfaceName,
        /// Its MAC, or `auto` for one under 52:54:00 that no interface of the host has.
        #[arg(long, default_value = "auto", value_name = "MAC|auto")]
        mac: MacChoice,
        /// Its MTU in bytes; the kernel's choice if absent.
        #[arg(long, value_name = "BYTES")]
        mtu: Option<u32>,
        /// Up from the start.
        #[arg(long)]
        up: bool,
    },
    /// Delete a bridge; its ports stay, without it.
    Delete {
        /// The bridge's name.
        name: InterfaceName,
    },
    /// List the bridges.
    List {
        /// As JSON: an array of objects with name, index, mac, mtu and link.
        #[arg(long)]
        json: bool,
    },
    /// Show a bridge and its ports.
    Show {
        /// The bridge's name.
        name: InterfaceName,
        /// As JSON: an object with name, index, mac, mtu, link, and ports, an array of the same.
        #[arg(long)]
        json: bool,
    },
    /// Change a bridge.
    Set {
        /// The bridge's name.
        name: InterfaceName,
        #[command(flatten)]
        change: Change,
    },
    /// Make an interface a port of a bridge.
    Attach {
        /// The bridge's name.
        bridge: InterfaceName,
        /// The interface's name.
        port: InterfaceName,
    },
    /// Release a port from a bridge.
    Detach {
        /// The bridge's name.
        bridge: InterfaceName,
        /// The port's name.
        port: InterfaceName,
    },
    /// Show what a MAC of its own does for a bridge, in a network that leaves no trace.
    Demo,
}

#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = true)]
pub(super) struct Change {
    /// Its new MAC.
    #[arg(long)]
    pub(super) mac: Option<UnicastMac>,
    /// Its new MTU in bytes.
    #[arg(long, value_name = "BYTES")]
    pub(super) mtu: Option<u32>,
    /// Up.
    #[arg(long)]
    pub(super) up: bool,
    /// Down.
    #[arg(long, conflicts_with = "up")]
    pub(super) down: bool,
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
