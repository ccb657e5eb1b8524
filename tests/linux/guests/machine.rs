//! Debian's kernel and busybox in QEMU, with one network card: a guest that does what it is told on
//! its serial line.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Guarded, run};

/// A machine that says nothing for so long is stuck. A boot takes 2.4 s of a processor, silently, and the
/// host may be busy.
const SILENCE: Duration = Duration::from_secs(300);

/// What guests boot.
pub(super) struct Image {
    kernel: PathBuf,
    /// Of `initramfs`.
    directory: TempDir,
}

impl Image {
    /// To be called in the host's network: the kernel may have to be downloaded.
    pub(super) fn build() -> Self {
        let kernel = run(concat!(env!("CARGO_MANIFEST_DIR"), "/ci/debian-kernel"), [""; 0]);
        let kernel = Path::new(kernel.trim_end());
        let directory = TempDir::new().expect("a directory can be made");
        let root = directory.path().join("root");
        run("cp", [Path::new("-r"), &kernel.join("root"), &root]);
        for directory in ["bin", "proc", "sys", "dev"] {
            fs::create_dir(root.join(directory)).expect("it can be made");
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
        fs::write(root.join("init"), include_str!("init")).expect("it can be written");
        fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let archive = "cd \"$1/root\" && find . | cpio --quiet -o -H newc > ../initramfs";
        run("sh", ["-c".as_ref(), archive.as_ref(), "sh".as_ref(), directory.path().as_os_str()]);
        Self { kernel: kernel.join("vmlinux"), directory }
    }
}

/// What a guest's card is plugged into.
pub(super) enum Netdev<'a> {
    /// `-netdev bridge`: QEMU asks this helper for a tap on `br0`.
    Helper(&'a Path),
    /// `-netdev tap,fd=`: a tap that someone else has opened.
    Descriptor(OwnedFd),
    /// `-netdev tap,ifname=`: a persistent tap, with so many queues.
    Name(&'a str, u16),
}

/// A guest that runs. It ends with the test.
pub(super) struct Machine {
    console: BufReader<UnixStream>,
    /// All that was on the console.
    log: String,
    _qemu: Guarded,
}

impl Machine {
    /// Starts a guest, in the network of the calling thread; [`ready`](Self::ready) waits for it.
    ///
    /// QEMU has no capability, although it is root's; only what it executes may have those of its file.
    pub(super) fn start(image: &Image, mac: &str, netdev: Netdev) -> Self {
        Self::start_with(image, mac, netdev, &[])
    }

    /// A machine that has its card but does not run.
    pub(super) fn start_stopped(image: &Image, mac: &str, netdev: Netdev) -> Self {
        Self::start_with(image, mac, netdev, &["-S"])
    }

    fn start_with(image: &Image, mac: &str, netdev: Netdev, more: &[&str]) -> Self {
        let (console, theirs) = UnixStream::pair().expect("sockets can be made");
        console.set_read_timeout(Some(SILENCE)).expect("it is no zero");
        let (netdev, tap) = match netdev {
            Netdev::Helper(helper) => (format!("bridge,id=net,br=br0,helper={}", helper.display()), None),
            Netdev::Descriptor(tap) => ("tap,id=net,fd=3".to_owned(), Some(tap)),
            Netdev::Name(name, queues) => {
                (format!("tap,id=net,ifname={name},queues={queues},script=no,downscript=no"), None)
            }
        };
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--securebits", "+noroot", "--inh-caps", "-all"])
            // The tap comes as standard input, the console as standard output: so no other process that
            // is started meanwhile inherits them.
            .args(["sh", "-c", "exec 3<&0 0<&1 2>&1; exec \"$@\"", "sh"])
            .args("qemu-system-x86_64 -nodefaults -no-user-config -machine q35 -cpu max -accel tcg".split(' '))
            .args("-m 128M -no-reboot -display none -serial stdio".split(' '))
            // On a busy host an emulated timer is late, and the kernel would take it for a broken one.
            .args(["-append", "console=ttyS0 quiet loglevel=1 panic=-1 no_timer_check"])
            .arg("-kernel")
            .arg(&image.kernel)
            .arg("-initrd")
            .arg(image.directory.path().join("initramfs"))
            .args(["-netdev", &netdev])
            .args(["-device", &format!("virtio-net-pci,netdev=net,mac={mac},mq=on,romfile=")])
            .args(more)
            .stdin(tap.map_or_else(Stdio::null, Stdio::from))
            .stdout(OwnedFd::from(theirs));
        let qemu = Guarded(command.spawn().expect("setpriv is installed"));
        Self { console: BufReader::new(console), log: String::new(), _qemu: qemu }
    }

    /// Waits until the guest takes commands.
    pub(super) fn ready(mut self) -> Self {
        while self.line() != "ready" {}
        self
    }

    /// Runs a command of the guest's shell that must succeed, and gives what it prints.
    pub(super) fn run(&mut self, command: &str) -> String {
        match self.try_run(command) {
            (0, printed) => printed,
            (status, _) => panic!("status {status} of {command:?}{}", self.said()),
        }
    }

    /// Whether a command of the guest's shell succeeds.
    pub(super) fn succeeds(&mut self, command: &str) -> bool {
        self.try_run(command).0 == 0
    }

    /// Runs a command of the guest's shell, and gives its status and what it prints.
    fn try_run(&mut self, command: &str) -> (u8, String) {
        self.log.extend(["# ", command, "\n"]);
        writeln!(self.console.get_mut(), "{command}").unwrap_or_else(|error| panic!("{error}{}", self.said()));
        let mut printed = String::new();
        loop {
            let line = self.line();
            match line.strip_prefix("status ") {
                Some(status) => return (status.parse().expect("a status"), printed),
                None => printed += &(line + "\n"),
            }
        }
    }

    /// The next line on the console.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        let outcome = self.console.read_until(b'\n', &mut line);
        let line = String::from_utf8_lossy(&line).into_owned();
        self.log += &line;
        match outcome {
            Ok(1..) => line.trim_end().to_owned(),
            Ok(0) => panic!("the machine has stopped{}", self.said()),
            Err(error) => panic!("{error}{}", self.said()),
        }
    }

    /// For messages.
    pub(super) fn said(&self) -> String {
        format!("; the guest's console:\n{}", self.log)
    }
}
