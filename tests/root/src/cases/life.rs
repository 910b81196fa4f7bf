//! start, stop, restart, condrestart, status, running: meanings and exit codes of util-vserver.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::fixture::{Fixture, eventually};
use crate::inside;
use crate::leak;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("life::start_status_stop", start_status_stop).smoke(),
        Trial::new("life::second_start_and_second_stop_warn", second_start_and_second_stop_warn),
        Trial::new("life::restart_and_condrestart", restart_and_condrestart),
        Trial::new("life::sysv_runs_the_levels", sysv_runs_the_levels).smoke(),
        Trial::new("life::sysv_failure_is_the_starts_failure", sysv_failure_is_the_starts_failure),
        Trial::new(
            "life::sysv_without_a_service_is_the_starts_failure",
            sysv_without_a_service_is_the_starts_failure,
        ),
        Trial::new("life::init_ignoring_its_signal_is_killed_in_time", init_ignoring_its_signal_is_killed_in_time),
        Trial::new(
            "life::an_init_that_is_not_yet_ready_hears_its_stop",
            an_init_that_is_not_yet_ready_hears_its_stop,
        ),
        Trial::new("life::an_init_whose_name_is_no_text", an_init_whose_name_is_no_text),
        Trial::new("life::starts_while_others_end", starts_while_others_end),
        Trial::new("life::run_file_is_utilvservers", run_file_is_utilvservers),
        Trial::new("life::two_starts_at_once_make_one_guest", two_starts_at_once_make_one_guest),
        Trial::new("life::console_goes_to_a_log", console_goes_to_a_log),
        Trial::new("life::killed_supervisor_takes_its_guest_along", killed_supervisor_takes_its_guest_along),
        Trial::new("life::classic_mode_without_user_namespace", classic_mode_without_user_namespace).smoke(),
    ]
}

fn start_status_stop() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.v(&["running"]).exits(1);
    guest.v(&["status"]).exits(3).says(&format!("Vserver '{}' is stopped", guest.name));
    guest.start();
    guest.v(&["running"]).ok();
    let status = guest.v(&["status"]);
    status.ok().says(&format!("Vserver '{}' is running at context '{}'", guest.name, guest.xid));
    let lines: Vec<&str> = status.out.lines().collect();
    assert!(lines[1].starts_with("Number of processes:  "), "{lines:?}");
    assert!(lines[2].starts_with("Uptime:               "), "{lines:?}");
    guest.sh("hostname; echo $$ is not 1; cat /proc/1/comm").ok().says(&format!("{}.test", guest.name)).says("init");
    guest.stop();
    guest.v(&["status"]).exits(3);
    let log = fs::read_to_string(guest.root.join("var/log/boot")).unwrap();
    assert_eq!(log, "started\nstopped\n", "its own init saw the start and the shutdown");
}

/// compat/commands.md §3.1: both are successes with a warning.
fn second_start_and_second_stop_warn() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let init = guest.init();
    guest.v(&["start"]).ok().says(&format!("vserver '{}' already running", guest.name));
    assert_eq!(guest.init(), init, "the second start changed nothing");
    guest.stop();
    guest.v(&["stop"]).ok().says(&format!("vserver '{}' is not running", guest.name));
}

fn restart_and_condrestart() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.v(&["condrestart"]).ok();
    assert!(!guest.is_running(), "condrestart starts nothing");
    guest.v(&["restart"]).ok();
    let first = guest.init();
    guest.v(&["restart"]).ok();
    let second = guest.init();
    assert_ne!(first, second);
    guest.v(&["condrestart"]).ok();
    assert_ne!(second, guest.init());
    assert!(guest.is_running());
}

/// compat/behaviours.md §3: rc with level 3 at start and 6 at stop, a reaper of ours as PID 1 meanwhile.
fn sysv_runs_the_levels() {
    let host = Fixture::new();
    let guest = host.guest_of_style("sysv");
    guest.start();
    assert!(guest.is_running(), "its service keeps it alive after rc has ended");
    guest.sh("(sleep 0.1 & )").ok();
    let reaped = || guest.sh("! ps | grep -v grep | grep -q -e '[Z] ' -e 'sleep 0.1'").code == 0;
    eventually("its orphan has ended and is waited for", Duration::from_secs(5), reaped);
    guest.stop();
    let log = fs::read_to_string(guest.root.join("var/log/rc")).unwrap();
    assert_eq!(log, "level 3\nlevel 6\n");
}

