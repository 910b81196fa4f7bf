//! What `.defaults/` and older names of files do to guests, seen where it takes effect. compat/config-tree.md §3, §5.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use super::netns::ip;
use crate::fixture::{Fixture, Guest, eventually};
use crate::needs::Need;
use crate::tree;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("host_settings::control_files_and_who_denies_them", control_files_and_who_denies_them),
        Trial::new("host_settings::the_beginning_of_mtab", the_beginning_of_mtab),
        Trial::new("host_settings::how_long_a_stop_waits", how_long_a_stop_waits),
        Trial::new("host_settings::who_answers_a_guests_end", who_answers_a_guests_end),
        Trial::new("host_settings::a_power_off_is_a_halt", a_power_off_is_a_halt),
        Trial::new("host_settings::events_are_ignored", events_are_ignored),
        Trial::new("host_settings::a_method_of_the_guest_comes_first", a_method_of_the_guest_comes_first),
        Trial::new("host_settings::what_a_build_takes", what_a_build_takes),
        Trial::new("host_settings::the_number_of_the_next_guest", the_number_of_the_next_guest),
        Trial::new("host_settings::what_a_tick_is", what_a_tick_is),
        Trial::new("host_settings::where_late_output_goes", where_late_output_goes),
        Trial::new("host_settings::a_disabled_guest_is_left_out", a_disabled_guest_is_left_out),
        Trial::new("host_settings::older_names_of_files", older_names_of_files),
        Trial::new("host_settings::prefix_and_mask", prefix_and_mask),
        Trial::new("host_settings::vlans_and_who_denies_them", vlans_and_who_denies_them).needs(Need::Vlans),
    ]
}

const SOON: Duration = Duration::from_secs(20);

/// Writes one file of the host's defaults.
fn set(host: &Fixture, file: &str, content: &str, mode: u32) {
    tree::write(&host.confdir().join(".defaults"), file, content, mode);
}

fn gone(guest: &Guest<'_>) -> bool {
    !Path::new(&format!("/run/vserver/{}", guest.name)).exists()
}

/// A program that writes down its name, event and context.
fn teller(log: &Path) -> String {
    format!("#!/bin/sh\necho \"${{0##*/defaults}} $1 $2\" >>{}\n", log.display())
}

/// Whether this many processes beside each other can be had inside.
fn forks(guest: &Guest<'_>, count: u32) -> bool {
    let script = format!("i=0; while [ $i -lt {count} ]; do sleep 30 & i=$((i+1)); done; echo all; kill $(jobs -p)");
    guest.sh(&script).out.contains("all")
}

/// §5.3.6: the host's files count for guests that have neither a `cgroup/` of their own nor `nocgroup`.
fn control_files_and_who_denies_them() {
    let host = Fixture::new();
    set(&host, "cgroup/pids.max", "20\n", 0o644);
    let (plain, denying, own) = (host.guest(), host.guest(), host.guest());
    denying.set("nocgroup", "");
    own.set("cgroup/pids.max", "200\n").set("nocgroup", "");
    for (guest, many) in [(&plain, false), (&denying, true), (&own, true)] {
        guest.start();
        assert_eq!(forks(guest, 60), many, "{}", guest.name);
        guest.stop();
    }
}

/// §5.8: `init/mtab` of the host, unless the guest has one.
fn the_beginning_of_mtab() {
    let host = Fixture::new();
    set(&host, "init/mtab", "/dev/host / ext4 rw 0 0\n", 0o644);
    let guest = host.guest();
    guest.set("fstab", "none /srv tmpfs size=1m 0 0\n").start();
    let of_host = "/dev/host / ext4 rw 0 0\nnone /srv tmpfs size=1m 0 0\n";
    assert_eq!(guest.sh("cat /etc/mtab").ok().out, of_host);
    guest.stop();
    guest.set("apps/init/mtab", "/dev/own / xfs rw 0 0\n").start();
    assert_eq!(guest.sh("cat /etc/mtab").ok().out, of_host.replace("/dev/host / ext4", "/dev/own / xfs"));
}

