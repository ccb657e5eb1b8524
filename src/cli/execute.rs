//! The commands, each a call of the library and what is printed of it.

use vmbridge::{
    Attempt, Backend, BridgeChange, BridgeSpec, Bridges, Bulk, BulkError, ErrorKind, HostIpv6, Identity,
    InterfaceName, LinkState, Operation, PortOptions, PortState, PortVlans, StaticEntry, Step, Target,
    attach_many, attach_restricted, bridge_of, bridges_of_ports, lift_restriction, plug, restrict_to_mac,
    unused_mac,
};

use super::args::{Args, Command, FdbCommand, MacChoice, PortChange, PortCommand, TapCommand, VlanCommand};
use super::progress::in_turns;
use super::{Failure, network, port_check, print};

pub(super) fn execute(bridges: &dyn Backend, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { name, mac, mtu, up, options } => {
            let mac = match mac {
                MacChoice::Auto => unused_mac(bridges)?,
                MacChoice::This(mac) => mac,
            };
            let mut spec = BridgeSpec::new(name).mac(mac).options(options.0);
            // A bridge of this command is for guests, unless it is said to be the host's.
            spec.options.host_ipv6 = spec.options.host_ipv6.or(Some(HostIpv6::Manual));
            spec.mtu = mtu;
            if up {
                spec.link = LinkState::Up;
            }
            bridges.create(&spec)?;
            print::mac(mac)
                .map_err(|error| Failure::Unprinted(format!("bridge {name} was created with MAC {mac}"), error))?;
        }
        Command::Delete { names } => delete(bridges, &names)?,
        Command::List { json } => print::bridges(&bridges.list()?, json)?,
        Command::Show { name, json } => {
            let bridge = bridges.find(name)?.ok_or_else(|| {
                Attempt::new(bridges.name(), Operation::Find).on(name).error(ErrorKind::NotFound)
            })?;
            print::bridge(&bridge, &bridges.ports(&bridge)?, json)?;
        }
        Command::Set { name, change } => {
            let link = match (change.up, change.down) {
                (true, _) => Some(LinkState::Up),
                (_, true) => Some(LinkState::Down),
                _ => None,
            };
            let mut wanted = BridgeChange::default().options(change.options.0);
            (wanted.mac, wanted.mtu, wanted.link) = (change.mac, change.mtu, link);
            bridges.change(name, &wanted)?;
        }
        Command::Attach { bridge, ports, only_mac: None, options } => {
            attach(bridges, bridge, &ports, &options.0)?;
        }
        Command::Attach { bridge, ports, only_mac: Some(mac), options } => {
            let [port] = ports[..] else {
                Args::wrong_usage("--only-mac is for one port: its guest has that MAC")
            };
            print::restriction(attach_restricted(bridges, bridge, port, &options.0, mac)?)?;
        }
        Command::Detach { bridge, port } => bridges.remove_port(bridge, port)?,
        Command::Port(command) => on_port(bridges, command)?,
        Command::Fdb(command) => on_fdb(bridges, &command)?,
        Command::Vlan(command) => on_vlans(bridges, &command)?,
        Command::Tap(command) => on_tap(bridges, command)?,
        Command::Network(args) => network::execute(bridges, args)?,
        Command::Capabilities { json } => print::capabilities(bridges.name(), bridges.capabilities(), json)?,
        Command::Demo => unreachable!("run() has handled it, since it opens backends of its own"),
    }
    Ok(())
}

fn delete(bridges: &dyn Backend, names: &[InterfaceName]) -> Result<(), Failure> {
    try_each(names, |names| {
        let steps: Vec<_> = names.iter().copied().map(Step::delete).collect();
        let failed = bridges.apply(&steps, Bulk::AsMuchAsPossible).err().map(BulkError::into_failures);
        failed.into_iter().flatten().map(|(_, error)| error).collect()
    })
}

fn attach(
    bridges: &dyn Backend,
    bridge: InterfaceName,
    ports: &[InterfaceName],
    options: &PortOptions,
) -> Result<(), Failure> {
    try_each(ports, |ports| {
        let ports: Vec<Target> = ports.iter().copied().map(Target::from).collect();
        attach_many(bridges, bridge, &ports, options).into_iter().filter_map(Result::err).collect()
    })
}

