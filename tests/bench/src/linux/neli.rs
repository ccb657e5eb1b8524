//! neli by its own high-level interface, `NlRouter`.

use std::error::Error;
use std::time::{Duration, Instant};

use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Ifla, IflaInfo, RtAddrFamily, Rtm};
use neli::consts::socket::NlFamily;
use neli::nl::NlPayload;
use neli::router::synchronous::NlRouter;
use neli::rtnl::{Ifinfomsg, IfinfomsgBuilder, RtattrBuilder};
use neli::types::RtBuffer;
use neli::utils::Groups;

use super::contender::{Creator, MTU, mac, name};

pub(super) struct Peer {
    router: NlRouter,
    bridges: Vec<(String, [u8; 6])>,
}

impl Peer {
    pub(super) fn open() -> Self {
        let (router, _) = NlRouter::connect(NlFamily::Route, None, Groups::empty()).expect("it can be opened");
        Self { router, bridges: Vec::new() }
    }
}

impl Creator for Peer {
    fn prepare(&mut self, first: u32, count: u32) {
        self.bridges = (first..first + count).map(|number| (name(number), mac(number).bytes())).collect();
    }

    fn create(&mut self, count: usize) -> Duration {
        let start = Instant::now();
        for (name, mac) in &self.bridges[..count] {
            let message = message(name, *mac).expect("it can be built");
            let flags = NlmF::CREATE | NlmF::EXCL | NlmF::ACK;
            let answers =
                self.router.send::<_, _, Rtm, Ifinfomsg>(Rtm::Newlink, flags, NlPayload::Payload(message));
            for answer in answers.expect("it can be sent") {
                answer.expect("it can be made");
            }
        }
        start.elapsed()
    }
}

fn message(name: &str, mac: [u8; 6]) -> Result<Ifinfomsg, Box<dyn Error>> {
    let kind = RtattrBuilder::default().rta_type(IflaInfo::Kind).rta_payload("bridge").build()?;
    let info = [kind].into_iter().collect::<RtBuffer<_, _>>();
    let attributes = [
        RtattrBuilder::default().rta_type(Ifla::Ifname).rta_payload(name).build()?,
        RtattrBuilder::default().rta_type(Ifla::Address).rta_payload(mac).build()?,
        RtattrBuilder::default().rta_type(Ifla::Mtu).rta_payload(MTU).build()?,
        RtattrBuilder::default().rta_type(Ifla::Linkinfo).rta_payload(info).build()?,
    ];
    let attributes = attributes.into_iter().collect();
    let message = IfinfomsgBuilder::default().ifi_family(RtAddrFamily::Unspecified).up().rtattrs(attributes);
    Ok(message.build()?)
}
