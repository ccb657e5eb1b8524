//! `network watch` on the real kernel, changed by others: what it says, what it puts right, and how
//! it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use vmbridge::network::{self, Document, DriftStatus, EnsureOutcome, ResolvedNetwork, Store};
use vmbridge::{
    Available, Backend, BridgeChange, BridgeOptions, Bridges, InterfaceName, LinkState, Rollback, Step, Tap,
    TapChange, TapSpec, Transaction, UnicastMac,
};

use crate::support::{
    Attacker, Guarded, Registry, batch, exists, ip, link, name, run, snapshot, sysfs, tests, wait_until,
};

const DEFINITION: &str = "<network><name>default</name><bridge name='virbr0'/>\
                          <mac address='52:54:00:01:02:03'/><mtu size='1400'/></network>";
/// As long as a day: only what the kernel tells is seen.
const WHEN_TOLD: &str = "--every 86400";

pub(crate) fn register(registry: &Registry) {
    registry.add_on_each_backend(&tests![
        says_what_others_change,
        puts_right_what_others_change,
        a_network_that_is_stopped_has_not_vanished,
        a_topology_change_is_no_drift,
        a_topology_change_does_not_spoil_a_rollback,
        a_fight_is_limited,
        signals_end_it,
        ends_without_a_word_when_its_reader_has,
    ]);
    // The ioctl backend has no static entries.
    for netlink in vmbridge::AVAILABLE.iter().filter(|backend| backend.name == "netlink") {
        let [(path, test)] = tests![restores_the_static_entry_of_a_guest];
        registry.add_with(path, &[], move || test(netlink));
    }
    registry.needs("strace").add_on_each_backend(&tests![
        a_repair_that_a_signal_meets_is_whole,
        a_network_is_not_stopped_in_the_middle_of_a_look,
    ]);
}

/// A network that is active on this host.
struct Active {
    directory: TempDir,
    store: Store,
    host: Box<dyn Backend>,
    document: Document,
    network: ResolvedNetwork,
}

impl Active {
    fn on(backend: &Available) -> Self {
        Self::with(backend, DEFINITION)
    }

    fn with(backend: &Available, definition: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let store = Store::new(directory.path().join("etc"), directory.path().join("run"));
        let document: Document = definition.parse().expect("a definition");
        let network = document.network().expect("it is one").clone().resolve([]).expect("it is whole");
        let active = Self { directory, store, host: (backend.open)().expect("it opens"), document, network };
        active.start();
        active
    }

    fn start(&self) {
        let active = self.store.lock_state().expect("nobody has it for long");
        active.insert(&self.document).expect("it can be noted");
        network::start(&*self.host, &self.network).expect("it can be started");
    }

    fn stop(&self) {
        let active = self.store.lock_state().expect("nobody has it for long");
        network::stop(&*self.host, &self.network).expect("it can be stopped");
        active.remove(self.network.name()).expect("it can be noted");
    }

    fn watch(&self, options: &str) -> Watch {
        Watch::of(self.command(options).spawn().expect("it can be run"))
    }

