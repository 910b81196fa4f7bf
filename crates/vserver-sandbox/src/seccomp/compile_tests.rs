//! Runs the compiled filters in a small interpreter of classic BPF and compares every answer with the policy.

use std::sync::LazyLock;

use vserver_sys::process;

use super::super::policy::Refusal;
use super::super::{ALL_SPACES, SeccompMode, numbers};
use super::*;

#[path = "asked_tests.rs"]
mod asked;

const X86_64: u32 = 0xc000_003e;
const AARCH64: u32 = 0xc000_00b7;
const I386: u32 = 0x4000_0003;
const ARM: u32 = 0x4000_0028;
const OURS: u32 = if cfg!(target_arch = "x86_64") { X86_64 } else { AARCH64 };
const X32: u32 = 0x4000_0000;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const NO_FAMILY: u32 = libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT as u32;
const NO_PROTOCOL: u32 = libc::SECCOMP_RET_ERRNO | libc::EPROTONOSUPPORT as u32;

/// All but a user namespace, nesting and a network namespace.
const fn plain(userns: bool, nesting: bool, netns: bool) -> SeccompMode {
    SeccompMode {
        userns,
        nesting,
        netns,
        packets: false,
        firewall: false,
        sctp: false,
        mounts: false,
        remounts: false,
        disks: false,
        images: false,
        spaces: 0,
        utsname: false,
        limits: false,
        sysinfo: false,
        forks: false,
        quotas: false,
        names: false,
        ping: false,
        hide_netif: false,
        syslog: false,
        tiocsti: false,
        igneg_nice: false,
        igneg_ionice: false,
    }
}

const CLASSIC: SeccompMode = plain(false, false, false);
const USER: SeccompMode = plain(true, false, false);
const NESTING: SeccompMode = plain(true, true, false);
const OWN_NET: SeccompMode = plain(true, false, true);
const PACKETS: SeccompMode = SeccompMode { packets: true, ..OWN_NET };

/// `struct seccomp_data` as words: number, architecture, instruction pointer, six arguments.
fn data(number: u32, arch: u32, args: &[u64]) -> [u32; 16] {
    let mut words = [0; 16];
    (words[0], words[1]) = (number, arch);
    for (i, arg) in args.iter().enumerate() {
        words[4 + 2 * i] = *arg as u32;
        words[5 + 2 * i] = (*arg >> 32) as u32;
    }
    words
}

fn program(mode: SeccompMode) -> Result<Program, Error> {
    judging(&Resolved::new(mode)?)
}

/// The instructions that the compiler uses; anything else is a failure of the test.
fn run(program: &Program, data: &[u32; 16]) -> u32 {
    let (mut pc, mut acc) = (0, 0_u32);
    loop {
        let i = program.instructions[pc];
        let taken = |yes: bool| usize::from(if yes { i.jt } else { i.jf });
        pc += 1;
        match i.code {
            0x20 => acc = data[usize::try_from(i.k).unwrap() / 4],
            0x54 => acc &= i.k,
            0x05 => pc += usize::try_from(i.k).unwrap(),
            0x15 => pc += taken(acc == i.k),
            0x25 => pc += taken(acc > i.k),
            0x35 => pc += taken(acc >= i.k),
            0x06 => return i.k,
            code => panic!("instruction {code:#x}"),
        }
    }
}

/// What the kernel does with a stack: `seccomp_run_filters()`, newest first, the lowest action wins.
fn judge(stack: &[Program], data: &[u32; 16]) -> u32 {
    let severity = |answer: u32| (answer & libc::SECCOMP_RET_ACTION_FULL) as i32;
    let newest_first = stack.iter().rev().map(|program| run(program, data));
    newest_first.reduce(|best, next| if severity(next) < severity(best) { next } else { best }).unwrap()
}

/// The stack of one of the modes above, compiled once.
fn stack_of(mode: SeccompMode) -> &'static [Program] {
    static STACKS: LazyLock<Vec<(SeccompMode, Vec<Program>)>> = LazyLock::new(|| {
        [CLASSIC, USER, NESTING, OWN_NET, PACKETS].map(|mode| (mode, vec![program(mode).unwrap()])).into()
    });
    &STACKS.iter().find(|(known, _)| *known == mode).unwrap().1
}

fn ask(mode: SeccompMode, name: &str, args: &[u64]) -> u32 {
    let number = u32::try_from(numbers::number(name).unwrap()).unwrap();
    judge(stack_of(mode), &data(number, OURS, args))
}

