//! The actions of the other process, and the host as `ip`, `bridge` and sysfs show it.

use serde_json::{Value, json};

use super::tracer::Ended;
use crate::support::{batch, exists, ip, is_up, link, run, sysfs};

/// The MAC that a command gives to a bridge.
pub(super) const MAC: &str = "52:54:00:01:02:03";
/// The MAC of the other process' interfaces.
pub(super) const FOREIGN: &str = "02:00:00:00:00:99";
/// The name that the other process renames an interface to.
pub(super) const OTHER: &str = "other";

/// Reasons that an error may give, each in its possible words.
pub(super) const GONE: &[&str] = &["no such interface"];
pub(super) const NO_PORT: &[&str] = &["is no port of", "is not a port of"];
pub(super) const NO_ENTRY: &[&str] = &["no such entry"];
pub(super) const NO_BRIDGE: &[&str] = &["is no bridge", "is not a bridge"];
pub(super) const TAKEN: &[&str] = &["exists", "in use"];
pub(super) const NOT_ACTIVE: &[&str] = &["not active"];
pub(super) const REFUSED: &[&str] = &["kernel refuses this"];

/// How an interface loses its name to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Deleted,
    Renamed,
}

impl Fate {
    pub(super) const ALL: [Self; 2] = [Self::Deleted, Self::Renamed];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Renamed => "renamed",
        }
    }
}

/// The kind of an interface that the other process makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bridge,
    Veth,
    Tap,
}

/// Deletes or renames the interface of this name, if it exists.
pub(super) fn dispose(name: &str, fate: Fate) {
    if exists(name) {
        match fate {
            Fate::Deleted => drop(ip(&format!("link delete dev {name}"))),
            Fate::Renamed => rename(name),
        }
    }
}

/// Makes an interface of the other process, and returns its [`shape`].
pub(super) fn make_foreign(name: &str, kind: Kind) -> Value {
    match kind {
        Kind::Bridge => drop(ip(&format!("link add name {name} address {FOREIGN} type bridge"))),
        Kind::Veth => drop(ip(&format!("link add name {name} address {FOREIGN} type veth peer name peer9"))),
        Kind::Tap => {
            batch("ip", &format!("tuntap add dev {name} mode tap\nlink set dev {name} address {FOREIGN}"));
        }
    }
    shape(name).expect("it was made")
}

/// Deletes or renames the interface of this name, and gives the name to one of the other process.
pub(super) fn take_name(name: &str, fate: Fate, kind: Kind) -> Value {
    dispose(name, fate);
    make_foreign(name, kind)
}

/// Renames an interface to [`OTHER`]. Older kernels refuse this while the interface is up.
pub(super) fn rename(name: &str) {
    let is_up = link(name).is_some_and(|link| is_up(&link));
    let rename = format!("link set dev {name} name {OTHER}");
    let set_up = format!("link set dev {name} down\n{rename}\nlink set dev {OTHER} up");
    batch("ip", if is_up { &set_up } else { &rename });
}

/// Returns the attributes of an interface, except those that the kernel changes by itself.
pub(super) fn shape(name: &str) -> Option<Value> {
    let link = link(name)?;
    // `ip` finds an interface by an alternative name, too.
    assert_eq!(link["ifname"], name);
    let info = &link["linkinfo"];
    let mut data = info["info_data"].clone();
    if let Some(data) = data.as_object_mut() {
        data.retain(|key, _| !key.ends_with("_timer"));
    }
    Some(json!({
        "index": link["ifindex"],
        "name": name,
        "kind": info["info_kind"],
        "mac": link["address"],
        "assigned": sysfs(name, "addr_assign_type"),
        "mtu": link["mtu"],
        "group": link["group"],
        "bridge": link["master"],
        "up": is_up(&link),
        "data": data,
    }))
}

/// Checks that an interface of the other process still has the [`shape`] that it was made with.
#[track_caller]
pub(super) fn is_untouched(foreign: &Value) {
    let name = foreign["name"].as_str().expect("a name");
    let Some(now) = shape(name) else { panic!("the foreign {name} is deleted or renamed") };
    let changed: Vec<_> = foreign
        .as_object()
        .expect("an object")
        .iter()
        .filter(|(key, was)| now[*key] != **was)
        .map(|(key, was)| format!("{key} was {was}, is {}", now[key]))
        .collect();
    assert!(changed.is_empty(), "the foreign {name} is changed: {}", changed.join("; "));
}

/// Returns the names of all bridges.
pub(super) fn bridges() -> Vec<String> {
    let found: Value = serde_json::from_str(&ip("-j link show type bridge")).expect("JSON");
    let names = found.as_array().into_iter().flatten().filter_map(|link| link["ifname"].as_str());
    names.map(str::to_owned).collect()
}

/// Returns whether an interface has [`MAC`] and the MTU 1400, and is up.
pub(super) fn is_as_asked(name: &str) -> bool {
    link(name).is_some_and(|link| link["address"] == MAC && link["mtu"] == 1400 && is_up(&link))
}

/// Returns the bridge of a port.
pub(super) fn bridge_of(port: &str) -> Option<String> {
    link(port)?["master"].as_str().map(str::to_owned)
}

/// The options of a port.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Options {
    pub(super) isolated: Value,
    pub(super) learning: Value,
    pub(super) flood: Value,
    pub(super) locked: Value,
    pub(super) cost: Value,
    pub(super) priority: Value,
}

/// Returns the options of a port, and `None` for an interface without a bridge.
pub(super) fn options(port: &str) -> Option<Options> {
    let link = link(port)?;
    let of = |option: &str| link["linkinfo"]["info_slave_data"][option].clone();
    link.get("master")?;
    Some(Options {
        isolated: of("isolated"),
        learning: of("learning"),
        flood: of("flood"),
        locked: of("locked"),
        cost: of("cost"),
        priority: of("priority"),
    })
}

/// Returns whether the FDB has a static entry for [`MAC`] behind a port.
pub(super) fn has_entry(port: &str) -> bool {
    let entries: Value = serde_json::from_str(&run("bridge", ["-j", "fdb", "show", "dev", port])).expect("JSON");
    let mut entries = entries.as_array().into_iter().flatten();
    entries.any(|entry| entry["mac"] == MAC && entry["state"] == "static")
}

impl Ended {
    /// Checks that the command succeeds, or fails for one of these reasons and leaves nothing over.
    #[track_caller]
    pub(super) fn is_done_or_says(&self, reasons: &[&[&str]]) {
        let is_said = reasons.iter().copied().flatten().any(|reason| self.errors.contains(reason));
        assert!(self.is_done() || is_said, "the error gives another reason");
        self.leaves_nothing();
    }

    /// Checks that the error does not tell of something left over.
    #[track_caller]
    pub(super) fn leaves_nothing(&self) {
        let tells = ["undoing failed", "rollback failed", "left over", "is left"];
        assert!(!tells.iter().any(|text| self.errors.contains(text)), "the error tells of something left over");
    }
}
