//! `vmbridge network`, as its users see it; `ip` says what is true.

mod hostile;
mod killed;

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{MAC, full, on_each, parse, vmbridge};
use crate::support::{Registry, exists, ip, is_up, link, output, snapshot, tests, wait_until};

/// As old versions of libvirt may have it.
const UUID: &str = "<uuid>9A05DA11E96B47F38253A3A482E445F5</uuid>\n";

pub(crate) fn register(registry: &Registry) {
    registry.add(&tests![
        defines_starts_and_stops,
        shows_text_json_and_xml,
        lists_text_and_json,
        tries_each_and_names_those_that_fail,
        with_all_passes_over_what_is_as_it_is_to_be,
        ensure_says_what_it_has_changed,
        refuses_what_it_cannot_define,
        names_the_character_that_nobody_sees,
        says_at_once_that_the_host_uses_the_bridges_name,
        keeps_the_mac_of_a_running_bridge,
        leaves_an_adopted_bridge,
        leaves_a_bridge_without_a_record,
        gives_a_bridge_no_name_that_another_is_also_called_by,
        derives_macs,
        migrates_libvirts_networks,
        migrates_nothing_where_a_directory_is_not_there,
        knows_libvirts_own_directories,
        takes_no_name_that_libvirt_has_defined,
        several_at_once_start_it_once,
        several_at_once_define_different_ones,
        several_at_once_undefine_it_once,
        needs_privilege_to_start_but_not_to_look,
        ensures_with_no_more_than_its_service_has,
        says_that_it_is_defined_where_its_mac_cannot_be_printed,
        wrong_usage,
    ]);
    hostile::register(registry);
    killed::register(registry);
}

/// Directories of definitions of their own.
pub(super) struct Store(TempDir);

impl Store {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory can be made"))
    }

    pub(super) fn path(&self, file: &str) -> String {
        self.0.path().join(file).to_str().expect("UTF-8").to_owned()
    }

    pub(super) fn write(&self, file: &str, text: &str) -> String {
        let path = self.0.path().join(file);
        fs::create_dir_all(path.parent().expect("it is in one")).expect("it can be made");
        fs::write(path, text).expect("it can be written");
        self.path(file)
    }

    /// `network` with these arguments on these directories.
    pub(super) fn args(&self, args: &str) -> String {
        format!("network {args} --config-dir {} --state-dir {}", self.path("etc"), self.path("run"))
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmbridge"));
        command.args(self.args(args).split(' '));
        command
    }

    /// Its output.
    #[track_caller]
    pub(super) fn done(&self, args: &str) -> String {
        super::done(&self.args(args))
    }

    /// Its errors, a line each, with nothing changed on the host.
    #[track_caller]
    fn refused(&self, args: &str) -> String {
        super::refused(&self.args(args))
    }

    /// Defines a network with this in it, and gives its MAC.
    #[track_caller]
    fn define(&self, name: &str, body: &str) -> String {
        let file = self.write("new.xml", &network(name, body));
        self.done(&format!("define {file}")).trim_end().to_owned()
    }

    /// The files in a directory, but for the lock.
    pub(super) fn files(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).into_iter().flatten();
        let names = entries.map(|entry| entry.expect("it can be read").file_name().into_string().expect("UTF-8"));
        let mut names: Vec<_> = names.filter(|name| name != ".lock").collect();
        names.sort();
        names
    }
}

pub(super) fn network(name: &str, body: &str) -> String {
    format!("<network>\n  <name>{name}</name>\n{body}</network>\n")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_owned()).expect("UTF-8")
}

fn defines_starts_and_stops() {
    on_each(|backend| {
        let store = Store::new();
        let on = |args: &str| store.done(&format!("{args} --backend {backend}"));
        let mac = store.define("lan", "  <mtu size='1400'/>\n");
        assert!(mac.starts_with("52:54:00:"), "{mac}");
        // Defined anew it keeps its MAC and its bridge.
        assert_eq!(store.define("lan", "  <mtu size='1300'/>\n"), mac);
        assert_eq!(on("start lan"), "");
        let bridge = link("virbr0").expect("it was started");
        assert_eq!((&bridge["address"], &bridge["mtu"]), (&json!(mac), &json!(1300)));
        assert!(is_up(&bridge));
        assert_eq!(store.files("run"), ["lan.xml"]);
        let errors = store.refused(&format!("start lan --backend {backend}"));
        assert_eq!(errors, "vmbridge: network lan: it is active: its bridge virbr0 exists\n");
        assert_eq!(on("stop lan"), "");
        assert!(!exists("virbr0") && store.files("run").is_empty());
        let errors = store.refused(&format!("stop lan --backend {backend}"));
        assert_eq!(errors, "vmbridge: network lan: it is not active: bridge virbr0 does not exist\n");

        // Forgotten while it is active, it can still be stopped.
        on("start lan");
        assert_eq!(on("undefine lan"), "");
        assert!(store.refused("undefine lan").ends_with("/etc/lan.xml: the network is not defined\n"));
        on("stop lan");
        assert!(!exists("virbr0"));
        assert!(store.refused("stop lan").ends_with("/etc/lan.xml: the network is not defined\n"));
    });
}

