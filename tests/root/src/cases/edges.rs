//! Limits that are smaller than what a start needs, or wider than what the host has.

use vserver_types::Capability;

use crate::fixture::{Fixture, Guest};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("edges::fewer_open_files_than_a_start_needs", fewer_open_files_than_a_start_needs),
        Trial::new("edges::fewer_open_files_where_limits_are_asked_for", fewer_open_files_where_limits_are_asked_for),
        Trial::new("edges::what_fails_in_the_guest_is_told_once", what_fails_in_the_guest_is_told_once),
        Trial::new("edges::a_cpuset_wider_than_the_host", a_cpuset_wider_than_the_host),
        Trial::new("edges::a_cpuset_beside_the_host", a_cpuset_beside_the_host),
    ]
}

/// Soft and hard limit of open files of a process, as the guest's kernel shows them.
fn files_of(guest: &Guest<'_>, pid: &str) -> Vec<String> {
    let limits = guest.sh(&format!("cat /proc/{pid}/limits")).ok().out.clone();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned();
    line.split_whitespace().skip(3).take(2).map(str::to_owned).collect()
}

/// compat/config-tree.md §5.3.2: a limit is of the guest's processes, however few it leaves; what raises the guest has its own.
fn fewer_open_files_than_a_start_needs() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("ulimits/nofile.soft", "8\n").set("ulimits/nofile.hard", "64\n").start();
    for pid in ["1", "self"] {
        assert_eq!(files_of(&guest, pid), ["8", "64"], "process {pid}");
    }
    assert_eq!(guest.v(&["suexec", "1000", "sh", "-c", "ulimit -n; ulimit -Hn"]).ok().out, "8\n64\n");
    guest.stop();
    // Its static init needs no more than what it is born with.
    guest.set("ulimits/nofile.soft", "4\n").set("ulimits/nofile.hard", "4\n").start();
    assert_eq!(files_of(&guest, "1"), ["4", "4"]);
}

/// The same where every change of a limit goes by the supervisor, which does not listen before the guest lives.
fn fewer_open_files_where_limits_are_asked_for() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("ccapabilities", "set_rlimit\n").set("ulimits/nofile", "8\n").set("rlimits/nofile", "200\n").start();
    assert_eq!(files_of(&guest, "1"), ["8", "8"]);
    // Raised it is where the host's root may.
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let held = own.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim().to_owned();
    let may = u64::from_str_radix(&held, 16).unwrap() & 1 << Capability::SYS_RESOURCE.0 != 0;
    assert_eq!(guest.sh("ulimit -n 100 && ulimit -Hn").out, if may { "100\n" } else { "" });
}

/// One sentence, with the guest's name once.
fn what_fails_in_the_guest_is_told_once() {
    let host = Fixture::new();
    let guest = host.guest();
    std::fs::write(guest.root.join("bin/broken"), "no program\n").unwrap();
    std::fs::set_permissions(guest.root.join("bin/broken"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    guest.set("apps/init/cmd.start", "/bin/broken\n");
    let refused = guest.v(&["start"]);
    refused.exits(1).says("cannot execute /bin/broken in the guest");
    assert_eq!(refused.err.matches(&guest.name).count(), 1, "{}", refused.err);
}

/// What the guest's processes may use, as its kernel shows it.
fn allowed(guest: &Guest<'_>, key: &str) -> String {
    let status = guest.sh("cat /proc/self/status").ok().out.clone();
    status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned()
}

/// compat/config-tree.md §5.3.5: a cpuset that cannot be had is a warning. From a host with more CPUs a guest brings a list of
/// which some are there: it has those.
fn a_cpuset_wider_than_the_host() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("cpuset/name", "of-another-host\n").set("cpuset/cpus", "0,700-900\n").set("cpuset/mems", "0,60\n");
    let started = guest.v(&["start"]);
    started.ok().says("cpuset/cpus is only partly enforced: this host has only 0 of '0,700-900'");
    started.says("cpuset/mems");
    assert_eq!(allowed(&guest, "Cpus_allowed_list:"), "0");
    assert_eq!(allowed(&guest, "Mems_allowed_list:"), "0");
    guest.stop();
    guest.v(&["start", "--strict"]).exits(1).says("cpuset/cpus");
}

/// The same: with none of its CPUs there it runs on those of the host, and the start says so.
fn a_cpuset_beside_the_host() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("cpuset/name", "of-another-host\n").set("cpuset/cpus", "700-900\n");
    let plain = host.guest();
    plain.start();
    guest.v(&["start"]).ok().says("cpuset/cpus is not enforced");
    assert_eq!(allowed(&guest, "Cpus_allowed_list:"), allowed(&plain, "Cpus_allowed_list:"));
}
