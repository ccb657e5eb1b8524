//! Backends around another backend.

/// Writes the methods of [`Backend`](crate::Backend) that change nothing, each as a call of the inner backend.
macro_rules! delegate_reading {
    ($inner:tt) => {
        fn name(&self) -> &'static str {
            self.$inner.name()
        }

        fn look(&self, step: &crate::Step) -> crate::Result<crate::Seen> {
            self.$inner.look(step)
        }

        fn look_all(&self, steps: &[&crate::Step], each: &mut dyn FnMut(crate::Result<crate::Seen>)) {
            self.$inner.look_all(steps, each);
        }

        fn find_bridge(&self, bridge: crate::Target) -> crate::Result<Option<crate::BridgeState>> {
            self.$inner.find_bridge(bridge)
        }

        fn list_bridges(&self) -> crate::Result<Vec<crate::BridgeState>> {
            self.$inner.list_bridges()
        }

        fn list_ports(&self, bridge: crate::Target) -> crate::Result<Vec<crate::PortState>> {
            self.$inner.list_ports(bridge)
        }

        fn list_interfaces(&self) -> crate::Result<Vec<crate::InterfaceState>> {
            self.$inner.list_interfaces()
        }

        fn find_port(&self, port: crate::Target) -> crate::Result<Option<crate::PortState>> {
            self.$inner.find_port(port)
        }

        fn find_tap(&self, tap: crate::Target) -> crate::Result<Option<crate::TapState>> {
            self.$inner.find_tap(tap)
        }

        fn list_taps(&self) -> crate::Result<Vec<crate::TapState>> {
            self.$inner.list_taps()
        }

        fn adopt_descriptors(&self, queues: Vec<std::os::fd::OwnedFd>) -> crate::Result<crate::Tap> {
            self.$inner.adopt_descriptors(queues)
        }

        fn list_fdb(&self, bridge: crate::Target) -> crate::Result<Vec<crate::FdbEntry>> {
            self.$inner.list_fdb(bridge)
        }

        fn list_vlans(&self, bridge: crate::Target, port: crate::Target) -> crate::Result<Vec<crate::PortVlans>> {
            self.$inner.list_vlans(bridge, port)
        }

        fn bridge_has_carrier(&self, bridge: crate::Target) -> crate::Result<bool> {
            self.$inner.bridge_has_carrier(bridge)
        }

        fn open_events(&self) -> crate::Result<crate::Events> {
            self.$inner.open_events()
        }
    };
}

pub(crate) use delegate_reading;
