//! The program against servers that are not ours, and what it says when it can't do what it is asked.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tsload::servers::{Programs, Server};

/// How long a server may take until it can be connected to.
const START_MAX: Duration = Duration::from_secs(30);

fn tsload(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tsload")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Its report.
fn report(arguments: &[&str]) -> Value {
    let output = tsload(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What it says instead of one.
fn refusal(arguments: &[&str]) -> String {
    let output = tsload(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn nchan_hands_on_what_it_is_fed() {
    let peers = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/peers"));
    let programs = Programs::beside(None, peers).unwrap();
    let nchan = Server::named("nchan").unwrap().start(1, None, &programs).unwrap();
    let (feed, target) = (nchan.feeds[0].to_string(), nchan.targets[0].to_string());
    let load = ["--receivers", "20", "--sample", "5", "--seconds", "2", "--json"];
    let report = report(&[&["run", "--feed", &feed, "--to", &target][..], &load].concat());
    let steady = &report["groups"][0];
    assert_eq!((&steady["served"], &steady["failed"]), (&20.into(), &0.into()), "{report}");
    assert_eq!(steady["findings"]["gaps"], 0, "{report}");
    assert!(
        steady["findings"]["bursts"].as_u64() > Some(5 * 25) && report["invalid"] == Value::Array(vec![])
    );
}

#[test]
fn a_file_that_nginx_serves_is_downloaded_by_all() {
    let nginx = Nginx::start();
    let file = nginx.directory.join("clip.ts");
    let bytes = fs::metadata(&file).unwrap().len();
    let address = format!("http://127.0.0.1:{}/clip.ts", nginx.port);
    let report =
        report(&["run", "--to", &address, "--receivers", "20", "--sample", "5", "--seconds", "20", "--json"]);
    let steady = &report["groups"][0];
    assert_eq!((&steady["served"], &steady["failed"]), (&20.into(), &0.into()), "{report}");
    assert_eq!((&steady["bytes"], &steady["closed"]), (&(20 * bytes).into(), &20.into()), "{report}");
    let findings = &steady["findings"];
    let units = findings["units"].as_u64().unwrap();
    assert!(units > 0 && units.is_multiple_of(5) && findings["bytes_unaligned"] == 0, "{report}");
}

#[test]
fn what_it_cannot_do_it_says() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (to, feed) = (format!("ws://{free}/live"), format!("tcp://{free}"));
    assert!(refusal(&["run"]).contains("--to <ADDRESS>"));
    assert!(refusal(&["run", "--to", "ftp://127.0.0.1/"]).contains("does not start with tcp://"));
    assert!(refusal(&["run", "--to", &to, "--receivers", "0"]).contains("no receivers"));
    assert!(refusal(&["run", "--to", &to]).contains("Connection refused"));
    let said = refusal(&["run", "--feed", &feed, "--to", &to]);
    assert!(said.contains(&feed) && said.contains("refused the connection"), "{said}");
    assert!(refusal(&["compare", "--servers", "apache"]).contains("no server known here"));
}

/// nginx with a directory that holds the test picture.
struct Nginx {
    process: Child,
    directory: PathBuf,
    port: u16,
}

impl Nginx {
    fn start() -> Nginx {
        let directory = std::env::temp_dir().join(format!("tsload-nginx-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/demo/clip.ts"), directory.join("clip.ts"))
            .unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = directory.join("nginx.conf");
        fs::write(&file, configuration(&directory, port)).unwrap();
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-p").arg(&directory).arg("-c").arg(&file).args(["-e", "stderr"]);
        let process = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("nginx is installed");
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "nginx does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Nginx { process, directory, port }
    }
}

fn configuration(directory: &Path, port: u16) -> String {
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {};\n", directory.join(name).display()))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid {0}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}\
         server {{ listen 127.0.0.1:{port}; root {0}; }}\n}}\n",
        directory.display()
    )
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
