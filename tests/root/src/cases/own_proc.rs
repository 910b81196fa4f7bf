//! flags.md §4, `virt_mem`, `virt_cpu`, `virt_load`, and config-tree.md §5.3.5, `cpuset/virtualized`: what the guest's own
//! programs show of memory, processors and load.

use std::fs;
use std::process::Child;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cases::limits::{busy, rest};
use crate::fixture::{Fixture, Guest, eventually};
use crate::needs::Need;
use crate::security::bench::{self, BOTH, Mode};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    let all: [(&'static str, fn()); 9] = [
        ("own_proc::virt_mem", virt_mem),
        ("own_proc::used_memory_grows", used_memory_grows),
        ("own_proc::soft_limit_is_memory_and_the_rest_swap", soft_limit_is_memory_and_the_rest_swap),
        ("own_proc::virt_cpu", virt_cpu),
        ("own_proc::cpuset_virtualized", cpuset_virtualized),
        ("own_proc::virt_load", virt_load),
        ("own_proc::a_guest_outlives_its_server", a_guest_outlives_its_server),
        ("own_proc::the_server_ends_with_the_guest", the_server_ends_with_the_guest),
        ("own_proc::many_readers_and_writers", many_readers_and_writers),
    ];
    let mut tests: Vec<Trial> = all.map(|(name, body)| Trial::new(name, body).needs(Need::Fuse)).into();
    tests.push(Trial::new(
        "own_proc::a_guest_that_does_not_ask_has_no_server",
        a_guest_that_does_not_ask_has_no_server,
    ));
    tests
}

fn guest<'f>(host: &'f Fixture, mode: Mode, files: &[(&str, &str)]) -> Guest<'f> {
    let guest = bench::guest(host, mode);
    for (file, content) in files {
        guest.set(file, content);
    }
    guest
}

/// The server: a child of the guest's keeper.
fn server(guest: &Guest<'_>) -> Option<i32> {
    let keeper = guest.supervisor();
    let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).unwrap_or_default();
    let name = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid| name(pid).trim() == "vserver-view")
}

fn is_there(pid: i32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap()
}

fn file(guest: &Guest<'_>, path: &str) -> String {
    guest.exec(&["cat", path]).ok().out.clone()
}

/// A line of a meminfo, kB.
fn kilobytes(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {key} in\n{text}")).split_whitespace().next().unwrap().parse().unwrap()
}

/// Numbers of the line of `free` that begins with `name`.
fn free(guest: &Guest<'_>, name: &str) -> Vec<u64> {
    let text = guest.exec(&["free"]).ok().out.clone();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
    line.unwrap().split_whitespace().map(|word| word.parse().unwrap()).collect()
}

/// All there is is the limit, which `free` has from sysinfo(2); and it follows when the limit is changed.
fn virt_mem() {
    let host = Fixture::new();
    for mode in BOTH {
        let guest = guest(&host, mode, &[("cflags", "virt_mem\n"), ("rlimits/rss.hard", "16384\n")]);
        guest.start();
        let hosts = fs::read_to_string("/proc/meminfo").unwrap();
        let text = file(&guest, "/proc/meminfo");
        assert_eq!(kilobytes(&text, "MemTotal"), 65_536);
        for part in ["MemFree", "MemAvailable", "Cached", "Active", "Inactive", "Shmem", "Slab", "AnonPages"] {
            assert!(kilobytes(&text, part) <= 65_536, "{text}");
        }
        assert!(kilobytes(&text, "MemFree") > 0 && kilobytes(&text, "SwapTotal") == 0, "{text}");
        assert!(!text.contains("DirectMap"), "{text}");
        assert_eq!(free(&guest, "Mem:")[0], 65_536);
        assert_eq!(free(&guest, "Swap:")[..3], [0, 0, 0]);
        assert_eq!(file(&guest, "/proc/swaps").lines().count(), 1);
        guest.exec(&["top", "-b", "-n1"]).ok().says("Mem: ");
        // Load and uptime of sysinfo(2) are as without.
        guest.exec(&["uptime"]).ok().says(" up 0 min");
        host.tool("vlimit", &["--xid", &guest.xid.to_string(), "--rss", "32768"]).ok();
        eventually("the view follows the limit", Duration::from_secs(5), || {
            kilobytes(&file(&guest, "/proc/meminfo"), "MemTotal") == 131_072 && free(&guest, "Mem:")[0] == 131_072
        });
        assert_ne!(guest.sh("echo x >/proc/meminfo").code, 0);
        // The host's own is what it was.
        let now = fs::read_to_string("/proc/meminfo").unwrap();
        assert_eq!(kilobytes(&now, "MemTotal"), kilobytes(&hosts, "MemTotal"));
        // What was not asked for is the host's.
        assert!(file(&guest, "/proc/stat").lines().any(|line| line.starts_with("intr ") && line != "intr 0"));
        guest.stop();
    }
}

