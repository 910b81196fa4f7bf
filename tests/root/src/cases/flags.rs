//! Capabilities and flags of `flags.md` §2–§4, §8, §9: each is seen from inside a guest, with it and without it.

use std::fs;
use std::time::{Duration, Instant};

use crate::fixture::{Fixture, Guest, eventually};
use crate::needs::Need;
use crate::security::bench::{self, Mode};
use crate::trial::Trial;
use crate::typed::session;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("flags::bcapabilities_are_a_list_of_changes", bcapabilities_are_a_list_of_changes).smoke(),
        Trial::new("flags::kernel_log_is_empty_without_syslog", kernel_log_is_empty_without_syslog),
        Trial::new("flags::set_utsname", set_utsname),
        Trial::new("flags::umask_names_the_namespaces_to_be_made", umask_names_the_namespaces_to_be_made),
        Trial::new("flags::ccapability_namespace_allows_all", ccapability_namespace_allows_all),
        Trial::new("flags::secure_mount_and_secure_remount", secure_mount_and_secure_remount).smoke(),
        Trial::new("flags::negative_nice_is_ignored", negative_nice_is_ignored),
        Trial::new("flags::fork_fails_above_the_soft_limit", fork_fails_above_the_soft_limit).smoke(),
        Trial::new("flags::realtime_ionice_is_ignored", realtime_ionice_is_ignored),
        Trial::new("flags::sched_pause_holds_everything", sched_pause_holds_everything),
        Trial::new("flags::persistent_survives_its_processes", persistent_survives_its_processes),
        Trial::new("flags::persistent_survives_its_init", persistent_survives_its_init),
        Trial::new("flags::private_is_not_entered", private_is_not_entered),
        Trial::new("flags::virt_uptime", virt_uptime),
        Trial::new("flags::fakeinit_and_hide_mount", fakeinit_and_hide_mount),
        Trial::new("flags::personality", personality),
        Trial::new("flags::every_ulimit", every_ulimit),
        Trial::new("flags::nice_of_every_process", nice_of_every_process),
        Trial::new("flags::tiocsti_types_into_an_own_terminal", tiocsti_types_into_an_own_terminal)
            .needs(Need::Tool("script")),
        Trial::new("flags::file_capabilities_are_all_of_fs_security", file_capabilities_are_all_of_fs_security),
        Trial::new("flags::sched_prio_is_a_weight", sched_prio_is_a_weight),
        Trial::new("flags::what_cannot_be_is_said_at_start", what_cannot_be_is_said_at_start),
    ]
}

/// A guest with the probe, configured by pairs of file and content.
fn guest<'f>(host: &'f Fixture, mode: Mode, files: &[(&str, &str)]) -> Guest<'f> {
    let guest = bench::guest(host, mode);
    for (file, content) in files {
        guest.set(file, content);
    }
    guest
}

/// What one check of the probe answers inside.
fn answer(guest: &Guest<'_>, check: &str) -> String {
    guest.exec(&["/probe", check]).ok().out.trim().to_owned()
}

/// One value of `/proc/self/status` inside.
fn status_of(guest: &Guest<'_>, key: &str) -> u64 {
    let text = guest.sh("cat /proc/self/status").ok().out.clone();
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
    u64::from_str_radix(value.trim(), 16).unwrap()
}