#[test]
fn every_number_gets_the_policys_answer_in_every_mode() {
    for mode in [CLASSIC, USER, NESTING, OWN_NET, PACKETS] {
        let (stack, policy) = (vec![program(mode).unwrap()], Resolved::new(mode).unwrap());
        for number in 0..600_u32 {
            let by_argument = policy.refusals.iter().any(|refusal| refusal.number == i64::from(number));
            let expected = match policy.verdicts.get(&i64::from(number)) {
                None => ENOSYS,
                Some(Verdict::Allow) if by_argument => continue,
                Some(Verdict::Allow) => ALLOW,
                Some(Verdict::Refuse(errno)) => libc::SECCOMP_RET_ERRNO | errno,
            };
            assert_eq!(judge(&stack, &data(number, OURS, &[])), expected, "call {number} in {mode:?}");
        }
    }
}

#[test]
fn k27_no_call_by_another_door() {
    for mode in [CLASSIC, NESTING] {
        let stack = [program(mode).unwrap()];
        for number in 0..600 {
            for arch in [I386, ARM, if OURS == X86_64 { AARCH64 } else { X86_64 }] {
                assert_eq!(judge(&stack, &data(number, arch, &[])), ENOSYS, "call {number} of {arch:#x}");
            }
            assert_eq!(judge(&stack, &data(number | X32, OURS, &[])), ENOSYS, "x32 call {number}");
        }
        assert_eq!(judge(&stack, &data(u32::MAX, OURS, &[])), ENOSYS);
    }
}

#[test]
fn never_means_in_no_mode() {
    let calls = [
        "open_by_handle_at",
        "kexec_load",
        "kexec_file_load",
        "init_module",
        "finit_module",
        "delete_module",
        "swapon",
        "swapoff",
        "acct",
        "bpf",
        "perf_event_open",
        "clock_settime",
        "settimeofday",
        "pidfd_getfd",
        "kcmp",
        "quotactl",
        "fanotify_init",
    ];
    for mode in [CLASSIC, USER, NESTING, OWN_NET] {
        for call in calls {
            assert_eq!(ask(mode, call, &[]), EPERM, "{call} in {mode:?}");
        }
        for call in ["io_uring_setup", "userfaultfd"] {
            assert_eq!(ask(mode, call, &[]), ENOSYS, "{call} in {mode:?}");
        }
    }
}

#[test]
fn e11_k24_k32_namespaces_and_mounts_need_nesting() {
    for flag in [0x80, 0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000_u64] {
        for mode in [CLASSIC, USER] {
            assert_eq!(ask(mode, "unshare", &[flag | 0x400]), EPERM, "{flag:#x}");
            let expected = if flag == 0x80 { ALLOW } else { EPERM };
            assert_eq!(ask(mode, "clone", &[flag | 17]), expected, "{flag:#x}");
        }
        assert_eq!(ask(NESTING, "unshare", &[flag]), ALLOW);
        assert_eq!(ask(NESTING, "clone", &[flag | 17]), ALLOW);
    }
    // A thread, a vfork, and unsharing the descriptor table.
    assert_eq!(ask(CLASSIC, "clone", &[0x003d_0f00]), ALLOW);
    assert_eq!(ask(CLASSIC, "clone", &[0x4111]), ALLOW);
    assert_eq!(ask(CLASSIC, "unshare", &[0x400]), ALLOW);
    for (call, answer) in
        [("setns", EPERM), ("mount", EPERM), ("umount2", EPERM), ("pivot_root", EPERM), ("clone3", ENOSYS)]
    {
        assert_eq!(ask(USER, call, &[]), answer, "{call}");
        assert_eq!(ask(NESTING, call, &[]), ALLOW, "{call}");
    }
    for call in ["fsopen", "fsmount", "open_tree", "move_mount", "mount_setattr", "open_tree_attr"] {
        assert_eq!(ask(USER, call, &[]), ENOSYS, "{call}");
        assert_eq!(ask(NESTING, call, &[]), ALLOW, "{call}");
    }
}

#[test]
fn k35_file_handles() {
    assert_eq!(ask(USER, "name_to_handle_at", &[]), EPERM);
    assert_eq!(ask(NESTING, "name_to_handle_at", &[]), ALLOW);
    assert_eq!(ask(NESTING, "open_by_handle_at", &[]), EPERM);
}

#[test]
fn k15_keyrings_only_in_a_user_namespace() {
    for call in ["add_key", "keyctl", "request_key"] {
        assert_eq!(ask(CLASSIC, call, &[]), ENOSYS);
        assert_eq!(ask(USER, call, &[]), ALLOW);
    }
}