/// A process of the guest's takes memory: it is used, and no longer free.
fn used_memory_grows() {
    const HOG: u64 = 24 << 10;
    let host = Fixture::new();
    let guest = guest(&host, Mode::User, &[("cflags", "virt_mem\n"), ("rlimits/rss.hard", "32768\n")]);
    guest.start();
    let before = free(&guest, "Mem:");
    let script = "x=$(head -c 25165824 /dev/zero | tr '\\0' a); echo ready >/tmp/ready; sleep 1000; true";
    let mut hog = guest.host_command(&["exec", "sh", "-c", script]).spawn().unwrap();
    eventually("the hog has its memory", Duration::from_secs(10), || guest.sh("cat /tmp/ready").code == 0);
    eventually("what it has is used", Duration::from_secs(5), || {
        let after = free(&guest, "Mem:");
        after[0] == before[0] && after[1] >= before[1] + HOG && after[2] + HOG <= before[2]
    });
    // The kernel adds up the kinds of memory every two seconds only (memory.stat).
    eventually("it is told of which kind", Duration::from_secs(10), || {
        kilobytes(&file(&guest, "/proc/meminfo"), "AnonPages") >= HOG
    });
    hog.kill().unwrap();
    hog.wait().unwrap();
}

/// compat/config-tree.md §5.3.1: total RAM = soft limit, total swap = hard − soft.
fn soft_limit_is_memory_and_the_rest_swap() {
    let host = Fixture::new();
    let files = [("cflags", "virt_mem\n"), ("rlimits/rss.hard", "32768\n"), ("rlimits/rss.soft", "24576\n")];
    let guest = guest(&host, Mode::User, &files);
    guest.start();
    assert_eq!((free(&guest, "Mem:")[0], free(&guest, "Swap:")[0]), (98_304, 32_768));
    let text = file(&guest, "/proc/meminfo");
    assert_eq!((kilobytes(&text, "MemTotal"), kilobytes(&text, "SwapTotal")), (98_304, 32_768));
    assert_eq!(kilobytes(&text, "SwapFree"), 32_768);
    assert!(file(&guest, "/proc/swaps").contains("32768"));
}

/// The last processor of this host, and how many there are.
fn processors() -> (usize, usize) {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let words = stat.lines().filter_map(|line| line.strip_prefix("cpu")?.split(' ').next()?.parse().ok());
    let all: Vec<usize> = words.collect();
    (*all.last().unwrap(), all.len())
}

fn cpu_lines(stat: &str) -> Vec<&str> {
    stat.lines().filter_map(|line| line.split(' ').next()).filter(|word| word.starts_with("cpu")).collect()
}

/// One processor, whichever it is, is the first one.
fn has_one_processor(guest: &Guest<'_>) {
    assert_eq!(cpu_lines(&file(guest, "/proc/stat")), ["cpu", "cpu0"]);
    let cpuinfo = file(guest, "/proc/cpuinfo");
    let numbers: Vec<&str> = cpuinfo.lines().filter(|line| line.starts_with("processor")).collect();
    assert_eq!(numbers, ["processor\t: 0"]);
    for list in ["online", "possible", "present"] {
        assert_eq!(file(guest, &format!("/sys/devices/system/cpu/{list}")), "0\n");
    }
    guest.exec(&["nproc"]).ok().says("1");
}

/// Ticks that processors were busy and idle.
fn ticks(guest: &Guest<'_>) -> (u64, u64) {
    let stat = file(guest, "/proc/stat");
    let line = stat.lines().next().unwrap().to_owned();
    let words: Vec<u64> = line.split_whitespace().skip(1).map(|word| word.parse().unwrap()).collect();
    (words[0] + words[2], words[3])
}