/// flags.md §1, §2: names with and without prefix in any case, `~` and `!`, `^N`, later lines win, `~all,X` is only X.
fn bcapabilities_are_a_list_of_changes() {
    const CHOWN: u64 = 1;
    const KILL: u64 = 1 << 5;
    const SETFCAP: u64 = 1 << 31;
    const NET_ADMIN: u64 = 1 << 12;
    let host = Fixture::new();
    let one = guest(&host, Mode::Classic, &[("bcapabilities", "# drop\n~CAP_KILL,!setfcap\n^12\nLEASE,~LEASE\n")]);
    one.start();
    let set = status_of(&one, "CapBnd");
    assert_eq!(set & (CHOWN | KILL | SETFCAP | NET_ADMIN | 1 << 28), CHOWN | NET_ADMIN, "{set:x}");
    assert_eq!(status_of(&one, "CapEff"), set);
    // SETUID and SETGID stay out too: the guest's root cannot become anybody else.
    let only = guest(&host, Mode::Classic, &[("bcapabilities", "~all,CAP_CHOWN\n")]);
    only.start();
    assert_eq!(status_of(&only, "CapBnd"), CHOWN);
    assert_ne!(only.v(&["suexec", "ada", "id"]).out.trim(), "uid=0(root)");
}

/// flags.md §3, `syslog`: without it calls succeed and the log is empty; with it the guest sees what the kernel shows it.
fn kernel_log_is_empty_without_syslog() {
    let host = Fixture::new();
    let without = guest(&host, Mode::User, &[]);
    without.start();
    assert_eq!(without.exec(&["dmesg"]).ok().out, "");
    assert_eq!(answer(&without, "syslog"), "EMPTY");
    let with = guest(&host, Mode::Classic, &[("ccapabilities", "syslog\n")]);
    with.start();
    let shown = answer(&with, "syslog");
    // A host whose own root lacks CAP_SYSLOG cannot give it.
    let can = status_of(&with, "CapBnd") & 1 << 34 != 0;
    assert!(shown.starts_with("OK ") || (!can && shown == "EPERM"), "{shown}");
}

/// flags.md §3, `set_utsname`: the guest's root changes its own names, whether the guest governs its namespaces or not; nobody
/// else does, and taken away not even root.
fn set_utsname() {
    let host = Fixture::new();
    let own = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for (mode, bcaps) in [(Mode::User, "SYS_ADMIN\n"), (Mode::User, ""), (Mode::Classic, "")] {
        let with = guest(&host, mode, &[("bcapabilities", bcaps)]);
        with.start();
        with.sh("hostname other && hostname").ok().says("other");
        assert_eq!(answer(&with, "set_domain"), "OK");
        with.sh("cat /proc/sys/kernel/domainname").ok().says("example");
        assert_ne!(with.v(&["suexec", "1000", "hostname", "third"]).code, 0);
        assert_eq!(with.v(&["suexec", "1000", "/probe", "set_domain"]).out.trim(), "EPERM");
        assert_eq!(answer(&with, "set_domain_long"), "EINVAL");
        assert_eq!(answer(&with, "set_domain_nowhere"), "EFAULT");
        with.sh("cat /proc/sys/kernel/domainname; hostname").ok().says("example\nother");
        // More at once than the supervisor has helpers, and it goes on to serve others.
        with.sh("for i in $(seq 30); do hostname n$i & done; wait; hostname last; hostname").ok().says("last");
    }
    // What the guest starts by itself, too.
    let booted = host.guest_of_style("sysv");
    booted.set("apps/init/cmd.start", "/bin/sh\n-c\nhostname by-init; sleep 60 &\n").start();
    eventually("its name is the one that it has given itself", Duration::from_secs(10), || {
        booted.sh("hostname").out.trim() == "by-init"
    });
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), own, "the host's name stays");
    let without = guest(&host, Mode::User, &[("bcapabilities", "SYS_ADMIN\n"), ("ccapabilities", "~set_utsname\n")]);
    without.start();
    assert_ne!(without.exec(&["hostname", "other"]).code, 0);
}

/// flags.md §8: the umask lists the namespaces that a guest may make by itself.
fn umask_names_the_namespaces_to_be_made() {
    let host = Fixture::new();
    let guest = guest(&host, Mode::User, &[("umask", "newuts\n")]);
    guest.start();
    assert_eq!(answer(&guest, "unshare_uts"), "OK");
    assert_eq!(answer(&guest, "unshare_ns"), "EPERM");
    assert_eq!(answer(&guest, "unshare_user"), "EPERM");
}

