//! Many things with one command, as its users see it; `ip` says what is true.

use std::fmt::Write;
use std::fs;

use super::networks::{Store, network};
use super::{MAC, done, on_each, refused, vmbridge};
use crate::support::{Registry, exists, ip, link, links, output, snapshot, tests};

pub(crate) fn register(registry: &Registry) {
    registry.add(&tests![
        deletes_all_that_can_be_deleted,
        attaches_all_that_can_be_attached,
        starts_ensures_and_stops_two_hundred_networks,
        says_of_each_of_many_networks_why_it_failed,
    ]);
    registry
        .needs("strace")
        .add(&tests![shows_how_far_it_is_where_that_takes_long, shows_nothing_where_nobody_watches,]);
}

fn bridges() -> usize {
    let names = links();
    names.iter().filter(|link| link["ifname"].as_str().is_some_and(|name| name.starts_with("br"))).count()
}

fn names(count: usize) -> String {
    let mut names = String::new();
    for number in 0..count {
        write!(names, " br{number}").expect("a string takes all");
    }
    names
}

fn create(count: usize) {
    names(count).split_whitespace().for_each(|name| drop(ip(&format!("link add name {name} type bridge"))));
}

fn deletes_all_that_can_be_deleted() {
    ip("link add name tap0 type veth peer name tap1");
    on_each(|backend| {
        create(3);
        assert_eq!(done(&format!("delete br0 br1 br2 --backend {backend}")), "");
        assert_eq!(bridges(), 0);
        create(40);
        let all = names(40).replace("br5 ", "br5 nosuch ").replace("br35 ", "br35 tap0 br5 ");
        let (status, out, errors) = vmbridge(&format!("delete{all} --backend {backend}"));
        assert_eq!((status, out.as_str(), bridges()), (1, "", 0));
        let lines: Vec<_> = errors.lines().collect();
        let expected = [
            "cannot delete bridge nosuch: no such interface",
            "cannot delete bridge tap0: it is no bridge",
            "cannot delete bridge br5: no such interface",
        ];
        assert_eq!(lines.len(), expected.len(), "{errors}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with(&format!("vmbridge: {expected} ({backend}")), "{line}");
        }
        refused(&format!("delete nosuch --backend {backend}"));
    });
    assert!(exists("tap0"));
    assert_eq!(vmbridge("delete").0, 2);
    assert_eq!(vmbridge("delete br0 a/b").0, 2);
}

fn attaches_all_that_can_be_attached() {
    for pair in 0..3 {
        ip(&format!("link add name tap{} type veth peer name tap{}", 2 * pair, 2 * pair + 1));
    }
    let of = |port: &str| link(port).expect("it is there").get("master").cloned();
    on_each(|backend| {
        done(&format!("create br0 --backend {backend}"));
        assert_eq!(done(&format!("attach br0 tap0 tap1 tap2 --isolated on --backend {backend}")), "");
        for port in ["tap0", "tap1", "tap2"] {
            assert_eq!(of(port), Some("br0".into()));
            assert!(done(&format!("port show br0 {port}")).contains("isolated"), "{port}");
        }
        let (status, _, errors) = vmbridge(&format!("attach br0 tap3 tap0 nosuch tap4 --backend {backend}"));
        assert_eq!((status, errors.lines().count()), (1, 2), "{errors}");
        assert!(errors.starts_with("vmbridge: cannot add a port to bridge br0, port tap0: it is a port of this"));
        assert!(errors.contains("\nvmbridge: cannot add a port to bridge br0, port nosuch: no such"), "{errors}");
        assert_eq!((of("tap3"), of("tap4"), of("tap5")), (Some("br0".into()), Some("br0".into()), None));
        done(&format!("delete br0 --backend {backend}"));
    });
    done("create br0");
    // A MAC is behind one port.
    let before = snapshot();
    let (status, _, errors) = vmbridge(&format!("attach br0 tap0 tap1 --only-mac {MAC}"));
    assert!(status == 2 && errors.contains("--only-mac"), "{errors}");
    assert_eq!(snapshot(), before);
}

fn define(store: &Store, count: usize) {
    for number in 0..count {
        let [high, low] = u16::try_from(number).expect("few").to_be_bytes();
        let body = format!(
            "  <bridge name='br{number}' stp='off'/>\n  <mac address='52:54:00:01:{high:02x}:{low:02x}'/>\n"
        );
        store.write(&format!("etc/n{number:03}.xml"), &network(&format!("n{number:03}"), &body));
    }
}

fn starts_ensures_and_stops_two_hundred_networks() {
    on_each(|backend| {
        let store = Store::new();
        let on = |args: &str| store.done(&format!("{args} --backend {backend}"));
        define(&store, 200);
        assert_eq!(on("start --all"), "");
        assert_eq!((bridges(), store.files("run").len()), (200, 200));
        for number in [0, 31, 32, 199] {
            let bridge = link(&format!("br{number}")).expect("it was started");
            assert_eq!(bridge["address"], format!("52:54:00:01:00:{number:02x}"));
        }
        for number in [7, 33, 150] {
            ip(&format!("link set dev br{number} down"));
        }
        ip("link delete dev br100");
        assert_eq!(
            on("ensure --all"),
            "network n007: repaired: link is down, defined as up\n\
             network n033: repaired: link is down, defined as up\n\
             network n100: created\n\
             network n150: repaired: link is down, defined as up\n"
        );
        assert_eq!(on("ensure --all"), "");
        assert_eq!(on("stop --all"), "");
        assert_eq!((bridges(), store.files("run").len()), (0, 0));
    });
}

fn says_of_each_of_many_networks_why_it_failed() {
    on_each(|backend| {
        let store = Store::new();
        define(&store, 40);
        ip("link add name br3 type veth peer name peer0");
        fs::remove_file(store.path("etc/n035.xml")).expect("it is there");
        let all: Vec<_> = (0..40).map(|number| format!("n{number:03}")).collect();
        let on = |act: &str| vmbridge(&store.args(&format!("{act} {} --backend {backend}", all.join(" "))));
        for act in ["start", "stop"] {
            let (status, out, errors) = on(act);
            assert_eq!((status, out.as_str()), (1, ""));
            let lines: Vec<_> = errors.lines().collect();
            assert_eq!(
                lines[0],
                "vmbridge: network n003: the name br3 is in use, by an interface that is no bridge"
            );
            assert!(lines[1].starts_with("vmbridge: network n035: ") && lines.len() == 2, "{errors}");
            let active = if act == "start" { 38 } else { 0 };
            assert_eq!((bridges() - 1, store.files("run").len()), (active, active), "{act}");
        }
        ip("link delete dev br3");
    });
}

/// Deletes 80 bridges, with the first calls to the kernel made to take longer than a second together, and
/// one that is not there, through whatever catches what the command writes.
fn slowly(backend: &str, through: impl Fn(&str) -> Vec<u8>) -> String {
    create(80);
    let call = if backend == "netlink" { "sendto" } else { "ioctl" };
    let program = env!("CARGO_BIN_EXE_vmbridge");
    let written = through(&format!(
        "TERM=xterm strace -qq -o /dev/null -e trace={call} -e inject={call}:delay_enter=700000:when=1..4 \
         {program} delete{} nosuch --backend {backend}",
        names(80)
    ));
    assert_eq!(bridges(), 0);
    String::from_utf8(written).expect("UTF-8")
}

fn shows_how_far_it_is_where_that_takes_long() {
    on_each(|backend| {
        let shown = slowly(backend, |command| {
            output("script", ["-q", "-e", "-c", &format!("stty cols 80; {command}"), "/dev/null"]).stdout
        });
        assert!(shown.contains("32/81 [####") && shown.contains("64/81 [####"), "{shown:?}");
        // Nothing is left of it where the error is.
        let last = shown.trim_end().rsplit('\r').next().expect("there is a last one");
        let last = last.rsplit("\u{1b}[2K").next().expect("there is a last one");
        assert!(last.starts_with("vmbridge: cannot delete bridge nosuch: "), "{shown:?}");
    });
    // What is done at once shows none.
    create(3);
    let program = env!("CARGO_BIN_EXE_vmbridge");
    let shown = output("script", ["-q", "-e", "-c", &format!("{program} delete br0 br1 br2"), "/dev/null"]);
    assert!(shown.status.success() && shown.stdout.is_empty(), "{shown:?}");
}

fn shows_nothing_where_nobody_watches() {
    on_each(|backend| {
        let written = slowly(backend, |command| output("sh", ["-c", command]).stderr);
        assert!(written.starts_with("vmbridge: cannot delete bridge nosuch: "), "{written:?}");
        assert_eq!(written.lines().count(), 1, "{written:?}");
    });
}
