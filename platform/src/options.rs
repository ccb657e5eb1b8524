//! The options of a bridge and of its ports.
//!
//! Each is written down once, below: the field of the struct that a caller fills in, the variant
//! that a backend acts on, and the [`Capability`] that says whether a backend can.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::{Attempt, Capabilities, Capability, HostIpv6, Result, StpProtocol, VlanId};

macro_rules! options {
    (
        $(#[$struct_doc:meta])* struct $Options:ident;
        $(#[$enum_doc:meta])* enum $Option:ident;
        $($(#[$doc:meta])* $field:ident: $Variant:ident($Value:ty) = $capability:ident $(, serde $form:literal)?;)+
    ) => {
        $(#[$struct_doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(default, rename_all = "kebab-case"))]
        #[non_exhaustive]
        pub struct $Options {
            $(
                $(#[$doc])*
                #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
                $(#[cfg_attr(feature = "serde", serde(with = $form))])?
                pub $field: Option<$Value>,
            )+
        }

        $(#[$enum_doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $Option {
            $($(#[$doc])* $Variant($Value),)+
        }

        impl $Options {
            $crate::setters::setters! { $($(#[$doc])* $field: Option<$Value>;)+ }

            /// Those that are given, in the order in which they are to be set.
            pub fn iter(&self) -> impl Iterator<Item = $Option> + use<> {
                [$(self.$field.map($Option::$Variant)),+].into_iter().flatten()
            }

            /// Those that are given here and are not the same in `current`.
            pub(crate) fn unlike<'a>(&'a self, current: &'a Self) -> impl Iterator<Item = $Option> + 'a {
                self.iter().filter(|option| !current.iter().any(|other| other == *option))
            }

            /// What an option was here, in the state before, if it is as `set` in `now`, and was not.
            #[allow(dead_code, reason = "both structs have it, one uses it")]
            pub(crate) fn former(&self, now: &Self, set: $Option) -> Option<$Option> {
                match set {
                    $($Option::$Variant(value) if now.$field == Some(value) => {
                        self.$field.filter(|&former| former != value).map($Option::$Variant)
                    })+
                    _ => None,
                }
            }

            /// Refuses, before anything is done, what a backend cannot do.
            ///
            /// # Errors
            /// `Unsupported`, naming the first option that is none of these capabilities.
            pub fn check(&self, at: Attempt, capabilities: Capabilities) -> Result<()> {
                // Cheaper than the iterator: every step of many is checked.
                $(
                    if self.$field.is_some() {
                        at.need(Capability::$capability, capabilities)?;
                    }
                )+
                Ok(())
            }
        }

        impl $Option {
            /// The capabilities of all options, one for each.
            pub const CAPABILITIES: &[Capability] = &[$(Capability::$capability),+];

            /// What a backend must be capable of to set it.
            #[must_use]
            pub const fn capability(self) -> Capability {
                match self {
                    $(Self::$Variant(_) => Capability::$capability,)+
                }
            }
        }

        impl Extend<$Option> for $Options {
            fn extend<I: IntoIterator<Item = $Option>>(&mut self, options: I) {
                for option in options {
                    match option {
                        $($Option::$Variant(value) => self.$field = Some(value),)+
                    }
                }
            }
        }

        impl FromIterator<$Option> for $Options {
            fn from_iter<I: IntoIterator<Item = $Option>>(options: I) -> Self {
                let mut collected = Self::default();
                collected.extend(options);
                collected
            }
        }
    };
}

options! {
    /// Options of a bridge; those that are `None` are left to the kernel, or as they are.
    ///
    /// A time is a whole number of 10 ms on Linux and of seconds on FreeBSD: any other is refused
    /// ([`InvalidOption`](crate::ErrorKind::InvalidOption)), as is a value that the kernel refuses.
    struct BridgeOptions;
    /// One option of a bridge.
    enum BridgeOption;

    /// The protocol that STP is spoken with (FreeBSD; of the ports that join later, too).
    stp_protocol: StpProtocol(StpProtocol) = StpProtocol;
    /// How long a port listens, and then learns, before it forwards. Linux: 2 to 30 s while STP is
    /// on, anything while it is off; turning STP on makes it 2 s at least. FreeBSD: 4 to 30 s.
    forward_delay: ForwardDelay(Duration) = ForwardDelay, serde "crate::serde_forms::seconds";
    /// How often STP says hello. Linux: 1 to 10 s. FreeBSD: 1 to 2 s, with the protocol STP only.
    hello_time: HelloTime(Duration) = HelloTime, serde "crate::serde_forms::seconds";
    /// How long STP believes a hello. 6 to 40 s.
    max_age: MaxAge(Duration) = MaxAge, serde "crate::serde_forms::seconds";
    /// Which bridge becomes STP's root: the lowest. FreeBSD: in steps of 4096.
    priority: Priority(u16) = Priority;
    /// Whether the bridge speaks STP. FreeBSD has no such switch, but one for each port
    /// ([`PortOptions::stp`]).
    stp: Stp(bool) = Stp;
    /// How long a learned address stays without a frame from it. On FreeBSD at least 1 s.
    ///
    /// While STP handles a change of the topology, Linux uses twice the forward delay instead, and does not tell the
    /// value that was set: the state of a bridge then has none. Rollback cannot restore an ageing time that is set
    /// meanwhile, and says so.
    ageing_time: AgeingTime(Duration) = AgeingTime, serde "crate::serde_forms::seconds";
    /// How many addresses are learned (FreeBSD).
    max_addresses: MaxAddresses(u32) = MaxAddresses;
    /// Whether multicast goes only where it is asked for (IGMP and MLD snooping).
    multicast_snooping: MulticastSnooping(bool) = MulticastSnooping;
    /// Which of the link-local group addresses 01:80:c2:00:00:0X are forwarded, as a mask of X; the
    /// kernel refuses 0, 1 and 2 (STP, pause frames, LACP).
    group_forward_mask: GroupForwardMask(u16) = GroupForwardMask;
    /// The PVID of ports that join; `None` inside for no VLAN at all. On Linux also of those ports
    /// that still have the former one; FreeBSD has it from 15 on, and none at first.
    default_pvid: DefaultPvid(Option<VlanId>) = DefaultPvid, serde "crate::serde_forms::given";
    /// Whether the bridge tells VLANs apart (FreeBSD from 15 on).
    vlan_filtering: VlanFiltering(bool) = VlanFiltering;
    /// How far the host itself takes part in IPv6 on the bridge: a new bridge accepts the router advertisements of
    /// its guests on Linux ([`HostIpv6::Kernel`]). Set before the bridge goes up.
    ///
    /// A new bridge has it only if the caller asks for it: on Linux, it takes files of `/proc/sys`, which are read-only
    /// in many containers. On netlink, creating a bridge takes 1.25 times as long with `Manual`, and 2.3 times with
    /// `Disabled` (240, 300 and 560 µs, Linux 6.18).
    ///
    /// Linux: a kernel without IPv6, and a bridge with an MTU below 1280, have nothing to set, and read as `None`.
    /// Such a bridge has the kernel's defaults again when its MTU rises to 1280.
    host_ipv6: HostIpv6(HostIpv6) = HostIpv6;
}

options! {
    /// Options of a port; those that are `None` are left as they are.
    struct PortOptions;
    /// One option of a port.
    enum PortOption;

    /// Isolated ports do not reach one another ("private" in FreeBSD's manual).
    isolated: Isolated(bool) = Isolated;
    /// Addresses are learned from frames that come in.
    learning: Learning(bool) = Learning;
    /// Frames to unknown addresses go out ("discover" in FreeBSD's manual).
    unicast_flood: UnicastFlood(bool) = UnicastFlood;
    /// Multicast that nobody asked for goes out.
    multicast_flood: MulticastFlood(bool) = MulticastFlood;
    /// Broadcast goes out.
    broadcast_flood: BroadcastFlood(bool) = BroadcastFlood;
    /// A BPDU that comes in disables the port.
    bpdu_guard: BpduGuard(bool) = BpduGuard;
    /// The port cannot become the way to STP's root.
    root_block: RootBlock(bool) = RootBlock;
    /// A multicast group is left at once when its leave message comes in.
    fast_leave: FastLeave(bool) = FastLeave;
    /// Frames may go out where they came in.
    hairpin: Hairpin(bool) = Hairpin;
    /// ARP and neighbour discovery are answered by the bridge where it can.
    neighbor_suppression: NeighborSuppression(bool) = NeighborSuppression;
    /// Only frames from static FDB entries of the port come in (Linux 5.18).
    locked: Locked(bool) = Locked;
    /// STP's cost of the port. Linux: 1 to 65535. FreeBSD: up to 200000000, 0 for automatic.
    path_cost: PathCost(u32) = PathCost;
    /// STP's priority of the port. Linux: 0 to 63. FreeBSD: 0 to 240, in steps of 16.
    priority: Priority(u8) = PortPriority;
    /// The port speaks STP (FreeBSD).
    stp: Stp(bool) = PortStp;
    /// A learned address stays with the port (FreeBSD).
    sticky: Sticky(bool) = Sticky;
}

/// The unit of the times that Linux's interfaces tell (`USER_HZ` is 100).
const TICK: Duration = Duration::from_millis(10);
/// The forward delays that STP works with on Linux (`BR_MIN_FORWARD_DELAY`, `BR_MAX_FORWARD_DELAY`).
const STP_FORWARD_DELAY: RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(30);

impl BridgeOptions {
    /// What becomes of these on a bridge: turning STP on brings the forward delay into the range
    /// from 2 to 30 s (Linux, `br_stp_start()`), as with libvirt's defaults of STP and no delay.
    #[must_use]
    pub fn settled(mut self) -> Self {
        if self.stp == Some(true) {
            let (least, most) = STP_FORWARD_DELAY.into_inner();
            self.forward_delay = self.forward_delay.map(|delay| delay.clamp(least, most));
        }
        self
    }

    /// These options, as a kernel has them, with the times that were `asked` for where it has
    /// rounded them: Linux counts in jiffies, of which a tick of 10 ms need not be a whole number
    /// (2½ with `CONFIG_HZ=250`).
    #[must_use]
    pub fn unrounded(mut self, asked: &Self) -> Self {
        let as_asked = |now: &mut Option<Duration>, asked: Option<Duration>| {
            if let (Some(is), Some(asked)) = (*now, asked) {
                if is.abs_diff(asked) <= TICK {
                    *now = Some(asked);
                }
            }
        };
        as_asked(&mut self.forward_delay, asked.forward_delay);
        as_asked(&mut self.hello_time, asked.hello_time);
        as_asked(&mut self.max_age, asked.max_age);
        as_asked(&mut self.ageing_time, asked.ageing_time);
        self
    }

    /// Those that are not the same in `current`, in the order in which they can be set one by one:
    /// a forward delay that STP could not do with comes before STP is turned on, and after it is
    /// turned off; so does a default PVID, which sysfs takes only while VLANs are not told apart.
    pub(crate) fn changes(&self, current: &Self) -> Vec<BridgeOption> {
        let mut changes: Vec<_> = self.unlike(current).collect();
        let off = [BridgeOption::Stp(false), BridgeOption::VlanFiltering(false)];
        changes.sort_by_key(|change| !off.contains(change));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_the_kernel_rounds_counts_as_the_one_asked_for() {
        let of = |ms| BridgeOptions::default().max_age(Duration::from_millis(ms));
        assert_eq!(of(20_000).unrounded(&of(20_010)), of(20_010));
        assert_eq!(of(20_000).unrounded(&of(20_020)), of(20_000));
        assert_eq!(of(20_000).unrounded(&BridgeOptions::default()), of(20_000));
    }

    #[test]
    fn stp_brings_the_forward_delay_into_its_range() {
        let of = |stp, s| BridgeOptions::default().stp(stp).forward_delay(Duration::from_secs(s));
        for (asked, becomes) in [(0, 2), (2, 2), (15, 15), (30, 30), (60, 30)] {
            assert_eq!(of(true, asked).settled(), of(true, becomes));
            assert_eq!(of(false, asked).settled(), of(false, asked));
        }
    }
}
