//! The Debian package on a machine that has never seen it: it is installed, plays, is looked after by systemd, reloaded,
//! upgraded, removed and purged.

mod util;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{fs, str};

use util::machine::{Machine, PATIENCE};
use util::{Directory, wait_until_within};

const STATUS: &str = "systemctl show tsstream --value --property";

#[test]
fn the_package_installs_plays_upgrades_and_goes() {
    let directory = Directory::new("package");
    let package = make(&directory.file("debian"));
    let upgrade = next_version(&package, &directory);
    let machine = Machine::start();
    for (file, name) in [(&package, "tsstream.deb"), (&upgrade, "upgrade.deb")] {
        fs::copy(file, machine.path(name)).unwrap();
    }
    let before = machine.run("find / -xdev -name '*tsstream*' | sort");

    install(&machine);
    runs_confined(&machine);
    plays(&machine);
    reloads(&machine);
    comes_back(&machine);
    upgrades(&machine);

    machine.run("apt-get -q -y remove tsstream");
    assert!(!machine.path("/usr/bin/tsstream").exists());
    assert!(machine.path("/etc/tsstream/app.conf").exists(), "settings go when they are purged");
    assert_eq!(machine.run(&format!("{STATUS} LoadState")), "masked\n", "nothing can start it");
    machine.run("apt-get -q -y purge tsstream");
    assert_eq!(machine.run("find / -xdev -name '*tsstream*' | sort"), before, "nothing is left");
    machine.run("systemctl daemon-reload");
    assert_eq!(machine.run(&format!("{STATUS} LoadState")), "not-found\n");
}

fn install(machine: &Machine) {
    machine.run("apt-get -q -y install /tsstream.deb");
    assert_eq!(machine.run("systemctl is-active tsstream"), "active\n");
    assert_eq!(machine.run("systemctl is-enabled tsstream"), "enabled\n");
    assert_eq!(machine.run("stat -c '%U:%G %a' /etc/tsstream/app.conf"), "root:tsstream 640\n");
    for file in ["man/man1/tsstream.1.gz", "man/man5/tsstream.conf.5.gz", "doc/tsstream/copyright"] {
        assert!(machine.path("/usr/share").join(file).exists(), "{file}");
    }
    machine.run("bash -n /usr/share/bash-completion/completions/tsstream");
    assert_eq!(machine.run("systemd-analyze verify --man=no /usr/lib/systemd/system/tsstream.service"), "");
    // Of 10, which is a service that may do anything; the network is what is left.
    machine.run("systemd-analyze security --threshold=20 --no-pager tsstream.service");
}

fn runs_confined(machine: &Machine) {
    let pid = pid(machine);
    assert_eq!(machine.run(&format!("stat -c %U /proc/{pid}")), "tsstream\n");
    let status = machine.run(&format!("cat /proc/{pid}/status"));
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    const NET_BIND_SERVICE: &str = "0000000000000400";
    assert_eq!(field("CapEff:"), Some(NET_BIND_SERVICE));
    assert_eq!(field("CapBnd:"), Some(NET_BIND_SERVICE));
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), (Some("1"), Some("2")));
    wait_until_within(PATIENCE, "the journal to have it", || {
        !machine.run("journalctl --quiet -u tsstream --grep ready --priority info..info || true").is_empty()
    });
    machine.fail("journalctl --quiet -u tsstream --priority warning --grep .");
}

fn plays(machine: &Machine) {
    let mut publisher = Publisher::start(machine);
    wait_until_within(PATIENCE, "the stream", || {
        assert!(publisher.0.try_wait().unwrap().is_none(), "ffmpeg ended");
        machine.run(&format!("{STATUS} StatusText")).starts_with("streams live: 1 of 1")
    });
    let mut probe = machine.host_command("ffprobe");
    probe.args(["-v", "error", "-show_entries", "stream=codec_name", "-of", "default=nw=1:nk=1"]);
    let output = probe.arg("http://127.0.0.1:8088/live.ts").output().unwrap();
    let codecs = str::from_utf8(&output.stdout).unwrap();
    assert!(codecs.contains("mpeg1video"), "{codecs}{}", String::from_utf8_lossy(&output.stderr));
}

