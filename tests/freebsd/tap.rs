//! Taps. Their driver is in FreeBSD's own kernels; where it is not, and was loaded, it stays until
//! the next boot.
//!
//! A tap keeps its jail from going, and the jail it (seen): each test destroys its taps.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind as Io, Read, Write};
use std::num::NonZeroU16;
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, chroot};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use vmbridge::{
    Backend, BridgeSpec, Bridges, Capability, ErrorKind, Guest, LinkState, NativeBackend, Rollback, Tap,
    TapChange, TapSpec, VnetHeader, plug, unplug,
};

use crate::command::{done, program};
use crate::support::{
    Registry, TAPS, Test, add_interface, bridge_of, ifconfig, interface, isolated, mac, name, output, run,
    snapshot, tests,
};

pub(crate) fn register(registry: &Registry) {
    let registry = registry.needs(TAPS);
    registry.run_by(leaving_no_tap).add(&tests![
        is_refused_at_once_while_someone_holds_it_open,
        has_its_name_and_keeps_its_device,
        takes_the_first_free_name,
        is_made_by_its_number,
        is_open_for_one_alone,
        goes_with_its_descriptor_or_is_deleted,
        is_kept_as_it_is,
        comes_down_whatever_the_host_says,
        is_not_deleted_while_it_is_open,
        is_adopted_as_it_is,
        is_adopted_by_its_descriptor,
        is_given_back_as_it_was,
        is_what_was_made_as_a_tap,
        refuses_what_no_tap_has,
        has_a_header_where_it_was_asked_for,
        has_the_mtu_of_its_bridge,
        is_plugged_and_unplugged,
        is_taken_by_a_hypervisor_later,
        leaves_nothing_a_thousand_times,
        stays_in_the_jail_of_its_handle,
    ]);
    // Not with that check: this test sees nothing in the end.
    registry.add(&tests![leaves_nothing_where_its_device_is_hidden]);
}

/// Runs a test in a jail, and checks that it leaves no tap: a tap keeps its jail alive.
fn leaving_no_tap(name: &str, test: Test) {
    let checked = || {
        test();
        assert_eq!(output("ifconfig", ["-g", "tap"]).stdout, b"", "it left a tap");
    };
    isolated(name, Box::new(checked));
}

const MAC: &str = "fe:54:00:01:02:03";

fn open() -> NativeBackend {
    NativeBackend::open().expect("it opens")
}

fn spec(tap: &str) -> TapSpec {
    TapSpec::new().name(name(tap))
}

/// The name that its driver made a tap by. `ifconfig -D` tells it; the one of early 14 cannot, but
/// its kernel makes the new name a link in `/dev`. All jails have the same there: only one test may give
/// a tap such a name.
fn made_as(tap: &str) -> String {
    let told = output("ifconfig", ["-D", tap]);
    let text = String::from_utf8_lossy(&told.stdout);
    let made = text.lines().find_map(|line| line.trim_start().strip_prefix("drivername: "));
    let linked = || fs::read_link(format!("/dev/{tap}")).ok().map(|to| to.display().to_string());
    made.map(str::to_owned).or_else(linked).unwrap_or_else(|| tap.to_owned())
}

/// Opens a device as a hypervisor does.
fn take(device: impl AsRef<Path>) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open(device)
}

/// Runs `vmbridge` with a bound, since the kernel has none.
fn vmbridge(args: &str) -> Output {
    let bound = ["20", &program()].map(str::to_owned);
    output("timeout", bound.into_iter().chain(args.split(' ').map(str::to_owned)))
}

/// Closes a tap, and deletes it where that does not.
fn end(host: &NativeBackend, tap: Tap) {
    unplug(host, tap).expect("nobody else has it open");
}

/// The kernel would wait for the holder without end, and with it whoever destroys anything.
fn is_refused_at_once_while_someone_holds_it_open() {
    let tap = ifconfig("tap create");
    let held = take(format!("/dev/{tap}")).expect("devfs shows it");
    done("create virbr0");
    done(&format!("attach virbr0 {tap}"));
    for (command, error) in [
        ("delete", format!("cannot delete bridge {tap}: it is no bridge")),
        ("tap delete", format!("cannot delete tap {tap}: another process has the tap open")),
    ] {
        let refused = vmbridge(&format!("{command} {tap}"));
        let errors = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{errors}");
        assert!(errors.contains(&error), "{errors}");
    }
    assert_eq!(vmbridge("delete virbr0").status.code(), Some(0));
    drop(held);
    assert!(interface(&tap).is_some(), "it stays");
    assert_eq!(vmbridge(&format!("tap delete {tap}")).status.code(), Some(0));
    assert!(interface(&tap).is_none());
}