/// Processors and their time are the guest's; so is when it was started.
fn virt_cpu() {
    let host = Fixture::new();
    let (last, _) = processors();
    let files = [("cflags", "virt_cpu\n"), ("cpuset/name", "x\n"), ("cpuset/cpus", &format!("{last}\n"))];
    let one = guest(&host, Mode::User, &files);
    one.start();
    has_one_processor(&one);
    let stat = file(&one, "/proc/stat");
    let begun: u64 = stat.lines().find_map(|line| line.strip_prefix("btime ")?.parse().ok()).unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(begun <= now + 2 && now < begun + 250, "{begun} {now}");
    assert!(stat.contains("intr 0\nctxt 0\n") && !stat.contains("procs_running 0"), "{stat}");
    one.exec(&["top", "-b", "-n1"]).ok().says("CPU:");
    let (before, idle) = ticks(&one);
    eventually("an idle guest idles", Duration::from_secs(10), || ticks(&one).1 > idle);
    let child = busy(&host, &one);
    eventually("its processor is busy", Duration::from_secs(10), || ticks(&one).0 > before + 50);
    rest(&one, child);
    // Without a cpuset all of the host's.
    let all = guest(&host, Mode::Classic, &[("cflags", "virt_cpu\n")]);
    all.start();
    assert_eq!(cpu_lines(&file(&all, "/proc/stat")).len(), processors().1 + 1);
    assert_eq!(file(&all, "/proc/cpuinfo").matches("processor\t: ").count(), processors().1);
}

/// config-tree.md §5.3.5: the same by the cpuset's own word.
fn cpuset_virtualized() {
    let host = Fixture::new();
    let (last, _) = processors();
    let cpus = format!("{last}\n");
    let own = [("cpuset/name", "x\n"), ("cpuset/cpus", cpus.as_str()), ("cpuset/virtualized", "1\n")];
    let own = guest(&host, Mode::User, &own);
    own.start();
    has_one_processor(&own);
    let hosts = [("cpuset/name", "x\n"), ("cpuset/cpus", cpus.as_str()), ("cpuset/virtualized", "0\n")];
    let hosts = guest(&host, Mode::User, &hosts);
    hosts.start();
    assert_eq!(cpu_lines(&file(&hosts, "/proc/stat")).len(), processors().1 + 1);
    assert_ne!(hosts.exec(&["cat", "/sys/devices/system/cpu/online"]).code, 0);
}

/// The first three numbers of a loadavg, and what follows them.
fn load(text: &str) -> (Vec<f64>, Vec<&str>) {
    let words: Vec<&str> = text.split_whitespace().collect();
    (words[..3].iter().map(|word| word.parse().unwrap()).collect(), words[3..].to_vec())
}

/// A guest's own load begins with nothing, whatever the host does, and rises with what wants to run.
fn virt_load() {
    let host = Fixture::new();
    let guest = guest(&host, Mode::User, &[("cflags", "virt_load\n")]);
    guest.start();
    let text = file(&guest, "/proc/loadavg");
    let (averages, rest_of) = load(&text);
    assert!(averages.iter().all(|average| *average < 1.0), "{text}");
    let (running, total) = rest_of[0].split_once('/').unwrap();
    assert!(running.parse::<u32>().unwrap() >= 1 && total.parse::<u32>().unwrap() < 20, "{text}");
    assert!(rest_of[1].parse::<u32>().unwrap() > 1, "{text}");
    let busy: Vec<Child> = (0..3).map(|_| busy(&host, &guest)).collect();
    eventually("its load has risen", Duration::from_secs(30), || load(&file(&guest, "/proc/loadavg")).0[0] >= 0.3);
    // sysinfo(2), by which uptime knows it, says the same.
    let shown = guest.exec(&["uptime"]).ok().out.clone();
    let of_uptime: f64 = shown.rsplit_once("average: ").unwrap().1.split(',').next().unwrap().parse().unwrap();
    let of_file = load(&file(&guest, "/proc/loadavg")).0[0];
    assert!(of_uptime >= 0.3 && of_uptime <= of_file + 0.01, "{shown} {of_file}");
    guest.exec(&["top", "-b", "-n1"]).ok().says("Load average: ");
    busy.into_iter().for_each(|child| rest(&guest, child));
    // Memory was not asked for.
    let hosts = fs::read_to_string("/proc/meminfo").unwrap();
    assert_eq!(kilobytes(&file(&guest, "/proc/meminfo"), "MemTotal"), kilobytes(&hosts, "MemTotal"));
    assert_eq!(free(&guest, "Mem:")[0], kilobytes(&hosts, "MemTotal"));
}