fn shows_text_json_and_xml() {
    let store = Store::new();
    let body = format!(
        "  <forward mode='nat'/>\n  <bridge name='virbr0' stp='off'/> <!-- mine -->\n  <mtu size='1400'/>\n  \
         <mac address='{MAC}'/>\n  <port isolated='yes'/>\n"
    );
    store.define("lan", &body);
    store.done("start lan");
    assert_eq!(store.done("show lan --xml"), network("lan", &body));
    let defined = "network               lan\n\
                   bridge                virbr0\n\
                   mac                   52:54:00:01:02:03\n\
                   mtu                   1400\n\
                   forward               nat\n\
                   ports                 isolated\n\
                   anchor                none\n\
                   stp                   off\n";
    assert_eq!(store.done("show lan"), format!("{defined}state                 active\n"));
    let mut expected = json!({
        "name": "lan", "uuid": null, "bridge": "virbr0", "mac": MAC, "mtu": 1400, "forward": "nat", "isolation": "isolated",
        "anchor": "none", "mac-table-manager": null, "options": {"stp": false},
        "defined": true, "state": "active", "drifts": [], "reason": null,
    });
    assert_eq!(parse(&store.done("show lan --json")), expected);

    ip("link set dev virbr0 mtu 1300 address 52:54:00:00:00:09");
    let state = "state                 drifted\n                      \
                 mac is 52:54:00:00:00:09, defined as 52:54:00:01:02:03\n                      \
                 mtu is 1300, defined as 1400\n";
    assert_eq!(store.done("show lan"), format!("{defined}{state}"));
    expected["state"] = "drifted".into();
    expected["drifts"] = json!([
        {"control": "mac", "defined": MAC, "actual": "52:54:00:00:00:09"},
        {"control": "mtu", "defined": "1400", "actual": "1300"},
    ]);
    on_each(|backend| assert_eq!(parse(&store.done(&format!("show lan --json --backend {backend}"))), expected));

    store.write("etc/hosts.xml", &network("hosts", &format!("  {UUID}  <forward mode='bridge'/>\n")));
    assert_eq!(
        parse(&store.done("show hosts --json")),
        json!({
            "name": "hosts", "uuid": "9a05da11-e96b-47f3-8253-a3a482e445f5", "forward": "bridge",
            "defined": true, "state": "foreign", "drifts": [], "reason": "forward mode bridge",
        })
    );
    store.write("etc/broken.xml", "<network>");
    assert!(store.refused("show broken").starts_with("vmbridge: network broken: "));
    assert!(store.refused("show nosuch").ends_with("/etc/nosuch.xml: the network is not defined\n"));
}

fn lists_text_and_json() {
    let store = Store::new();
    assert_eq!(parse(&store.done("list --json")), json!([]));
    for (number, name) in ["active", "drifted", "former", "gone", "off", "taken"].into_iter().enumerate() {
        let body =
            format!("  <bridge name='br{number}' stp='off'/>\n  <mac address='52:54:00:00:00:0{number}'/>\n");
        store.define(name, &body);
    }
    store.define("off", &format!("{UUID}  <bridge name='br4' stp='off'/>\n"));
    store.done("start active drifted former gone");
    ip("link set dev br1 down");
    store.define("former", "  <bridge name='br7'/>\n");
    store.done("undefine gone");
    ip("link add name br5 type veth peer name peer0");
    store.write("etc/foreign.xml", &network("foreign", "  <forward mode='hostdev'/>\n"));
    let broken = store.write("etc/broken.xml", "<network><name>other</name></network>");
    let listed = format!(
        "NETWORK          BRIDGE           MAC                STATE
active           br0              52:54:00:00:00:00  active
broken           -                -                  broken: {broken}: it defines network \"other\", whose file has another name
drifted          br1              52:54:00:00:00:01  drifted: link is down, defined as up
foreign          -                -                  foreign: forward mode hostdev
former           br7              52:54:00:00:00:02  drifted: bridge is br2, defined as br7
off              br4              52:54:00:00:00:04  absent
taken            br5              52:54:00:00:00:05  occupied: the name br5 is in use, by an interface that is no bridge
gone             br3              52:54:00:00:00:03  active, not defined
"
    );
    on_each(|backend| assert_eq!(store.done(&format!("list --backend {backend}")), listed));
    let json = parse(&store.done("list --json"));
    let column = |name: &str| -> Vec<Value> {
        json.as_array().expect("an array").iter().map(|network| network[name].clone()).collect()
    };
    assert_eq!(
        column("name"),
        ["active", "broken", "drifted", "foreign", "former", "off", "taken", "gone"].map(Value::from)
    );
    assert_eq!(
        column("state"),
        ["active", "broken", "drifted", "foreign", "drifted", "absent", "occupied", "active"].map(Value::from)
    );
    assert_eq!(column("defined"), [true, true, true, true, true, true, true, false].map(Value::from));
    assert_eq!(column("uuid")[5], "9a05da11-e96b-47f3-8253-a3a482e445f5");
    let mut foreign = json!({"name": "foreign", "uuid": null, "bridge": null, "mac": null});
    foreign["defined"] = true.into();
    (foreign["state"], foreign["drifts"]) = ("foreign".into(), json!([]));
    foreign["reason"] = "forward mode hostdev".into();
    assert_eq!(json[3], foreign);
    assert_eq!(json[2]["drifts"], json!([{"control": "link", "defined": "up", "actual": "down"}]));
}

