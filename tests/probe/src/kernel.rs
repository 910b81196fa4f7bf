//! Calls that reach the kernel as a whole: power, modules, swap, clock, log, memory, tracing.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;

use crate::answer::{Answer, address, address_mut, call, call_fd, number};
use crate::{Check, check, with};

const AT_CWD: i64 = libc::AT_FDCWD as i64;
const BAD: i64 = -1;

pub const CHECKS: &[Check] = &[
    check("K01", "reboot_badmagic", |_| call(libc::SYS_reboot, &[0, 0, 0, 0]).into()),
    check("K02", "kexec_load", |_| call(libc::SYS_kexec_load, &[0, 0, 0, BAD]).into()),
    check("K02", "kexec_file_load", |_| call(libc::SYS_kexec_file_load, &[BAD, BAD, 0, 0, BAD]).into()),
    check("K03", "init_module", |_| call(libc::SYS_init_module, &[0, 0, address(c"")]).into()),
    check("K03", "finit_module", |_| call(libc::SYS_finit_module, &[BAD, address(c""), BAD]).into()),
    check("K03", "delete_module", |_| call(libc::SYS_delete_module, &[address(c"probe_none"), 0o4000]).into()),
    check("K04", "swapon", |_| call(libc::SYS_swapon, &[address(c"/nonexistent"), 0]).into()),
    check("K04", "swapoff", |_| call(libc::SYS_swapoff, &[address(c"/nonexistent")]).into()),
    check("K05", "clock_settime", |_| clock_settime()),
    check("K05", "settimeofday", |_| settimeofday()),
    check("K05", "adjtimex", |_| adjtimex()),
    check("K08", "sysrq", |_| open_for_writing("/proc/sysrq-trigger")),
    check("K09", "syslog", |_| log_size()),
    check("K09", "syslog_wait", |_| call(libc::SYS_syslog, &[2, 0, 0]).into()),
    check("K09", "kmsg", |_| read_first(&["/dev/kmsg", "/proc/kmsg"])),
    check("K10", "mem", |_| read_first(&["/dev/mem"])),
    check("K10", "port", |_| read_first(&["/dev/port"])),
    check("K10", "kcore", |_| read_first(&["/proc/kcore"])),
    check("K10", "iopl", |_| iopl()),
    check("K10", "ioperm", |_| ioperm()),
    check("K11", "bpf", |_| bpf()),
    check("K12", "perf_event_open", |_| perf_event_open()),
    check("K13", "io_uring_setup", |_| io_uring_setup()),
    check("K14", "userfaultfd", |_| call_fd(libc::SYS_userfaultfd, &[i64::from(libc::O_CLOEXEC) | 1])),
    check("K15", "keyctl", |_| call(libc::SYS_keyctl, &[0, -4, 0]).into()),
    check("K15", "request_key", |_| {
        call(libc::SYS_request_key, &[address(c"user"), address(c"probe-none"), 0, 0]).into()
    }),
    with("K15", "key_add", "DESCRIPTION", key_add),
    with("K15", "key_find", "DESCRIPTION", key_find),
    check("K17", "quotactl", |_| {
        call(libc::SYS_quotactl, &[0x0080_0004 << 8, address(c"/nonexistent"), 0, 0]).into()
    }),
    check("K17", "acct", |_| call(libc::SYS_acct, &[address(c"/nonexistent")]).into()),
    check("K18", "fanotify_init", |_| call_fd(libc::SYS_fanotify_init, &[0, 0])),
    with("K25", "syscall", "FROM [TO]", syscalls),
    check("K26", "personality_norandomize", |_| personality(0x4_0000)),
    check("K26", "personality_exec", |_| personality(0x40_0000)),
    check("K34", "setxattr_security", |_| setxattr(c"security.probe", b"x")),
    check("K34", "setxattr_trusted", |_| setxattr(c"trusted.probe", b"x")),
    // struct vfs_cap_data, revision 2: CAP_CHOWN permitted.
    check("K34", "setxattr_capability", |_| setxattr(c"security.capability", &CAP_CHOWN)),
    check("K34", "immutable", |_| immutable()),
    check("K35", "name_to_handle_at", |_| name_to_handle_at()),
    check("K35", "move_pages_of_init", |_| call(libc::SYS_move_pages, &[1, 0, 0, 0, 0, 0]).into()),
    check("K35", "lookup_dcookie", |_| call(libc::SYS_lookup_dcookie, &[]).into()),
    check("K35", "modify_ldt", |_| modify_ldt()),
    check("K35", "uselib", |_| uselib()),
];