/// Does something to many interfaces, and gives what went wrong with any.
fn try_each(
    names: &[InterfaceName],
    act: impl Fn(&[InterfaceName]) -> Vec<vmbridge::Error>,
) -> Result<(), Failure> {
    let mut failures = Vec::new();
    in_turns(names, act, |_, failed| {
        failures.extend(failed.into_iter().map(Failure::from));
        Ok(())
    })?;
    Failure::of_each(failures)
}

fn on_port(bridges: &dyn Backend, command: PortCommand) -> Result<(), Failure> {
    match command {
        PortCommand::Show { bridge, port: name, json } => print::port(&port_of(bridges, bridge, name)?, json)?,
        PortCommand::Set(PortChange { bridge, port, options }) => bridges.change_port(bridge, port, &options.0)?,
        PortCommand::Restrict { bridge, port, mac } => {
            print::restriction(restrict_to_mac(bridges, bridge, port, mac)?)?;
        }
        PortCommand::Check(args) => port_check::execute(bridges, &args)?,
        PortCommand::Unrestrict { bridge, port, mac } => lift_restriction(bridges, bridge, port, mac)?,
    }
    Ok(())
}

/// Returns the port of this name of a bridge.
fn port_of(bridges: &dyn Backend, bridge: InterfaceName, port: InterfaceName) -> Result<PortState, Failure> {
    let at = Attempt::new(bridges.name(), Operation::Ports).on(bridge).port(port);
    let bridge = bridges.find(bridge)?.ok_or_else(|| at.error(ErrorKind::NotFound))?;
    let state = bridges.port(port)?;
    if state.bridge == Some(bridge.identity()) { Ok(state) } else { Err(at.error(ErrorKind::NotAPort).into()) }
}

fn on_tap(bridges: &dyn Backend, command: TapCommand) -> Result<(), Failure> {
    match command {
        TapCommand::Create(tap) => {
            if let Some(restriction) = plug(bridges, tap.bridge, &tap.guest())?.restriction {
                print::restriction(restriction)?;
            }
        }
        TapCommand::Delete { name } => bridges.delete_tap(name)?,
        TapCommand::List { json } => print::taps(&bridges.taps()?, &bridges_of_ports(bridges)?, json)?,
    }
    Ok(())
}

fn on_fdb(bridges: &dyn Backend, command: &FdbCommand) -> Result<(), Failure> {
    match *command {
        FdbCommand::List { bridge, json } => print::fdb(&bridges.fdb(bridge)?, json)?,
        FdbCommand::Add { bridge, port, mac, vlan, replace } => {
            let mut entry = StaticEntry::new(mac, port);
            entry.vlan = vlan;
            if replace {
                bridges.replace_fdb_entry(bridge, &entry)?;
            } else {
                bridges.add_fdb_entry(bridge, &entry)?;
            }
        }
        FdbCommand::Remove { bridge, mac, vlan } => bridges.remove_fdb_entry(bridge, mac, vlan)?,
        FdbCommand::Flush { bridge } => bridges.flush_fdb(bridge)?,
    }
    Ok(())
}

/// Returns a port and its bridge.
fn with_bridge(bridges: &dyn Backend, port: InterfaceName) -> Result<(Identity, Identity), Failure> {
    let port = bridges.port(port)?.identity();
    Ok((bridge_of(bridges, port)?, port))
}

fn on_vlans(bridges: &dyn Backend, command: &VlanCommand) -> Result<(), Failure> {
    match *command {
        VlanCommand::List { port, json } => {
            let (bridge, port) = with_bridge(bridges, port)?;
            print::vlans(&bridges.vlans(bridge, port)?, json)?;
        }
        VlanCommand::Add { port, vlans, tagging } => {
            let (bridge, port) = with_bridge(bridges, port)?;
            bridges.add_vlans(bridge, port, PortVlans::new(vlans, tagging.into()))?;
        }
        VlanCommand::Remove { port, vlans } => {
            let (bridge, port) = with_bridge(bridges, port)?;
            bridges.remove_vlans(bridge, port, vlans)?;
        }
    }
    Ok(())
}