fn tries_each_and_names_those_that_fail() {
    let store = Store::new();
    store.define("a", "");
    store.define("b", "");
    let (status, out, errors) = vmbridge(&store.args("start nosuch a nosuch2 b"));
    assert_eq!((status, out.as_str()), (1, ""));
    let lines: Vec<_> = errors.lines().collect();
    assert!(lines[0].starts_with("vmbridge: network nosuch: ") && lines[1].contains("network nosuch2: "));
    assert_eq!(lines.len(), 2, "{errors}");
    assert!(exists("virbr0") && exists("virbr1"));
    let (status, _, errors) = vmbridge(&store.args("stop a nosuch b"));
    assert!(status == 1 && errors.contains("network nosuch: ") && errors.lines().count() == 1, "{errors}");
    assert!(!exists("virbr0") && !exists("virbr1"));
}

fn with_all_passes_over_what_is_as_it_is_to_be() {
    let store = Store::new();
    for act in ["start", "stop", "ensure"] {
        assert_eq!(store.done(&format!("{act} --all")), "");
    }
    store.define("a", "");
    store.define("b", "");
    store.write("etc/foreign.xml", &network("foreign", "  <forward mode='bridge'/>\n"));
    store.done("start b");
    for _ in 0..2 {
        assert_eq!(store.done("start --all"), "");
        assert!(exists("virbr0") && exists("virbr1"));
    }
    store.done("undefine a");
    for _ in 0..2 {
        assert_eq!(store.done("stop --all"), "");
        assert!(!exists("virbr0") && !exists("virbr1"));
    }
    // A file that cannot be used does not keep the others from it.
    let broken = store.write("etc/broken.xml", "<network>");
    let (status, out, errors) = vmbridge(&store.args("ensure --all"));
    assert_eq!((status, out.as_str()), (1, "network b: created\n"));
    assert!(errors.starts_with(&format!("vmbridge: {broken}: ")) && errors.lines().count() == 1, "{errors}");
}

fn ensure_says_what_it_has_changed() {
    on_each(|backend| {
        let store = Store::new();
        let ensure = || store.done(&format!("ensure lan --backend {backend}"));
        store.define("lan", &format!("  <mtu size='1400'/>\n  <mac address='{MAC}'/>\n"));
        assert_eq!(ensure(), "network lan: created\n");
        assert_eq!(ensure(), "");
        ip("link set dev virbr0 down mtu 1300 address 52:54:00:00:00:09");
        assert_eq!(
            ensure(),
            "network lan: repaired: mac is 52:54:00:00:00:09, defined as 52:54:00:01:02:03\n\
             network lan: repaired: mtu is 1300, defined as 1400\n\
             network lan: repaired: link is down, defined as up\n"
        );
        assert_eq!(ensure(), "");
        assert_eq!(link("virbr0").expect("it is there")["address"], MAC);
        // By what is defined now.
        store.define("lan", "  <mtu size='1450'/>\n");
        assert_eq!(ensure(), "network lan: repaired: mtu is 1400, defined as 1450\n");
        store.define("lan", "  <bridge name='virbr7'/>\n");
        assert_eq!(
            store.refused("ensure lan"),
            "vmbridge: network lan: it is running on bridge virbr0 but is now defined with virbr7; stop it first\n"
        );
        // With another MAC it might have been another bridge, and was adopted.
        store.done("stop lan --delete-adopted");
        assert!(!exists("virbr0") && !exists("virbr7"));
    });
}