fn has_its_name_and_keeps_its_device() {
    let host = open();
    let tap = host.create_tap(&spec("named0").mac(mac(MAC)).mtu(9000)).expect("the name is free");
    let seen = interface("named0").expect("it is there");
    assert_eq!((seen.mac.as_deref(), seen.mtu, seen.is_up), (Some(MAC), 9000, false));
    let [state] = &host.taps().expect("a list")[..] else { panic!("there is one tap") };
    assert_eq!((state.name, state.index), (name("named0"), tap.index()));
    let device = state.device.clone().expect("it has one");
    assert_eq!(device, Path::new("/dev").join(made_as("named0")));
    assert!(device.exists());
    // No host has settings for such a number.
    let unit: u16 = made_as("named0").split_at(3).1.parse().expect("a number");
    assert!(unit >= 16384, "{unit}");
    assert!(ifconfig("named0").contains("Opened by PID"));
    let flags = nix::fcntl::fcntl(&tap.queues()[0], nix::fcntl::FcntlArg::F_GETFD).expect("it is open");
    assert_eq!(flags & nix::libc::FD_CLOEXEC, nix::libc::FD_CLOEXEC);
    ifconfig("named0 name other0");
    assert_eq!(host.taps().expect("a list")[0].device, Some(device));
    drop(tap);
    if host.taps().expect("a list").len() == 1 {
        host.delete_tap(name("other0")).expect("nobody has it open");
    }
}

fn takes_the_first_free_name() {
    let host = open();
    let first = host.create_tap(&TapSpec::new()).expect("it can be made");
    let other = host.create_tap(&TapSpec::new()).expect("it can be made");
    // Numbers are the host's, not the jail's.
    for tap in [&first, &other] {
        assert_eq!(made_as(&tap.name().to_string()), tap.name().to_string());
    }
    assert!(first.name() != other.name());
    // The kernel would give it again.
    let next = ifconfig("tap create");
    ifconfig(&format!("{next} destroy"));
    add_interface(&next);
    let after = host.create_tap(&TapSpec::new()).expect("it can be made");
    assert!(after.name() != name(&next), "{next}");
    end(&host, after);
    // Not the first free number, though it is what the kernel is asked for to get that.
    let named = host.create_tap(&spec("tap")).expect("the name is free");
    assert!(interface("tap").is_some());
    for tap in [first, other, named] {
        end(&host, tap);
    }
}

fn is_made_by_its_number() {
    let host = open();
    let tap = host.create_tap(&spec("tap777").mac(mac(MAC))).expect("the name is free");
    assert_eq!(
        (made_as("tap777").as_str(), interface("tap777").and_then(|tap| tap.mac).as_deref()),
        ("tap777", Some(MAC))
    );
    ifconfig("tap777 name other0");
    let before = snapshot();
    let error = host.create_tap(&spec("tap777")).expect_err("its number is taken");
    assert_eq!(error.kind(), ErrorKind::NameInUse, "{error}");
    assert_eq!(snapshot(), before);
    drop(tap);
    if interface("other0").is_some() {
        host.delete_tap(name("other0")).expect("nobody has it open");
    }
}

fn is_open_for_one_alone() {
    let host = open();
    let tap = host.create_tap(&spec("vnet0")).expect("the name is free");
    let device = host.taps().expect("a list")[0].device.clone().expect("it has one");
    let error = take(&device).expect_err("it is open");
    assert_eq!(error.kind(), Io::ResourceBusy);
    let error = host.create_tap(&spec("vnet0").adopt_existing()).expect_err("it is open");
    assert_eq!(error.kind(), ErrorKind::TapBusy, "{error}");
    end(&host, tap);
}

