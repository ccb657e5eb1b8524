//! Networks: what the command line may say of them.

mod execute;
mod print;
mod watch;

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args as ClapArgs, CommandFactory, Subcommand, ValueEnum};
use vmbridge::network::{NetworkName, Store};

pub(super) use self::execute::execute;
use super::args as command;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Where networks are defined, a file NAME.xml each; the system's directory if absent. It must belong
    /// to root or to you, and others may not write to it.
    #[arg(long, visible_alias = "dir", global = true, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    /// Where it is noted which networks are active, and how they were started. The two directories
    /// belong together; with libvirt's directory of definitions, libvirt's if absent.
    #[arg(long, global = true, value_name = "DIR", requires = "config_dir")]
    state_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: NetworkCommand,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum NetworkCommand {
    /// Define a network, or define it anew, and print the MAC that its bridge keeps for life.
    ///
    /// A redefined network keeps its MAC and the name of its bridge. A new one gets the first name that neither
    /// vmbridge, libvirt nor the host uses. Its MAC is that of a running bridge of its name, or a new one. An active
    /// network stays as it is until `ensure`.
    Define {
        /// The definition, as libvirt's XML; `-` for the standard input.
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
        #[command(flatten)]
        mac: MacOption,
        /// Where libvirt's networks are defined: no name of their bridges is chosen. With the system's own
        /// directories, libvirt's if absent.
        #[arg(long, value_name = "DIR")]
        libvirt_dir: Option<PathBuf>,
    },
    /// List the networks that are defined or active.
    List {
        /// As JSON: an array of objects with name, uuid, bridge, mac, defined, state (active, absent,
        /// drifted, occupied, foreign or broken), drifts and reason.
        #[arg(long)]
        json: bool,
    },
    /// Show a network as it is defined, and where the host differs.
    Show {
        /// The network's name.
        name: NetworkName,
        /// Its definition, as it is in its file.
        #[arg(long, conflicts_with = "json")]
        xml: bool,
        /// As JSON: an object with what is defined, and with uuid, defined, state, drifts and reason as
        /// `list` has them.
        #[arg(long)]
        json: bool,
    },
    /// Make the bridges of networks, complete and up.
    Start(Chosen),
    /// Delete the bridges of networks; the guests' taps stay, without them.
    ///
    /// A bridge that `ensure` adopted stays, and so does one without a record of its start.
    Stop {
        #[command(flatten)]
        chosen: Chosen,
        /// Delete adopted bridges, too.
        #[arg(long)]
        delete_adopted: bool,
    },
    /// Make networks active and as they are defined, and say what was not.
    ///
    /// Adopts an existing bridge, and changes it where it differs; `stop` leaves such a bridge. It does not give the
    /// host IPv6 back on a running bridge: use `vmbridge set BRIDGE --host-ipv6`.
    Ensure(Chosen),
    /// Say, in a line each, where the bridges of active networks are no longer as they were started.
    ///
    /// Also reports restricted ports that lose their static entry. Runs until SIGTERM or SIGINT, then exits with
    /// status 0.
    Watch(watch::Args),
    /// Forget the definition of a network; an active one stays so.
    Undefine {
        /// The network's name.
        name: NetworkName,
    },
    /// Give a MAC to every network that has none, ours or libvirt's.
    ///
    /// For libvirt's: --dir /etc/libvirt/qemu/networks, with the state directory /run/libvirt/network
    /// (before libvirt 1.2.4 /var/lib/libvirt/network). libvirt must not run meanwhile.
    Migrate {
        /// Change nothing, and print what would be changed as `diff -u` does.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        mac: MacOption,
    },
}

// Which networks. (As a doc comment it would be the help of each command that has it.)
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
struct Chosen {
    /// The networks' names. Each is tried.
    #[arg(value_name = "NAME")]
    names: Vec<NetworkName>,
    /// All that there are; those for which nothing is to be done are passed over.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Clone, Copy, ClapArgs)]
struct MacOption {
    /// Where a MAC comes from that is not given.
    #[arg(long = "mac", value_name = "SOURCE", default_value = "random")]
    source: MacChoice,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MacChoice {
    /// From chance, under 52:54:00.
    Random,
    /// From the host's identity and the network's name: stable on this host, different on others.
    Derived,
}

impl Args {
    /// The directories that were given, or are known from the one that was: of definitions, and of what is active.
    fn directories(&self) -> Option<[&Path; 2]> {
        let config = self.config_dir.as_deref()?;
        let libvirts =
            (config == Path::new(Store::LIBVIRT_CONFIG_DIR)).then_some(Path::new(Store::LIBVIRT_STATE_DIR));
        let Some(state) = self.state_dir.as_deref().or(libvirts) else {
            let error = "the argument '--config-dir <DIR>' needs '--state-dir <DIR>'";
            command::Args::command().error(ErrorKind::MissingRequiredArgument, error).exit()
        };
        Some([config, state])
    }

    fn store(&self) -> Store {
        self.directories().map_or_else(Store::default, |[config, state]| Store::new(config, state))
    }
}
