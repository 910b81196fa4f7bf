//! Options of `vserver` and `start`. compat/commands.md §3, compat/behaviours.md §2, §4.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::fixture::{Fixture, Guest, eventually};
use crate::needs::Need;
use crate::tree;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("options::rescue_runs_something_else", rescue_runs_something_else),
        Trial::new("options::rescue_init_is_pid_1", rescue_init_is_pid_1),
        Trial::new("options::sync_runs_its_command", sync_runs_its_command),
        Trial::new("options::defaulttty_takes_late_output", defaulttty_takes_late_output),
        Trial::new("options::debug_traces", debug_traces),
        Trial::new("options::strace_traces_the_start", strace_traces_the_start).needs(Need::Tool("strace")),
        Trial::new("options::noisy_and_verbose_tell_more", noisy_and_verbose_tell_more),
        Trial::new("options::stop_follows_todays_configuration", stop_follows_todays_configuration),
        Trial::new("options::interrupted_in_every_script", interrupted_in_every_script),
        Trial::new("options::interrupted_while_the_start_command_runs", interrupted_while_the_start_command_runs),
    ]
}

/// In place of the init, with nothing of apps/init but the environment; the call returns when it has ended, with its
/// status.
fn rescue_runs_something_else() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("apps/init/environment", "PATH=/bin:/sbin\nMARK=here\n");
    guest.v(&["start", "--rescue", "/bin/sh", "-c", "echo $MARK >/var/log/rescue; echo $$ >>/var/log/rescue"]).ok();
    let said = fs::read_to_string(guest.root.join("var/log/rescue")).unwrap();
    assert!(said.starts_with("here\n") && said != "here\n1\n", "{said}: the reaper is PID 1");
    assert!(!guest.root.join("var/log/boot").exists());
    eventually("nothing goes on", Duration::from_secs(5), || !guest.is_running());
    guest.v(&["start", "--rescue", "--", "/bin/false"]).exits(1);
    eventually("nothing goes on", Duration::from_secs(5), || !guest.is_running());
    guest.v(&["start", "/bin/true"]).exits(1).says("--rescue");
    guest.v(&["start", "--nonsense"]).exits(1);
}

/// At once, as the first process; the default is `sleep 900`; stop kills it without waiting for sync-timeout.
fn rescue_init_is_pid_1() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("apps/init/killseq", "15\n1\n9\n");
    for words in [&["start", "--rescue-init"][..], &["start", "--rescue-init", "--rescue-cmd", "/bin/sleep"]] {
        let ran = guest.v(words);
        if words.len() > 2 {
            // Sleep without a time ends at once; that is its affair.
            continue;
        }
        ran.ok();
        let line = guest.sh("tr '\\0' ' ' </proc/1/cmdline").ok().out.trim().to_owned();
        assert_eq!(line, "/bin/sleep 900");
        let begun = Instant::now();
        guest.v(&["stop", "--rescue-init"]).ok();
        assert!(begun.elapsed() < Duration::from_secs(25), "{:?}, and it had half a minute", begun.elapsed());
    }
}

/// cmd.start-sync runs on the host after the start, with the file `sync` or the option; if it fails, the guest stays.
fn sync_runs_its_command() {
    let host = Fixture::new();
    let guest = host.guest();
    let log = host.scratch("log").join("sync");
    guest.set("apps/init/cmd.start-sync", &format!("/bin/sh\n-c\necho sync >>{}\n", log.display()));
    guest.start();
    assert!(!log.exists());
    guest.stop();
    host.v(&["--sync", &guest.name, "start"]).ok();
    assert_eq!(fs::read_to_string(&log).unwrap(), "sync\n");
    guest.stop();
    guest.set("apps/init/sync", "").start();
    assert_eq!(fs::read_to_string(&log).unwrap(), "sync\nsync\n");
    guest.stop();
    guest.set("apps/init/cmd.start-sync", "/bin/false\n");
    guest.v(&["start"]).exits(1).says("cmd.start-sync");
    assert!(guest.is_running());
}

/// Output of post-start, post-stop and postpost-stop goes to apps/init/tty, else to nowhere; that of the others does not.
fn defaulttty_takes_late_output() {
    let host = Fixture::new();
    let guest = host.guest();
    let late = ["post-start", "post-stop", "postpost-stop"];
    for moment in late.iter().chain(&["pre-start", "pre-stop"]) {
        tree::write(&guest.cfg, &format!("scripts/{moment}.d/1"), "#!/bin/sh\necho executed $1\n", 0o755);
        tree::write(&guest.cfg, &format!("scripts/{moment}.d/2"), "echo sourced $1\n", 0o644);
    }
    let twice = |first: &str, second: &str| {
        format!("executed {first}\nsourced {first}\nexecuted {second}\nsourced {second}\n")
    };
    let started = host.v(&[&guest.name, "start"]);
    assert_eq!(started.ok().out, twice("pre-start", "post-start"));
    guest.stop();
    let run = |verb: &str| host.v(&["--defaulttty", &guest.name, verb]).ok().out.clone();
    assert_eq!(run("start"), "executed pre-start\nsourced pre-start\n");
    assert_eq!(run("stop"), "executed pre-stop\nsourced pre-stop\n");
    let file = host.scratch("log").join("tty");
    fs::write(&file, "").unwrap();
    std::os::unix::fs::symlink(&file, guest.cfg.join("apps/init/tty")).unwrap();
    run("start");
    run("stop");
    let expected: String = late.iter().map(|moment| format!("executed {moment}\nsourced {moment}\n")).collect();
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
}