#[test]
fn k19_to_k23_families() {
    for mode in [CLASSIC, USER, NESTING, OWN_NET] {
        for family in 0..64 {
            let expected = if [1, 2, 10, 16].contains(&family) { ALLOW } else { NO_FAMILY };
            assert_eq!(ask(mode, "socket", &[family, 3, 0]), expected, "family {family} in {mode:?}");
            let expected = if family == 1 { ALLOW } else { NO_FAMILY };
            assert_eq!(ask(mode, "socketpair", &[family, 1, 0]), expected);
        }
        // The kernel takes an int: what stands above it must not make a difference.
        assert_eq!(ask(mode, "socket", &[1 << 32 | 40, 1, 0]), NO_FAMILY);
        assert_eq!(ask(mode, "socket", &[1 << 32 | 2, 1, 0]), ALLOW);
        assert_eq!(ask(mode, "socket", &[2, 10, 768]), NO_FAMILY, "SOCK_PACKET");
        assert_eq!(ask(mode, "socket", &[2, 0o2_000_000 | 10, 768]), NO_FAMILY, "SOCK_PACKET with SOCK_CLOEXEC");
    }
}

#[test]
fn frames_of_a_stack_of_its_own_pass_its_filter() {
    for family in 0..64 {
        let expected = if [1, 2, 10, 16, 17].contains(&family) { ALLOW } else { NO_FAMILY };
        assert_eq!(ask(PACKETS, "socket", &[family, 3, 0]), expected, "family {family}");
    }
    let without_stack = Resolved::new(SeccompMode { packets: true, ..USER }).unwrap();
    assert_eq!(without_stack.refusals.len(), Resolved::new(USER).unwrap().refusals.len());
    assert_eq!(ask(PACKETS, "setsockopt", &[3, 263, 20]), EPERM);
    assert_eq!(ask(PACKETS, "setsockopt", &[3, 263, 1]), ALLOW);
    assert_eq!(ask(PACKETS, "setsockopt", &[3, 1, 20]), ALLOW);
}

#[test]
fn k28_k30_netlink() {
    for protocol in 0..32 {
        for (mode, allowed) in [(CLASSIC, &[0][..]), (USER, &[0]), (NESTING, &[0, 15]), (OWN_NET, &[0, 4, 15, 16])] {
            let expected = if allowed.contains(&protocol) { ALLOW } else { NO_FAMILY };
            assert_eq!(ask(mode, "socket", &[16, 3, protocol]), expected, "netlink {protocol} in {mode:?}");
        }
    }
}

#[test]
fn k23_packet_filters_where_they_are_its_own() {
    const NETFILTER: [u64; 3] = [16, 3, 12];
    let firewall = SeccompMode { firewall: true, ..OWN_NET };
    assert_eq!(ask_other(firewall, "socket", &NETFILTER), ALLOW);
    assert_eq!(ask_other(firewall, "socket", &[16, 3, 9]), NO_FAMILY);
    assert_eq!(ask_other(firewall, "socket", &[16, 3, 16]), ALLOW);
    for other in [OWN_NET, SeccompMode { netns: false, ..firewall }, SeccompMode { userns: false, ..firewall }] {
        assert_eq!(ask_other(other, "socket", &NETFILTER), NO_FAMILY, "{other:?}");
    }
}

#[test]
fn n19_transports() {
    const TCP: u64 = 6;
    const UDP: u64 = 17;
    const UDP_LITE: u64 = 136;
    for family in [2, 10] {
        let ping = if family == 2 { 1 } else { 58 };
        for (kind, protocols) in [(1, &[0, TCP][..]), (2, &[0, UDP, UDP_LITE, ping])] {
            for protocol in 0..300 {
                let expected = if protocols.contains(&protocol) { ALLOW } else { NO_PROTOCOL };
                for flags in [0, 0o4000, 0o2_000_000] {
                    let answer = ask(CLASSIC, "socket", &[family, kind | flags, protocol]);
                    assert_eq!(answer, expected, "{family} {kind} {protocol}");
                }
            }
        }
        for kind in [4, 5, 6] {
            assert_eq!(ask(CLASSIC, "socket", &[family, kind, 0]), NO_PROTOCOL);
        }
        assert_eq!(ask(CLASSIC, "socket", &[family, 3, 1]), ALLOW, "raw sockets are for CAP_NET_RAW to judge");
    }
}

