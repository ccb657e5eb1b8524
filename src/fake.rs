//! A host for the tests of policy: the model, with ports' options and an FDB, whose calls can be
//! made to fail.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::model::Model;
use crate::{
    Attempt, BridgeBackend, BridgeChange, BridgeSpec, BridgeState, Capabilities, Capability, ErrorKind, FdbEntry,
    FdbOrigin, InterfaceName, InterfaceState, Operation, PortOptions, PortState, Result, StaticEntry, Tap,
    TapChange, TapSpec, TapState, UnicastMac, VlanId,
};

#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) model: Model,
    pub(crate) capabilities: Capabilities,
    pub(crate) state: Mutex<State>,
    /// How many changes succeed before one fails; those after it succeed again.
    pub(crate) fails_after: Mutex<Option<usize>>,
    /// What was changed, in order.
    pub(crate) log: Mutex<Vec<&'static str>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) options: BTreeMap<InterfaceName, PortOptions>,
    pub(crate) fdb: Vec<FdbEntry>,
}

impl Fake {
    /// A bridge `br0` with the port `tap0`, and an interface `tap1`.
    pub(crate) fn new(capabilities: impl IntoIterator<Item = Capability>) -> Self {
        let model = Model::new();
        model.create(&BridgeSpec::new(name("br0")).mac(mac(0xff))).expect("it can be made");
        for (port, own) in [("tap0", 0xf0), ("tap1", 0xf1)] {
            model.add_interface(name(port), mac(own)).expect("it can be made");
        }
        model.add_port(name("br0"), name("tap0")).expect("it can join");
        let options = PortOptions::default().isolated(false).learning(true).unicast_flood(true).locked(false);
        let state = State { options: BTreeMap::from([(name("tap0"), options)]), fdb: vec![] };
        Self {
            model,
            capabilities: capabilities.into_iter().collect(),
            state: Mutex::new(state),
            fails_after: Mutex::default(),
            log: Mutex::default(),
        }
    }

    pub(crate) fn with_entry(self, port: &str, mac: UnicastMac, origin: FdbOrigin) -> Self {
        self.state.lock().expect("one thread").fdb.push(entry(name(port), mac, origin));
        self
    }

    fn step(&self, what: &'static str, operation: Operation) -> Result<()> {
        let mut fails_after = self.fails_after.lock().expect("one thread");
        match *fails_after {
            Some(0) => {
                *fails_after = None;
                return Err(Attempt::new("fake", operation).error(ErrorKind::Os));
            }
            Some(left) => *fails_after = Some(left - 1),
            None => {}
        }
        self.log.lock().expect("one thread").push(what);
        Ok(())
    }
}

pub(crate) fn name(text: &str) -> InterfaceName {
    text.parse().expect("a name")
}

pub(crate) fn mac(last: u8) -> UnicastMac {
    UnicastMac::new([0x52, 0x54, 0, 0, 0, last].into()).expect("of one station")
}

fn entry(port: InterfaceName, mac: UnicastMac, origin: FdbOrigin) -> FdbEntry {
    FdbEntry::new(mac.into(), port, None, origin)
}

impl BridgeBackend for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn create(&self, spec: &BridgeSpec) -> Result<()> {
        self.step("create", Operation::Create)?;
        self.model.create(spec)
    }

    fn delete(&self, bridge: InterfaceName) -> Result<()> {
        self.step("delete", Operation::Delete)?;
        self.model.delete(bridge)
    }

    fn find(&self, bridge: InterfaceName) -> Result<Option<BridgeState>> {
        self.model.find(bridge)
    }

    fn has_carrier(&self, bridge: InterfaceName) -> Result<bool> {
        self.model.has_carrier(bridge)
    }

    fn list(&self) -> Result<Vec<BridgeState>> {
        self.model.list()
    }

    fn change(&self, bridge: InterfaceName, change: &BridgeChange) -> Result<()> {
        self.step("change", Operation::Change)?;
        self.model.change(bridge, change)
    }

    fn add_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        self.step("add port", Operation::AddPort)?;
        self.model.add_port(bridge, port)
    }

    fn remove_port(&self, bridge: InterfaceName, port: InterfaceName) -> Result<()> {
        self.step("remove port", Operation::RemovePort)?;
        let mut state = self.state.lock().expect("one thread");
        state.options.remove(&port);
        state.fdb.retain(|entry| entry.port != port);
        self.model.remove_port(bridge, port)
    }

    fn ports(&self, bridge: InterfaceName) -> Result<Vec<PortState>> {
        let mut ports = self.model.ports(bridge)?;
        for port in &mut ports {
            port.options =
                self.state.lock().expect("one thread").options.get(&port.name).copied().unwrap_or_default();
        }
        Ok(ports)
    }

    fn change_port(&self, _: InterfaceName, port: InterfaceName, options: &PortOptions) -> Result<()> {
        self.step("change port", Operation::ChangePort)?;
        self.state.lock().expect("one thread").options.entry(port).or_default().extend(options.iter());
        Ok(())
    }

    fn fdb(&self, _: InterfaceName) -> Result<Vec<FdbEntry>> {
        Ok(self.state.lock().expect("one thread").fdb.clone())
    }

    fn add_fdb_entry(&self, _: InterfaceName, added: &StaticEntry) -> Result<()> {
        self.step("add entry", Operation::AddFdbEntry)?;
        self.state.lock().expect("one thread").fdb.push(entry(added.port, added.mac, FdbOrigin::Static));
        Ok(())
    }

    fn replace_fdb_entry(&self, _: InterfaceName, added: &StaticEntry) -> Result<()> {
        self.step("replace entry", Operation::ReplaceFdbEntry)?;
        let mut state = self.state.lock().expect("one thread");
        state.fdb.retain(|entry| entry.mac != added.mac);
        state.fdb.push(entry(added.port, added.mac, FdbOrigin::Static));
        Ok(())
    }

    fn remove_fdb_entry(&self, _: InterfaceName, mac: UnicastMac, _: Option<VlanId>) -> Result<()> {
        self.step("remove entry", Operation::RemoveFdbEntry)?;
        self.state.lock().expect("one thread").fdb.retain(|entry| entry.mac != mac);
        Ok(())
    }

    fn create_tap(&self, spec: &TapSpec) -> Result<Tap> {
        self.step("create tap", Operation::CreateTap)?;
        self.model.create_tap(spec)
    }

    fn persist_tap(&self, tap: &Tap) -> Result<()> {
        self.step("persist tap", Operation::PersistTap)?;
        self.model.persist_tap(tap)
    }

    fn change_tap(&self, tap: InterfaceName, change: &TapChange) -> Result<()> {
        self.step("change tap", Operation::ChangeTap)?;
        self.model.change_tap(tap, change)
    }

    fn delete_tap(&self, tap: InterfaceName) -> Result<()> {
        self.step("delete tap", Operation::DeleteTap)?;
        self.model.delete_tap(tap)
    }

    fn taps(&self) -> Result<Vec<TapState>> {
        self.model.taps()
    }

    fn interfaces(&self) -> Result<Vec<InterfaceState>> {
        self.model.interfaces()
    }
}
