//! The example: a guest that can do no more than answer ARP.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::command::done;
use crate::support::{Guarded, Registry, ifconfig, interface, output, run, tests, wait_until};

pub(crate) fn register(registry: &Registry) {
    let needed = "if_tuntap in the kernel, and the example arp as VMBRIDGE_ARP";
    registry.needs(needed).add(&tests![answers_arp]);
}

fn answers_arp() {
    done("create virbr0 --mac 52:54:00:01:02:03 --up");
    ifconfig("virbr0 inet 192.0.2.1/24");
    let program = env::var("VMBRIDGE_ARP").expect("VMBRIDGE_ARP is the example's path");
    let mut example = Command::new(program);
    example.args(["virbr0", "52:54:00:ab:0c:01", "192.0.2.7"]).stdout(Stdio::piped());
    let mut example = Guarded(example.spawn().expect("it can be run"));
    let said = BufReader::new(example.0.stdout.take().expect("a pipe")).lines().next();
    let said = said.expect("it says that it is there").expect("text");
    let tap = said.split(' ').rev().nth(2).expect("the tap's name").to_owned();
    assert!(interface(&tap).is_some_and(|tap| tap.is_up), "{said}");
    wait_until("the host knows its MAC", || {
        // It answers nothing but ARP.
        drop(output("ping", ["-c", "1", "-t", "1", "192.0.2.7"]));
        run("arp", ["-an"]).contains("(192.0.2.7) at 52:54:00:ab:0c:01 on virbr0")
    });
    drop(example);
    // Before 15.0 the tap stays.
    if interface(&tap).is_some() {
        done(&format!("tap delete {tap}"));
    }
}