#[test]
fn n19_sctp_where_no_address_program_is() {
    const SCTP: u64 = 132;
    let with = SeccompMode { sctp: true, ..OWN_NET };
    for mode in [with, SeccompMode { userns: false, ..with }] {
        let (filter, number) = ([program(mode).unwrap()], u32::try_from(numbers::number("socket").unwrap()).unwrap());
        let asked = |args: &[u64]| judge(&filter, &data(number, OURS, args));
        for family in [2, 10] {
            for (kind, others) in [(1, &[0, 6][..]), (5, &[0])] {
                for protocol in 0..300 {
                    let known = protocol == SCTP || others.contains(&protocol);
                    let expected = if known { ALLOW } else { NO_PROTOCOL };
                    for flags in [0, 0o4000, 0o2_000_000] {
                        assert_eq!(asked(&[family, kind | flags, protocol]), expected, "{family} {kind} {protocol}");
                    }
                }
            }
            for kind in [2, 4, 6] {
                assert_eq!(asked(&[family, kind, SCTP]), NO_PROTOCOL, "{family} {kind}");
            }
        }
    }
    for mode in [OWN_NET, SeccompMode { netns: false, ..with }] {
        for (family, kind) in [(2, 1), (2, 5), (10, 1), (10, 5)] {
            assert_eq!(ask_other(mode, "socket", &[family, kind, SCTP]), NO_PROTOCOL, "{mode:?}");
        }
    }
}

#[test]
fn k26_personality() {
    for persona in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        assert_eq!(ask(NESTING, "personality", &[persona]), ALLOW, "{persona:#x}");
    }
    for persona in [0x4_0000, 0x40_0000, 0x40_0008, 0x10_0000, 1] {
        assert_eq!(ask(NESTING, "personality", &[persona]), EPERM, "{persona:#x}");
    }
}

#[test]
fn x08_typing_into_terminals() {
    for request in [0x5412, 0x541c] {
        assert_eq!(ask(NESTING, "ioctl", &[0, request]), EPERM);
        assert_eq!(ask(NESTING, "ioctl", &[0, 1 << 32 | request]), EPERM);
    }
    assert_eq!(ask(CLASSIC, "ioctl", &[0, 0x5401]), ALLOW);
}

#[test]
fn memory_of_others_is_not_moved() {
    assert_eq!(ask(USER, "move_pages", &[1]), EPERM);
    assert_eq!(ask(USER, "move_pages", &[0]), ALLOW);
}

#[test]
fn no_filter_kills() {
    for mode in [CLASSIC, USER, NESTING, OWN_NET] {
        let program = program(mode).unwrap();
        let returns = program.instructions.iter().filter(|i| i.code == 0x06);
        assert!(
            returns
                .map(|i| i.k & libc::SECCOMP_RET_ACTION_FULL)
                .all(|action| { action == libc::SECCOMP_RET_ALLOW || action == libc::SECCOMP_RET_ERRNO })
        );
        assert!(program.instructions.len() < 4096);
    }
}

/// Whether a condition holds, by the words of the policy.
fn holds(condition: &LinuxSeccompArg, args: &[u64]) -> bool {
    let (arg, value) = (args[condition.index()], condition.value());
    match condition.op() {
        Operator::ScmpCmpEq => arg == value,
        Operator::ScmpCmpNe => arg != value,
        Operator::ScmpCmpLt => arg < value,
        Operator::ScmpCmpLe => arg <= value,
        Operator::ScmpCmpGe => arg >= value,
        Operator::ScmpCmpGt => arg > value,
        Operator::ScmpCmpMaskedEq => arg & value == condition.value_two().unwrap_or_default() & value,
    }
}

/// Every combination of the values that the policy names for a call's first three arguments, and of those beside them.
#[test]
fn every_refusal_by_argument_is_the_policys() {
    for mode in [CLASSIC, USER, NESTING, OWN_NET, PACKETS, SeccompMode { mounts: true, igneg_nice: true, ..USER }] {
        let (stack, policy) = ([program(mode).unwrap()], Resolved::new(mode).unwrap());
        let calls: BTreeSet<i64> = policy.refusals.iter().map(|refusal| refusal.number).collect();
        assert!(!calls.is_empty());
        for number in calls {
            let refusals: Vec<_> = policy.refusals.iter().filter(|refusal| refusal.number == number).collect();
            let mut values: [BTreeSet<u64>; 4] = std::array::from_fn(|_| BTreeSet::from([0, u64::from(u32::MAX)]));
            for condition in refusals.iter().flat_map(|refusal| &refusal.conditions) {
                let named = [condition.value(), condition.value_two().unwrap_or_default()];
                values[condition.index()].extend(named.into_iter().flat_map(|value| [value, value + 1]));
            }
            for (a, b) in values[0].iter().flat_map(|a| values[1].iter().map(move |b| (*a, *b))) {
                for (c, d) in values[2].iter().flat_map(|c| values[3].iter().map(move |d| (*c, *d))) {
                    let args = [a, b, c, d].map(|arg| arg & u64::from(u32::MAX));
                    let refused = |refusal: &&&Refusal| refusal.conditions.iter().all(|one| holds(one, &args));
                    let errno = refusals.iter().filter(refused).map(|refusal| refusal.errno).max();
                    let expected = errno.map_or(ALLOW, |errno| libc::SECCOMP_RET_ERRNO | errno);
                    let found = judge(&stack, &data(number as u32, OURS, &args));
                    assert_eq!(found, expected, "call {number} with {args:?} in {mode:?}");
                }
            }
        }
    }
}