/// flags.md §3, `namespace`: all of them. In the classic mode it is refused, and said.
fn ccapability_namespace_allows_all() {
    let host = Fixture::new();
    let user = guest(&host, Mode::User, &[("ccapabilities", "namespace\n")]);
    user.start();
    for check in ["unshare_uts", "unshare_ns", "unshare_user", "unshare_net", "clone3_user"] {
        assert_eq!(answer(&user, check), "OK", "{check}");
    }
    let classic = guest(&host, Mode::Classic, &[("ccapabilities", "namespace\n")]);
    classic.v(&["start"]).ok().says("namespace");
    assert_eq!(answer(&classic, "unshare_ns"), "EPERM");
}

/// flags.md §3: mounting in the own namespace, forced nodev by the kernel; remounting is a right of its own.
fn secure_mount_and_secure_remount() {
    let host = Fixture::new();
    let plain = guest(&host, Mode::User, &[]);
    plain.start();
    assert_ne!(plain.sh("mount -t tmpfs none /tmp").code, 0);
    let mounts = guest(&host, Mode::User, &[("ccapabilities", "secure_mount\n")]);
    mounts.start();
    let script = "mount -t tmpfs none /tmp && mount --bind /etc /root && umount /root && grep ' /tmp ' /proc/mounts";
    mounts.sh(script).ok().says("tmpfs");
    assert_ne!(mounts.sh("mount -o remount,ro none /tmp").code, 0);
    let both = guest(&host, Mode::User, &[("ccapabilities", "secure_mount,secure_remount\n")]);
    both.start();
    both.sh("mount -t tmpfs none /tmp && mount -o remount,ro none /tmp && grep ' /tmp ' /proc/mounts")
        .ok()
        .says("ro,");
    // Locked: what the host mounted over /proc is not uncovered, whatever the guest may mount.
    assert_ne!(both.sh("umount /proc/sys || umount /dev").code, 0);
}

/// flags.md §4, `igneg_nice`.
fn negative_nice_is_ignored() {
    let host = Fixture::new();
    let without = guest(&host, Mode::User, &[]);
    without.start();
    assert_ne!(without.sh("renice -n -5 -p $$").code, 0);
    let with = guest(&host, Mode::User, &[("cflags", "igneg_nice\n")]);
    with.start();
    with.sh("renice -n -5 -p $$").ok();
    with.sh("renice -n -5 -p $$; cut -d' ' -f19 /proc/$$/stat").ok().says("0\n");
    with.sh("renice -n 5 -p $$; cut -d' ' -f19 /proc/$$/stat").ok().says("5\n");
}

/// flags.md §4, `fork_rss`: no process more while the guest is above its soft limit. It is hardly above: on v2 the kernel slows it
/// down, the more the farther it is.
fn fork_fails_above_the_soft_limit() {
    const PAGES_40M: &str = "10240\n";
    const HOLD: [&str; 4] = ["/self", "--allocate", "43000000", "/bin/true"];
    let host = Fixture::new();
    let without = guest(&host, Mode::User, &[("rlimits/rss.soft", PAGES_40M)]);
    without.carry_self().start();
    without.exec(&HOLD).ok();
    let with = guest(&host, Mode::User, &[("cflags", "fork_rss\n"), ("rlimits/rss.soft", PAGES_40M)]);
    with.carry_self().start();
    with.exec(&["/self", "--allocate", "20000000", "/bin/true"]).ok();
    with.exec(&HOLD).exits(1).says("Cannot allocate memory");
    with.sh("(echo forked); true").ok().says("forked");
    // A running guest's soft limit is the one that counts.
    host.tool("vlimit", &["--xid", &with.xid.to_string(), "-S", "--rss", "40960"]).ok();
    with.exec(&HOLD).ok();
}