/// §3: `sync-timeout` of the host, for a guest whose init takes no notice of its signal.
fn how_long_a_stop_waits() {
    let host = Fixture::new();
    set(&host, "apps/vshelper/sync-timeout", "2\n", 0o644);
    let guest = host.guest();
    tree::write(&guest.root, "bin/deaf", "#!/bin/sh\ntrap '' INT TERM\nwhile :; do sleep 1; done\n", 0o755);
    guest.set("apps/init/cmd.start", "/bin/deaf\n").set("apps/init/killseq", "15\n1\n9\n").start();
    guest.v(&["stop"]).ok().says("killed after 2 s");
}

/// §5.9: the host's program for an event where the guest has neither program nor action; its action for all events; the
/// delegate before all else.
fn who_answers_a_guests_end() {
    let host = Fixture::new();
    let guest = host.guest();
    let log = host.scratch("log").join("all");
    let told = |word: &str| {
        eventually("the guest is gone", SOON, || gone(&guest));
        let text = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        assert!(text.contains(word) && text.contains(&guest.xid.to_string()), "{word}: {text}");
    };
    set(&host, "apps/vshelper-methods/note", &teller(&log), 0o755);
    set(&host, "apps/vshelper/action", "note\n", 0o644);
    guest.start();
    guest.sh("reboot");
    told("vshelper-methods/note");
    set(&host, "apps/vshelper/restart", &teller(&log), 0o755);
    guest.start();
    guest.sh("reboot");
    told("vshelper/restart");
    set(&host, "apps/vshelper-delegate/restart", &teller(&log), 0o755);
    guest.set("apps/vshelper/action", "restart\n").start();
    guest.sh("reboot");
    told("vshelper-delegate/restart");
}

/// The kernel does not tell a guest's power-off from its halt: `poweroff` counts where there is no `halt`.
fn a_power_off_is_a_halt() {
    let host = Fixture::new();
    let guest = host.guest();
    let log = host.scratch("log").join("all");
    for file in ["poweroff", "halt"] {
        set(&host, &format!("apps/vshelper/{file}"), &teller(&log), 0o755);
        guest.start();
        guest.sh("poweroff");
        eventually("the guest is gone", SOON, || gone(&guest));
        let text = fs::read_to_string(&log).unwrap();
        assert!(text.lines().last().unwrap().contains(&format!("vshelper/{file}")), "{text}");
    }
}

/// §3: with `apps/vshelper/disabled` a reboot is an end, and no helper is told.
fn events_are_ignored() {
    let host = Fixture::new();
    let guest = host.guest();
    let log = host.scratch("log").join("all");
    set(&host, "apps/vshelper/disabled", "", 0o644);
    set(&host, "apps/vshelper/restart", &teller(&log), 0o755);
    guest.start();
    assert!(!Path::new(&format!("/run/vshelper/{}", guest.xid)).exists());
    guest.sh("reboot");
    eventually("the guest is gone", SOON, || gone(&guest));
    assert!(!log.exists() && !guest.is_running());
}

/// §8: `vshelper-methods` of the guest is read, too, and comes first.
fn a_method_of_the_guest_comes_first() {
    let host = Fixture::new();
    let guest = host.guest();
    let (own, shared) = (host.scratch("log").join("own"), host.scratch("log").join("shared"));
    set(&host, "apps/vshelper-methods/note", &teller(&shared), 0o755);
    tree::write(&guest.cfg, "apps/vshelper-methods/note", &teller(&own), 0o755);
    guest.set("apps/vshelper/action", "note\n").start();
    guest.sh("reboot");
    eventually("the guest is gone", SOON, || gone(&guest));
    assert!(own.exists() && !shared.exists());
}