/// compat/behaviours.md §2: the rc script's status decides.
fn sysv_failure_is_the_starts_failure() {
    let host = Fixture::new();
    let guest = host.guest_of_style("sysv");
    crate::tree::write(&guest.root, "etc/init.d/rc", "#!/bin/sh\nexit 7\n", 0o755);
    let ran = guest.v(&["start"]);
    assert_ne!(ran.code, 0);
    assert!(ran.err.contains(&guest.name), "{}", ran.err);
    assert!(!guest.is_running());
}

/// compat/behaviours.md §2, step 23: without any service there is no guest whose number could be told.
fn sysv_without_a_service_is_the_starts_failure() {
    let host = Fixture::new();
    let guest = host.guest_of_style("sysv");
    let after = host.scratch("after").join("ran");
    crate::tree::write(&guest.root, "etc/init.d/rc", "#!/bin/sh\necho its last words\nexit 0\n", 0o755);
    guest.set("scripts/post-start", &format!("touch {}\n", after.display()));
    let ran = guest.v(&["start"]);
    ran.exits(1).says(&guest.name).says("left no process running").says("persistent");
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    eventually("it is put away", Duration::from_secs(5), || guest.v(&["status"]).code == 3);
    assert!(!after.exists(), "there is no guest that a script could find");
    crate::tree::write(&guest.root, "etc/init.d/rc", "#!/bin/sh\nsleep 86400 </dev/null >/dev/null 2>&1 &\n", 0o755);
    guest.start();
    assert!(after.exists() && guest.is_running());
}

fn init_ignoring_its_signal_is_killed_in_time() {
    let host = Fixture::new();
    let guest = host.guest();
    let deaf = "#!/bin/sh\ntrap '' INT TERM PWR RTMIN+3\nwhile :; do sleep 1; done\n";
    fs::remove_file(guest.root.join("sbin/init")).unwrap();
    crate::tree::write(&guest.root, "sbin/init", deaf, 0o755);
    guest.set("apps/vshelper/sync-timeout", "2\n").set("apps/init/killseq", "15\n1\n9\n");
    guest.start();
    let begun = std::time::Instant::now();
    guest.v(&["stop"]).ok().says("it did not end by itself and was killed after ");
    // By default it would have half a minute.
    let took = begun.elapsed().as_secs_f32();
    assert!((2.0..25.0).contains(&took), "stop took {took} s");
}

/// The kernel drops what a first process does not catch: a stop that follows at once asks until it is heard.
fn an_init_that_is_not_yet_ready_hears_its_stop() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.carry_self().set("apps/init/cmd.start", &format!("/self\n{}\n", inside::LATE_INIT));
    guest.start();
    let stopped = guest.v(&["stop"]);
    assert!(!stopped.ok().err.contains("killed"), "{}", stopped.err);
    assert_eq!(fs::read_to_string(guest.root.join("var/log/asked")).unwrap(), "asked");
}

/// The end of the last guest takes `vserver/` and `vserver/.supervisors` away while nothing is in them: whoever starts at
/// that moment makes them again. Here somebody ends all the time.
/// A process names itself as it likes, and the kernel shows the bytes as they are.
fn an_init_whose_name_is_no_text() {
    let host = Fixture::new();
    let guest = host.guest();
    let script = "#!/bin/sh\ntrap 'exit 0' INT TERM\nprintf 'a) Z 1 \\377' >/proc/self/comm\n: >/tmp/named\nwhile :; do sleep 1; done\n";
    crate::tree::write(&guest.root, "bin/named", script, 0o755);
    guest.set("apps/init/cmd.start", "/bin/named\n").start();
    eventually("it has its name", Duration::from_secs(10), || guest.root.join("tmp/named").exists());
    let name = fs::read(format!("/proc/{}/comm", guest.init())).unwrap();
    assert_eq!(name, b"a) Z 1 \xff\n");
    assert!(guest.is_running());
    guest.exec(&["true"]).ok();
    guest.v(&["start"]).ok().says("already running");
    guest.stop();
    assert!(!guest.is_running());
}