fn goes_with_its_descriptor_or_is_deleted() {
    let host = open();
    let goes = host.capabilities().contains(Capability::TapTransient);
    drop(host.create_tap(&spec("vnet0")).expect("the name is free"));
    assert_eq!(interface("vnet0").is_none(), goes);
    if !goes {
        assert_eq!(host.taps().expect("a list")[0].persistent, Some(true));
        host.delete_tap(name("vnet0")).expect("nobody has it open");
    }
    let tap = host.create_tap(&spec("vnet0")).expect("the name is free");
    host.persist_tap(&tap).expect("it can be kept");
    drop(tap);
    assert!(interface("vnet0").is_some());
    host.delete_tap(name("vnet0")).expect("nobody has it open");
    assert!(interface("vnet0").is_none());
    let error = host.delete_tap(name("vnet0")).expect_err("it is gone");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

/// A tap that was closed goes down otherwise, and loses its addresses.
fn is_kept_as_it_is() {
    let host = open();
    let tap = host.create_tap(&spec("vnet0").mac(mac(MAC)).mtu(1400)).expect("the name is free");
    host.change_tap(name("vnet0"), &TapChange::default().link(LinkState::Up)).expect("it is a tap");
    ifconfig("vnet0 inet 192.0.2.1/24");
    host.persist_tap(&tap).expect("it can be kept");
    drop(tap);
    let seen = interface("vnet0").expect("it stays");
    assert_eq!((seen.mac.as_deref(), seen.mtu, seen.is_up), (Some(MAC), 1400, true));
    assert!(ifconfig("vnet0").contains("192.0.2.1"));
    host.delete_tap(name("vnet0")).expect("nobody has it open");
}

fn comes_down_whatever_the_host_says() {
    // It holds for the whole host, so not for long.
    let set = |value: &str| drop(run("sysctl", [&format!("net.link.tap.up_on_open={value}")]));
    let host = open();
    let before = run("sysctl", ["-n", "net.link.tap.up_on_open"]);
    let set_by = output("sysctl", ["net.link.tap.up_on_open=1"]);
    if set_by.status.success() {
        let tap = host.create_tap(&spec("vnet0"));
        set(before.trim_end());
        let tap = tap.expect("the name is free");
        assert!(!interface("vnet0").expect("it is there").is_up);
        end(&host, tap);
    } else {
        // Only the host may.
        assert_eq!(run("sysctl", ["-n", "security.jail.jailed"]).trim_end(), "1");
    }
}

fn is_not_deleted_while_it_is_open() {
    let host = open();
    let tap = host.create_tap(&spec("vnet0")).expect("the name is free");
    let before = snapshot();
    let error = host.delete_tap(name("vnet0")).expect_err("it is open");
    assert_eq!(error.kind(), ErrorKind::TapBusy, "{error}");
    assert_eq!(snapshot(), before);
    assert_eq!(vmbridge("tap delete vnet0").status.code(), Some(1));
    assert_eq!(snapshot(), before);
    end(&host, tap);
}

fn is_adopted_by_its_descriptor() {
    let host = open();
    let tap = host.create_tap(&spec("vnet0")).expect("the name is free");
    let device = || tap.queues()[0].as_fd().try_clone_to_owned().expect("there is room for a descriptor");
    let adopted = host.adopt_descriptors(vec![device()]).expect("it is a tap");
    assert_eq!(adopted.identity(), tap.identity());
    let refused = |devices, kind| {
        assert_eq!(host.adopt_descriptors(devices).expect_err("it is not one tap").kind(), kind);
    };
    refused(vec![], ErrorKind::InvalidOption);
    refused(vec![device(), device()], ErrorKind::InvalidOption);
    refused(vec![File::open("/dev/null").expect("it is there").into()], ErrorKind::NotATap);
    ifconfig("vnet0 name vnet9");
    assert_eq!(host.adopt_descriptors(vec![device()]).expect("it is a tap").identity().name(), name("vnet9"));
    drop(tap);
    end(&host, adopted);
}

fn is_adopted_as_it_is() {
    let host = open();
    let made = ifconfig("tap create");
    ifconfig(&format!("{made} name adopted0"));
    ifconfig("adopted0 mtu 1400 up");
    let error = host.create_tap(&spec("adopted0")).expect_err("it is there");
    assert_eq!(error.kind(), ErrorKind::TapExists, "{error}");
    let tap = host.create_tap(&spec("adopted0").adopt_existing().mac(mac(MAC))).expect("nobody has it open");
    let seen = interface("adopted0").expect("it is there");
    assert_eq!((seen.mac.as_deref(), seen.mtu, seen.is_up), (Some(MAC), 1400, true));
    assert_eq!(made_as("adopted0"), made);
    end(&host, tap);
    // And one that is not there is made.
    let tap = host.create_tap(&spec("adopted0").adopt_existing()).expect("the name is free");
    end(&host, tap);
}

fn is_given_back_as_it_was() {
    let host = open();
    let made = ifconfig("tap create");
    ifconfig(&format!("{made} name vnet0"));
    for link in ["up", "down"] {
        ifconfig(&format!("vnet0 mtu 1400 {link}"));
        let before = snapshot();
        let error = host
            .create_tap(&spec("vnet0").adopt_existing().mac(mac(MAC)).mtu(70_000))
            .expect_err("no interface has such an MTU");
        assert_eq!(error.kind(), ErrorKind::InvalidMtu, "{error}");
        assert_eq!(snapshot(), before);
    }
    host.delete_tap(name("vnet0")).expect("nobody has it open");
}

/// The name of an interface says nothing, nor does its group.
fn is_what_was_made_as_a_tap() {
    let host = open();
    add_interface("tap4000");
    ifconfig("tap4000 group tap");
    host.create(&BridgeSpec::new(name("virbr0"))).expect("the name is free");
    let tap = host.create_tap(&spec("em0")).expect("the name is free");
    ifconfig("em0 -group tap");
    assert_eq!(host.taps().expect("a list").iter().map(|tap| tap.name).collect::<Vec<_>>(), [name("em0")]);
    let before = snapshot();
    for (other, kind) in [
        ("tap4000", ErrorKind::NameInUse),
        ("virbr0", ErrorKind::BridgeExists),
        ("lo0", ErrorKind::NameInUse),
        ("em0", ErrorKind::TapExists),
    ] {
        let error = host.create_tap(&spec(other)).expect_err("the name is taken");
        assert_eq!(error.kind(), kind, "{error}");
        if other != "em0" {
            let change = TapChange::default().mtu(1400);
            for error in [
                host.create_tap(&spec(other).adopt_existing()).expect_err("it is no tap"),
                host.change_tap(name(other), &change).expect_err("it is no tap"),
                host.delete_tap(name(other)).expect_err("it is no tap"),
            ] {
                assert_eq!(error.kind(), ErrorKind::NotATap, "{error}");
            }
        }
    }
    assert_eq!(snapshot(), before);
    end(&host, tap);
    ifconfig("tap4000 -group tap");
}

fn refuses_what_no_tap_has() {
    let host = open();
    let before = snapshot();
    let two = NonZeroU16::new(2).expect("not zero");
    for (spec, lacking) in [
        (spec("vnet0").queues(two), Capability::TapQueues),
        (spec("vnet0").owner(1001), Capability::TapOwner),
        (spec("vnet0").group(1001), Capability::TapOwner),
    ] {
        let error = host.create_tap(&spec).expect_err("FreeBSD has none");
        assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(lacking)), "{error}");
    }
    for mtu in [71, 65_536] {
        let error = host.create_tap(&spec("vnet0").mtu(mtu)).expect_err("no interface has such an MTU");
        assert_eq!(error.kind(), ErrorKind::InvalidMtu, "{error}");
    }
    assert_eq!(snapshot(), before);
    let tap = host.create_tap(&spec("vnet0")).expect("the name is free");
    let before = snapshot();
    for mac in ["01:00:5e:00:00:01", "00:00:00:00:00:00"] {
        let change = TapChange::default().mtu(1400).mac(mac.parse().expect("a MAC"));
        let error = host.change_tap(name("vnet0"), &change).expect_err("it is not one host's");
        assert_eq!(error.kind(), ErrorKind::InvalidMac, "{error}");
    }
    assert_eq!(snapshot(), before);
    end(&host, tap);
}

