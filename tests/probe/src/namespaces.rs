//! New namespaces and mounts.

use std::ffi::CStr;
use std::fs;

use crate::answer::{Answer, address, call, call_fd, number};
use crate::{Check, check, with};

pub const CHECKS: &[Check] = &[
    with("E11", "unshare", "FLAGS", |args| unshare(number(args, 0, 0) as i32)),
    check("E11", "unshare_user", |_| unshare(libc::CLONE_NEWUSER)),
    check("E11", "unshare_ns", |_| unshare(libc::CLONE_NEWNS)),
    check("E11", "unshare_uts", |_| unshare(libc::CLONE_NEWUTS)),
    check("E11", "unshare_net", |_| unshare(libc::CLONE_NEWNET)),
    check("E11", "clone_user", |_| clone_user()),
    check("E11", "clone3_user", |_| clone3_user()),
    check("E11", "setns_bad", |_| call(libc::SYS_setns, &[-1]).into()),
    check("E12", "cgroup_mount", |_| mounted(c"cgroup", c"cgroup", 0, c"none,name=probe")),
    check("E12", "cgroup2_mount", |_| mounted(c"cgroup2", c"cgroup2", 0, c"")),
    check("E12", "release_agent", |_| release_agent()),
    check("E12", "cgroup_leave", |_| cgroup_leave()),
    check("E10", "mount_tmpfs", |_| mounted(c"none", c"tmpfs", 0, c"size=4k")),
    check("E10", "mount_proc", |_| mounted(c"proc", c"proc", 0, c"")),
    check("E10", "mount_sysfs", |_| mounted(c"sysfs", c"sysfs", 0, c"")),
    check("E10", "mount_block", |_| mounted(c"/dev/sda", c"ext4", libc::MS_RDONLY, c"")),
    with("E10", "mount_of", "SOURCE TARGET TYPE [OPTIONS [ro]]", mount_of),
    check("E10", "remount_proc_sys", |_| remount_proc_sys()),
    check("E10", "umount_mask", |_| umount_mask()),
    check("K37", "set_domain", |_| set_domain(address(c"example"), 7)),
    check("K37", "set_domain_long", |_| set_domain(address(&[b'x'; 65]), 65)),
    check("K37", "set_domain_nowhere", |_| set_domain(8, 7)),
    check("K32", "pivot_root", |_| {
        call(libc::SYS_pivot_root, &[address(c"/nonexistent"), address(c"/nonexistent")]).into()
    }),
    check("K24", "fsopen", |_| call_fd(libc::SYS_fsopen, &[address(c"tmpfs")])),
    with("K24", "fsopen_of", "TYPE", |words| {
        let kind = format!("{}\0", words[0]);
        call_fd(libc::SYS_fsopen, &[address(kind.as_str())])
    }),
    check("K24", "fsconfig", |_| call(libc::SYS_fsconfig, &[-1]).into()),
    check("K24", "fsmount", |_| call(libc::SYS_fsmount, &[-1]).into()),
    check("K24", "fspick", |_| call_fd(libc::SYS_fspick, &[AT_CWD, address(c"/nonexistent")])),
    check("K24", "open_tree", |_| call_fd(libc::SYS_open_tree, &[AT_CWD, address(c"/"), 1])),
    check("K24", "move_mount", |_| call(libc::SYS_move_mount, &[-1, 0, -1]).into()),
    check("K24", "mount_setattr", |_| call(libc::SYS_mount_setattr, &[-1]).into()),
];

fn set_domain(name: i64, length: i64) -> Answer {
    call(libc::SYS_setdomainname, &[name, length]).into()
}

const AT_CWD: i64 = libc::AT_FDCWD as i64;

/// In a child, so that the answers that follow are the guest's again.
fn unshare(flags: i32) -> Answer {
    crate::processes::answer_of_child(|| call(libc::SYS_unshare, &[i64::from(flags)]).map(drop))
}

fn clone_user() -> Answer {
    let flags = i64::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
    reap(call(libc::SYS_clone, &[flags]))
}

fn clone3_user() -> Answer {
    // struct clone_args, version 0: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls.
    let args: [u64; 8] = [libc::CLONE_NEWUSER as u64, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
    reap(call(libc::SYS_clone3, &[address(&args), size_of_val(&args) as i64]))
}

/// Ends the child of a raw clone at once, in the parent waits for it.
fn reap(pid: Result<i64, nix::errno::Errno>) -> Answer {
    match pid {
        Ok(0) => {
            let _ = call(libc::SYS_exit_group, &[0]);
        }
        Ok(pid) => {
            let _ = call(libc::SYS_wait4, &[pid]);
        }
        Err(_) => {}
    }
    pid.into()
}

/// mount(2) itself: programs that are to mount a file look for a loop device first.
fn mount_of(words: &[String]) -> Answer {
    let word = |place: usize| format!("{}\0", words.get(place).map_or("", String::as_str));
    let (source, target, kind, options) = (word(0), word(1), word(2), word(3));
    let flags = if word(4) == "ro\0" { libc::MS_RDONLY } else { 0 };
    let texts = [&source, &target, &kind].map(|text| address(text.as_str()));
    call(libc::SYS_mount, &[texts[0], texts[1], texts[2], flags as i64, address(options.as_str())]).into()
}

/// Mounts on a new directory and unmounts again.
fn mounted(source: &CStr, kind: &CStr, flags: u64, options: &CStr) -> Answer {
    let path = format!("/probe-mount-{}", std::process::id());
    let target = format!("{path}\0");
    if let Err(error) = fs::create_dir(&path) {
        return Err::<(), _>(error).into();
    }
    let args = [address(source), address(target.as_str()), address(kind), flags as i64, address(options)];
    let result = call(libc::SYS_mount, &args);
    if result.is_ok() {
        let _ = call(libc::SYS_umount2, &[address(target.as_str()), i64::from(libc::MNT_DETACH)]);
    }
    let _ = fs::remove_dir(&path);
    result.into()
}

/// Every `release_agent` that can be opened for writing (CVE-2022-0492).
fn release_agent() -> Answer {
    let mut found = Vec::new();
    let mut open = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let kind = entry.file_type();
            if kind.is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            } else if entry.file_name() == "release_agent"
                && fs::File::options().write(true).open(entry.path()).is_ok()
            {
                found.push(entry.path().display().to_string());
            }
        }
    }
    Answer::held_or(found)
}

/// Moves itself above the guest's own control group.
fn cgroup_leave() -> Answer {
    fs::write("/sys/fs/cgroup/../cgroup.procs", "0").into()
}

fn remount_proc_sys() -> Answer {
    let flags = libc::MS_REMOUNT | libc::MS_BIND;
    let args = [0, address(c"/proc/sys"), 0, flags as i64, 0];
    let result = call(libc::SYS_mount, &args);
    if result.is_ok() {
        let _ = call(libc::SYS_mount, &[0, address(c"/proc/sys"), 0, (flags | libc::MS_RDONLY) as i64, 0]);
    }
    result.into()
}

/// In a child with a mount namespace of its own if it can have one, so that success uncovers nothing for long.
fn umount_mask() -> Answer {
    crate::processes::answer_of_child(|| {
        let _ = call(libc::SYS_unshare, &[i64::from(libc::CLONE_NEWNS)]);
        call(libc::SYS_umount2, &[address(c"/proc/kcore"), i64::from(libc::MNT_DETACH)]).map(drop)
    })
}