    /// `vmbridge network watch` of this host.
    fn command(&self, options: &str) -> Command {
        let [config, state] = ["etc", "run"].map(|name| self.directory.path().join(name));
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmbridge"));
        command.args(["--backend", self.host.name(), "network", "watch", "--config-dir"]).arg(config);
        command.arg("--state-dir").arg(state).args(options.split(' '));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// A running watch and its lines.
struct Watch {
    process: Guarded,
    lines: Receiver<String>,
}

impl Watch {
    fn of(mut process: Child) -> Self {
        let (sender, lines) = channel();
        let output = BufReader::new(process.stdout.take().expect("it is a pipe"));
        std::thread::spawn(move || {
            for line in output.lines() {
                let line = line.expect("UTF-8");
                let _ = sender.send(line.strip_prefix("network default: ").expect("its name").to_owned());
            }
        });
        Self { process: Guarded(process), lines }
    }

    fn line(&self) -> String {
        // A look waits for the kernel's lock of all interfaces, which it holds for long while it clears
        // away the thousands of other tests.
        self.lines.recv_timeout(Duration::from_secs(120)).expect("a line")
    }

    fn says<const N: usize>(&self, lines: [&str; N]) {
        assert_eq!([(); N].map(|()| self.line()), lines);
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.0.id().try_into().expect("a process's");
        kill(Pid::from_raw(id), signal).expect("it is there");
    }

    /// How it ended, the lines that nobody has read, and the errors.
    fn end(mut self) -> (ExitStatus, Vec<String>, String) {
        let mut errors = String::new();
        self.process.0.stderr.take().expect("it is a pipe").read_to_string(&mut errors).expect("UTF-8");
        let status = self.process.0.wait().expect("it is a child");
        (status, self.lines.iter().collect(), errors)
    }

    /// Ends it; it had no more to say.
    fn ends_in_silence(self) {
        self.signal(Signal::SIGTERM);
        let (status, lines, errors) = self.end();
        assert_eq!((status.code(), &lines[..], errors.as_str()), (Some(0), &[][..], ""));
    }
}

fn says_what_others_change(backend: &Available) {
    let active = Active::on(backend);
    let watch = active.watch(WHEN_TOLD);
    let says_of = |command: &str, line: &str| {
        ip(command);
        watch.says([line]);
    };
    says_of(
        "link set dev virbr0 address 52:54:00:00:00:99",
        "mac is 52:54:00:00:00:99, defined as 52:54:00:01:02:03",
    );
    says_of("link set dev virbr0 mtu 1300", "mtu is 1300, defined as 1400");
    says_of("link set dev virbr0 type bridge stp_state 0", "stp is off, defined as on");
    says_of("link set dev virbr0 type bridge forward_delay 700", "forward-delay is 7, defined as 2");
    says_of("link set dev virbr0 down", "link is down, defined as up");
    says_of("link set dev virbr0 mtu 1400", "mtu is 1400 again");
    says_of("link delete dev virbr0", "bridge virbr0 is gone");
    let occupant = "an interface that is no bridge";
    says_of(
        "link add name virbr0 type veth peer name peer0",
        &format!("the name virbr0 is in use, by {occupant}"),
    );
    ip("link delete dev virbr0");
    watch.says([&*format!("the name virbr0 is no longer in use by {occupant}"), "bridge virbr0 is gone"]);
    // Under the lock, as the command does it: the bridge is complete when the watch looks.
    let lock = active.store.lock_state().expect("nobody has it for long");
    network::ensure(&*active.host, &active.network).expect("it can be made");
    drop(lock);
    watch.says(["bridge virbr0 is back"]);
    watch.ends_in_silence();
}

fn puts_right_what_others_change(backend: &Available) {
    let active = Active::on(backend);
    let before = snapshot();
    // The index is the kernel's next one, and the time of the next hello is anyone's guess.
    let properties = || {
        let link = link("virbr0").expect("it is there");
        let data = &link["linkinfo"]["info_data"];
        [&link["address"], &link["mtu"], &link["flags"], &data["stp_state"], &data["forward_delay"]]
            .map(Clone::clone)
    };
    let defined = properties();
    let watch = active.watch(&format!("{WHEN_TOLD} --repair --repairs 100"));
    for (drift, control) in [
        ("address 52:54:00:00:00:99", "mac"),
        ("mtu 1300", "mtu"),
        ("down", "link"),
        ("type bridge stp_state 0", "stp"),
        ("type bridge forward_delay 700", "forward-delay"),
    ] {
        ip(&format!("link set dev virbr0 {drift}"));
        let line = watch.line();
        assert!(line.starts_with(&format!("{control} is ")), "{line}");
        watch.says([&*format!("repaired: {control}")]);
        assert_eq!(snapshot(), before, "{drift}");
        assert_eq!(properties(), defined, "{drift}");
    }
    ip("link delete dev virbr0");
    watch.says(["bridge virbr0 is gone", "repaired: bridge virbr0 created again"]);
    wait_until("it is as it was", || properties() == defined);
    watch.ends_in_silence();
}

/// Another guest's hypervisor removes it: it takes the MAC for its own tap, and may keep it.
fn restores_the_static_entry_of_a_guest(backend: &Available) {
    let active = Active::on(backend);
    ip("link add name tap0 mtu 1400 type veth peer name guest");
    ip("link set dev tap0 master virbr0");
    let attacker = Attacker::plug_in();
    let mac = "52:54:00:00:00:07";
    let guest: UnicastMac = mac.parse().expect("a MAC");
    let restrict = || vmbridge::restrict_to_mac(&*active.host, name("virbr0"), name("tap0"), guest);
    restrict().expect("nobody has the MAC");
    let lost = format!("port tap0 is restricted, but has lost its static entry of {mac}");
    let entries = || run("bridge", ["fdb", "show", "dev", "tap0"]);
    let is_static = || entries().lines().any(|entry| entry.starts_with(mac) && entry.trim().ends_with(" static"));
    assert!(is_static());

    // What it reports shows that it has looked at the port.
    let drift = || ip("link set dev virbr0 mtu 1300");
    let watch = active.watch(WHEN_TOLD);
    drift();
    watch.says(["mtu is 1300, defined as 1400"]);
    attacker.take(mac);
    watch.says([&*lost]);
    assert!(!is_static());
    restrict().expect_err("the attacker has the MAC");
    watch.ends_in_silence();

    attacker.take("fe:54:00:00:00:08");
    restrict().expect("nobody has the MAC");
    let watch = active.watch(&format!("{WHEN_TOLD} --repair"));
    watch.says(["mtu is 1300, defined as 1400", "repaired: mtu"]);
    let repaired = format!("repaired: static entry of {mac} behind port tap0");
    for _ in 0..2 {
        attacker.take(mac);
        watch.says([&*lost, &repaired]);
        assert!(is_static());
        attacker.take("fe:54:00:00:00:08");
        assert!(is_static());
    }
    watch.ends_in_silence();
}

fn a_network_that_is_stopped_has_not_vanished(backend: &Available) {
    let active = Active::on(backend);
    let watch = active.watch(&format!("{WHEN_TOLD} --repair"));
    for _ in 0..20 {
        active.stop();
        active.start();
    }
    active.stop();
    assert!(!exists("virbr0"));
    active.start();
    ip("link set dev virbr0 mtu 1300");
    watch.says(["mtu is 1300, defined as 1400", "repaired: mtu"]);
    let done = network::ensure(&*active.host, &active.network).expect("it can be read");
    assert_eq!(done, EnsureOutcome::AsDefined);
    watch.ends_in_silence();
}

/// Another process that changes it a thousand times, again and again.
fn a_fight_is_limited(backend: &Available) {
    let active = Active::on(backend);
    let watch = active.watch("--repair --repairs 3 --repair-interval 86400");
    let changes = (0..1000).map(|number| format!("link set dev virbr0 mtu {}", 1000 + number % 2));
    let changes = changes.collect::<Vec<_>>().join("\n");
    let mut lines = Vec::new();
    wait_until("it has had enough", || {
        batch("ip", &changes);
        lines.extend(watch.lines.try_iter());
        lines.iter().any(|line| line.starts_with("repaired too often"))
    });
    for _ in 0..3 {
        batch("ip", &changes);
    }
    watch.signal(Signal::SIGTERM);
    let (status, rest, errors) = watch.end();
    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
    lines.extend(rest);
    assert_eq!(lines.iter().filter(|line| *line == "repaired: mtu").count(), 3, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("repaired too often")).count(), 1, "{lines:?}");
    assert_eq!(link("virbr0").expect("it is there")["mtu"], 1001);
}

fn signals_end_it(backend: &Available) {
    let active = Active::on(backend);
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let watch = active.watch("--repair");
        // So that it is known to have begun.
        ip("link set dev virbr0 mtu 1300");
        watch.says(["mtu is 1300, defined as 1400", "repaired: mtu"]);
        watch.signal(signal);
        let (status, lines, errors) = watch.end();
        assert_eq!((status.code(), &lines[..], errors.as_str()), (Some(0), &[][..], ""));
    }
}

