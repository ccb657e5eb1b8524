//! The cases, by what they are about.

mod bulk;
mod bulk_port;
mod change;
mod create;
mod delete;
mod events;
mod fdb;
mod option;
mod port;
mod port_option;
mod read;
mod tap;
mod together;
mod vlan;

use vmbridge::{BridgeSpec, Capability, Error, ErrorKind, LinkState};

use crate::host::{Case, Host, mac, name};

macro_rules! cases {
    ($($module:ident $(where $needed:ident)?: $($case:ident),+ $(,)?;)+) => {
        &[$(cases!(@ $module [$($needed)?] $($case),+)),+]
    };
    (@ $module:ident $needed:tt $($case:ident),+) => {
        &[$((concat!(stringify!($module), "::", stringify!($case)), $module::$case, cases!(? $needed))),+]
    };
    (? []) => { None };
    (? [$needed:ident]) => { Some(Capability::$needed) };
}

/// Every case: its name, and what a backend must be capable of for it.
pub(crate) const ALL: &[&[(&str, Case, Option<Capability>)]] = cases! {
    create:
        has_what_its_spec_says,
        leaves_to_the_kernel_what_its_spec_leaves,
        takes_names_that_look_like_something_else,
        keeps_its_mac_as_ports_come_and_go,
        follows_its_ports_without_a_mac,
        refuses_a_name_that_a_bridge_has,
        refuses_a_name_that_another_interface_has,
        refuses_an_mtu_that_the_kernel_refuses,
        needs_privilege;
    delete:
        takes_only_the_bridge,
        takes_a_bridge_that_is_up,
        refuses_what_is_no_bridge,
        refuses_what_is_not_there,
        needs_privilege;
    change:
        sets_each_alone_and_all_together,
        fixes_a_mac_that_follows_its_ports,
        changes_nothing_when_one_part_is_refused,
        changes_nothing_when_nothing_is_asked,
        refuses_what_is_no_bridge,
        needs_privilege;
    option:
        of_a_new_bridge_is_set_when_it_is_there,
        is_changed_alone,
        is_changed_with_others_and_all_together,
        that_depends_on_another_comes_in_the_order_that_works,
        is_refused_where_the_kernel_refuses_it,
        is_refused_by_name_where_the_backend_has_none,
        needs_privilege;
    port_option:
        is_set_and_read,
        is_set_with_others_or_not_at_all,
        is_refused_by_name_where_the_backend_has_none,
        is_refused_for_what_is_no_port,
        needs_privilege;
    port_option where PortStpState:
        tells_where_a_port_stands_in_stp;
    fdb:
        is_refused_by_name_where_the_backend_has_none;
    fdb where FdbStatic:
        takes_and_gives_back_static_entries,
        refuses_what_is_there_and_what_is_not,
        moves_an_entry_that_is_replaced,
        loses_the_entries_of_a_port_that_leaves,
        keeps_static_entries_when_it_is_flushed,
        takes_many_entries;
    fdb where FdbVlan:
        keeps_entries_of_vlans_apart;
    fdb where FdbList:
        lists_ten_thousand_entries;
    fdb where FdbFlush:
        is_flushed_where_it_is_one;
    vlan:
        passes_as_it_is_told_or_is_unsupported_by_name;
    vlan where PortVlans:
        is_left_without_a_tag_or_that_is_unsupported_by_name,
        passes_in_as_many_ranges_as_there_can_be;
    port:
        joins_and_leaves,
        refuses_what_cannot_be_a_port,
        refuses_a_port_of_this_or_another_bridge,
        refuses_to_release_what_is_no_port,
        refuses_a_bridge_that_is_none,
        tells_who_has_a_port_without_privilege,
        needs_privilege;
    read:
        finds_what_is_there,
        lists_bridges_and_nothing_else,
        lists_ports_of_one_bridge,
        lists_every_interface,
        needs_no_privilege,
        an_unused_mac_is_unused;
    events where Events:
        wake_whoever_follows_the_host;
    tap where Tap:
        has_what_its_spec_says,
        leaves_to_the_kernel_what_its_spec_leaves,
        is_closed_on_exec,
        stays_when_it_is_persisted,
        refuses_a_name_that_is_taken,
        refuses_an_mtu_that_the_kernel_refuses,
        is_refused_by_name_where_the_backend_cannot,
        is_adopted_where_that_was_asked_for,
        is_not_adopted_where_it_cannot_be,
        is_as_before_when_adopting_fails,
        is_changed,
        is_not_changed_when_one_part_is_refused,
        is_deleted_when_nobody_has_it_open,
        is_listed_and_nothing_else,
        needs_privilege;
    tap where TapTransient:
        goes_with_its_descriptors;
    tap where TapQueues:
        has_several_queues;
    tap where TapVnetHdr:
        has_headers;
    tap where TapOwner:
        has_an_owner;
    bulk:
        of_nothing_is_done,
        creates_changes_and_deletes,
        creates_none_or_the_others,
        deletes_none_or_the_others,
        changes_none_or_the_others,
        changes_one_twice,
        fails_for_each_where_there_is_no_bridge,
        needs_privilege;
    bulk_port:
        adds_ports,
        adds_no_port_or_the_others,
        has_entries_or_says_by_name_that_it_has_none;
    bulk_port where FdbStatic:
        adds_entries,
        adds_no_entry_or_the_others;
    bulk_port where PortVlans:
        adds_vlans_to_no_port_or_to_the_others;
    together:
        one_of_many_creates_of_a_name_wins,
        many_bridges_at_once,
        an_interface_that_vanished_is_not_found;
};

/// A MAC for a bridge, higher than those of the ports in these cases.
const BRIDGE_MAC: &str = "52:54:00:00:00:07";
const LOW: &str = "02:00:00:00:00:01";
const HIGH: &str = "02:00:00:00:00:02";

/// Creates a bridge of this name, down, with [`BRIDGE_MAC`].
fn create(host: &dyn Host, bridge: &str) {
    host.bridges().create(&BridgeSpec::new(name(bridge)).mac(mac(BRIDGE_MAC))).expect("the name is free");
}

fn create_up(host: &dyn Host, bridge: &str) {
    let spec = BridgeSpec::new(name(bridge)).mac(mac(BRIDGE_MAC)).link(LinkState::Up);
    host.bridges().create(&spec).expect("the name is free");
}

/// Something that is refused.
type Attempt<'a> = &'a dyn Fn() -> Result<(), Error>;

/// Checks that each attempt fails with its kind, and that none leaves a trace.
fn refused(host: &dyn Host, attempts: &[(ErrorKind, Attempt<'_>)]) {
    let before = host.snapshot();
    for (kind, attempt) in attempts {
        let error = attempt().expect_err("it is refused");
        assert_eq!(error.kind(), *kind, "{error}");
        assert_eq!(error.backend(), host.bridges().name());
        assert!(matches!(error.undo(), vmbridge::Undo::NotNeeded | vmbridge::Undo::Done), "{error}");
        assert_eq!(host.snapshot(), before, "after: {error}");
    }
}