/// flags.md §4, `igneg_ionice`.
fn realtime_ionice_is_ignored() {
    let host = Fixture::new();
    let without = guest(&host, Mode::User, &[]);
    without.start();
    assert_ne!(without.sh("ionice -c 1 -n 4 true").code, 0);
    let with = guest(&host, Mode::User, &[("cflags", "igneg_ionice\n")]);
    with.start();
    let shown = with.sh("ionice -c 1 -n 4 ionice").ok().out.clone();
    assert!(!shown.contains("realtime"), "{shown}");
    with.sh("ionice -c 3 ionice").ok().says("idle");
}

/// flags.md §4, `sched_pause`: all processes on hold, from the start; a stop still works.
fn sched_pause_holds_everything() {
    let host = Fixture::new();
    let guest = guest(&host, Mode::User, &[("cflags", "sched_pause\n")]);
    guest.start();
    let frozen = fs::read_to_string(guest.cgroup("").join("cgroup.events")).unwrap();
    assert!(frozen.contains("frozen 1"), "{frozen}");
    assert!(!guest.root.join("var/log/boot").exists(), "its init has done nothing");
    host.tool("vattribute", &["--xid", &guest.name, "--set", "--flag", "~sched_pause"]).ok();
    eventually("it goes on", Duration::from_secs(5), || guest.root.join("var/log/boot").exists());
    guest.sh("(while :; do echo >>/beats; sleep 0.05; done) >/dev/null 2>&1 </dev/null & sleep 0.3").ok();
    let beats = || fs::metadata(guest.root.join("beats")).map_or(0, |beats| beats.len());
    let before = beats();
    eventually("a process of it goes on", Duration::from_secs(5), || beats() > before);
    host.tool("vattribute", &["--xid", &guest.name, "--set", "--flag", "sched_pause"]).ok();
    let held = beats();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(beats(), held, "nothing of it goes on");
    guest.stop();
    assert!(!guest.is_running());
}

/// flags.md §4, `persistent`: the context survives without processes; `stop` ends it.
fn persistent_survives_its_processes() {
    let host = Fixture::new();
    for (flag, survives) in [("", false), ("persistent\n", true)] {
        let guest = host.guest_of_style("sysv");
        guest.set("apps/init/cmd.start", "/bin/true\n").set("cflags", flag);
        guest.set("apps/init/killseq", "15\n60\n9\n");
        if survives {
            guest.start();
            std::thread::sleep(Duration::from_millis(500));
            guest.sh("echo here").ok().says("here");
            std::thread::sleep(Duration::from_millis(300));
        } else {
            guest.v(&["start"]).exits(1).says("left no process running");
            eventually("it ends with its last process", Duration::from_secs(5), || !guest.is_running());
        }
        assert_eq!(guest.is_running(), survives);
        // Nothing is left that a kill sequence would have to wait for.
        let begun = Instant::now();
        guest.v(&["stop"]);
        assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
        assert!(!guest.is_running());
    }
}

/// The same with an init of its own: after its end the context goes on with nobody in it, and is entered and stopped as
/// before. A reboot is none of that.
fn persistent_survives_its_init() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("cflags", "persistent\n").set("apps/init/killseq", "15\n1\n").start();
    let first = guest.init();
    guest.sh("reboot");
    eventually("it runs again", Duration::from_secs(20), || guest.lives_again(first));
    let second = guest.init();
    guest.sh("cat /proc/1/comm").ok().says("init");
    guest.sh("poweroff");
    eventually("the context goes on", Duration::from_secs(20), || guest.lives_again(second));
    let image = fs::read_link(format!("/proc/{}/exe", guest.init())).unwrap();
    assert!(image.to_string_lossy().contains("memfd:"), "its first process is our reaper: {}", image.display());
    guest.sh("hostname").ok().says(&format!("{}.test", guest.name));
    guest.v(&["start"]).ok().says("already running");
    guest.stop();
    guest.v(&["running"]).exits(1);
}