/// A frame that is sent through it: an ARP request, which setting an address sends.
fn frame_from(tap: &str, card: &mut File) -> Vec<u8> {
    ifconfig(&format!("{tap} inet 192.0.2.1/24 up"));
    // Nobody answers, and so what is awaited is that it was asked.
    drop(output("ping", ["-c", "1", "-t", "1", "192.0.2.7"]));
    let mut frame = [0; 2048];
    let length = card.read(&mut frame).expect("there is a frame");
    frame[..length].to_vec()
}

fn has_a_header_where_it_was_asked_for() {
    let host = open();
    for header in [0, 10] {
        let spec = spec("vnet0").mac(mac(MAC));
        let spec = if header == 0 { spec } else { spec.vnet_hdr(VnetHeader::Legacy) };
        let tap = host.create_tap(&spec).expect("the name is free");
        let mut card = File::from(tap.into_queues().remove(0));
        let frame = frame_from("vnet0", &mut card);
        // To all, from the tap, ARP.
        assert_eq!(frame[header..header + 6], [0xff; 6], "{frame:02x?}");
        assert_eq!(frame[header + 6..header + 12], mac(MAC).bytes(), "{frame:02x?}");
        assert_eq!(frame[header + 12..header + 14], [8, 6], "{frame:02x?}");
        drop(card);
        if interface("vnet0").is_some() {
            host.delete_tap(name("vnet0")).expect("nobody has it open");
        }
    }
}

