//! The crate rtnetlink, each request awaited.

use std::time::{Duration, Instant};

use rtnetlink::{Handle, LinkBridge};
use tokio::runtime::{Builder, Runtime};

use super::contender::{Creator, MTU, mac, name};

pub(super) struct Peer {
    runtime: Runtime,
    handle: Handle,
    bridges: Vec<(String, [u8; 6])>,
}

impl Peer {
    pub(super) fn open() -> Self {
        let runtime = Builder::new_current_thread().enable_io().build().expect("it can be made");
        let handle = runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection().expect("it can be opened");
            tokio::spawn(connection);
            handle
        });
        Self { runtime, handle, bridges: Vec::new() }
    }
}

impl Creator for Peer {
    fn prepare(&mut self, first: u32, count: u32) {
        self.bridges = (first..first + count).map(|number| (name(number), mac(number).bytes())).collect();
    }

    fn create(&mut self, count: usize) -> Duration {
        let start = Instant::now();
        self.runtime.block_on(async {
            for (name, mac) in &self.bridges[..count] {
                let bridge = LinkBridge::new(name).address(mac.to_vec()).mtu(MTU).up().build();
                self.handle.link().add(bridge).execute().await.expect("it can be made");
            }
        });
        start.elapsed()
    }
}