/// §3, §4: where the tree and the cache of a new guest are, its number, its fstab, its files and further options.
fn what_a_build_takes() {
    let host = Fixture::new();
    let defaults = host.confdir().join(".defaults");
    let (trees, cache) = (host.scratch("other-trees"), host.scratch("cache"));
    fs::remove_file(defaults.join("vdirbase")).unwrap();
    symlink(&trees, defaults.join("vdirbase")).unwrap();
    symlink(&cache, defaults.join("cachebase")).unwrap();
    set(&host, "fstab", "none /srv tmpfs size=1m 0 0\n", 0o644);
    set(&host, "context.dynamic", "", 0o644);
    set(&host, "files/hosts", "192.0.2.9 of-the-host\n", 0o644);
    set(&host, "files/krb5.conf", "# of the host\n", 0o644);
    set(&host, "apps/build/options", "--hostname\nof.options\n", 0o644);
    let distribution = host.confdir().join(".distributions/mine");
    tree::write(&distribution, "files/krb5.conf", "# of the distribution\n", 0o644);
    let (name, _) = host.fresh();
    host.v(&[name.as_str(), "build", "-m", "skeleton", "--", "-d", "mine"]).ok();
    let (cfg, root) = (host.confdir().join(&name), trees.join(&name));
    assert_eq!(cfg.join("vdir").canonicalize().unwrap(), root.canonicalize().unwrap());
    assert!(fs::read_link(cfg.join("cache")).unwrap().to_string_lossy().contains("cachebase"));
    assert!(!cfg.join("context").exists());
    assert_eq!(fs::read_to_string(cfg.join("fstab")).unwrap(), "none /srv tmpfs size=1m 0 0\n");
    assert_eq!(fs::read_to_string(cfg.join("uts/nodename")).unwrap(), "of.options\n");
    assert_eq!(fs::read_to_string(root.join("etc/hosts")).unwrap(), "192.0.2.9 of-the-host\n");
    assert_eq!(fs::read_to_string(root.join("etc/krb5.conf")).unwrap(), "# of the distribution\n");
    // What was built is a guest that gets a number from those that are handed out.
    tree::busybox(&root);
    tree::write(&cfg, "apps/init/style", "plain\n", 0o644);
    host.v(&[name.as_str(), "start"]).ok();
    host.v(&[name.as_str(), "exec", "grep", " /srv tmpfs ", "/proc/mounts"]).ok();
    let number = fs::read_to_string(cfg.join("run")).unwrap();
    assert!((49_152..=65_534).contains(&number.trim().parse::<u32>().unwrap()), "{number}");
}

/// §5.2, §5.5, §5.6: `flags`, which counts alone only; `fstab.local`, after fstab; `only_ip`.
fn older_names_of_files() {
    let host = Fixture::new();
    let guest = host.guest();
    let host_uptime = || -> f64 {
        let text = fs::read_to_string("/proc/uptime").unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    };
    let uptime = || -> f64 {
        let text = guest.sh("cat /proc/uptime").ok().out.clone();
        text.split(' ').next().unwrap().parse().unwrap()
    };
    guest.set("fstab", "none /srv tmpfs size=1m 0 0\n").set("fstab.local", "none /srv/in tmpfs size=2m 0 0\n");
    guest.set("interfaces/0/ip", "127.0.7.1\n").set("interfaces/0/prefix", "8\n");
    guest.set("interfaces/0/dev", "lo\n").set("interfaces/0/only_ip", "");
    let before = host_uptime();
    guest.set("flags", "~virt_uptime\n").start();
    assert!(uptime() >= before, "the host's");
    // The inner one is not hidden, so it was mounted later.
    guest.sh("grep -c ' /srv' /proc/mounts; grep ' /srv/in ' /proc/mounts").ok().says("size=2048k");
    assert!(!ip("-o addr show dev lo").contains("127.0.7.1"), "it is taken to be there");
    guest.sh("ip -o addr >/dev/null; httpd -p 127.0.7.1:8007 -h /").ok();
    guest.stop();
    let before = host_uptime();
    guest.set("cflags", "hide_mount\n").start();
    assert!(uptime() < before, "its own");
}

/// §5.6: the prefix wins over the mask, an inherited prefix over an own mask; an empty line hides what is inherited.
fn prefix_and_mask() {
    let host = Fixture::new();
    let guest = host.guest();
    for (at, address) in [(0, "10.98.1.1"), (1, "10.98.2.1"), (2, "10.98.3.1")] {
        guest.set(&format!("interfaces/{at}/ip"), &format!("{address}\n"));
    }
    guest.set("interfaces/dev", "lo\n").set("interfaces/prefix", "28\n").set("interfaces/mask", "255.255.0.0\n");
    guest.set("interfaces/1/mask", "255.255.255.0\n").set("interfaces/2/prefix", "\n").start();
    let addresses = guest.sh("ip -o addr show dev lo").ok().out.clone();
    for (index, wanted) in ["10.98.1.1/28", "10.98.2.1/28", "10.98.3.1/16"].iter().enumerate() {
        assert!(addresses.contains(wanted), "{index}: {wanted} in {addresses}");
    }
}

