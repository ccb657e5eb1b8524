//! The README's table of controls is what the backends say of themselves.

use std::fmt::Write;

use crate::{AVAILABLE, Capabilities, Capability};

const README: &str = include_str!("../README.md");
/// The names of the backends in their columns.
const BACKENDS: [&str; 3] = ["netlink", "ioctl", "freebsd"];
const HEAD: &str = "| control | Linux netlink | Linux ioctl | FreeBSD |\n|---|---|---|---|\n";
const CAN: [&str; 2] = ["–", "yes"];
/// Where the kernel that it runs on decides.
const FROM_15: &str = "from 15";

/// The columns of backends that are not compiled in are taken as they are.
#[test]
fn the_table_of_controls_is_true() {
    let body = README.split_once(HEAD).map_or("", |(_, rest)| rest.split("\n\n").next().unwrap_or_default());
    let written = |control: &str, column: usize| {
        let start = format!("| `{control}` |");
        let row = body.lines().find_map(|row| row.strip_prefix(&start));
        row.and_then(|row| row.split('|').nth(column)).unwrap_or("?").trim()
    };
    let capabilities = BACKENDS.map(|name| {
        let available = AVAILABLE.iter().find(|backend| backend.name == name);
        available.map(|backend| (backend.open)().expect("the backend opens").implemented())
    });
    let mut table = String::new();
    for &control in Capability::ALL {
        let cell = |(column, capabilities): (usize, &Option<Capabilities>)| match capabilities {
            Some(_) if written(control.name(), column) == FROM_15 => FROM_15,
            Some(capabilities) => CAN[usize::from(capabilities.contains(control))],
            None => written(control.name(), column),
        };
        let [netlink, ioctl, freebsd] = [0, 1, 2].map(|column| cell((column, &capabilities[column])));
        writeln!(table, "| `{control}` | {netlink} | {ioctl} | {freebsd} |").expect("memory takes it");
    }
    assert!(body == table.trim_end(), "the README's table should be:\n\n{HEAD}{table}");
}