fn debug_traces() {
    let host = Fixture::new();
    let guest = host.guest();
    tree::write(&guest.cfg, "scripts/pre-start", "true unmistakable\n", 0o644);
    host.v(&["--debug", &guest.name, "start"]).ok().says("true unmistakable");
    guest.stop();
    let guest = host.guest_of_style("sysv");
    let bash = "#!/bin/sh\necho \"bash $*\" >>/var/log/bash\nexec /bin/sh \"$@\"\n";
    tree::write(&guest.root, "bin/bash", bash, 0o755);
    host.v(&["--debug-sysv", &guest.name, "start"]).ok();
    assert_eq!(fs::read_to_string(guest.root.join("var/log/bash")).unwrap(), "bash -x /etc/init.d/rc 3\n");
}

/// The file holds the system calls of the start, and only its owner can read it; the guest is not traced.
fn strace_traces_the_start() {
    let host = Fixture::new();
    let guest = host.guest();
    let child = guest_command(&host, &guest).spawn().unwrap();
    let file = format!("/tmp/vserver-start.{}", child.id());
    let ran = child.wait_with_output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(text.contains("clone3(") && text.contains("state.json"), "{}", text.len());
    let status = fs::read_to_string(format!("/proc/{}/status", guest.init())).unwrap();
    assert!(status.contains("TracerPid:\t0\n"), "{status}");
}

fn guest_command(host: &Fixture, guest: &Guest<'_>) -> Command {
    let mut command = host.command("vserver");
    command.args(["--strace", &guest.name, "start"]);
    command
}

/// Stop command, kill sequence and time limit are read when the guest is stopped.
fn stop_follows_todays_configuration() {
    let host = Fixture::new();
    let guest = host.guest_of_style("sysv");
    guest.start();
    guest.set("apps/init/cmd.stop", "/bin/sh\n-c\necho new $RUNLEVEL >>/var/log/rc\n");
    let script = "INITCMD_STOP+=( unused ); test \"${INITCMD_STOP[0]}\" = /bin/sh && test -n \"$S_CONTEXT\" && \
                  INITCMD_STOP[2]='echo newest >>/var/log/rc'\n";
    guest.stop();
    assert_eq!(fs::read_to_string(guest.root.join("var/log/rc")).unwrap(), "level 3\nnew 6\n");
    guest.start();
    tree::write(&guest.cfg, "scripts/pre-stop", script, 0o644);
    guest.stop();
    assert!(fs::read_to_string(guest.root.join("var/log/rc")).unwrap().ends_with("level 3\nnewest\n"));
}

/// SIGINT while a script of any moment runs: status 130, and nothing is left of the start, of the script, or of what the
/// script had started.
fn interrupted_in_every_script() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("fstab", "none /srv tmpfs size=1m 0 0\n");
    // Recognised among all processes of the machine.
    let sleep = format!("sleep 9{}", guest.xid);
    for (number, moment) in ["initialize", "prepre-start", "pre-start", "post-start"].iter().enumerate() {
        for mode in [0o755, 0o644] {
            let begun = host.scratch("log").join(format!("begun{number}{mode}"));
            let script = format!("#!/bin/bash\ntouch {}\n{sleep} &\n{sleep}\n", begun.display());
            tree::write(&guest.cfg, &format!("scripts/{moment}"), &script, mode);
            let mut start = guest.host_command(&["start"]).spawn().unwrap();
            eventually("the script runs", Duration::from_secs(10), || begun.exists());
            let pid = nix::unistd::Pid::from_raw(i32::try_from(start.id()).unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
            let status = start.wait().unwrap();
            assert_eq!(status.code(), Some(130), "{moment} {mode:o}");
            guest.v(&["status"]).exits(3);
            assert!(!guest.cgroup("").exists(), "{moment} {mode:o}");
            let state = format!("/run/vserver/{}/state.json", guest.name);
            assert!(!std::path::Path::new(&state).exists(), "{moment} {mode:o}");
            let left = Command::new("pgrep").args(["-f", &format!("^{sleep}$")]).output().unwrap();
            assert!(left.stdout.is_empty(), "{moment} {mode:o}: a script's process is left");
        }
        fs::remove_file(guest.cfg.join("scripts").join(moment)).unwrap();
    }
    guest.start();
}

fn interrupted_while_the_start_command_runs() {
    let host = Fixture::new();
    let guest = host.guest_of_style("sysv");
    tree::write(&guest.root, "etc/init.d/rc", "#!/bin/sh\necho run >/var/log/rc\nsleep 1000\n", 0o755);
    let mut start = guest.host_command(&["start"]).spawn().unwrap();
    eventually("rc runs", Duration::from_secs(10), || guest.root.join("var/log/rc").exists());
    guest.sh("true").ok();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(start.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(start.wait().unwrap().code(), Some(130));
    guest.v(&["status"]).exits(3);
    assert!(!guest.cgroup("").exists());
}

/// compat/behaviours.md §13; compat/config-tree.md §5.1.
fn noisy_and_verbose_tell_more() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("interfaces/0/ip", "127.9.7.1\n").set("interfaces/0/dev", "lo\n").set("interfaces/0/prefix", "32\n");
    let quiet = guest.v(&["start"]);
    assert!(quiet.ok().out.is_empty(), "{}", quiet.out);
    guest.stop();
    let xid = guest.xid;
    let expected =
        format!("Adding 127.9.7.1/32 to lo\nNew network context is {xid}\nNew security context is {xid}\n");
    assert_eq!(host.v(&["--verbose", &guest.name, "start"]).ok().out, expected);
    guest.stop();
    guest.set("noisy", "");
    assert_eq!(guest.v(&["start"]).ok().out, expected);
    guest.stop();
    assert_eq!(host.v(&["--silent", &guest.name, "start"]).ok().out, "");
}
