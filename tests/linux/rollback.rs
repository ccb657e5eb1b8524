//! Rollback while another process acts between its calls.

use vmbridge::faults::FaultyBackend;
use vmbridge::platform::linux::IoctlBackend;
#[cfg(feature = "netlink")]
use vmbridge::platform::linux::NetlinkBackend;
use vmbridge::{Backend, PortOptions, Rollback, Step, Transaction};

use crate::support::{Registry, ip, link, name, path_of};

pub(crate) fn register(registry: &Registry) {
    #[cfg(feature = "netlink")]
    registry.add_with(path_of!(leaves_a_port_on_the_bridge_that_it_moves_to), &["netlink"], || {
        leaves_a_port_on_the_bridge_that_it_moves_to(|| NetlinkBackend::open().expect("it opens"));
    });
    registry.add_with(path_of!(leaves_a_port_on_the_bridge_that_it_moves_to), &["ioctl"], || {
        leaves_a_port_on_the_bridge_that_it_moves_to(|| IoctlBackend::open().expect("it opens"));
    });
}

/// An inverse is chosen by one look, and looked at once more before it is carried out.
fn leaves_a_port_on_the_bridge_that_it_moves_to<B: Backend>(open: impl Fn() -> B) {
    ip("link add name br0 address 52:54:00:00:00:01 type bridge");
    ip("link add name br1 address 52:54:00:00:00:02 type bridge");
    ip("link add name tap0 type veth peer name peer0");
    let hairpin = PortOptions::default().hairpin(true);
    for options in [None, Some(hairpin)] {
        ip("link set dev tap0 nomaster");
        let host = FaultyBackend::new(open());
        let error = Transaction::of(&host, |steps| {
            steps.run(Step::add_port(name("br0"), name("tap0")))?;
            if let Some(options) = options {
                steps.run(Step::change_port(name("br0"), name("tap0"), options))?;
            }
            host.act_before_look(2, |_| {
                ip("link set dev tap0 master br1");
                ip("link set dev tap0 type bridge_slave hairpin on");
            });
            steps.run(Step::delete(name("nosuch")))
        })
        .expect_err("the last step fails");
        assert!(matches!(error.rollback(), Rollback::Done), "{error}");
        assert!(!host.cancel());
        let port = link("tap0").expect("it is there");
        assert_eq!(port["master"], "br1", "{port}");
        assert_eq!(port["linkinfo"]["info_slave_data"]["hairpin"], true, "{port}");
    }
}