fn refuses_what_it_cannot_define() {
    let store = Store::new();
    ip("link add name tap0 type veth peer name tap1");
    let define = |text: &str| store.refused(&format!("define {}", store.write("new.xml", text)));
    for (body, says) in [
        ("  <forward mode='bridge'/>\n", "forward@mode \"bridge\": such a network has no bridge of its own"),
        ("  <bridge name='tap0'/>\n", "it is no bridge"),
        ("  <mtu size='1'/>\n", "line 3: mtu@size \"1\""),
        ("  <mac address='01:00:5e:00:00:01'/>\n", "mac@address"),
    ] {
        let errors = define(&network("lan", body));
        assert!(errors.contains(says), "{errors}");
    }
    assert!(define("<domain/>").contains("new.xml: line 1: <domain> is no definition of a network"));
    assert!(define(&" ".repeat(1 << 21)).contains("a document has at most 1048576 bytes"));
    assert!(store.refused("define /dev/zero").contains("a document has at most"));
    assert!(store.refused("define nosuch").starts_with("vmbridge: nosuch: cannot read it: No such file"));
    assert!(store.refused("define /").starts_with("vmbridge: /: "));
    assert!(store.files("etc").is_empty());

    let mut child = store.command("define -");
    let child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("it starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(network("lan", &format!("  <mac address='{MAC}'/>\n")).as_bytes()).expect("it reads");
    drop(stdin);
    let Output { status, stdout, .. } = child.wait_with_output().expect("it ends");
    assert!(status.success());
    assert_eq!(text(&stdout), format!("{MAC}\n"));
    assert_eq!(store.files("etc"), ["lan.xml"]);
}

/// In a definition, and in a file that is there already, which keeps no other network from starting.
fn names_the_character_that_nobody_sees() {
    let store = Store::new();
    let says = "U+202E is invisible or reorders the text; leave it out";
    let errors = store.refused(&format!("define {}", store.write("new.xml", &network("lan\u{202e}", ""))));
    assert!(errors.ends_with(&format!("new.xml: line 2: name \"lan\\u{{202e}}\": {says}\n")), "{errors}");
    assert!(store.files("etc").is_empty());
    let (status, _, errors) = vmbridge(&store.args("start lan\u{202e}"));
    assert!(status == 2 && errors.contains(says), "{errors}");

    store.define("lan", "");
    let body = "  <bridge name='virbr7'/>\n  <mac address='52:54:00:00:00:07'/>\n";
    store.write("etc/lan\u{202e}.xml", &network("lan\u{202e}", body));
    on_each(|backend| {
        let (status, out, errors) = vmbridge(&store.args(&format!("start --all --backend {backend}")));
        assert_eq!((status, out.as_str()), (1, ""));
        assert!(errors.contains(r"/etc/lan\u{202e}.xml: ") && errors.contains(says), "{errors}");
        assert!(exists("virbr0") && !exists("virbr7"));
        let listed = store.done(&format!("list --backend {backend}"));
        let columns: Vec<_> = listed.lines().map(|line| line.split_whitespace().nth(3)).collect();
        assert_eq!(columns, [Some("STATE"), Some("active"), Some("broken:")], "{listed}");
        assert!(!listed.contains('\u{202e}') && listed.contains(says), "{listed}");
        store.done("stop lan");
    });

    let libvirt = network("default\u{200b}", "  <bridge name='virbr1'/>\n");
    let file = store.write("qemu/default.xml", &libvirt);
    let other = store.write("qemu/other.xml", &network("other", "  <bridge name='virbr2'/>\n"));
    fs::create_dir(store.path("state")).expect("it can be made");
    let (status, out, errors) =
        vmbridge(&format!("network migrate --dir {} --state-dir {}", store.path("qemu"), store.path("state")));
    assert!(status == 1 && out.starts_with(&format!("{other}: MAC ")) && out.lines().count() == 1, "{out}");
    assert!(errors.starts_with(&format!("vmbridge: {file}: ")) && errors.contains("U+200B is "), "{errors}");
    assert_eq!(fs::read_to_string(file).expect("it is there"), libvirt);
}

fn says_at_once_that_the_host_uses_the_bridges_name() {
    let store = Store::new();
    ip("link add name br0 address 52:54:00:00:00:09 type bridge");
    let anchored = "  <metadata><v:bridge xmlns:v='https://vmbridge.org/network/1' anchor='tap'/></metadata>\n  \
                    <bridge name='br1'/>\n";
    ip("link add name br1-nic type veth peer name peer0");
    for (name, body, says) in [
        (
            "lan",
            "  <bridge name='br0'/>\n",
            "vmbridge: a bridge br0 is there already, with MAC 52:54:00:00:00:09; `network ensure lan` adopts it\n",
        ),
        (
            "held",
            anchored,
            "vmbridge: network held: the name br1-nic is in use, by an interface that is no bridge\n",
        ),
    ] {
        let file = store.write("new.xml", &network(name, body));
        let (status, out, errors) = vmbridge(&store.args(&format!("define {file}")));
        assert_eq!((status, errors.as_str()), (0, says));
        assert!(out.starts_with("52:54:00:"), "{out}");
    }
    ip("link set dev br0 address 52:54:00:00:00:08");
    assert!(store.refused("start lan").contains("by a bridge with the MAC 52:54:00:00:00:08"));
    assert!(store.done("ensure lan").contains("repaired: mac is 52:54:00:00:00:08"));
    // Its own bridge is nothing to speak of.
    let mac = store.define("lan", "  <bridge name='br0'/>\n");
    assert_eq!(link("br0").expect("it is there")["address"], mac);
}

fn keeps_the_mac_of_a_running_bridge() {
    ip("link add name br0 address 52:54:00:00:00:09 type bridge");
    ip("link add name br1 address 52:54:00:00:00:0a type bridge");
    ip("link add name br2 type bridge");
    ip("link add name tap0 address 02:00:00:00:00:07 type veth peer name tap1");
    ip("link set dev tap0 master br2");
    assert_eq!(link("br2").expect("it is there")["address"], "02:00:00:00:00:07");
    on_each(|backend| {
        let store = Store::new();
        let define = |name: &str, body: &str| {
            let file = store.write("new.xml", &network(name, body));
            let (status, out, errors) = vmbridge(&store.args(&format!("define {file} --backend {backend}")));
            assert!(status == 0 && errors.contains("is there already"), "{errors}");
            out
        };
        assert_eq!(define("lan", "  <bridge name='br0' stp='off'/>\n"), "52:54:00:00:00:09\n");
        assert_eq!(define("lan", "  <bridge name='br0' stp='off'/>\n"), "52:54:00:00:00:09\n");
        // One that is given is meant, another network has its own, and a port takes its MAC along.
        let given = format!("  <bridge name='br1'/>\n  <mac address='{MAC}'/>\n");
        assert_eq!(define("given", &given), format!("{MAC}\n"));
        assert!(define("lent", "  <bridge name='br2'/>\n").starts_with("52:54:00:"));
        ip("link set dev br0 up");
        assert!(!store.done(&format!("ensure lan --backend {backend}")).contains("mac is"));
        assert_eq!(link("br0").expect("it is there")["address"], "52:54:00:00:00:09");
    });
}

/// Stops a network whose bridge stays.
#[track_caller]
fn stopped_without_its_bridge(store: &Store, backend: &str) {
    let (status, out, errors) = vmbridge(&store.args(&format!("stop lan --backend {backend}")));
    let says = "vmbridge: network lan: bridge br0 stays, since no record says that vmbridge created it; \
                `network stop --delete-adopted lan` deletes it\n";
    assert_eq!((status, out.as_str(), errors.as_str()), (0, "", says));
    assert!(exists("br0") && store.files("run").is_empty());
}

fn leaves_an_adopted_bridge() {
    const BODY: &str = "  <metadata><v:bridge xmlns:v='https://vmbridge.org/network/1' anchor='tap'/></metadata>\n  \
                        <bridge name='br0' stp='off'/>\n";
    on_each(|backend| {
        let store = Store::new();
        let on = |args: &str| store.done(&format!("{args} --backend {backend}"));
        store.define("lan", BODY);
        ip("link add name br0 address 52:54:00:00:00:09 up type bridge");
        ip("link add name tap0 master br0 type veth peer name tap1");
        let before = link("br0").expect("it is there")["ifindex"].clone();
        assert!(on("ensure lan").contains("repaired: mac is 52:54:00:00:00:09"));
        assert!(exists("br0-nic"));
        // Defined anew, it is still not its own.
        store.define("lan", &BODY.replace("anchor='tap'", "").replace("off'/>", "off'/>\n  <mtu size='1400'/>"));
        on("ensure lan");
        store.define("lan", BODY);
        on("ensure lan");
        stopped_without_its_bridge(&store, backend);
        assert!(!exists("br0-nic") && link("tap0").expect("it is there")["master"] == "br0");
        assert_eq!(link("br0").expect("it is there")["ifindex"], before);

        on("ensure lan");
        assert_eq!(on("stop lan --delete-adopted"), "");
        assert!(!exists("br0") && !exists("br0-nic") && store.files("run").is_empty());
        // The next one is its own.
        ip("link delete dev tap0");
        for _ in 0..2 {
            on("ensure lan");
        }
        assert_eq!(on("stop lan"), "");
        assert!(!exists("br0"));
        // So is one in the place of an adopted one.
        ip("link add name br0 up type bridge");
        on("ensure lan");
        ip("link delete dev br0");
        on("ensure lan");
        assert_eq!(on("stop lan"), "");
        assert!(!exists("br0"));
    });
}

/// Its MAC proves nothing, since `define` takes over the MAC of a running bridge.
fn leaves_a_bridge_without_a_record() {
    on_each(|backend| {
        let store = Store::new();
        let on = |args: &str| store.done(&format!("{args} --backend {backend}"));
        ip("link add name br0 up type bridge");
        let file = store.write("new.xml", &network("lan", "  <bridge name='br0' stp='off'/>\n"));
        assert_eq!(vmbridge(&store.args(&format!("define {file} --backend {backend}"))).0, 0);
        stopped_without_its_bridge(&store, backend);
        on("stop lan --delete-adopted");
        on("start lan");
        fs::remove_file(store.path("run/lan.xml")).expect("it is there");
        on("ensure lan");
        stopped_without_its_bridge(&store, backend);
        on("stop lan --delete-adopted");
        assert!(!exists("br0"));
    });
}

fn gives_a_bridge_no_name_that_another_is_also_called_by() {
    ip("link add name br0 type bridge");
    ip("link add name tap0 type veth peer name tap1");
    ip("link property add dev br0 altname virbr0");
    ip("link property add dev tap0 altname virbr2");
    on_each(|backend| {
        let store = Store::new();
        for (name, bridge) in [("a", "virbr1"), ("b", "virbr3")] {
            let file = store.write("new.xml", &network(name, ""));
            store.done(&format!("define {file} --backend {backend}"));
            store.done(&format!("start {name} --backend {backend}"));
            assert!(exists(bridge));
        }
        store.done(&format!("stop --all --backend {backend}"));
    });
}

fn derives_macs() {
    // The machine-id of this mount namespace.
    mount(Some("tmpfs"), "/etc", Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("it can be mounted");
    let define = |name: &str| {
        let store = Store::new();
        let file = store.write("new.xml", &network(name, ""));
        vmbridge(&store.args(&format!("define {file} --mac derived")))
    };
    let (status, out, errors) = define("lan");
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(errors.starts_with("vmbridge: /etc/machine-id does not exist") && errors.lines().count() == 1);
    fs::write("/etc/machine-id", "6035da588d0e4d0c9c0a5b3f32112e01\n").expect("it can be written");
    for _ in 0..2 {
        assert_eq!(define("lan"), (0, "52:63:e8:91:b9:f4\n".to_owned(), String::new()));
    }
    assert_eq!(define("default").1, "52:19:0d:22:e9:20\n");
}

fn migrates_libvirts_networks() {
    let store = Store::new();
    let body = "  <forward mode='nat'/>\n  <bridge name='virbr0' stp='on' delay='0'/>\n  \
                <ip address='192.168.122.1' netmask='255.255.255.0'/>\n";
    let with =
        |text: &str, mac: &str| text.replace("delay='0'/>\n", &format!("delay='0'/>\n  <mac address='{mac}'/>\n"));
    let (definition, foreign) = (network("default", body), network("hosts", "  <forward mode='bridge'/>\n"));
    let status = format!("<networkstatus>\n{definition}</networkstatus>\n");
    let config = store.write("etc/default.xml", &definition);
    let state = store.write("run/default.xml", &status);
    store.write("etc/hosts.xml", &foreign);
    let read = |path: &str| fs::read_to_string(path).expect("it is there");
    let migrate = |more: &str| {
        vmbridge(&format!("network migrate --dir {} --state-dir {}{more}", store.path("etc"), store.path("run")))
    };

    let (exit, patch, errors) = migrate(" --dry-run");
    assert_eq!((exit, errors.as_str()), (0, ""));
    let before = [read(&config), read(&state)];
    assert_eq!(before, [definition.clone(), status.clone()]);
    // It is a patch for patch(1), and of one line for each file.
    assert!(patch.starts_with(&format!("--- {config}\n+++ {config}\n@@ ")), "{patch}");
    let added: Vec<_> = patch.lines().filter(|line| line.starts_with('+') && !line.starts_with("+++")).collect();
    assert!(added.len() == 2 && added[0] == added[1] && added[0].contains("<mac address='52:54:00:"), "{patch}");

    let (exit, out, errors) = migrate("");
    assert_eq!((exit, errors.as_str()), (0, ""));
    let mac = out.lines().next().and_then(|line| line.strip_prefix(&format!("{config}: MAC "))).expect("one");
    assert_eq!(out, format!("{config}: MAC {mac}\n{state}: MAC {mac}\n"));
    assert_eq!([read(&config), read(&state)], [with(&definition, mac), with(&status, mac)]);
    assert_eq!(read(&store.path("etc/hosts.xml")), foreign);
    for more in ["", " --dry-run"] {
        assert_eq!(migrate(more), (0, String::new(), String::new()));
    }

    store.write("etc/broken.xml", "<network>");
    let other = store.write("run/broken.xml", &network("broken", "  <bridge name='virbr1'/>\n"));
    let (exit, out, errors) = migrate("");
    assert_eq!((exit, out.as_str(), errors.lines().count()), (1, "", 2), "{errors}");
    assert!(errors.contains(&format!("{other}: left as it was")), "{errors}");
}

/// Mistyped, nothing would be said of what was left undone.
fn migrates_nothing_where_a_directory_is_not_there() {
    let store = Store::new();
    let text = network("lan", "  <bridge name='virbr0'/>\n");
    let files = [store.write("etc/lan.xml", &text), store.write("run/lan.xml", &text)];
    for (config, state, missing) in
        [("etc", "rum", "rum"), ("ect", "run", "ect"), ("etc", "run/lan.xml", "lan.xml")]
    {
        for more in ["", " --dry-run"] {
            let (config, state) = (store.path(config), store.path(state));
            let errors = super::refused(&format!("network migrate --dir {config} --state-dir {state}{more}"));
            assert!(errors.starts_with("vmbridge: /") && errors.contains(&format!("/{missing}: No")), "{errors}");
        }
    }
    assert!(files.iter().all(|file| fs::read_to_string(file).expect("it is there") == text));
}

/// Gives this mount namespace empty directories where the system has its definitions and its state.
fn empty_system_directories() {
    for directory in ["/etc", "/run"] {
        mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("it can be mounted");
    }
}

fn knows_libvirts_own_directories() {
    empty_system_directories();
    let [config, state] = ["/etc/libvirt/qemu/networks", "/run/libvirt/network"];
    fs::create_dir_all(config).expect("it can be made");
    fs::write(format!("{config}/lan.xml"), network("lan", "  <bridge name='virbr0'/>\n"))
        .expect("it can be written");
    for args in ["", " --dry-run", " --state-dir /var/lib/libvirt/nosuch"] {
        let errors = super::refused(&format!("network migrate --dir {config}{args}"));
        assert!(errors.contains(": No such file or directory (os error 2); "), "{errors}");
        assert!(errors.contains("libvirt creates /run/libvirt/network when it starts"), "{errors}");
    }
    fs::create_dir_all(state).expect("it can be made");
    fs::write(format!("{state}/lan.xml"), network("lan", "  <bridge name='virbr0'/>\n"))
        .expect("it can be written");
    let migrated = super::done(&format!("network migrate --dir {config}/"));
    let lines: Vec<_> = migrated.lines().map(|line| line.split_once(": MAC ").expect("one").0).collect();
    assert_eq!(lines, [format!("{config}/lan.xml"), format!("{state}/lan.xml")]);
    assert_eq!(parse(&super::done(&format!("network list --json --dir {config}")))[0]["name"], "lan");
    assert_eq!(vmbridge("network migrate --dir /etc").0, 2);
}

fn takes_no_name_that_libvirt_has_defined() {
    let store = Store::new();
    let [default, hosts] = [
        network("default", "  <bridge name='virbr0'/>\n  <mac address='52:54:00:00:00:07'/>\n"),
        network("hosts", "  <forward mode='bridge'/>\n  <bridge name='virbr1'/>\n"),
    ];
    let check = |define: &dyn Fn(&str) -> (i32, String, String)| {
        let (status, _, errors) = define(&store.write("new.xml", &network("lan", "")));
        assert_eq!((status, errors.as_str()), (0, ""));
        // Both have it until one is undefined.
        let fixed = store.write("new.xml", &network("other", "  <bridge name='virbr0'/>\n"));
        let (status, out, errors) = define(&fixed);
        assert_eq!((status, out.lines().count()), (0, 1));
        let says = "vmbridge: bridge virbr0 is also that of libvirt's network default; undefine one of the two\n";
        assert_eq!(errors, says);
    };
    empty_system_directories();
    fs::create_dir_all("/etc/libvirt/qemu/networks").expect("it can be made");
    fs::write("/etc/libvirt/qemu/networks/default.xml", &default).expect("it can be written");
    check(&|file| vmbridge(&format!("network define {file}")));
    assert!(super::done("network show lan --xml").contains("virbr1"));

    for (file, text) in [("default.xml", &default), ("hosts.xml", &hosts), ("broken.xml", &"<network>".to_owned())]
    {
        store.write(&format!("libvirt/{file}"), text);
    }
    let libvirt = store.path("libvirt");
    check(&|file| vmbridge(&store.args(&format!("define {file} --libvirt-dir {libvirt}"))));
    assert!(store.done("show lan --xml").contains("virbr1"));
}

/// One starts it, the others say that it is active; and with ensure, one makes it.
fn several_at_once_start_it_once() {
    let store = Store::new();
    store.define("lan", "");
    let at_once = |args: &str| -> Vec<Output> {
        let mut children = Vec::new();
        for number in 0..6 {
            let backend = vmbridge::AVAILABLE[number % vmbridge::AVAILABLE.len()].name;
            let mut command = store.command(&format!("{args} --backend {backend}"));
            children.push(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts"));
        }
        children.into_iter().map(|child| child.wait_with_output().expect("it ends")).collect()
    };
    for _ in 0..3 {
        let outputs = at_once("start lan");
        assert_eq!(outputs.iter().filter(|output| output.status.success()).count(), 1, "{outputs:?}");
        let active = outputs.iter().filter(|output| text(&output.stderr).contains("lan: it is active"));
        assert_eq!(active.count(), 5, "{outputs:?}");
        let outputs = at_once("stop lan");
        assert_eq!(outputs.iter().filter(|output| output.status.success()).count(), 1, "{outputs:?}");
        assert!(!exists("virbr0") && store.files("run").is_empty());

        let outputs = at_once("ensure --all");
        assert!(outputs.iter().all(|output| output.status.success()), "{outputs:?}");
        assert_eq!(outputs.iter().filter(|output| !output.stdout.is_empty()).count(), 1, "{outputs:?}");
        store.done("stop lan");
    }
}

fn several_at_once_define_different_ones() {
    let store = Store::new();
    let children: Vec<_> = (0..6)
        .map(|number| {
            let file = store.write(&format!("new{number}.xml"), &network(&format!("n{number}"), ""));
            store.command(&format!("define {file}")).stdout(Stdio::null()).spawn().expect("it starts")
        })
        .collect();
    for mut child in children {
        assert!(child.wait().expect("it ends").success());
    }
    store.done("start --all");
    let listed = parse(&store.done("list --json"));
    let listed = listed.as_array().expect("an array");
    assert!(listed.len() == 6 && listed.iter().all(|network| network["state"] == "active"), "{listed:?}");
    assert!((0..6).all(|number| exists(&format!("virbr{number}"))));
}

/// Both have seen the file when they begin to wait for the lock.
fn several_at_once_undefine_it_once() {
    let store = Store::new();
    store.define("lan", "");
    let lock = fs::File::open(store.path("etc/.lock")).expect("it was made");
    let lock = Flock::lock(lock, FlockArg::LockExclusive).expect("nobody has it");
    let spawn = || {
        let mut command = store.command("undefine lan");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    let children = [spawn(), spawn()];
    let waits = |child: &Child| {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", child.id())).into_iter().flatten().flatten();
        descriptors.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|path| path.ends_with(".lock"))
    };
    wait_until("both wait for the lock", || children.iter().all(waits));
    drop(lock);
    let outputs = children.map(|child| child.wait_with_output().expect("it ends"));
    assert_eq!(outputs.iter().filter(|output| output.status.success()).count(), 1, "{outputs:?}");
    let refused = outputs.iter().find(|output| !output.status.success()).expect("one of them");
    assert!(text(&refused.stderr).ends_with("/etc/lan.xml: the network is not defined\n"), "{refused:?}");
}

fn needs_privilege_to_start_but_not_to_look() {
    let store = Store::new();
    store.define("lan", "");
    let without = |args: &str| {
        let drop = ["--bounding-set=-all", "--inh-caps=-all", env!("CARGO_BIN_EXE_vmbridge")];
        let args = store.args(args);
        let output = output("setpriv", drop.into_iter().chain(args.split(' ')));
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    on_each(|backend| {
        let before = snapshot();
        let (status, out, errors) = without(&format!("list --json --backend {backend}"));
        assert_eq!((status, errors.as_str()), (Some(0), ""));
        assert_eq!(parse(&out)[0]["state"], "absent");
        for act in ["start lan", "ensure --all"] {
            let (status, out, errors) = without(&format!("{act} --backend {backend}"));
            assert_eq!((status, out.as_str(), errors.lines().count()), (Some(1), "", 1), "{errors}");
            assert!(errors.starts_with("vmbridge: network lan: cannot create bridge virbr0: "), "{errors}");
            assert!(errors.contains("permission denied") && errors.contains("CAP_NET_ADMIN"), "{errors}");
            assert!(store.files("run").is_empty());
        }
        assert_eq!(snapshot(), before);
    });
}

/// In the system's own directories, with the capabilities that the service has.
fn ensures_with_no_more_than_its_service_has() {
    let service = include_str!("../../../../src/services/vmbridge.service");
    assert!(service.contains("\nCapabilityBoundingSet=CAP_NET_ADMIN\nNoNewPrivileges=yes\n"));
    let command = service.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/vmbridge "));
    empty_system_directories();
    let store = Store::new();
    let file = store.write("new.xml", &network("lan", killed::BODY));
    super::done(&format!("network define {file}"));
    on_each(|backend| {
        let drop = ["--no-new-privs", "--bounding-set=-all,+net_admin", "--inh-caps=-all"];
        let drop = drop.into_iter().chain([env!("CARGO_BIN_EXE_vmbridge"), "--backend", backend]);
        let output = output("setpriv", drop.chain(command.expect("it has one").split(' ')));
        assert!(output.status.success(), "{output:?}");
        assert_eq!(text(&output.stdout), "network lan: created\n");
        assert!(is_up(&link("virbr0").expect("it is there")) && exists("virbr0-nic"));
        assert!(fs::exists("/run/vmbridge/networks/lan.xml").expect("it can be told"));
        super::done("network stop --all");
    });
}

fn says_that_it_is_defined_where_its_mac_cannot_be_printed() {
    let store = Store::new();
    let file = store.write("new.xml", &network("lan", &format!("  <mac address='{MAC}'/>\n")));
    let output = store.command(&format!("define {file}")).stdout(full()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let says =
        format!("vmbridge: network lan is defined with MAC {MAC}, but that cannot be written to the output: ");
    assert!(text(&output.stderr).starts_with(&says), "{output:?}");
    assert_eq!(store.files("etc"), ["lan.xml"]);
    // What ensure does is done, whether or not it can be said.
    store.define("lan2", "");
    let output = store.command("ensure --all").stdout(full()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(exists("virbr0") && exists("virbr1"));
}

fn wrong_usage() {
    let store = Store::new();
    let before = snapshot();
    for args in [
        "start",
        "start --all lan",
        "ensure",
        "stop a/b",
        "show .hidden",
        "show lan --xml --json",
        "define",
        "define x --mac 52:54:00:00:00:01",
        "undefine",
    ] {
        assert_eq!(vmbridge(&store.args(args)).0, 2, "{args}");
    }
    // Ours and others' directories are not mixed.
    assert_eq!(vmbridge(&format!("network migrate --dir {}", store.path("etc"))).0, 2);
    assert_eq!(vmbridge(&format!("network list --state-dir {}", store.path("run"))).0, 2);
    assert_eq!(snapshot(), before);
}
