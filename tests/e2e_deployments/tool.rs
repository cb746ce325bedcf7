//! What `tools/deploy` says and does when something is not as it should be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::STATUS_WITHIN;
use crate::deployment::{Between, Deployment, assert_nothing_is_left, copy, tool};
use crate::util::apart::apart;
use crate::util::namespace::run;
use crate::util::{Directory, wait_until, wait_until_within};

const NAME: &str = "3-local-and-remote";

#[track_caller]
fn ends_with(output: &Output, code: i32, words: &str) {
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{words:?} is not in {said:?}");
}

/// A program in place of tsstream that finds every configuration good and then does this.
fn pretender(directory: &Directory, act: &str) -> PathBuf {
    let file = directory.file("pretender");
    fs::write(&file, format!("#!/bin/sh\n[ \"$1\" != -t ] || exit 0\n{act}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

#[test]
fn what_is_asked_for_wrongly_is_told() {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let existing = conf.join(NAME);
    ends_with(&tool(&conf, &["up"]), 2, "which deployment? There are: 1-one-node 2-behind-nginx");
    ends_with(&tool(&existing, &[]), 2, "up, down or status?");
    ends_with(&tool(&existing, &["go"]), 2, "go is none of");
    ends_with(&tool(&existing, &["cut", "nobody"]), 2, "cut which of: studio remote?");
    ends_with(&tool(&existing, &["up", "--fast"]), 2, "unknown option --fast");
    ends_with(&tool(&existing, &["--help"]), 0, "usage: tools/deploy NAME up");
    apart(|| ends_with(&tool(&existing, &["status"]), 3, "is not up"));
}

#[test]
fn what_is_up_is_left_alone() {
    apart(|| {
        let deployment = Deployment::up(NAME, Between::Tcp);
        ends_with(&deployment.tool(&["up"]), 1, "is up, or what was left of it is");
        ends_with(&deployment.tool(&["status"]), 1, "NO STREAM at http://198.19.3.3:8088/");
        deployment.down();
    });
}

#[test]
fn the_test_picture_is_pushed_again_when_a_cable_is_back() {
    apart(|| {
        let (_directory, folder) = copy("1-one-node", Between::Tcp);
        ends_with(&tool(&folder, &["up", "--push", "--program", env!("CARGO_BIN_EXE_tsstream")]), 0, "is up");
        let streams = || tool(&folder, &["status"]).status.code() == Some(0);
        wait_until_within(STATUS_WITHIN, "the picture", streams);
        ends_with(&tool(&folder, &["cut", "server"]), 0, "");
        ends_with(&tool(&folder, &["status"]), 1, "NO STREAM");
        ends_with(&tool(&folder, &["mend", "server"]), 0, "");
        wait_until_within(STATUS_WITHIN, "the picture again", streams);
        ends_with(&tool(&folder, &["down"]), 0, "is down");
        assert_nothing_is_left(&folder);
    });
}

#[test]
fn a_network_that_is_used_is_not_touched() {
    apart(|| {
        let (_directory, folder) = copy(NAME, Between::Tcp);
        run("ip link add other type bridge");
        run("ip address add 198.19.0.1/16 dev other");
        run("ip link set other up");
        let output = tool(&folder, &["up", "--program", env!("CARGO_BIN_EXE_tsstream")]);
        ends_with(&output, 1, "this machine uses 198.19.3.0/24 for something else: 198.19.0.0/16 dev other");
        run("ip link del other");
        assert_nothing_is_left(&folder);
    });
}

#[test]
fn what_comes_up_by_half_is_removed() {
    apart(|| {
        let (directory, folder) = copy(NAME, Between::Tcp);
        let program = pretender(&directory, "echo out of paper >&2; exit 1");
        let output = tool(&folder, &["up", "--program", program.to_str().unwrap()]);
        ends_with(&output, 1, "out of paper");
        ends_with(&output, 1, "studio.conf on studio has ended");
        assert_nothing_is_left(&folder);

        // Killed on its way, it leaves things behind; they are removed by name.
        let program = pretender(&directory, "exec sleep 1000");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/deploy");
        let mut command = Command::new(script);
        command.arg(&folder).args(["up", "--program"]).arg(program).stderr(Stdio::null());
        let mut killed = command.spawn().unwrap();
        wait_until("it to be half way", || run("ip netns list").contains("ts-3.remote"));
        killed.kill().unwrap();
        killed.wait().unwrap();
        ends_with(
            &tool(&folder, &["up", "--program", env!("CARGO_BIN_EXE_tsstream")]),
            1,
            "what was left of it",
        );
        ends_with(&tool(&folder, &["down"]), 0, "is down");
        assert_nothing_is_left(&folder);
    });
}