/// flags.md §4, `private`: our own commands do not enter; `vattribute` takes it off.
fn private_is_not_entered() {
    let host = Fixture::new();
    let guest = guest(&host, Mode::User, &[("cflags", "private\n")]);
    guest.start();
    let refused = guest.exec(&["true"]);
    assert_ne!(refused.code, 0);
    refused.says("private");
    assert_ne!(host.tool("chcontext", &["--xid", &guest.name, "--", "true"]).code, 0);
    host.tool("vattribute", &["--xid", &guest.name, "--set", "--flag", "~private"]).ok();
    guest.exec(&["true"]).ok();
}

fn uptime(text: &str) -> f64 {
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// flags.md §4, `virt_uptime`: on unless taken away.
fn virt_uptime() {
    let host = Fixture::new();
    let own = guest(&host, Mode::User, &[]);
    own.start();
    assert!(uptime(&own.sh("cat /proc/uptime").ok().out) < 60.0);
    let hosts = guest(&host, Mode::User, &[("cflags", "~virt_uptime\n")]);
    hosts.start();
    let (inside, outside) =
        (hosts.sh("cat /proc/uptime").ok().out.clone(), fs::read_to_string("/proc/uptime").unwrap());
    assert!((uptime(&inside) - uptime(&outside)).abs() < 30.0);
}

/// flags.md §4, `fakeinit` and `hide_mount`: always so. PID 1 is the guest's init, and no mount of the host is seen.
fn fakeinit_and_hide_mount() {
    let host = Fixture::new();
    let guest = guest(&host, Mode::User, &[]);
    guest.start();
    guest.sh("cat /proc/1/comm").ok().says("init");
    let mounts = guest.sh("cut -d' ' -f2 /proc/mounts").ok().out.clone();
    let outside = guest.root.display().to_string();
    assert!(!mounts.contains(&outside) && mounts.lines().any(|line| line == "/"), "{mounts}");
    let known = ["/", "/proc", "/dev", "/sys", "/tmp", "/run"];
    for mount in mounts.lines() {
        assert!(
            known.iter().any(|top| mount == *top || (*top != "/" && mount.starts_with(&format!("{top}/")))),
            "{mount}"
        );
    }
}

/// flags.md §9: LINUX32 makes `uname -m` say i686; flags are in the persona of every process.
fn personality() {
    let host = Fixture::new();
    let guest = guest(&host, Mode::User, &[("personality", "LINUX32\naddr_no_randomize\n")]);
    guest.start();
    if std::env::consts::ARCH == "x86_64" {
        guest.sh("uname -m").ok().says("i686");
    }
    for process in ["1", "self"] {
        guest.sh(&format!("cat /proc/{process}/personality")).ok().says("00040008");
    }
}

/// config-tree.md §5.3.2: all ten files, plain, `.hard` and `.soft`, in the units of setrlimit(2).
fn every_ulimit() {
    let host = Fixture::new();
    let guest = host.guest();
    let files = [
        ("core", "Max core file size"),
        ("cpu", "Max cpu time"),
        ("data", "Max data size"),
        ("fsize", "Max file size"),
        ("locks", "Max file locks"),
        ("memlock", "Max locked memory"),
        ("nofile", "Max open files"),
        ("nproc", "Max processes"),
        ("rss", "Max resident set"),
        ("stack", "Max stack size"),
    ];
    let value = |index: usize| if files[index].0 == "data" { 1 << 30 } else { (index + 1) << 20 };
    let value = |index: usize| {
        if files[index].0 == "nofile" || files[index].0 == "nproc" { 900 + index } else { value(index) }
    };
    for (index, (file, _)) in files.iter().enumerate() {
        guest.set(&format!("ulimits/{file}"), &format!("{}\n", value(index)));
    }
    guest.set("ulimits/stack.soft", "1M\n").start();
    let limits = guest.sh("cat /proc/self/limits").ok().out.clone();
    for (index, (file, title)) in files.iter().enumerate() {
        let line = limits.lines().find(|line| line.starts_with(title)).unwrap();
        let numbers: Vec<&str> = line[title.len()..].split_whitespace().collect();
        let hard = value(index).to_string();
        let soft = if *file == "stack" { (1 << 20).to_string() } else { hard.clone() };
        assert_eq!(numbers[..2], [soft, hard], "{line}");
    }
}

/// config-tree.md §5.3.4: an absolute level, for the first process and for every command that is put inside later.
fn nice_of_every_process() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("nice", "7\n").start();
    for process in ["1", "self"] {
        guest.sh(&format!("cut -d' ' -f19 /proc/{process}/stat")).ok().says("7\n");
    }
}

