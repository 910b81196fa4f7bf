//! exec and suexec: stdin, stdout, stderr, status and signals pass through; nothing in the guest can subvert them.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fixture::{Fixture, eventually};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("exec::status_and_streams", status_and_streams).smoke(),
        Trial::new("exec::input_is_passed", input_is_passed),
        Trial::new("exec::signals_are_passed", signals_are_passed),
        Trial::new("exec::needs_a_running_guest", needs_a_running_guest),
        Trial::new("exec::suexec_takes_number_and_name", suexec_takes_number_and_name),
        Trial::new("exec::environment_and_directory", environment_and_directory),
        Trial::new("exec::many_at_once", many_at_once),
        Trial::new("exec::what_cannot_be_executed_leaves_no_zombie", what_cannot_be_executed_leaves_no_zombie),
        Trial::new("exec::killed_caller_leaves_nothing", killed_caller_leaves_nothing),
        Trial::new(
            "exec::caller_killed_before_it_heard_leaves_nothing",
            caller_killed_before_it_heard_leaves_nothing,
        ),
        Trial::new("exec::a_guest_that_is_just_ending_is_told", a_guest_that_is_just_ending_is_told),
    ]
}

fn status_and_streams() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let ran = guest.sh("echo out; echo err >&2; exit 42");
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (42, "out\n", "err\n"));
    guest.sh("kill -9 $$").exits(128 + 9);
    guest.exec(&["/no/such/program"]).exits(255).says("/no/such/program");
    guest.exec(&["true"]).ok();
    guest.exec(&["false"]).exits(1);
    // Options end at the guest's name: the rest is the command's.
    guest.exec(&["echo", "--help", "-x"]).ok().says("--help -x");
}

fn input_is_passed() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let input: Vec<u8> = (0..3_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let ran = host.tool_with_input("vserver", &[&guest.name, "exec", "md5sum"], &input);
    let here = host.scratch("input").join("data");
    std::fs::write(&here, &input).unwrap();
    let expected = std::process::Command::new("md5sum").arg(&here).output().unwrap();
    assert_eq!(
        ran.ok().out.split(' ').next().unwrap(),
        String::from_utf8_lossy(&expected.stdout).split(' ').next().unwrap()
    );
}

fn signals_are_passed() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let script = "trap 'echo got TERM; exit 9' TERM; echo ready; while :; do sleep 0.1; done";
    let mut command = host.command("vserver");
    command.args([guest.name.as_str(), "exec", "sh", "-c", script]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    line.clear();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!((line.as_str(), child.wait().unwrap().code()), ("got TERM\n", Some(9)));
}

/// compat/commands.md §3.1: exit 1 and this sentence.
fn needs_a_running_guest() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.exec(&["true"]).exits(1).says("is supported for running vservers only");
    guest.v(&["suexec", "1000", "true"]).exits(1).says("is supported for running vservers only");
}

fn suexec_takes_number_and_name() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    guest.v(&["suexec", "1000", "id", "-u"]).ok().says("1000");
    let by_name = guest.v(&["suexec", "ada", "id"]);
    by_name.ok().says("uid=1000").says("gid=1000").says("50(staff)");
    let unknown = guest.v(&["suexec", "nobody-here", "id"]);
    assert!(unknown.code != 0 && !unknown.out.contains("uid=0"), "{unknown:?}");
}

fn environment_and_directory() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let mut command = host.command("vserver");
    command.args([&guest.name, "exec", "sh", "-c", "pwd; ls /proc/self/fd | wc -l"]).current_dir("/usr");
    let ran = crate::fixture::Ran::from(command.output().unwrap());
    assert_eq!(ran.ok().out.lines().next(), Some("/"));
}

fn many_at_once() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let run = |n: i32| {
        let mut command = host.command("vserver");
        command.args([&guest.name, "exec", "sh", "-c", &format!("sleep 0.2; exit {n}")]);
        command.spawn().unwrap()
    };
    let children: Vec<_> = (0..30).map(run).collect();
    for (n, mut child) in children.into_iter().enumerate() {
        assert_eq!(child.wait().unwrap().code(), Some(i32::try_from(n).unwrap()));
    }
}

/// Its state letter and its parent. proc_pid_stat(5).
fn state_and_parent(pid: i32) -> Option<(char, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn what_cannot_be_executed_leaves_no_zombie() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let supervisor = state_and_parent(guest.init()).unwrap().1;
    guest.exec(&["/no/such/program"]).exits(255);
    guest.v(&["suexec", "nobody-of-that-name", "true"]).exits(255);
    eventually("all children are waited for", Duration::from_secs(5), || {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        !pids.any(|pid| state_and_parent(pid) == Some(('Z', supervisor)))
    });
}

/// The caller dies without a word: its command gets SIGHUP or end of file, and no process of ours stays.
fn killed_caller_leaves_nothing() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let mut command = host.command("vserver");
    command.args([&guest.name, "exec", "sh", "-c", "cat >/dev/null; sleep 77"]).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    child.kill().unwrap();
    child.wait().unwrap();
    guest.exec(&["true"]).ok();
    let stopped = guest.v(&["stop"]);
    assert!(!stopped.ok().err.contains("killed"), "{}", stopped.err);
}

/// The answer lies unread in its socket when it dies: the supervisor's end is then reset, and not just closed.
fn caller_killed_before_it_heard_leaves_nothing() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let supervisor = Pid::from_raw(state_and_parent(guest.init()).unwrap().1);
    kill(supervisor, Signal::SIGSTOP).unwrap();
    let mut child = guest.host_command(&["exec", "sleep", "78"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGSTOP).unwrap();
    kill(supervisor, Signal::SIGCONT).unwrap();
    let sleeps = || guest.sh("ps").ok().out.contains("sleep 78");
    eventually("the command runs", Duration::from_secs(10), sleeps);
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the command has ended", Duration::from_secs(10), || !sleeps());
    let stopped = guest.v(&["stop"]);
    assert!(!stopped.ok().err.contains("killed"), "{}", stopped.err);
}

/// Its first process has exited and waits for the last of its members, whose parent, outside, does not wait for it: there
/// is nothing left to join.
fn a_guest_that_is_just_ending_is_told() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let script = "sleep 1000 & echo; exec sleep 1000";
    let mut outside = std::process::Command::new("nsenter")
        .args(["-t", &guest.init().to_string(), "--pid", "--no-fork", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0];
    std::io::Read::read_exact(outside.stdout.as_mut().unwrap(), &mut line).unwrap();
    // A shell would wait for it.
    let name = format!("/proc/{}/comm", outside.id());
    let sleeps = || std::fs::read_to_string(&name).is_ok_and(|name| name == "sleep\n");
    eventually("the parent is no shell any more", Duration::from_secs(10), sleeps);
    kill(Pid::from_raw(guest.init()), Signal::SIGKILL).unwrap();
    let init = PathBuf::from(format!("/proc/{}", guest.init()));
    // Its namespaces are the first that it gives back.
    eventually("init has left", Duration::from_secs(10), || std::fs::read_link(init.join("ns/mnt")).is_err());
    let ran = guest.exec(&["true"]);
    outside.kill().unwrap();
    outside.wait().unwrap();
    ran.exits(255);
    assert_eq!(
        ran.err,
        "the guest is just ending: its first process has exited, and no command can be run in it any more\n"
    );
    eventually("the guest has ended", Duration::from_secs(10), || !guest.is_running());
}
