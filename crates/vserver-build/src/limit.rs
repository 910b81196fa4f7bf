//! A limit on the file system that the tree shares with others: whether it can hold, before anything is built.
//! Source: util-vserver, `config-tree.md` §5.5.

use std::ffi::CString;
use std::fmt::Display;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{BTRFS_SUPER_MAGIC, fstatfs};
use vserver_disk::Account;
use vserver_sys::btrfs;

use crate::Error;
use crate::request::BuildRequest;
use crate::stage::Target;

/// Whether the guest is to have one.
pub(crate) fn is_wished(request: &BuildRequest) -> bool {
    request.limit.space.is_some() || request.limit.inodes.is_some()
}

fn refused(reason: &str) -> Result<(), Error> {
    Err(Error::Wish { reason: reason.to_owned() })
}

/// Refuses wishes that exclude each other.
pub(crate) fn judge(request: &BuildRequest) -> Result<(), Error> {
    if request.disk.is_some() && request.accept_root && !request.force {
        return refused(
            "a tree that is there already cannot be put on a disk of its own; build without --i-know-its-there, or without \
             --disk",
        );
    }
    if request.disk.is_some() && is_wished(request) {
        return refused("a disk of its own is limited by its size: --disk and --space exclude each other");
    }
    if is_wished(request) && request.guest.context.is_none() {
        return refused("a limit is counted by the guest's number: give it one with --context");
    }
    Ok(())
}

/// Refuses a limit that would not hold where the tree is; the sentence offers what would.
pub(crate) fn check(request: &BuildRequest, target: &Target, root: &Path) -> Result<(), Error> {
    let Some(xid) = request.guest.context else { return Ok(()) };
    let account = Account::find(&target.base, xid.0, Some(root))?;
    match request.limit.inodes.is_some() && !account.counts_inodes() {
        true => refused("btrfs counts no inodes; give the guest a disk of its own with `--disk SIZE --inodes N`"),
        false => Ok(()),
    }
}

/// The files that say so.
pub(crate) fn files(request: &BuildRequest, target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    if !is_wished(request) {
        return Vec::new();
    }
    let bound = |limit: Option<u64>| limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string());
    vec![
        line("dlimits/0/directory", target.base.display()),
        line("dlimits/0/space_total", bound(request.limit.space)),
        line("dlimits/0/inodes_total", bound(request.limit.inodes)),
        line("dlimits/0/reserved", 0),
    ]
}

/// A file of one line.
pub(crate) fn line(file: &str, value: impl Display) -> (PathBuf, Vec<u8>) {
    (PathBuf::from(file), format!("{value}\n").into_bytes())
}

/// btrfs limits subvolumes only: makes one of `root` in `dir` if it is a btrfs, and says so.
pub(crate) fn subvolume(dir: &Path, root: &Path) -> Result<bool, Error> {
    let failed = || Error::io("make the subvolume", root);
    let directory = File::open(dir).map_err(failed())?;
    if !fstatfs(&directory).is_ok_and(|found| found.filesystem_type() == BTRFS_SUPER_MAGIC) {
        return Ok(false);
    }
    let name = root.file_name().unwrap_or_default().as_bytes();
    let name = CString::new(name).map_err(|error| failed()(error.into()))?;
    btrfs::create_subvolume(directory.as_fd(), &name).map_err(failed())?;
    Ok(true)
}