/// A mistake is told to who asks for the reload, and the node goes on; without it, it is heard.
fn reloads(machine: &Machine) {
    let pid = pid(machine);
    let file = machine.path("/etc/tsstream/app.conf");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("LagLimit = 2", "LagLimit = soon")).unwrap();
    machine.fail("systemctl reload tsstream");
    wait_until_within(PATIENCE, "the journal to say so", || {
        !machine.run("journalctl --quiet -u tsstream --grep 'LagLimit: .soon' || true").is_empty()
    });
    fs::write(&file, text.replace("LagLimit = 2", "LagLimit = 3")).unwrap();
    machine.run("systemctl reload tsstream");
    assert_eq!(self::pid(machine), pid);
    assert_eq!(machine.run("systemctl is-active tsstream"), "active\n");
}

/// After a crash, and when its threads don't turn any more.
fn comes_back(machine: &Machine) {
    let crashed = pid(machine);
    machine.run(&format!("kill -KILL {crashed}"));
    let pid = other_pid(machine, &crashed);
    machine.run("mkdir -p /run/systemd/system/tsstream.service.d");
    let impatient = "[Service]\\nWatchdogSec=10\\n";
    machine.run(&format!("printf '{impatient}' >/run/systemd/system/tsstream.service.d/impatient.conf"));
    machine.run("systemctl daemon-reload && systemctl restart tsstream");
    let stopped = other_pid(machine, &pid);
    machine.run(&format!("kill -STOP {stopped}"));
    other_pid(machine, &stopped);
    machine.run("rm -r /run/systemd/system/tsstream.service.d && systemctl daemon-reload");
    machine.run("systemctl restart tsstream");
}

/// The settings stay, and so does who may read them.
fn upgrades(machine: &Machine) {
    let pid = pid(machine);
    machine.run("apt-get -q -y install /upgrade.deb");
    other_pid(machine, &pid);
    assert_eq!(machine.run("dpkg-query -W -f '${Version}' tsstream"), NEXT_VERSION);
    assert_eq!(machine.run("systemctl is-active tsstream"), "active\n");
    assert!(machine.run("cat /etc/tsstream/app.conf").contains("LagLimit = 3"));
    assert_eq!(machine.run("stat -c '%U:%G %a' /etc/tsstream/app.conf"), "root:tsstream 640\n");
    plays(machine);
}

fn pid(machine: &Machine) -> String {
    machine.run(&format!("{STATUS} MainPID")).trim().to_owned()
}

/// Waits until the service runs in another process, and returns which.
fn other_pid(machine: &Machine, than: &str) -> String {
    let mut pid = String::new();
    wait_until_within(PATIENCE, "the service to be started anew", || {
        pid = self::pid(machine);
        let state = machine.run(&format!("{STATUS} ActiveState"));
        pid != than && pid != "0" && state == "active\n"
    });
    pid
}

const NEXT_VERSION: &str = "99.0";

/// The package of the program that is being tested.
fn make(output: &Path) -> PathBuf {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/package"));
    command.args(["--program", env!("CARGO_BIN_EXE_tsstream"), "--output"]).arg(output);
    let made = command.stdin(Stdio::null()).output().unwrap();
    assert!(made.status.success(), "tools/package: {}", String::from_utf8_lossy(&made.stderr));
    PathBuf::from(str::from_utf8(&made.stdout).unwrap().lines().last().unwrap())
}

/// The same package with a higher version.
fn next_version(package: &Path, directory: &Directory) -> PathBuf {
    let (tree, next) = (directory.file("tree"), directory.file("next.deb"));
    let dpkg_deb = |arguments: &[&str], paths: [&Path; 2]| {
        assert!(
            Command::new("dpkg-deb")
                .args(arguments)
                .args(paths)
                .stdout(Stdio::null())
                .status()
                .unwrap()
                .success()
        );
    };
    dpkg_deb(&["--raw-extract"], [package, &tree]);
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).unwrap();
    let lines = text.lines().map(|line| match line.starts_with("Version: ") {
        true => format!("Version: {NEXT_VERSION}\n"),
        false => format!("{line}\n"),
    });
    fs::write(&control, lines.collect::<String>()).unwrap();
    dpkg_deb(&["--root-owner-group", "-Znone", "--build"], [&tree, &next]);
    next
}

/// ffmpeg that publishes a test picture to the machine.
struct Publisher(Child);

impl Publisher {
    fn start(machine: &Machine) -> Publisher {
        let mut command = machine.host_command("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25"]);
        command.args(["-c:v", "mpeg1video", "-bf", "0", "-f", "mpegts", "tcp://127.0.0.1:50001"]);
        Publisher(command.spawn().unwrap())
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
