//! The smallest thing that a virtual machine monitor does with vmbridge: a guest on a bridge, here
//! one that can do no more than answer ARP. It is the same program on Linux and FreeBSD.
//!
//! ```sh
//! vmbridge create br0 --up && ip address add 192.0.2.1/24 dev br0    # ifconfig br0 inet 192.0.2.1/24
//! cargo run --example arp -- br0 52:54:00:ab:0c:01 192.0.2.7 &
//! ping -c 1 192.0.2.7; ip neighbour show 192.0.2.7                   # arp -n 192.0.2.7
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::net::Ipv4Addr;

use vmbridge::{Guest, InterfaceName, NativeBackend, UnicastMac, plug};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bridge, mac, address] = &arguments[..] else { return Err("usage: arp BRIDGE MAC ADDRESS".into()) };
    let (mac, address): (UnicastMac, Ipv4Addr) = (mac.parse()?, address.parse()?);

    let backend = NativeBackend::open()?;
    let plugged = plug(&backend, bridge.parse::<InterfaceName>()?, &Guest::new(mac))?;
    println!("{mac} answers for {address} through {} of {bridge}", plugged.tap.name());
    // From here on the guest needs the tap's descriptor and nothing else. With the last descriptor
    // the tap goes, where the backend can do that.
    let mut card = plugged.tap.into_queues().into_iter().map(File::from).next().ok_or("a tap without a queue")?;
    let mut frame = [0; 2048];
    loop {
        let length = card.read(&mut frame)?;
        if let Some(reply) = answer(&frame[..length], mac.bytes(), address.octets()) {
            card.write_all(&reply)?;
        }
    }
}

/// The answer to an Ethernet frame that asks who has `address` (RFC 826), if it is one.
fn answer(frame: &[u8], mac: [u8; 6], address: [u8; 4]) -> Option<Vec<u8>> {
    // EtherType ARP; Ethernet and IPv4, with addresses of 6 and 4 bytes; a request.
    const REQUEST: [u8; 10] = [0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1];
    const REPLY: [u8; 10] = [0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 2];
    let (sender, target) = (frame.get(22..32)?, frame.get(38..42)?);
    (frame[12..22] == REQUEST && target == address)
        .then(|| [&sender[..6], &mac, &REPLY, &mac, &address, sender].concat())
}
