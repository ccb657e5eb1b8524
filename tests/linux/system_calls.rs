//! What a create says to the kernel, as strace sees it: nothing beside the point, and that the host accepts no router
//! advertisements before the bridge goes up.

use std::fs;

use vmbridge::Available;

use crate::support::{Registry, ip, run, tests};

pub(crate) fn register(registry: &Registry) {
    let on_strace = registry.needs("strace");
    on_strace.add_on_each_backend(&tests![create_says_nothing_beside_the_point, tries_the_kernel_only_when_asked]);
    if vmbridge::AVAILABLE.iter().any(|backend| backend.name == "netlink") {
        on_strace.add(&tests![create_pins_an_mtu_in_the_same_send, lists_few_bridges_among_many_interfaces]);
    }
}

fn create_says_nothing_beside_the_point(backend: &Available) {
    let options = if backend.name == "netlink" { "--up" } else { "--mtu 1400 --up" };
    let calls = calls_of_create(backend.name, options);
    let expected: &[&str] = match backend.name {
        // A kernel from 6.2 on sends the new interface back; others are asked for its index.
        "netlink" if calls[1] == "recvfrom" => &[
            "sendto RTM_NEWLINK",
            "recvfrom",
            "recvfrom NLMSG_ERROR error=0",
            "ioctl SIOCGIFNAME",
            "openat accept_ra",
            "openat autoconf",
            "sendto RTM_SETLINK",
            "recvfrom NLMSG_ERROR error=0",
        ],
        "netlink" => &[
            "sendto RTM_NEWLINK",
            "recvfrom NLMSG_ERROR error=0",
            "sendto",
            "recvfrom",
            "ioctl SIOCGIFNAME",
            "openat accept_ra",
            "openat autoconf",
            "sendto RTM_SETLINK",
            "recvfrom NLMSG_ERROR error=0",
        ],
        // None begins with the final name, which nobody has: the kernel would look for a module.
        "ioctl" => &[
            "ioctl SIOCBRADDBR",
            "ioctl SIOCGIFINDEX",
            "ioctl SIOCGIFNAME",
            "ioctl SIOCSIFHWADDR",
            "ioctl SIOCGIFHWADDR",
            "ioctl SIOCGIFNAME",
            "ioctl SIOCGIFNAME",
            "ioctl SIOCSIFMTU",
            "ioctl SIOCGIFNAME",
            "openat accept_ra",
            "openat autoconf",
            "ioctl SIOCGIFNAME",
            "ioctl SIOCSIFNAME",
            "ioctl SIOCGIFFLAGS",
            "ioctl SIOCGIFNAME",
            "ioctl SIOCSIFFLAGS",
        ],
        other => unreachable!("{other} is no backend of Linux"),
    };
    assert_eq!(calls, expected);
}

fn create_pins_an_mtu_in_the_same_send() {
    let calls = calls_of_create("netlink", "--mtu 1400 --up --host-ipv6 kernel");
    assert_eq!(calls, ["sendto RTM_NEWLINK RTM_SETLINK", "recvfrom NLMSG_ERROR error=0"]);
}

/// What the kernel can do is tried in a thread, which has a network namespace of its own.
fn tries_the_kernel_only_when_asked(backend: &Available) {
    ip("link add name tap0 type veth peer name peer0");
    for (args, is_tried) in [
        ("create virbr0 --stp on --priority 4096", false),
        ("attach virbr0 tap0 --isolated on", false),
        ("port set virbr0 tap0 --hairpin on", false),
        ("show virbr0", false),
        ("delete virbr0", false),
        ("capabilities", true),
    ] {
        assert_eq!(!trace("clone,clone3", backend.name, args).is_empty(), is_tried, "{args}");
    }
}

/// The kernel picks out the bridges, and sends nothing of the other interfaces.
fn lists_few_bridges_among_many_interfaces() {
    for number in 0..100 {
        ip(&format!("link add name tap{number} type veth peer name peer{number}"));
    }
    for number in 0..5 {
        ip(&format!("link add name virbr{number} type bridge"));
    }
    let trace = trace("recvfrom", "netlink", "list");
    let received: usize = trace.lines().filter_map(|line| line.rsplit("= ").next()?.parse::<usize>().ok()).sum();
    // 5 bridges are about 7 kB; 205 interfaces would be more than 200 kB.
    assert!((1..16_384).contains(&received), "{received} bytes received");
}

/// Runs `vmbridge` and gives what strace tells of these calls.
fn trace(calls: &str, backend: &str, args: &str) -> String {
    let log = tempfile::NamedTempFile::new().expect("a file can be made");
    let path = log.path().to_str().expect("UTF-8");
    let traced = ["-qq", "-o", path, "-e", &format!("trace={calls}")];
    let command = [env!("CARGO_BIN_EXE_vmbridge"), "--backend", backend];
    run("strace", traced.into_iter().chain(command).chain(args.split(' ')));
    fs::read_to_string(path).expect("strace has written it")
}

/// The calls that carry a message to or from the kernel, and what the message is.
fn calls_of_create(backend: &str, options: &str) -> Vec<String> {
    let create = format!("create virbr0 --mac 52:54:00:01:02:03 {options}");
    let trace = trace("ioctl,openat,sendto,sendmsg,recvfrom,recvmsg,poll", backend, &create);
    let messages = ["RTM_NEWLINK", "RTM_SETLINK", "NLMSG_ERROR", "error=0", "SIOC", "accept_ra", "autoconf"];
    trace
        .lines()
        // The standard library looks at its three first descriptors when a program starts.
        .filter(|line| !line.starts_with("poll(["))
        // Of the files, those that are written.
        .filter(|line| !line.starts_with("openat(") || line.contains("O_WRONLY"))
        .map(|line| {
            let (call, arguments) = line.split_once('(').expect("a call");
            let words = arguments.split(|c: char| !(c.is_ascii_alphanumeric() || "_=".contains(c)));
            let mut said = vec![call];
            for word in words {
                let word = word.strip_prefix("nlmsg_type=").unwrap_or(word);
                // The acknowledgement repeats the request's header.
                if messages.iter().any(|message| word.starts_with(message))
                    && !(call == "recvfrom" && word.starts_with("RTM_"))
                {
                    said.push(word);
                }
            }
            said.join(" ")
        })
        .collect()
}