/// Without its server the guest lives and answers: reads fail at once, and sysinfo(2) tells of the host.
fn a_guest_outlives_its_server() {
    let host = Fixture::new();
    let guest = guest(&host, Mode::User, &[("cflags", "virt_mem,virt_cpu,virt_load\n")]);
    guest.start();
    let reading = guest.host_command(&["exec", "sh", "-c", "while cat /proc/meminfo >/dev/null; do :; done; exit 7"]);
    let mut reading = { reading }.stderr(std::process::Stdio::null()).spawn().unwrap();
    let pid = server(&guest).expect("its server");
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    assert_eq!(reading.wait().unwrap().code(), Some(7), "a reader is told that there is nobody");
    eventually("nothing of the server is left", Duration::from_secs(5), || !is_there(pid));
    for name in ["meminfo", "swaps", "stat", "cpuinfo", "loadavg"] {
        guest.exec(&["cat", &format!("/proc/{name}")]).exits(1).says("not connected");
    }
    guest.exec(&["uptime"]).ok();
    guest.exec(&["true"]).ok();
    assert_eq!(guest.v(&["status"]).code, 0);
    guest.stop();
    // The next start has one again.
    guest.start();
    assert!(server(&guest).is_some() && guest.exec(&["cat", "/proc/meminfo"]).code == 0);
}

/// However a guest ends, its server ends; the warden looks for mounts and processes that are left.
fn the_server_ends_with_the_guest() {
    let host = Fixture::new();
    let guest = guest(&host, Mode::User, &[("cflags", "virt_mem\n")]);
    let gone = |pid: i32| eventually("its server has ended", Duration::from_secs(10), || !is_there(pid));
    guest.start();
    let pid = server(&guest).unwrap();
    guest.stop();
    assert!(!is_there(pid), "it ends before the stop has ended");
    // The keeper is killed.
    guest.start();
    let pid = server(&guest).unwrap();
    kill(Pid::from_raw(guest.supervisor()), Signal::SIGKILL).unwrap();
    gone(pid);
    eventually("it is not running", Duration::from_secs(10), || !guest.is_running());
    // The supervisor is killed.
    guest.start();
    let pid = server(&guest).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", guest.init())).unwrap();
    let parent: i32 = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap();
    kill(Pid::from_raw(parent), Signal::SIGKILL).unwrap();
    gone(pid);
    eventually("it is put away", Duration::from_secs(10), || !guest.is_running());
    // It begins anew, with a server of its own.
    guest.start();
    let (pid, init) = (server(&guest).unwrap(), guest.init());
    guest.sh("reboot -f");
    eventually("it runs again", Duration::from_secs(20), || guest.lives_again(init));
    assert!(!is_there(pid) && server(&guest).is_some());
}

/// Readers that do not read on, more than it remembers, writers and those who look for more get nothing that they may not.
fn many_readers_and_writers() {
    let host = Fixture::new();
    let guest = guest(&host, Mode::User, &[("cflags", "virt_mem,virt_load,virt_cpu\n")]);
    guest.start();
    let memory = |pid: i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().to_owned();
        line.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let pid = server(&guest).unwrap();
    let read = "for i in $(seq 64); do (for j in $(seq 10); do cat /proc/meminfo /proc/stat /proc/cpuinfo \
                /proc/loadavg; done | wc -c) & done; wait";
    guest.sh(read).ok();
    let before = memory(pid);
    guest.sh("for i in $(seq 60); do (exec 9</proc/stat; read x <&9; sleep 5) & done; wait").ok();
    guest.sh(read).ok();
    assert!(memory(pid) < before + 512, "{before} {}", memory(pid));
    for what in ["chmod 666 /proc/stat", "mv /proc/stat /proc/x", "rm /proc/meminfo", "umount /proc/meminfo"] {
        assert_ne!(guest.sh(what).code, 0, "{what}");
    }
    // Reads in small pieces are of one text.
    let pieces = guest.sh("dd if=/proc/stat bs=7 2>/dev/null | tail -n 1").ok().out.clone();
    assert!(pieces.starts_with("softirq "), "{pieces}");
    assert_eq!(server(&guest), Some(pid));
}

/// A guest without these flags is as before.
fn a_guest_that_does_not_ask_has_no_server() {
    let host = Fixture::new();
    let guest = guest(&host, Mode::User, &[]);
    guest.start();
    assert_eq!(server(&guest), None);
    let mounts = file(&guest, "/proc/mounts");
    let own = mounts.lines().filter(|line| line.contains("fuse") && !line.contains(" /proc/tty/ldisc "));
    assert_eq!(own.count(), 0, "{mounts}");
    // Asked for later, they count from the next start on.
    let xid = guest.xid.to_string();
    host.tool("vattribute", &["--xid", &xid, "--set", "--flag", "virt_mem,virt_load"]).says("virt_mem");
    assert_eq!(server(&guest), None);
}
