//! What an init style wants done in the guest's tree, from the host, before the guest starts. Everything is reached as
//! inside the guest. Source: util-vserver, `behaviours.md` §3.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};
use vserver_fs::GuestRoot;
use vserver_types::GuestName;

use crate::error::{Error, Result};
use crate::init_style::Preparation;
use crate::interrupt::Interrupts;
use crate::scripts::run_command;

/// Size of a record of utmp, the same on all architectures of Linux. utmp(5).
const RECORD: usize = 384;
/// `RUN_LVL`
const RUN_LEVEL: u16 = 1;
/// The group `utmp` of Debian; `UTMP_GID` in the environment overrides it.
const UTMP_GROUP: u32 = 22;
/// How deep directories are gone through.
const MAX_DEPTH: u32 = 64;

/// Does it.
pub fn furnish(wish: &Preparation, tree: &GuestRoot, name: &GuestName, interrupts: &Interrupts) -> Result<()> {
    if wish.clean_run {
        for dir in ["var/run", "var/lock"] {
            // A tree without it has nothing to clean.
            if let Ok(dir) = tree.open_dir(dir) {
                clean(&dir, MAX_DEPTH).map_err(Error::layer("clean its /var/run and /var/lock", name))?;
            }
        }
    }
    if wish.fastboot {
        let failed = || Error::layer("make its /fastboot", name);
        for file in [".autofsck", "forcefsck"] {
            tree.remove_file(file).map_err(failed())?;
        }
        match tree.create_file("fastboot", 0o644) {
            Err(error) if error.errno() != Some(Errno::EEXIST as i32) => return Err(failed()(error)),
            _ => {}
        }
    }
    if let Some(level) = wish.utmp
        && let Ok(dir) = tree.open_dir("var/run")
    {
        record_level(&dir, level).map_err(Error::layer("record its run level", name))?;
    }
    match wish.command.as_deref() {
        Some([program, arguments @ ..]) => prepare_command(program, arguments, tree, name, interrupts),
        _ => Ok(()),
    }
}

fn prepare_command(
    program: &str,
    arguments: &[String],
    tree: &GuestRoot,
    name: &GuestName,
    interrupts: &Interrupts,
) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(tree.path());
    let status = run_command(&mut command, Some(interrupts), name)?;
    if status.success() {
        return Ok(());
    }
    let what = format!("its apps/init/cmd.prepare '{program}' ended with {status}");
    Err(Error::Taken { name: name.clone(), what })
}

/// Removes everything that is no directory.
fn clean(dir: &OwnedFd, depth: u32) -> nix::Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut entries = Dir::openat(dir, ".", flags, Mode::empty())?;
    for entry in entries.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let found = fstatat(dir, name, nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let is_dir = SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFDIR;
        match is_dir {
            true if depth > 0 => clean(&openat(dir, name, flags, Mode::empty())?, depth - 1)?,
            true => {}
            false => unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)?,
        }
    }
    Ok(())
}

/// Replaces the record of the run level, or appends one; the other records stay.
fn record_level(dir: &OwnedFd, level: char) -> std::io::Result<()> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let existed = fstatat(dir, "utmp", nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW).is_ok();
    let mut file = File::from(openat(dir.as_fd(), "utmp", flags, Mode::from_bits_truncate(0o664))?);
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("its utmp is no regular file"));
    }
    if !existed {
        let group = std::env::var("UTMP_GID").ok().and_then(|text| text.parse().ok()).unwrap_or(UTMP_GROUP);
        fchown(&file, Some(Uid::from_raw(0)), Some(Gid::from_raw(group)))?;
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o664))?;
    }
    let mut found = Vec::new();
    Read::by_ref(&mut file).take(1 << 20).read_to_end(&mut found)?;
    let kind = |record: &&[u8]| record.len() == RECORD && record[..2] == RUN_LEVEL.to_ne_bytes();
    let position = found.chunks(RECORD).position(|record| kind(&record));
    let at = position.unwrap_or(found.len() / RECORD) * RECORD;
    file.seek(SeekFrom::Start(at as u64))?;
    file.write_all(&run_level(level))
}

/// `ut_type` and `ut_pid` are set, everything else is zero.
fn run_level(level: char) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..2].copy_from_slice(&RUN_LEVEL.to_ne_bytes());
    let pid = u32::from('#') * 256 + u32::from(level);
    record[4..8].copy_from_slice(&pid.to_ne_bytes());
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_replaced_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let handle: OwnedFd = File::open(dir.path()).unwrap().into();
        record_level(&handle, '3').unwrap();
        let path = dir.path().join("utmp");
        let mut other = [0; RECORD];
        other[0] = 7;
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(other);
        std::fs::write(&path, &bytes).unwrap();
        record_level(&handle, '6').unwrap();
        let found = std::fs::read(&path).unwrap();
        assert_eq!(found.len(), 2 * RECORD);
        assert_eq!(found[4..8], (u32::from('#') * 256 + u32::from('6')).to_ne_bytes());
        assert_eq!(found[RECORD..], other);
    }

    #[test]
    fn directories_stay() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/pid"), "1").unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("a/link")).unwrap();
        clean(&File::open(dir.path()).unwrap().into(), 8).unwrap();
        assert!(dir.path().join("a/b").is_dir());
        assert!(!dir.path().join("a/b/pid").exists() && !dir.path().join("a/link").is_symlink());
    }
}
