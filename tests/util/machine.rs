//! A Debian machine with nothing on it but systemd, running in namespaces of its own. Needs root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Directory, wait_until_within};

/// How long a package mirror and a busy machine may take for the system to be put together.
const MAKE_MAX: Duration = Duration::from_secs(600);

/// How long systemd may take to start or to do what it is asked for.
pub const PATIENCE: Duration = Duration::from_secs(120);

const RELEASE: &str = "bookworm";
const PACKAGES: &str = "systemd,systemd-sysv";

/// A running machine without any way to the network; it is gone with the value.
pub struct Machine {
    container: Child,
    /// systemd, as this host numbers it.
    leader: i32,
    root: PathBuf,
    cgroups: Vec<PathBuf>,
    _directory: Directory,
}

impl Machine {
    /// Puts one together and starts it. What is fetched from the mirror is kept for the next time.
    #[track_caller]
    pub fn start() -> Machine {
        let directory = Directory::new("machine");
        let root = directory.file("root");
        fs::create_dir(&root).unwrap();
        run(Command::new("tar").arg("-xf").arg(system()).arg("-C").arg(&root));

        // A cgroup of its own: systemd thinks that all in it is for it to order.
        let cgroups = cgroups();
        let join = cgroups.iter().map(|path| format!("echo $$ >{}/cgroup.procs && ", path.display()));
        let console = directory.file("console");
        let container = Command::new("sh")
            .args(["-c", &format!("{}exec systemd-nspawn \"$@\"", join.collect::<String>()), "sh"])
            .args(["--quiet", "--boot", "--register=no", "--keep-unit", "--private-network", "--directory"])
            .arg(&root)
            .stdin(Stdio::null())
            .stdout(fs::File::create(&console).unwrap())
            .spawn()
            .expect("systemd-nspawn starts");
        let mut machine = Machine { container, leader: 0, root, cgroups, _directory: directory };
        wait_until_within(PATIENCE, "the machine to be up", || {
            let ended = machine.container.try_wait().unwrap();
            assert!(ended.is_none(), "systemd-nspawn ended: {}", fs::read_to_string(&console).unwrap());
            // Before systemd there is another child for a moment.
            machine.leader = child(machine.container.id()).unwrap_or(0);
            let state = machine.output("systemctl is-system-running").stdout;
            ["running\n", "degraded\n"].iter().any(|up| state == up.as_bytes())
        });
        machine
    }

    /// What this path in the machine is for this host.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Runs a command line in it and returns what it prints.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        let output = self.output(line);
        let said = said(&output);
        assert!(output.status.success(), "{line}: {}\n{said}", output.status);
        said
    }

    /// Runs a command line in it that fails, and returns what it prints.
    #[track_caller]
    pub fn fail(&self, line: &str) -> String {
        let output = self.output(line);
        assert!(!output.status.success(), "{line} does not fail: {}", said(&output));
        said(&output)
    }

    /// A program of this host that sees the network of the machine.
    pub fn host_command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.leader.to_string(), "--net", program]);
        command.stdin(Stdio::null());
        command
    }

    fn output(&self, line: &str) -> Output {
        Command::new("nsenter")
            .args(["--target", &self.leader.to_string(), "--mount", "--uts", "--ipc", "--net", "--pid"])
            .args(["--cgroup", "--root", "env", "--chdir=/", "-i", "PATH=/usr/bin:/usr/sbin:/bin:/sbin"])
            .args(["LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", line])
            .stdin(Stdio::null())
            .output()
            .expect("nsenter starts")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With the first process of their namespace all others go as well.
        match self.leader {
            0 => drop(self.container.kill()),
            leader => drop(kill(Pid::from_raw(leader), Signal::SIGKILL)),
        }
        let _ = self.container.wait();
        self.cgroups.iter().for_each(|cgroup| remove_cgroup(cgroup));
    }
}

/// The file of a new system: as made for an earlier test, or made now.
#[track_caller]
fn system() -> PathBuf {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("debian-{RELEASE}.tar"));
    if !file.exists() {
        let part = file.with_extension(format!("{}.tar", std::process::id()));
        let mut make = Command::new("timeout");
        make.arg(MAKE_MAX.as_secs().to_string()).arg("mmdebstrap").arg("--quiet");
        make.args(["--variant=apt", &format!("--include={PACKAGES}"), RELEASE]).arg(&part);
        run(&mut make);
        fs::rename(&part, &file).unwrap();
    }
    file
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("{:?}: {error} (tools/test installs what the tests need)", command.get_program())
    });
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, said(&output));
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// New ones, in each tree of them in which systemd keeps account of processes.
fn cgroups() -> Vec<PathBuf> {
    let trees = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"].map(Path::new);
    let trees = trees.into_iter().filter(|path| path.join("cgroup.procs").exists());
    let new = trees.map(|path| path.join(format!("tsstream-test-{}", std::process::id())));
    new.inspect(|path| fs::create_dir_all(path).expect("a cgroup can be made: the test needs root")).collect()
}

/// The first child of a process.
fn child(pid: u32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Removes it with what systemd made in it, once the last process has left.
fn remove_cgroup(path: &Path) {
    let inner = fs::read_dir(path).into_iter().flatten().flatten();
    inner.filter(|entry| entry.path().is_dir()).for_each(|entry| remove_cgroup(&entry.path()));
    let _ = fs::remove_dir(path);
}