fn starts_while_others_end() {
    let host = Fixture::new();
    let guest = host.guest();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                for hierarchy in leak::hierarchies() {
                    for dir in ["vserver/.supervisors", "vserver/.contexts", "vserver"] {
                        let _ = fs::remove_dir(hierarchy.join(dir));
                    }
                }
                std::thread::sleep(Duration::from_micros(300));
            }
        });
        let (_, number) = host.fresh();
        let number = number.to_string();
        for _ in 0..30 {
            let ran = [
                guest.v(&["start"]),
                guest.v(&["stop", "--kill"]),
                host.tool("chcontext", &["--silent", "--xid", &number, "--", "true"]),
            ];
            if ran.iter().any(|ran| ran.code != 0) {
                over.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            for ran in &ran {
                ran.ok();
            }
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// compat/behaviours.md §1: scripts read the xid there.
fn run_file_is_utilvservers() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let file = guest.cfg.join("run");
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{}\n", guest.xid));
    guest.stop();
    assert!(!file.exists(), "the run file goes with the guest");
}

fn two_starts_at_once_make_one_guest() {
    let host = Fixture::new();
    let guest = host.guest();
    let starts: Vec<_> =
        (0..4).map(|_| host.command("vserver").args([&guest.name, "start"]).spawn().unwrap()).collect();
    for mut start in starts {
        assert!(start.wait().unwrap().success());
    }
    let services = || guest.sh("ps | grep -c '[s]leep 86400'").out.trim().to_owned();
    eventually("its service runs", Duration::from_secs(5), || services() != "0");
    assert_eq!(services(), "1");
}

fn console_goes_to_a_log() {
    let host = Fixture::new();
    let guest = host.guest();
    crate::tree::write(&guest.root, "etc/rc.start", "#!/bin/sh\necho hello from the console >/dev/console\n", 0o755);
    guest.start();
    let log = format!("/var/log/vserver/{}.console", guest.name);
    let said = || fs::read_to_string(&log).is_ok_and(|text| text.contains("hello from the console"));
    eventually("the console's log holds what was written", Duration::from_secs(5), said);
    let flood = "head -c 40000000 /dev/zero | tr '\\0' 'y' >/dev/console";
    guest.sh(flood).ok();
    guest.stop();
    let size: u64 =
        [log.clone(), format!("{log}.1")].iter().filter_map(|f| fs::metadata(f).ok()).map(|m| m.len()).sum();
    assert!(size <= 33 << 20, "the console log has {size} bytes");
}

fn killed_supervisor_takes_its_guest_along() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let (init, supervisor) = (guest.init(), guest.supervisor());
    let pid = nix::unistd::Pid::from_raw(supervisor);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let gone = || !Path::new(&format!("/proc/{init}/exe")).exists();
    eventually("the guest's init is gone", Duration::from_secs(5), gone);
    guest.v(&["running"]).exits(1);
    // What the dead one could not remove, the next command does.
    guest.v(&["start"]).ok();
    guest.stop();
}

/// `userns` = `off`: the guest's root is the host's uid 0 with a reduced bounding set.
fn classic_mode_without_user_namespace() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("userns", "off\n").start();
    let map = guest.sh("cat /proc/self/uid_map").ok().out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(map, "0 0 4294967295");
    let own = guest.sh("readlink /proc/self/ns/user").ok().out.trim().to_owned();
    assert_eq!(own, fs::read_link("/proc/self/ns/user").unwrap().to_string_lossy());
    guest.stop();
    let other = host.guest();
    other.start();
    let map = other.sh("cat /proc/self/uid_map").ok().out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(map, format!("0 {} 65536", 1_000_000 + 65_536 * other.xid));
}