/// flags.md §3, `tiocsti`: on a terminal of the guest's own; X08 shows that it is refused without.
fn tiocsti_types_into_an_own_terminal() {
    let host = Fixture::new();
    let guest = guest(&host, Mode::User, &[("ccapabilities", "tiocsti\n")]);
    guest.start();
    let vserver = host.command("vserver").get_program().to_string_lossy().into_owned();
    let enter = format!("{vserver} --confdir {} {} enter", host.confdir().display(), guest.name);
    let text = session(&enter, "/probe tiocsti >/tmp/answer; exit\n").out;
    let given = fs::read_to_string(guest.root.join("tmp/answer")).unwrap_or_default();
    // A host may have taken the call from everybody.
    let legacy = fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").unwrap_or_else(|_| "1".to_owned());
    let expected = if legacy.trim() == "1" { "OK" } else { "EIO" };
    assert_eq!(given.trim(), expected, "{text}");
}

/// flags.md §4, `sched_prio`, config-tree.md §5.3.3: without `sched_hard` the fill rate is a weight against other guests.
fn sched_prio_is_a_weight() {
    let host = Fixture::new();
    let weight = |guest: &Guest<'_>| {
        let dir = guest.cgroup("cpu");
        let files = ["cpu.shares", "cpu.weight"].map(|file| fs::read_to_string(dir.join(file)).ok());
        files.into_iter().flatten().next().unwrap().trim().parse::<u64>().unwrap()
    };
    let rates = [("1\n", "4\n"), ("3\n", "4\n")].map(|(fill, interval)| {
        let files = [("cflags", "sched_prio\n"), ("sched/fill-rate", fill), ("sched/interval", interval)];
        let guest = guest(&host, Mode::User, &files);
        guest.start();
        weight(&guest)
    });
    assert!(rates[1].abs_diff(rates[0] * 3) <= 3, "{rates:?}");
}

/// Every flag that a stock kernel cannot honour is named when the guest starts, with the reason.
fn what_cannot_be_is_said_at_start() {
    let host = Fixture::new();
    let files = [
        ("ccapabilities", "quota_ctl,dev_mount,kthread\n"),
        ("cflags", "virt_time\n"),
        ("ncapabilities", "tun_create\n"),
    ];
    let guest = guest(&host, Mode::User, &files);
    let started = guest.v(&["start"]);
    started.ok();
    for word in ["quota_ctl", "dev_mount", "kthread", "virt_time", "tun_create"] {
        started.says(word);
    }
    // What every guest has anyway is no reason to warn.
    let plain = bench::guest(&host, Mode::User);
    let quiet = plain.v(&["start"]);
    quiet.ok();
    assert!(!quiet.err.contains("capabilities") && !quiet.err.contains("cflags"), "{}", quiet.err);
}

/// flags.md §3, `fs_security`: in part. File capabilities are the guest's own; what becomes of other labels differs between
/// kernels and file systems.
fn file_capabilities_are_all_of_fs_security() {
    let host = Fixture::new();
    let guest = guest(&host, Mode::User, &[("ccapabilities", "fs_security\n")]);
    guest.v(&["start"]).ok().says("ccapabilities fs_security");
    assert_eq!(answer(&guest, "file_capability"), "OK");
}