/// Not one of the four modes above: compiled for this question.
fn ask_other(mode: SeccompMode, name: &str, args: &[u64]) -> u32 {
    let number = u32::try_from(numbers::number(name).unwrap()).unwrap();
    judge(&[program(mode).unwrap()], &data(number, OURS, args))
}

const EMPTY_SUCCESS: u32 = libc::SECCOMP_RET_ERRNO;

#[test]
fn the_kernel_log_is_empty_and_never_waited_for() {
    for action in [0, 1, 3, 4, 9, 10] {
        assert_eq!(ask(USER, "syslog", &[action, 0, 0]), EMPTY_SUCCESS);
    }
    assert_eq!(ask(USER, "syslog", &[2, 0, 0]), EPERM);
    let shown = SeccompMode { syslog: true, ..USER };
    assert_eq!(ask_other(shown, "syslog", &[3, 0, 0]), ALLOW);
}

#[test]
fn only_the_wishes_that_are_to_be_ignored_are() {
    let mode = SeccompMode { igneg_nice: true, igneg_ionice: true, ..USER };
    let minus_five = u64::from((-5_i32).cast_unsigned());
    assert_eq!(ask_other(mode, "setpriority", &[0, 0, minus_five]), EMPTY_SUCCESS);
    assert_eq!(ask_other(mode, "setpriority", &[0, 0, 5]), ALLOW);
    assert_eq!(ask(USER, "setpriority", &[0, 0, minus_five]), ALLOW);
    assert_eq!(ask_other(mode, "ioprio_set", &[1, 0, 1 << 13 | 4]), EMPTY_SUCCESS);
    assert_eq!(ask_other(mode, "ioprio_set", &[1, 0, 2 << 13]), ALLOW);
    assert_eq!(ask_other(mode, "ioprio_set", &[1, 0, 3 << 13]), ALLOW);
}

#[test]
fn each_namespace_for_itself() {
    let mode = SeccompMode { spaces: process::NEWUTS, ..USER };
    assert_eq!(ask_other(mode, "unshare", &[process::NEWUTS]), ALLOW);
    assert_eq!(ask_other(mode, "unshare", &[process::NEWUTS | process::NEWNS]), EPERM);
    assert_eq!(ask_other(mode, "clone3", &[0, 0]), ENOSYS);
    assert_eq!(ask_other(SeccompMode { spaces: ALL_SPACES, ..USER }, "clone3", &[0, 0]), ALLOW);
    assert_eq!(ask_other(SeccompMode { spaces: ALL_SPACES, ..CLASSIC }, "unshare", &[process::NEWUSER]), EPERM);
}

#[test]
fn mounting_and_remounting_are_two_rights() {
    const REMOUNT: u64 = 32;
    let (mounts, remounts) = (SeccompMode { mounts: true, ..USER }, SeccompMode { remounts: true, ..USER });
    assert_eq!(ask_other(mounts, "mount", &[0, 0, 0, 0]), ALLOW);
    assert_eq!(ask_other(mounts, "mount", &[0, 0, 0, REMOUNT]), EPERM);
    assert_eq!(ask_other(remounts, "mount", &[0, 0, 0, 0]), EPERM);
    assert_eq!(ask_other(remounts, "mount", &[0, 0, 0, REMOUNT]), ALLOW);
    assert_eq!(ask_other(mounts, "umount2", &[]), ALLOW);
    assert_eq!(ask_other(remounts, "umount2", &[]), EPERM);
    for mode in [
        SeccompMode { mounts: true, ..CLASSIC },
        SeccompMode { disks: true, ..CLASSIC },
        SeccompMode { images: true, ..CLASSIC },
    ] {
        assert_eq!(ask_other(mode, "mount", &[0, 0, 0, 0]), EPERM);
        assert!(asking(&Resolved::new(mode).unwrap()).unwrap().is_none());
    }
}
