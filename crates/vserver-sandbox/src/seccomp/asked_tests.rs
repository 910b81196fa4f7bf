//! Which calls wait for the supervisor's answer.

use super::*;

#[test]
fn files_are_mounted_by_the_supervisor_as_devices_are() {
    let (judges, asks) = super::super::super::filters(SeccompMode { images: true, ..USER }).unwrap();
    let stack = [judges, asks.unwrap()];
    let asked = |name: &str, args: &[u64]| judge(&stack, &data(number(name), OURS, args));
    assert_eq!(asked("mount", &[1, 1, 1, 0, 0]), libc::SECCOMP_RET_USER_NOTIF);
    assert_eq!(asked("fsopen", &[1, 1]), libc::SECCOMP_RET_USER_NOTIF);
    assert_eq!((asked("umount2", &[]), asked("mount", &[1, 1, 0, 4096, 0])), (ALLOW, ALLOW));
    // As loop(4) has them.
    for command in [0x4C00, 0x4C01, 0x4C04, 0x4C05, 0x4C0A, 0x4C82] {
        assert_eq!(asked("ioctl", &[3, command, 1]), libc::SECCOMP_RET_USER_NOTIF, "{command:#x}");
        assert_eq!(ask_other(SeccompMode { disks: true, ..USER }, "ioctl", &[3, command, 1]), ALLOW);
    }
    for command in [0x4C02, 0x4C03, 0x4C06, 0x4C08, 0x4C80, 0x5401, 0x5413] {
        assert_eq!(asked("ioctl", &[3, command, 1]), ALLOW, "{command:#x}");
    }
}

/// Of a call, by its name.
fn number(name: &str) -> u32 {
    u32::try_from(numbers::number(name).unwrap()).unwrap()
}

#[test]
fn what_the_supervisor_answers_is_asked_and_nothing_else() {
    let net = SeccompMode { ping: true, hide_netif: true, ..USER };
    let mode = SeccompMode { utsname: true, names: true, limits: true, sysinfo: true, ..net };
    let mode = SeccompMode { quotas: true, disks: true, ..mode };
    let (judges, asks) = super::super::super::filters(mode).unwrap();
    let stack = vec![judges, asks.unwrap()];
    let asked = |name: &str, args: &[u64]| {
        let number = u32::try_from(numbers::number(name).unwrap()).unwrap();
        judge(&stack, &data(number, OURS, args)) == libc::SECCOMP_RET_USER_NOTIF
    };
    assert!(asked("sethostname", &[1, 2]) && asked("setdomainname", &[1, 2]));
    assert!(asked("prlimit64", &[0, 7, 0x7fff_0000_1000, 0]) && asked("setrlimit", &[7, 1]));
    assert!(!asked("prlimit64", &[0, 7 | vserver_sys::prlimit::UNASKED, 0x7fff_0000_1000, 0]));
    assert!(!asked("prlimit64", &[0, 7, 0, 1]) && !asked("getrlimit", &[7, 1]));
    assert!(asked("sysinfo", &[1]));
    let forking = super::super::super::filters(SeccompMode { forks: true, ..NESTING }).unwrap();
    let forking = [forking.0, forking.1.unwrap()];
    let forks = |name: &str, flags: u64| {
        let number = u32::try_from(numbers::number(name).unwrap()).unwrap();
        judge(&forking, &data(number, OURS, &[flags])) == libc::SECCOMP_RET_USER_NOTIF
    };
    assert!(["fork", "vfork", "clone3"].iter().all(|name| forks(name, 0) && !asked(name, &[0])));
    assert!(forks("clone", 17) && !forks("clone", 0x0001_0f00) && !asked("clone", &[17]));
    assert!(asked("quotactl", &[0x8000_0700, 1, 0, 1]) && asked("quotactl_fd", &[3, 0x8000_0700, 0, 1]));
    assert!(
        asked("mount", &[1, 1, 1, 0, 0]) && asked("mount", &[1, 1, 1, 0xC0ED_0001, 0]) && asked("fsopen", &[1, 1])
    );
    // MS_BIND, MS_MOVE, MS_REC | MS_SLAVE, MS_SHARED.
    for flags in [4096, 8192, 1 << 14 | 1 << 19, 1 << 20, 0xC0ED_0000 | 4096] {
        assert!(!asked("mount", &[1, 1, 0, flags, 0]), "{flags:#x}");
    }
    // With SOCK_CLOEXEC and SOCK_NONBLOCK, too.
    assert!(asked("socket", &[2, 2 | 0o2_004_000, 1]) && asked("socket", &[10, 2, 58]));
    assert!(asked("socket", &[2, 3, 1]) && asked("socket", &[10, 3, 58]));
    assert!(asked("socket", &[2, 2, 136]) && asked("socket", &[10, 2 | 0o2_000_000, 136]));
    assert!(asked("socket", &[16, 3 | 0o2_004_000, 0]) && asked("socket", &[16, 2, 0]));
    for other in [[16, 1, 0], [16, 3, 4], [16, 3, 15]] {
        assert!(!asked("socket", &other), "{other:?}");
    }
    for other in [[2, 2, 17], [2, 2, 0], [2, 1, 1], [2, 3, 255], [10, 2, 1], [10, 3, 1], [1, 2, 1]] {
        assert!(!asked("socket", &other), "{other:?}");
    }
    // Nobody writes the header of a raw socket's packets.
    for option in [[3, 0, 3], [3, 41, 36], [3, 255, 36]] {
        assert_eq!(ask(USER, "setsockopt", &option), EPERM, "{option:?}");
        assert_eq!(ask(OWN_NET, "setsockopt", &option), ALLOW, "{option:?}");
    }
    assert_eq!(ask(USER, "setsockopt", &[3, 1, 3]), ALLOW);
    assert_eq!(judge(&stack, &data(0, OURS, &[])), ALLOW);
    assert_eq!(judge(&stack, &data(0, I386, &[])), ENOSYS);
    // A refusal is not asked about.
    let refused = SeccompMode { utsname: false, ..mode };
    let questions = Resolved::new(refused).unwrap().questions;
    assert!(questions.iter().all(|question| question.number != numbers::number("sethostname").unwrap()));
    assert!(asking(&Resolved::new(USER).unwrap()).unwrap().is_none());
}
