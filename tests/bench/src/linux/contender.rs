//! Those that create bridges, each in its own way: with a MAC and an MTU, and up.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use vmbridge_platform::linux::{IoctlBackend, NetlinkBackend};
use vmbridge_platform::{Backend, BridgeSpec, Bridges, Bulk, InterfaceName, LinkState, Step, UnicastMac};

use super::tools::command;
use super::{neli, rtnetlink};

pub(super) const MTU: u32 = 1400;

/// Who creates bridges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    Netlink,
    Bulk,
    Ioctl,
    PlainNetlink,
    PlainPipelined,
    /// The fewest ioctls.
    PlainIoctl,
    /// The ioctls of vmbridge's ioctl backend.
    PlainStaged,
    Rtnetlink,
    Neli,
    IpBatch,
}

impl Contender {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Netlink => "vmbridge netlink",
            Self::Bulk => "vmbridge netlink, bulk",
            Self::Ioctl => "vmbridge ioctl",
            Self::PlainNetlink => "plain C netlink",
            Self::PlainPipelined => "plain C netlink, pipelined",
            Self::PlainIoctl => "plain C ioctl, fewest calls",
            Self::PlainStaged => "plain C ioctl, vmbridge's calls",
            Self::Rtnetlink => "rtnetlink",
            Self::Neli => "neli's NlRouter",
            Self::IpBatch => "ip -batch",
        }
    }

    /// Opens what it needs, in the calling thread's network namespace; plain.c's program is there.
    pub(super) fn open(self, plain: &Path) -> Box<dyn Creator> {
        let c = |mode| Box::new(Plain { program: Dialogue::start(command(plain, mode)), first: 0 });
        let specs = Vec::new();
        match self {
            Self::Netlink => Box::new(OneByOne { backend: open_netlink(), specs }),
            Self::Bulk => Box::new(Many { backend: open_netlink(), steps: Vec::new() }),
            Self::Ioctl => Box::new(OneByOne { backend: IoctlBackend::open().expect("it can be opened"), specs }),
            Self::PlainNetlink => c("netlink"),
            Self::PlainPipelined => c("pipelined"),
            Self::PlainIoctl => c("ioctl"),
            Self::PlainStaged => c("staged"),
            Self::Rtnetlink => Box::new(rtnetlink::Peer::open()),
            Self::Neli => Box::new(neli::Peer::open()),
            Self::IpBatch => {
                Box::new(IpBatch { program: Dialogue::start(command("ip", "-batch -")), commands: Vec::new() })
            }
        }
    }
}

pub(super) fn open_netlink() -> NetlinkBackend {
    NetlinkBackend::open().expect("it can be opened")
}

/// Something that creates bridges in the network namespace that it was opened in.
pub(super) trait Creator {
    /// Notes what the bridges with so many numbers are to be.
    fn prepare(&mut self, first: u32, count: u32);

    /// Creates the first so many of those that were prepared, and tells how long that took.
    fn create(&mut self, count: usize) -> Duration;
}

/// The name of a bridge by its number, as plain.c has it, too.
pub(super) fn name(number: u32) -> String {
    format!("b{number:08x}")
}

pub(super) fn interface(number: u32) -> InterfaceName {
    name(number).parse().expect("a name")
}

pub(super) fn mac(number: u32) -> UnicastMac {
    let [_, a, b, c] = number.to_be_bytes();
    UnicastMac::new([0x52, 0x54, 0, a, b, c].into()).expect("no multicast address")
}

pub(super) fn specs(first: u32, count: u32) -> Vec<BridgeSpec> {
    let spec = |number| BridgeSpec::new(interface(number)).mac(mac(number)).mtu(MTU).link(LinkState::Up);
    (first..first + count).map(spec).collect()
}

pub(super) fn creations(first: u32, count: u32) -> Vec<Step> {
    specs(first, count).into_iter().map(Step::Create).collect()
}

/// `ip`'s command for it.
pub(super) fn ip_command(number: u32) -> String {
    format!("link add {} address {} mtu {MTU} up type bridge", name(number), mac(number))
}

struct OneByOne<B> {
    backend: B,
    specs: Vec<BridgeSpec>,
}

impl<B: Backend> Creator for OneByOne<B> {
    fn prepare(&mut self, first: u32, count: u32) {
        self.specs = specs(first, count);
    }

    fn create(&mut self, count: usize) -> Duration {
        let start = Instant::now();
        for spec in &self.specs[..count] {
            self.backend.create(spec).expect("it can be made");
        }
        start.elapsed()
    }
}

struct Many {
    backend: NetlinkBackend,
    steps: Vec<Step>,
}

impl Creator for Many {
    fn prepare(&mut self, first: u32, count: u32) {
        self.steps = creations(first, count);
    }

    fn create(&mut self, count: usize) -> Duration {
        let start = Instant::now();
        self.backend.apply(&self.steps[..count], Bulk::AllOrNothing).expect("they can be made");
        start.elapsed()
    }
}

/// A program that is told what to do, and says when it is done; it ends with its input.
struct Dialogue {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Dialogue {
    fn start(mut command: Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("it can be started");
        let answers = BufReader::new(child.stdout.take().expect("it is a pipe"));
        Self { child, answers }
    }

    fn say(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().expect("it is a pipe");
        input.write_all(text.as_bytes()).expect("it reads on");
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("UTF-8");
        assert!(!line.is_empty(), "it has ended");
        line
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Its namespace goes after it.
        let _ = self.child.wait();
    }
}

/// plain.c, which takes the time itself.
struct Plain {
    program: Dialogue,
    first: u32,
}

impl Creator for Plain {
    fn prepare(&mut self, first: u32, _count: u32) {
        self.first = first;
    }

    fn create(&mut self, count: usize) -> Duration {
        self.program.say(&format!("{} {count}\n", self.first));
        Duration::from_nanos(self.program.hear().trim().parse().expect("nanoseconds"))
    }
}

/// One `ip -batch` for all: how long it takes to start does not count.
struct IpBatch {
    program: Dialogue,
    commands: Vec<String>,
}

impl Creator for IpBatch {
    fn prepare(&mut self, first: u32, count: u32) {
        self.commands = (first..first + count).map(|number| ip_command(number) + "\n").collect();
    }

    fn create(&mut self, count: usize) -> Duration {
        // It prints nothing of what it has created, but two lines here.
        let commands = self.commands[..count].concat() + "link show dev lo\n";
        let start = Instant::now();
        self.program.say(&commands);
        self.program.hear();
        let time = start.elapsed();
        self.program.hear();
        time
    }
}
