//! Small programs of util-vserver that scripts of administrators call: what they do, beyond what `transcripts/` holds.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::fixture::{Fixture, eventually, program};
use crate::leak;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("family::services_of_the_host_are_held", services_of_the_host_are_held),
        Trial::new("family::a_context_is_kept_alive", a_context_is_kept_alive),
        Trial::new("family::archives_are_known_by_their_content", archives_are_known_by_their_content),
        Trial::new("family::priorities_of_what_runs", priorities_of_what_runs),
        Trial::new("family::totals_of_ipc_hold_at_once", totals_of_ipc_hold_at_once),
        Trial::new("family::signals_are_put_right", signals_are_put_right),
        Trial::new("family::locks_of_old_scripts_are_held_and_heeded", locks_of_old_scripts_are_held_and_heeded),
    ]
}

/// commands.md §12: an init script of the host binds its daemon to `IP` only. `/etc` is a private one for this test.
fn services_of_the_host_are_held() {
    let host = Fixture::new();
    let links = ["v_sshd", "vsysvwrapper"].map(|name| host.command(name).get_program().to_owned());
    let [sshd, wrapper] = links.map(|link| link.to_string_lossy().into_owned());
    let probe = program("vserver-probe");
    let setup = format!(
        "mount -t tmpfs none /etc && mkdir /etc/init.d /etc/vservices && \
         printf '#!/bin/sh\\necho $0 $1 $SYSTEMCTL_SKIP_REDIRECT\\nexec {} bind 0.0.0.0 8310\\n' >/etc/init.d/sshd && \
         chmod 755 /etc/init.d/sshd && ln /etc/init.d/sshd /etc/init.d/named && \
         printf '# one\\nIP=\"127.0.31.5\"\\nNID=48310\\n' >/etc/vservices/sshd.conf",
        probe.display()
    );
    let within = |line: String| {
        let script = format!("{setup} && {line}");
        let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).stdin(Stdio::null()).output();
        let output = output.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let expected = "exec chbind --nid 48310 --ip 127.0.31.5 -- env SYSTEMCTL_SKIP_REDIRECT=yes /etc/init.d/sshd start\n\
                    New network context is 48310\nAdding 127.0.31.5\n/etc/init.d/sshd start yes\nOK 127.0.31.5:8310\n";
    assert_eq!(within(format!("exec {sshd} start")), (0, expected.to_owned(), String::new()));
    // Without a file it is eth0, which is not in this network namespace; and what is no assignment is not executed.
    let (code, out, err) = within(format!("exec {wrapper} named start"));
    assert_eq!((code, err.contains("'eth0'")), (255, true), "{out}{err}");
    let (_, out, err) =
        within(format!("echo 'IP=lo; touch /etc/x' >>/etc/vservices/sshd.conf; {sshd} stop; ls /etc"));
    assert_eq!(out.lines().last(), Some("vservices"), "{out}{err}");
    eventually("the context has ended", Duration::from_secs(5), || {
        !leak::hierarchy_of("").join("vserver/.contexts/n48310").exists()
    });
}

/// The process that stays is the context's only one; whoever reads the number gets the end of it.
fn a_context_is_kept_alive() {
    let host = Fixture::new();
    let (_, number) = host.fresh();
    let keep = host.command("keep-ctx-alive").get_program().to_string_lossy().into_owned();
    let socket = host.scratch("keep").join("socket").display().to_string();
    let directory = leak::hierarchy_of("").join(format!("vserver/.contexts/x{number}"));
    let (number_text, kept) = (number.to_string(), ["--", &keep, "--socket", &socket]);
    let ran = host.tool("chcontext", &[&["--silent", "--xid", &number_text], &kept[..]].concat());
    assert_eq!(ran.ok().out, number_text);
    let alive = || fs::read_to_string(directory.join("cgroup.procs")).is_ok_and(|text| text.lines().count() == 1);
    // The one that has told the number leaves a moment after its end.
    eventually("one process is in the context", Duration::from_secs(5), alive);
    host.tool("keep-ctx-alive", &["--socket", &socket]).exits(1).says("Address already in use");
    assert!(alive());
    host.tool("keep-ctx-alive", &["--socket", &socket, "--quit", "bye"]).ok();
    eventually("the context has ended", Duration::from_secs(5), || !directory.exists());
    assert!(!std::path::Path::new(&socket).exists());
    // By its time.
    host.tool("chcontext", &[&["--silent", "--xid", &number_text], &kept[..], &["--timeout", "1"]].concat()).ok();
    eventually("the context has ended by itself", Duration::from_secs(5), || !directory.exists());
}

fn archives_are_known_by_their_content() {
    let host = Fixture::new();
    let dir = host.scratch("archives");
    let tar = |options: &[&str], name: &str| {
        let made = Command::new("tar").args(options).args(["-cf", name, "/etc/passwd"]).current_dir(&dir).output();
        assert!(made.unwrap().status.success(), "{name}");
        dir.join(name).display().to_string()
    };
    let all = [
        (tar(&[], "plain.bin"), "tar -x --numeric-owner"),
        (tar(&["-z"], "a.bin"), "gzip -d -c | tar -x --numeric-owner"),
        (tar(&["-j"], "b.bin"), "bzip2 -d -c | tar -x --numeric-owner"),
        (tar(&["-J"], "c.bin"), "xz -d -c | tar -x --numeric-owner"),
        (tar(&["--zstd"], "d.bin"), "zstd -d -c | tar -x --numeric-owner"),
    ];
    for (path, how) in &all {
        assert_eq!(host.tool("h2ext", &[path]).ok().out, format!("{path}: {how}\n"));
    }
    // A compression with something else, or with broken bytes, inside.
    let broken = dir.join("broken");
    let bytes = fs::read(&all[1].0).unwrap();
    fs::write(&broken, &bytes[..20]).unwrap();
    let path = broken.display().to_string();
    assert_eq!(host.tool("h2ext", &["-q", &path]).ok().out, "unknown format\n");
}