fn has_the_mtu_of_its_bridge() {
    let host = open();
    host.create(&BridgeSpec::new(name("virbr0")).mac(mac("52:54:00:01:02:03"))).expect("the name is free");
    add_interface("port0");
    ifconfig("port0 mtu 1400");
    host.add_port(name("virbr0"), name("port0")).expect("it can be a port");
    let tap = host.create_tap(&spec("vnet0").mtu(1400)).expect("the name is free");
    host.add_port(name("virbr0"), name("vnet0")).expect("it can be a port");
    let before = snapshot();
    let change = TapChange::default().mac(mac(MAC).into()).mtu(1300).link(LinkState::Up);
    let error = host.change_tap(name("vnet0"), &change).expect_err("it is that of all ports");
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::Unsupported, Some(nix::libc::EOPNOTSUPP)));
    assert_eq!(snapshot(), before);
    host.change_tap(name("vnet0"), &change.mtu(1400)).expect("that it has");
    end(&host, tap);
    assert!(!ifconfig("virbr0").contains("vnet0"));
}

fn is_plugged_and_unplugged() {
    let host = open();
    done("create virbr0 --mac 52:54:00:01:02:03 --mtu 1400 --up");
    let before = snapshot();
    let guest = Guest::new(mac("52:54:00:ab:0c:01")).tap(spec("vnet0").vnet_hdr(VnetHeader::Legacy));
    let plugged = plug(&host, name("virbr0"), &guest).expect("it can be plugged in");
    let seen = interface("vnet0").expect("it is there");
    assert_eq!((seen.mac.as_deref(), seen.mtu, seen.is_up), (Some("fe:54:00:ab:0c:01"), 1400, true));
    assert_eq!(bridge_of("vnet0").as_deref(), Some("virbr0"));
    unplug(&host, plugged.tap).expect("nobody else has it open");
    assert_eq!(without_status(&snapshot()), without_status(&before));
}

/// A bridge has a carrier while one of its ports has.
fn without_status(text: &str) -> String {
    text.lines().filter(|line| !line.contains("status:") && !line.contains("flags=")).collect()
}

/// As bhyve does it (`tap_init()` in `usr.sbin/bhyve/net_backends.c`): it opens `/dev/NAME`.
fn is_taken_by_a_hypervisor_later() {
    done("create virbr0 --mac 52:54:00:01:02:03 --up");
    for tap in ["bhyve0", "tap0777", "tap778"] {
        done(&format!("tap create {tap} --bridge virbr0 --guest-mac 52:54:00:ab:0c:01"));
        assert!(interface(tap).expect("it is there").is_up);
        assert_eq!(bridge_of(tap).as_deref(), Some("virbr0"));
        for _ in 0..2 {
            let mut card = take(format!("/dev/{tap}")).expect("it can be opened by its name");
            assert_eq!(card.read(&mut [0; 2048]).expect_err("nothing was sent").kind(), Io::WouldBlock);
            // Who asks for the bridge's address is answered.
            ifconfig("virbr0 inet 192.0.2.1/24");
            card.write_all(&request()).expect("it is a frame");
            let reply = reply_from(&mut card);
            assert_eq!(reply[6..12], mac("52:54:00:01:02:03").bytes(), "{reply:02x?}");
            assert_eq!(vmbridge(&format!("tap delete {tap}")).status.code(), Some(1), "it is open");
        }
        assert!(interface(tap).expect("it stays").is_up);
        done(&format!("tap delete {tap}"));
    }
}