/// A watch that repairs, each of whose calls to the kernel takes long, when it has the lock and looks;
/// and its process.
fn slow_look(active: &Active) -> (Watch, Pid) {
    let log = active.directory.path().join("log");
    let watch = active.command(&format!("{WHEN_TOLD} --repair"));
    let calls = "flock,sendto,ioctl";
    let [trace, inject] = [format!("trace={calls}"), format!("inject={calls}:delay_enter=50ms")];
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", &trace, "-e", &inject, "-o"]).arg(&log);
    strace.arg(watch.get_program()).args(watch.get_args()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let watch = Watch::of(strace.spawn().expect("it can be run"));
    let logged = || fs::read_to_string(&log).unwrap_or_default();
    wait_until("it looks", || logged().lines().any(|line| line.contains("flock(") && line.contains(" = 0")));
    let process = logged().split_whitespace().next().and_then(|id| id.parse().ok());
    (watch, Pid::from_raw(process.expect("each line begins with it")))
}

fn a_repair_that_a_signal_meets_is_whole(backend: &Available) {
    let active = Active::on(backend);
    ip("link set dev virbr0 address 52:54:00:00:00:99");
    ip("link set dev virbr0 mtu 1300");
    let (watch, process) = slow_look(&active);
    kill(process, Signal::SIGTERM).expect("it is there");
    let (status, ..) = watch.end();
    assert_eq!(status.code(), Some(0));
    let status = network::status(&*active.host, &active.network).expect("it can be read");
    assert_eq!(status, DriftStatus::AsDefined);
}

fn a_network_is_not_stopped_in_the_middle_of_a_look(backend: &Available) {
    let active = Active::on(backend);
    let (watch, process) = slow_look(&active);
    active.stop();
    kill(process, Signal::SIGTERM).expect("it is there");
    let (status, lines, _) = watch.end();
    assert_eq!((status.code(), &lines[..]), (Some(0), &[][..]));
    assert!(!exists("virbr0"));
}

fn ends_without_a_word_when_its_reader_has(backend: &Available) {
    let active = Active::on(backend);
    let mut process = active.command(WHEN_TOLD).spawn().map(Guarded).expect("it can be run");
    drop(process.0.stdout.take());
    ip("link set dev virbr0 mtu 1300");
    let mut errors = String::new();
    process.0.stderr.take().expect("it is a pipe").read_to_string(&mut errors).expect("UTF-8");
    let status = process.0.wait().expect("it is a child");
    assert_eq!((status.code(), errors.as_str()), (Some(1), ""));
}

/// A network whose bridge speaks STP.
const WITH_STP: &str = "<network><name>default</name><metadata>\
                        <x:bridge xmlns:x='https://vmbridge.org/network/1' ageing-time='300'/></metadata>\
                        <bridge name='virbr0' stp='on' delay='15'/><mac address='52:54:00:01:02:03'/></network>";

/// A guest tells the bridge that the topology changes: it sends a TCN BPDU (802.1D, 9.3.2).
fn change_topology(tap: &Tap) {
    const TCN: [u8; 21] = *b"\x01\x80\xc2\0\0\0\x52\x54\0\0\0\x07\0\x07\x42\x42\x03\0\0\0\x80";
    let mut guest = fs::File::from(tap.queues()[0].try_clone().expect("it is open"));
    wait_until("the bridge takes it", || {
        guest.write_all(&[&TCN[..], &[0; 39]].concat()).expect("the tap is up");
        sysfs("virbr0", "bridge/topology_change") == "1"
    });
    assert_eq!(sysfs("virbr0", "bridge/ageing_time"), "3000", "twice the forward delay");
}

fn join_guest(active: &Active) -> Tap {
    let bridge = active.network.bridge();
    let tap = active.host.create_tap(&TapSpec::new()).expect("it can be made");
    active.host.change_tap(&tap, &TapChange::default().link(LinkState::Up)).expect("it can be up");
    active.host.add_port(bridge, &tap).expect("it can join");
    tap
}

fn a_topology_change_is_no_drift(backend: &Available) {
    let active = Active::with(backend, WITH_STP);
    let tap = join_guest(&active);
    let watch = active.watch(&format!("--repair {WHEN_TOLD}"));
    ip("link set dev virbr0 address 52:54:00:00:00:09");
    watch.says([MOVED, "repaired: mac"]);
    change_topology(&tap);
    assert_eq!(network::status(&*active.host, &active.network).expect("it can be read"), DriftStatus::AsDefined);
    let ensured = network::ensure(&*active.host, &active.network).expect("it can be");
    assert!(matches!(ensured, EnsureOutcome::AsDefined), "{ensured:?}");
    ip("link set dev virbr0 address 52:54:00:00:00:09");
    watch.says([MOVED, "repaired: mac"]);
    watch.ends_in_silence();
    assert_eq!(sysfs("virbr0", "bridge/ageing_time"), "3000", "STP goes on");
}

const MOVED: &str = "mac is 52:54:00:00:00:09, defined as 52:54:00:01:02:03";

/// The ageing time that was set, which the kernel does not tell during a change of topology.
fn set_ageing_time() -> String {
    ip("link set dev virbr0 down");
    assert_eq!(sysfs("virbr0", "bridge/topology_change"), "0");
    sysfs("virbr0", "bridge/ageing_time")
}

fn a_topology_change_does_not_spoil_a_rollback(backend: &Available) {
    let active = Active::with(backend, WITH_STP);
    let bridge = active.network.bridge();
    let of = |seconds| BridgeOptions::default().ageing_time(Duration::from_secs(seconds));
    let change = |options| Step::change(bridge, BridgeChange::default().options(options));
    let missing = || Step::delete("nosuch".parse::<InterfaceName>().expect("a name"));

    // It begins after the change: the former value is known.
    let tap = join_guest(&active);
    let error = Transaction::of(&*active.host, |steps| {
        steps.run(change(of(60)))?;
        change_topology(&tap);
        steps.run(missing())
    });
    let error = error.expect_err("the last step fails");
    assert!(matches!(error.rollback(), Rollback::Done), "{error}");
    assert_eq!(set_ageing_time(), "30000");

    // It begins before: what cannot be restored is said, and what is asked for is set even if it is what is read.
    ip("link set dev virbr0 up");
    change_topology(&tap);
    let error = Transaction::of(&*active.host, |steps| {
        steps.run(change(of(30)))?;
        steps.run(missing())
    });
    let error = error.expect_err("the last step fails");
    let Rollback::Failed { left, .. } = error.rollback() else { panic!("{error}") };
    assert_eq!(left, "a changed bridge virbr0");
    assert_eq!(set_ageing_time(), "3000");
}