/// Every thread of every process has them at once, and a process that is born later inherits them.
fn priorities_of_what_runs() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let init = guest.init();
    let nice = |pid: i32| {
        let line = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields = line.rsplit_once(')').unwrap().1.to_owned();
        fields.split_whitespace().nth(16).unwrap().to_owned()
    };
    assert_eq!(nice(init), "0");
    let ran = host.tool("vsched", &["--xid", &guest.name, "--nice", "7", "--ionice", "3"]);
    assert_eq!((ran.ok().out.as_str(), ran.err.as_str()), ("", ""));
    assert_eq!(nice(init), "7");
    let ionice = Command::new("ionice").args(["-p", &init.to_string()]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ionice.stdout).trim(), "idle");
    // init's next child: the service is started again.
    host.tool("vkill", &["--xid", &guest.name, "-s", "TERM", &child_of(init).to_string()]).ok();
    eventually("the new child is as nice", Duration::from_secs(10), || {
        children(init).first().is_some_and(|child| nice(*child) == "7")
    });
}

fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn child_of(pid: i32) -> i32 {
    let mut found = None;
    eventually("init has a child", Duration::from_secs(10), || {
        found = children(pid).first().copied();
        found.is_some()
    });
    found.unwrap()
}

/// rlimits/shmem, nsems and semary of a guest that runs.
fn totals_of_ipc_hold_at_once() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let ask =
        |words: &[&str]| host.tool("vspace", &[&["--enter", &guest.name, "--ipc", "--", "ipcmk"], words].concat());
    ask(&["-M", "8192"]).ok();
    host.tool("vlimit", &["--xid", &guest.name, "--shmem", "3", "--semary", "1"]).ok();
    ask(&["-M", "8192"]).exits(1).says("No space left");
    ask(&["-S", "1"]).ok();
    ask(&["-S", "1"]).exits(1).says("No space left");
    let own = fs::read_to_string("/proc/sys/kernel/sem").unwrap();
    assert_ne!(own.split_whitespace().nth(3), Some("1"), "the host's stays");
    host.tool("vlimit", &["--xid", &guest.name, "--shmem", "inf"]).ok();
    ask(&["-M", "8192"]).ok();
}

/// A shell that ignores a signal hands that on.
fn signals_are_put_right() {
    let host = Fixture::new();
    let sigexec = host.command("sigexec").get_program().to_string_lossy().into_owned();
    let ignored = |words: &str| {
        let script = format!("trap '' USR1; {words} grep SigIgn /proc/self/status");
        let output = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        u64::from_str_radix(text.trim().rsplit('\t').next().unwrap(), 16).unwrap()
    };
    assert_ne!(ignored("exec") & 1 << 9, 0, "a signal is ignored to begin with");
    assert_eq!(ignored(&format!("exec {sigexec} --")) & 1 << 9, 0);
}

/// behaviours.md §13: the names and the place of the locks. Without one of them a guest starts all the same.
fn locks_of_old_scripts_are_held_and_heeded() {
    let host = Fixture::new();
    let guest = host.guest();
    let plain: String = guest.cfg.to_string_lossy().chars().filter(char::is_ascii_alphanumeric).collect();
    let (startup, interfaces) =
        (host.locks().join(format!("vserver.{plain}.startup")), host.locks().join("vserver.interfaces"));
    // A script of the start sees the one held and the other free.
    let seen = host.scratch("seen").join("state");
    let look = |lock: &std::path::Path| {
        format!("if flock -n {0} true; then echo 0; else echo 1; fi >>{1}\n", lock.display(), seen.display())
    };
    guest.set("scripts/pre-start", &[look(&startup), look(&interfaces)].concat());
    guest.set("interfaces/0/ip", "127.0.51.1\n").set("interfaces/0/prefix", "8\n").set("interfaces/0/dev", "lo\n");
    guest.start();
    assert_eq!(fs::read_to_string(&seen).unwrap(), "1\n0\n");
    for lock in [&startup, &interfaces] {
        assert_eq!(fs::metadata(lock).unwrap().permissions().mode() & 0o777, 0o600);
        fs::File::open(lock).unwrap().try_lock().expect("it is free while the guest runs");
    }
    guest.stop();
    // A script holds one: first by flock(2), then by our lockfile, as those of old do.
    for (lock, verb) in [(&startup, "start"), (&interfaces, "stop")] {
        let held = fs::File::open(lock).unwrap();
        held.lock().unwrap();
        let mut waiting = guest.host_command(&[verb]).spawn().unwrap();
        std::thread::sleep(Duration::from_secs(2));
        assert!(waiting.try_wait().unwrap().is_none(), "{verb} waits for {}", lock.display());
        drop(held);
        assert!(waiting.wait().unwrap().success());
    }
    let fifo = host.scratch("seen").join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut holder = host.command("lockfile").arg(&startup).arg(&fifo).spawn().unwrap();
    assert_eq!(fs::read_to_string(&fifo).unwrap(), "#!/bin/true\n");
    let mut waiting = guest.host_command(&["start"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(waiting.try_wait().unwrap().is_none());
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(waiting.wait().unwrap().success());
    guest.stop();
    // Not a file of ours.
    fs::remove_file(&startup).unwrap();
    std::os::unix::fs::symlink("/nonexistent/x", &startup).unwrap();
    guest.v(&["start"]).ok().says("is not taken");
    guest.v(&["stop"]).ok().says("is not taken");
}