/// The ARP request for 192.0.2.1 of a guest that has 192.0.2.7.
fn request() -> Vec<u8> {
    let guest = mac("52:54:00:ab:0c:01").bytes();
    let arp: [u8; 10] = [0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1];
    [&[0xff; 6][..], &guest, &arp, &guest, &[192, 0, 2, 7], &[0; 6], &[192, 0, 2, 1]].concat()
}

/// The first ARP reply that comes.
fn reply_from(card: &mut File) -> Vec<u8> {
    let mut frame = [0; 2048];
    loop {
        let mut polled = [nix::poll::PollFd::new(card.as_fd(), nix::poll::PollFlags::POLLIN)];
        assert_eq!(nix::poll::poll(&mut polled, 20_000_u16), Ok(1), "no reply within 20 s");
        let length = card.read(&mut frame).expect("there is a frame");
        if frame[12..14] == [8, 6] && frame[20..22] == [0, 2] {
            return frame[..length].to_vec();
        }
    }
}

fn leaves_nothing_a_thousand_times() {
    let host = open();
    let descriptors = || fs::read_dir("/dev/fd").expect("it lists").count();
    let (before, open_before) = (ifconfig("-l"), descriptors());
    for number in 0..1000 {
        let tap = host.create_tap(&spec(&format!("many{}", number % 10)).mac(mac(MAC)).mtu(1400));
        end(&host, tap.expect("the name is free"));
    }
    assert_eq!(ifconfig("-l"), before);
    assert_eq!(descriptors(), open_before);
    // Other tests have taps, too, and all see the same devices.
    assert!((0..10).all(|number| !Path::new(&format!("/dev/many{number}")).is_symlink()));
}

/// As in a jail whose devfs.rules(5) show no taps.
fn leaves_nothing_where_its_device_is_hidden() {
    let host = open();
    // Who will look, once this process sees no `/dev` and no programs.
    let mut eyes = Command::new("sh")
        .args(["-c", "ifconfig -l && read go && ifconfig -l"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh can be run");
    let mut seen = BufReader::new(eyes.stdout.take().expect("a pipe")).lines();
    let before = seen.next().expect("it looks").expect("text");
    let empty = env::temp_dir().join(format!("vmbridge-empty-{}", std::process::id()));
    fs::create_dir(&empty).expect("it can be made");
    chroot(&empty).expect("root may");
    for spec in [TapSpec::new(), spec("vnet0"), spec("tap777")] {
        let error = host.create_tap(&spec).expect_err("it cannot be opened");
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Os, "{text}");
        assert!(text.contains("devfs.rules(5)") && text.contains("/dev/tap"), "{text}");
        assert!(matches!(error.rollback(), Rollback::Done), "{text}");
    }
    eyes.stdin.take().expect("a pipe").write_all(b"go\n").expect("it reads");
    assert_eq!(seen.next().expect("it looks").expect("text"), before);
    eyes.wait().expect("it ends");
}

/// Which device a tap has is told to the processes of its network alone.
fn stays_in_the_jail_of_its_handle() {
    let outside = open();
    let tap = outside.create_tap(&spec("vnet0")).expect("the name is free");
    // Who will clear up outside, once this process is inside.
    let mut outside_hand = Command::new("sh")
        .args(["-c", "read go && ifconfig vnet0 destroy"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh can be run");
    let _sandbox = vmbridge::Sandbox::enter().expect("this jail may have one in it");
    for error in [
        outside.create_tap(&spec("vnet1")).expect_err("it is elsewhere"),
        outside.taps().expect_err("it is elsewhere"),
        outside.delete_tap(name("vnet0")).expect_err("it is elsewhere"),
        outside.change_tap(name("vnet0"), &TapChange::default()).expect_err("it is elsewhere"),
    ] {
        assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(Capability::Tap)), "{error}");
    }
    // A handle of its own works.
    let host = open();
    let inside = host.create_tap(&spec("vnet0")).expect("the name is free here");
    end(&host, inside);
    drop(tap);
    outside_hand.stdin.take().expect("a pipe").write_all(b"go\n").expect("it reads");
    // ECHILD: the kernel lets nobody in a jail wait for a child outside.
    let _ = outside_hand.wait();
}
