//! Backends around another backend.

/// Writes methods of [`Backend`](crate::Backend), each as a call of the inner backend.
macro_rules! delegate {
    ($inner:tt: $(fn $function:ident($($argument:ident: $Type:ty),*) $(-> $Returned:ty)?;)+) => {$(
        fn $function(&self, $($argument: $Type),*) $(-> $Returned)? {
            self.$inner.$function($($argument),*)
        }
    )+};
}

/// Writes the methods of [`Backend`](crate::Backend) that change nothing, and belong to no step.
macro_rules! delegate_reading {
    ($inner:tt) => {
        $crate::delegate::delegate! { $inner:
            fn name() -> &'static str;
            fn find_bridge(bridge: $crate::Target) -> $crate::Result<Option<$crate::BridgeState>>;
            fn list_bridges() -> $crate::Result<Vec<$crate::BridgeState>>;
            fn list_ports(bridge: $crate::Target) -> $crate::Result<Vec<$crate::PortState>>;
            fn list_interfaces() -> $crate::Result<Vec<$crate::InterfaceState>>;
            fn find_port(port: $crate::Target) -> $crate::Result<Option<$crate::PortState>>;
            fn find_tap(tap: $crate::Target) -> $crate::Result<Option<$crate::TapState>>;
            fn list_taps() -> $crate::Result<Vec<$crate::TapState>>;
            fn adopt_descriptors(queues: Vec<std::os::fd::OwnedFd>) -> $crate::Result<$crate::Tap>;
            fn list_fdb(bridge: $crate::Target) -> $crate::Result<Vec<$crate::FdbEntry>>;
            fn list_vlans(bridge: $crate::Target, port: $crate::Target) -> $crate::Result<Vec<$crate::PortVlans>>;
            fn bridge_has_carrier(bridge: $crate::Target) -> $crate::Result<bool>;
            fn open_events() -> $crate::Result<$crate::Events>;
        }
    };
}

pub(crate) use {delegate, delegate_reading};
