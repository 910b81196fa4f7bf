//! K01–K33: the kernel's control surface, from inside, in both modes. Each answer is the kernel's own; what makes it is
//! in `sandbox::seccomp` and `sandbox::policy`.

use super::bench::{BOTH, Mode, guest};
use crate::fixture::{Fixture, eventually};
use crate::trial::Trial;

/// A check of the probe and the answers that are right, for both modes.
type Row = (&'static str, &'static [&'static str]);

macro_rules! rows {
    ($($name:literal: [$(($check:literal, $answers:expr)),+ $(,)?]),+ $(,)?) => {
        vec![$(Trial::new($name, || all_hold(&[$(($check, &$answers)),+]))),+]
    };
}

/// Every row.
pub fn tests() -> Vec<Trial> {
    const NONE: [&str; 1] = ["EPERM"];
    const UNKNOWN: [&str; 1] = ["ENOSYS"];
    const NO_FAMILY: [&str; 1] = ["EAFNOSUPPORT"];
    const GONE: [&str; 2] = ["ENOENT", "EACCES"];
    let mut all = rows! {
        "security::k01_bad_reboot_is_refused": [("reboot_badmagic", ["EINVAL", "EPERM"])],
        "security::k02_kexec": [("kexec_load", NONE), ("kexec_file_load", NONE)],
        "security::k03_modules": [("init_module", NONE), ("finit_module", NONE), ("delete_module", NONE),
            ("socket_sweep", ["1,2,10,16"])],
        "security::k04_swap": [("swapon", NONE), ("swapoff", NONE)],
        "security::k05_clock": [("clock_settime", NONE), ("settimeofday", NONE), ("adjtimex", NONE)],
        "security::k06_sysctls": [("sysctl_write", ["HELD"])],
        "security::k07_helpers_of_the_kernel": [("modprobe_path", ["ENOENT", "EACCES", "EROFS"]), ("core_pattern", ["EACCES", "EROFS"])],
        "security::k08_sysrq": [("sysrq", ["ENOENT", "EACCES", "EROFS"])],
        // EMPTY: the mask is an empty file of ours, which classic root may open.
        "security::k09_kernel_log": [("syslog", ["EMPTY"]), ("syslog_wait", NONE), ("kmsg", ["EACCES", "ENOENT", "EMPTY"])],
        "security::k10_memory_and_ports": [("mem", GONE), ("port", GONE), ("kcore", ["ENOENT", "EACCES", "EMPTY"]),
            ("iopl", NONE), ("ioperm", NONE)],
        "security::k11_bpf": [("bpf", NONE)],
        "security::k12_perf": [("perf_event_open", NONE)],
        "security::k13_io_uring": [("io_uring_setup", UNKNOWN)],
        "security::k14_userfaultfd": [("userfaultfd", UNKNOWN)],
        "security::k16_other_processes": [("ptrace_child", ["OK"]), ("pidfd_getfd", NONE), ("kcmp", NONE)],
        "security::k17_quota_and_accounting": [("quotactl", NONE), ("acct", NONE)],
        "security::k18_fanotify": [("fanotify_init", NONE)],
        "security::k19_af_alg": [("af_alg", NO_FAMILY)],
        "security::k20_af_vsock": [("af_vsock", NO_FAMILY)],
        "security::k21_af_packet": [("af_packet", NO_FAMILY), ("sock_packet", NO_FAMILY)],
        "security::k22_rare_families": [("af_rxrpc", NO_FAMILY), ("af_key", NO_FAMILY), ("netlink_xfrm", NO_FAMILY),
            ("smc", ["EPROTONOSUPPORT", "EAFNOSUPPORT"])],
        "security::k23_netfilter": [("netlink_netfilter", NO_FAMILY)],
        "security::k24_mount_calls": [("fsopen", UNKNOWN), ("fsconfig", UNKNOWN), ("fsmount", UNKNOWN),
            ("fspick", UNKNOWN), ("open_tree", UNKNOWN), ("move_mount", UNKNOWN), ("mount_setattr", UNKNOWN)],
        "security::k26_personality": [("personality_norandomize", NONE), ("personality_exec", NONE)],
        "security::k27_other_tables": [("int80_vsock", UNKNOWN), ("int80_getpid", UNKNOWN), ("x32_getpid", UNKNOWN)],
        "security::k28_uevents": [("netlink_uevent", NO_FAMILY), ("uevent", ["HELD"])],
        "security::k29_no_sysfs": [("mount_sysfs", NONE), ("uevent", ["HELD"])],
        "security::k30_audit": [("netlink_audit", NO_FAMILY)],
        "security::k31_priorities": [("nice", ["EACCES", "EPERM"]), ("sched_fifo", NONE), ("ioprio_rt", NONE),
            ("oom_score", ["EACCES", "EPERM"])],
        "security::k32_namespaces": [("unshare_user", NONE), ("unshare_ns", NONE), ("clone_user", NONE),
            ("clone3_user", UNKNOWN), ("setns_bad", NONE), ("pivot_root", NONE)],
        "security::k33_proc_hides_what_is_not_listed": [("proc_hidden", ["HELD"]), ("chmod_proc", ["HELD"])],
    };
    all.extend([
        Trial::new("security::k01_reboot_ends_the_guest_only", reboot),
        Trial::new("security::k15_keys", keys),
        Trial::new("security::k25_unknown_calls", unknown_calls),
    ]);
    all
}

fn all_hold(rows: &[Row]) {
    let host = Fixture::new();
    for mode in BOTH {
        let guest = guest(&host, mode);
        guest.start();
        for (check, right) in rows {
            let answer = guest.exec(&["/probe", check]).ok().out.trim().to_owned();
            assert!(right.contains(&answer.as_str()), "{mode:?} {check}: {answer}, right is {right:?}");
        }
        guest.stop();
    }
}

/// The call that reboots a machine ends the guest, which starts again; the host goes on.
fn reboot() {
    let uptime =
        || std::fs::read_to_string("/proc/uptime").unwrap().split('.').next().unwrap().parse::<u64>().unwrap();
    let host = Fixture::new();
    for mode in BOTH {
        let guest = guest(&host, mode);
        guest.start();
        let (before, init) = (uptime(), guest.init());
        guest.sh("reboot -f");
        eventually("another init runs", std::time::Duration::from_secs(10), || {
            guest.is_running() && guest.init() != init
        });
        assert!(uptime() >= before, "the host has rebooted");
        guest.stop();
    }
}

/// Not namespaced by the kernel: none in classic mode, and with a user namespace nobody finds another's.
fn keys() {
    let host = Fixture::new();
    let classic = guest(&host, Mode::Classic);
    classic.start();
    assert_eq!(classic.exec(&["/probe", "keyctl"]).out.trim(), "ENOSYS");
    let (one, two) = (guest(&host, Mode::User), guest(&host, Mode::User));
    one.start();
    two.start();
    one.exec(&["/probe", "key_add", "secret-of-one"]).ok();
    let found = two.exec(&["/probe", "key_find", "secret-of-one"]).out;
    assert_ne!(found.trim(), "OK", "another guest's key was found");
}

/// What this policy does not know does not exist: no number above the table is answered by the kernel itself.
fn unknown_calls() {
    let host = Fixture::new();
    for mode in BOTH {
        let guest = guest(&host, mode);
        guest.start();
        let answers = guest.exec(&["/probe", "syscall", "480", "600"]).ok().out.clone();
        assert!(answers.contains("ENOSYS=121") && answers.trim().ends_with("other="), "{mode:?} {answers}");
    }
}