/// §5.6: the host's `vlandev` counts unless the guest or the interface says `novlandev`; an interface's own wins.
fn vlans_and_who_denies_them() {
    let host = Fixture::new();
    set(&host, "interfaces/vlandev", "", 0o644);
    ip("tuntap add dev t1 mode tap");
    ip("link set t1 up");
    let guest = host.guest();
    guest.set("interfaces/prefix", "32\n");
    for (at, dev, address) in [(0, "t1.5", "10.99.12.1"), (1, "t1.6", "10.99.12.2")] {
        guest.set(&format!("interfaces/{at}/ip"), &format!("{address}\n"));
        guest.set(&format!("interfaces/{at}/dev"), &format!("{dev}\n"));
    }
    guest.set("interfaces/1/novlandev", "");
    let devices = || {
        guest.v(&["start"]).ok();
        let all = ip("-o link");
        guest.stop();
        (all.contains("t1.5"), all.contains("t1.6"))
    };
    assert_eq!(devices(), (true, false));
    guest.set("interfaces/novlandev", "");
    assert_eq!(devices(), (false, false));
    fs::remove_file(guest.cfg.join("interfaces/1/novlandev")).unwrap();
    guest.set("interfaces/1/vlandev", "");
    assert_eq!(devices(), (false, true));
    ip("link delete t1");
}

/// §3: `context.next` is the number of the next guest, and counted up.
fn the_number_of_the_next_guest() {
    let host = Fixture::new();
    let ((first, number), (second, _)) = (host.fresh(), host.fresh());
    set(&host, "context.next", &format!("{number}\n"), 0o644);
    for (name, number) in [(&first, number), (&second, number + 1)] {
        host.v(&[name.as_str(), "build", "-m", "skeleton"]).ok();
        let context = fs::read_to_string(host.confdir().join(name).join("context")).unwrap();
        assert_eq!(context.trim(), number.to_string(), "{name}");
    }
    let next = fs::read_to_string(host.confdir().join(".defaults/context.next")).unwrap();
    assert_eq!(next.trim(), (number + 2).to_string());
}

/// An interval of 100 ticks is a second where 100 of them are one.
fn what_a_tick_is() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("cflags", "sched_hard\n").set("sched/fill-rate", "25\n").set("sched/interval", "100\n");
    let period = || {
        guest.start();
        let dir = guest.cgroup("cpu");
        let files = ["cpu.max", "cpu.cfs_period_us"].map(|file| fs::read_to_string(dir.join(file)));
        let text = files.into_iter().find_map(Result::ok).unwrap();
        guest.stop();
        text.split_whitespace().last().unwrap().parse::<u32>().unwrap()
    };
    assert_eq!(period(), 400_000, "250 are a second");
    set(&host, "sched/hz", "100\n", 0o644);
    assert_eq!(period(), 1_000_000);
}

/// §3, §6: with `--defaulttty` the output of post-start scripts goes to the host's `apps/init/tty`, a file here.
fn where_late_output_goes() {
    let host = Fixture::new();
    let guest = host.guest();
    let file = host.scratch("log").join("tty");
    fs::write(&file, "").unwrap();
    fs::create_dir_all(host.confdir().join(".defaults/apps/init")).unwrap();
    symlink(&file, host.confdir().join(".defaults/apps/init/tty")).unwrap();
    tree::write(&guest.cfg, "scripts/post-start", "#!/bin/sh\necho late of $2\n", 0o755);
    let started = host.v(&["--defaulttty", guest.name.as_str(), "start"]);
    assert!(!started.ok().out.contains("late of"), "{started:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("late of {}\n", guest.name));
}

/// §5.1: left out of a start of all guests, and started by its name all the same.
fn a_disabled_guest_is_left_out() {
    let host = Fixture::new();
    let (plain, disabled) = (host.guest(), host.guest());
    disabled.set("disabled", "");
    host.v(&["--all", "start"]).ok();
    assert!(plain.is_running() && !disabled.is_running());
    disabled.start();
    assert!(disabled.is_running());
}
