//! Leaving the file tree.

use std::os::unix::fs::{MetadataExt, chroot, symlink};
use std::path::Path;
use std::{env, fs};

use nix::errno::Errno;
use nix::unistd::{ForkResult, fchdir, fork};

use crate::answer::{Answer, address, call, call_fd, number};
use crate::{Check, check, with};

pub const CHECKS: &[Check] = &[
    with("E01", "dblchroot", "CANARY", double_chroot),
    check("E02", "dotdot", |_| walk_up()),
    check("E03", "handle_root", |_| handle_root()),
    check("E04", "fds", |_| descriptors()),
    check("E06", "symlink_dev", |_| replace_dev()),
    check("E13", "mknod_block", |_| mknod(libc::S_IFBLK, 8, 0, false)),
    check("E13", "mknod_mem", |_| mknod(libc::S_IFCHR, 1, 1, false)),
    with("E13", "mknod_open", "b|c MAJOR MINOR", mknod_and_open),
    with("E13", "open", "PATH", |args| fs::File::open(args.first().map_or("", String::as_str)).into()),
    check("E13", "open_disks", |_| open_disks()),
];

/// Both classic variants in a child each: `ESCAPED` as soon as CANARY can be seen, else `HELD`.
fn double_chroot(args: &[String]) -> Answer {
    let Some(canary) = args.first().map(|path| path.trim_start_matches('/').to_owned()) else {
        return Answer::Text("CANARY is missing".to_owned());
    };
    let jail = format!("/probe-jail-{}", std::process::id());
    if let Err(error) = fs::create_dir(&jail) {
        return Err::<(), _>(error).into();
    }
    let escaped = [true, false].into_iter().any(|saved| in_child(|| leave(&jail, &canary, saved)));
    let _ = fs::remove_dir(&jail);
    Answer::Text(if escaped { "ESCAPED" } else { "HELD" }.to_owned())
}

/// Keeps a directory outside a smaller root, by descriptor or as the working directory, and walks up from there.
fn leave(jail: &str, canary: &str, saved: bool) -> bool {
    let outside = fs::File::open("/");
    let _ = env::set_current_dir("/");
    let _ = chroot(jail);
    if let (true, Ok(outside)) = (saved, &outside) {
        let _ = fchdir(outside);
    }
    for _ in 0..64 {
        let _ = env::set_current_dir("..");
        if Path::new(canary).exists() {
            return true;
        }
    }
    let _ = chroot(".");
    Path::new(&format!("/{canary}")).exists()
}

/// Runs `body` in a child, which says yes by its exit status.
fn in_child(body: impl FnOnce() -> bool) -> bool {
    // SAFETY: this program has one thread, so the child may do all that the parent may.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => std::process::exit(i32::from(body())),
        Ok(ForkResult::Parent { child }) => {
            matches!(nix::sys::wait::waitpid(child, None), Ok(nix::sys::wait::WaitStatus::Exited(_, 1)))
        }
        Err(_) => false,
    }
}

/// `..` above the root is the root.
fn walk_up() -> Answer {
    let identity = |path: &str| fs::metadata(path).map(|m| (m.dev(), m.ino()));
    let up = "../".repeat(64);
    let same = matches!((identity("/"), identity(&format!("/{up}"))), (Ok(a), Ok(b)) if a == b);
    Answer::Text(if same { "HELD" } else { "ESCAPED" }.to_owned())
}

/// Opens the root directory of the file system below the guest's by its inode number (2 of ext4).
fn handle_root() -> Answer {
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        inode: u32,
        generation: u32,
    }
    let handle = Handle { bytes: 8, kind: 1, inode: 2, generation: 0 };
    let root = match fs::File::open("/") {
        Ok(root) => root,
        Err(error) => return Err::<(), _>(error).into(),
    };
    let fd = i64::from(std::os::fd::AsRawFd::as_raw_fd(&root));
    call_fd(libc::SYS_open_by_handle_at, &[fd, address(&handle), i64::from(libc::O_RDONLY)])
}

/// The open descriptors with what they lead to; the one that lists the directory is left out.
fn descriptors() -> Answer {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return Answer::Refused(Errno::last());
    };
    let own = format!("/proc/{}/fd", std::process::id());
    let mut lines: Vec<(i32, String)> = entries
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
            let number = entry.file_name().to_string_lossy().parse().ok()?;
            (target != own).then_some((number, target))
        })
        .collect();
    lines.sort();
    Answer::Text(lines.iter().map(|(fd, to)| format!("{fd} {to}")).collect::<Vec<_>>().join("\n"))
}

/// `/dev/null` replaced by a link: only the guest's own view may change. Put back at once.
fn replace_dev() -> Answer {
    let made = symlink("/etc", "/dev/probe-link");
    let _ = fs::remove_file("/dev/probe-link");
    made.into()
}

fn mknod(kind: u32, major: u32, minor: u32, open: bool) -> Answer {
    let path = format!("/probe-node-{}\0", std::process::id());
    let device = libc::makedev(major, minor) as i64;
    let made = call(
        libc::SYS_mknodat,
        &[i64::from(libc::AT_FDCWD), address(path.as_str()), i64::from(kind | 0o600), device],
    );
    if made.is_err() {
        return made.into();
    }
    let path = path.trim_end_matches('\0');
    let opened = fs::File::open(path);
    let _ = fs::remove_file(path);
    if open { opened.into() } else { Answer::Ok }
}

fn mknod_and_open(args: &[String]) -> Answer {
    let kind = if args.first().is_some_and(|kind| kind == "b") { libc::S_IFBLK } else { libc::S_IFCHR };
    let part = |i| u32::try_from(number(args, i, 0)).unwrap_or(0);
    mknod(kind, part(1), part(2), true)
}

fn open_disks() -> Answer {
    let disks = ["/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/loop0", "/dev/loop-control", "/dev/fuse", "/dev/kvm"];
    let opened = disks.iter().filter(|disk| fs::File::open(disk).is_ok());
    Answer::held_or(opened.map(|disk| (*disk).to_owned()).collect())
}