const CAP_CHOWN: [u8; 20] = [0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub fn open_for_writing(path: &str) -> Answer {
    fs::File::options().write(true).open(path).into()
}

/// Sets the clock to what it is.
fn clock_settime() -> Answer {
    let mut now = [0_i64; 2];
    let _ = call(libc::SYS_clock_gettime, &[0, address_mut(&mut now)]);
    call(libc::SYS_clock_settime, &[0, address(&now)]).into()
}

fn settimeofday() -> Answer {
    let mut now = [0_i64; 2];
    let _ = call(libc::SYS_gettimeofday, &[address_mut(&mut now), 0]);
    call(libc::SYS_settimeofday, &[address(&now), 0]).into()
}

/// Sets the length of a tick to what it is.
fn adjtimex() -> Answer {
    const ADJ_TICK: libc::c_uint = 0x4000;
    // SAFETY: struct timex holds numbers only, and all-zero is a read request.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    let _ = call(libc::SYS_adjtimex, &[address_mut(&mut timex)]);
    timex.modes = ADJ_TICK;
    call(libc::SYS_adjtimex, &[address_mut(&mut timex)]).into()
}

/// Opens and reads: a masked file is empty.
fn read_first(paths: &[&str]) -> Answer {
    let open = |path: &&str| fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    match paths.iter().map(open).reduce(|first, next| if first.is_ok() { first } else { next }) {
        Some(Ok(mut file)) => match file.read(&mut [0; 4096]) {
            Ok(0) => Answer::Text("EMPTY".to_owned()),
            result => result.into(),
        },
        Some(Err(error)) => Err::<(), _>(error).into(),
        None => Answer::Ok,
    }
}

#[cfg(target_arch = "x86_64")]
fn iopl() -> Answer {
    call(libc::SYS_iopl, &[3]).into()
}

#[cfg(target_arch = "x86_64")]
fn ioperm() -> Answer {
    call(libc::SYS_ioperm, &[0x80, 1, 1]).into()
}

#[cfg(target_arch = "x86_64")]
fn modify_ldt() -> Answer {
    let mut entries = [0_u64; 8];
    call(libc::SYS_modify_ldt, &[0, address_mut(&mut entries), 64]).into()
}

#[cfg(target_arch = "x86_64")]
fn uselib() -> Answer {
    call(libc::SYS_uselib, &[address(c"/nonexistent")]).into()
}

#[cfg(not(target_arch = "x86_64"))]
use absent::{ioperm, iopl, modify_ldt, uselib};

/// Calls that only x86 has.
#[cfg(not(target_arch = "x86_64"))]
mod absent {
    use super::{Answer, Errno};

    pub fn iopl() -> Answer {
        Answer::Refused(Errno::ENOSYS)
    }
    pub use iopl as ioperm;
    pub use iopl as modify_ldt;
    pub use iopl as uselib;
}

/// A map of one element.
fn bpf() -> Answer {
    const ARRAY: u32 = 2;
    let attributes: [u32; 16] = [ARRAY, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    call_fd(libc::SYS_bpf, &[0, address(&attributes), size_of_val(&attributes) as i64])
}

/// The CPU clock of the caller, in user space only.
fn perf_event_open() -> Answer {
    let mut attributes = [0_u32; 28];
    (attributes[0], attributes[1]) = (1, size_of_val(&attributes) as u32);
    attributes[10] = 1 << 5 | 1 << 6;
    call_fd(libc::SYS_perf_event_open, &[address(&attributes), 0, -1, -1, 0])
}

fn io_uring_setup() -> Answer {
    let mut parameters = [0_u32; 30];
    call_fd(libc::SYS_io_uring_setup, &[1, address_mut(&mut parameters)])
}

/// Adds a key to the keyring of the user; expires in a minute.
fn key_add(args: &[String]) -> Answer {
    let name = format!("{}\0", args.first().map_or("probe", String::as_str));
    let key = call(libc::SYS_add_key, &[address(c"user"), address(name.as_str()), address(b"x"), 1, -4]);
    if let Ok(key) = key {
        let _ = call(libc::SYS_keyctl, &[15, key, 60]);
    }
    key.into()
}

/// Looks for a key in the keyring of the user.
fn key_find(args: &[String]) -> Answer {
    let name = format!("{}\0", args.first().map_or("probe", String::as_str));
    call(libc::SYS_keyctl, &[10, -4, address(c"user"), address(name.as_str()), 0]).into()
}

/// Calls by number with arguments that no call accepts, each in a child. How many were unknown and refused; the rest
/// one by one. `OK` anywhere means that a call did something.
fn syscalls(args: &[String]) -> Answer {
    let from = number(args, 0, 0);
    let (mut unknown, mut refused, mut other) = (0, 0, Vec::new());
    for nr in from..=number(args, 1, from) {
        match crate::processes::answer_of_child(|| call(nr, &[BAD; 6]).map(drop)) {
            Answer::Refused(Errno::ENOSYS) => unknown += 1,
            Answer::Refused(Errno::EPERM) => refused += 1,
            answer => other.push(format!("{nr}:{answer}")),
        }
    }
    Answer::Text(format!("ENOSYS={unknown} EPERM={refused} other={}", other.join(",")))
}

fn personality(flag: i64) -> Answer {
    let result = call(libc::SYS_personality, &[flag]);
    if let Ok(before) = result {
        let _ = call(libc::SYS_personality, &[before]);
    }
    result.into()
}

fn setxattr(name: &std::ffi::CStr, value: &[u8]) -> Answer {
    on_own_file(|path, _| {
        let path = format!("{path}\0");
        call(libc::SYS_setxattr, &[address(path.as_str()), address(name), address(value), value.len() as i64, 0])
    })
}

fn immutable() -> Answer {
    on_own_file(|_, file| {
        let fd = i64::from(std::os::fd::AsRawFd::as_raw_fd(file));
        let (on, off): (libc::c_long, libc::c_long) = (0x10, 0);
        let result = call(libc::SYS_ioctl, &[fd, libc::FS_IOC_SETFLAGS as i64, address(&on)]);
        let _ = call(libc::SYS_ioctl, &[fd, libc::FS_IOC_SETFLAGS as i64, address(&off)]);
        result
    })
}

/// On a new file in the guest's root, which is removed again.
fn on_own_file(body: impl FnOnce(&str, &fs::File) -> Result<i64, Errno>) -> Answer {
    let path = format!("/probe-file-{}", std::process::id());
    let result = fs::File::create(&path).map(|mut file| {
        let _ = file.write_all(b"x");
        body(&path, &file)
    });
    let _ = fs::remove_file(&path);
    match result {
        Ok(result) => result.into(),
        Err(error) => Err::<(), _>(error).into(),
    }
}

fn name_to_handle_at() -> Answer {
    let mut handle = [0_u32; 34];
    handle[0] = 128;
    let mut mount = 0_i32;
    call(libc::SYS_name_to_handle_at, &[AT_CWD, address(c"/"), address_mut(&mut handle), address_mut(&mut mount), 0])
        .into()
}

/// How much the kernel log holds: `EMPTY`, or its size.
fn log_size() -> Answer {
    match call(libc::SYS_syslog, &[10, 0, 0]) {
        Ok(0) => Answer::Text("EMPTY".to_owned()),
        Ok(size) => Answer::Text(format!("OK {size}")),
        Err(errno) => Answer::Refused(errno),
    }
}
