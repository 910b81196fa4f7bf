//! Kernel settings through `/proc` and `/sys`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::answer::{Answer, address, call};
use crate::kernel::open_for_writing;
use crate::{Check, check, with};

pub const CHECKS: &[Check] = &[
    with("K06", "sysctl_write_all", "[PERMITTED…]", sysctl_write_all),
    check("K06", "sysctl_write", |_| sysctl_write_all(&[])),
    check("K07", "modprobe_path", |_| open_for_writing("/proc/sys/kernel/modprobe")),
    check("E15", "core_pattern", |_| open_for_writing("/proc/sys/kernel/core_pattern")),
    check("E16", "binfmt_register", |_| open_for_writing("/proc/sys/fs/binfmt_misc/register")),
    check("K28", "uevent", |_| writable_below_sys()),
    check("K33", "proc_hidden", |_| proc_hidden()),
    check("", "file_capability", |_| security_attribute(c"security.capability")),
    check("", "file_label", |_| security_attribute(c"security.probe")),
    check("K36", "chmod_proc", |_| chmod_proc()),
];

/// Of the guest's own UTS and IPC namespaces.
const PERMITTED: &[&str] =
    &["kernel/hostname", "kernel/domainname", "kernel/msg", "kernel/sem", "kernel/shm", "fs/mqueue/"];

/// Files that the kernel once let everybody read and that tell of the host.
const SECRETS: &[&str] = &[
    "cmdline",
    "config.gz",
    "interrupts",
    "iomem",
    "ioports",
    "kallsyms",
    "kcore",
    "keys",
    "key-users",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "locks",
    "modules",
    "partitions",
    "diskstats",
    "sched_debug",
    "schedstat",
    "slabinfo",
    "softirqs",
    "swaps",
    "timer_list",
    "vmallocinfo",
    "vmstat",
    "zoneinfo",
];

/// Files below `/proc/sys` that open for writing, besides the guest's own and those that begin with an argument.
fn sysctl_write_all(args: &[String]) -> Answer {
    let permitted = |path: &str| {
        PERMITTED.iter().any(|p| path.starts_with(p)) || args.iter().any(|p| path.starts_with(p.as_str()))
    };
    let mut opened = Vec::new();
    walk(Path::new("/proc/sys"), &mut |path| {
        let name = path.strip_prefix("/proc/sys").unwrap_or(path).display().to_string();
        if !permitted(&name) && fs::File::options().write(true).open(path).is_ok() {
            opened.push(name);
        }
    });
    Answer::held_or(opened)
}

fn writable_below_sys() -> Answer {
    let mut opened = Vec::new();
    walk(Path::new("/sys"), &mut |path| {
        // The guest's control groups are its own.
        if !path.starts_with("/sys/fs/cgroup") && fs::File::options().write(true).open(path).is_ok() {
            opened.push(path.display().to_string());
        }
    });
    Answer::held_or(opened)
}

/// Calls `visit` with every regular file.
fn walk(directory: &Path, visit: &mut dyn FnMut(&Path)) {
    let entries: Vec<_> = fs::read_dir(directory).into_iter().flatten().flatten().collect();
    for entry in entries {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), visit),
            Ok(kind) if kind.is_file() => visit(&entry.path()),
            _ => {}
        }
    }
}

/// Those of the telling files that can be read and are not empty.
fn proc_hidden() -> Answer {
    let tells = |name: &&&str| {
        let mut byte = [0];
        let file = fs::File::open(format!("/proc/{name}"));
        file.and_then(|mut file| std::io::Read::read(&mut file, &mut byte)).is_ok_and(|length| length > 0)
    };
    Answer::held_or(SECRETS.iter().filter(tells).map(|name| (*name).to_owned()).collect())
}

/// Global entries of `/proc` whose mode this process may set; sets the mode they have.
fn chmod_proc() -> Answer {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let global = entries.filter(|entry| {
        let name = entry.file_name();
        let process = name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
        !process && entry.file_type().is_ok_and(|kind| !kind.is_symlink())
    });
    let changed = global.map(|entry| entry.path()).filter(|path: &PathBuf| {
        let mode = fs::metadata(path).map(|metadata| metadata.permissions().mode());
        mode.and_then(|mode| fs::set_permissions(path, fs::Permissions::from_mode(mode))).is_ok()
    });
    Answer::held_or(changed.map(|path| path.display().to_string()).collect())
}

/// Sets an attribute on a new file: version 2 of file capabilities, `CAP_KILL` permitted and effective.
fn security_attribute(name: &std::ffi::CStr) -> Answer {
    const VALUE: [u32; 5] = [0x0200_0001_u32.to_le(), (1_u32 << 5).to_le(), 0, 0, 0];
    const PATH: &std::ffi::CStr = c"/tmp/attribute";
    if let Err(error) = fs::write("/tmp/attribute", "") {
        return Err::<(), _>(error).into();
    }
    let arguments = [address(PATH), address(name), address(&VALUE), size_of_val(&VALUE) as i64, 0];
    call(libc::SYS_setxattr, &arguments).into()
}
