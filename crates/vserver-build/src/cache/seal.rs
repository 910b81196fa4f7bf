//! Whether a template is what was stored: a sum over what stat(2) says of every object, without reading the data. Of what guests
//! never share the time of its last change is in it, which nobody can set. A file that they share changes that time with
//! each new name: of it there is its inode, its size, its owner and mode, and when it was written last.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, SFlag, fstatat};
use sha2::{Digest, Sha256};
use vserver_fs::GuestRoot;
use vserver_unify::{Rules, Verdict};

use crate::Error;

/// A sum, and how much there is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seal {
    pub sum: String,
    pub objects: u64,
    pub bytes: u64,
}

/// Of the whole tree but its root, whose own time changes when the template gets its place or is marked as shared.
pub(super) fn of(root: &GuestRoot, shared: &Rules) -> Result<Seal, Error> {
    let (mut sum, mut objects, mut bytes) = (Sha256::new(), 0, 0);
    let mut counted = HashSet::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(rel) = todo.pop() {
        let dir = root.open_dir_for_change(&rel)?;
        let failed = |error: nix::Error| Error::io("look into", root.path().join(&rel))(error.into());
        for name in names(&dir).map_err(failed)? {
            let stat = fstatat(&dir, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed)?;
            let path = rel.join(&name);
            add(&mut sum, &path, &stat, shared);
            objects += 1;
            match kind(&stat) {
                SFlag::S_IFDIR => todo.push(path),
                SFlag::S_IFREG if counted.insert(stat.st_ino) => bytes += u64::try_from(stat.st_size).unwrap_or(0),
                _ => {}
            }
        }
    }
    Ok(Seal { sum: hex(&sum.finalize()), objects, bytes })
}

fn add(sum: &mut Sha256, path: &Path, stat: &FileStat, shared: &Rules) {
    let name = path.as_os_str().as_bytes();
    sum.update((name.len() as u64).to_le_bytes());
    sum.update(name);
    // Links and devices get further names wherever they are.
    let own = match kind(stat) {
        SFlag::S_IFDIR => true,
        SFlag::S_IFREG => shared.judge(&[b"/", name].concat()) != Verdict::Share,
        _ => false,
    };
    let changed = if own { (stat.st_ctime, stat.st_ctime_nsec) } else { (0, 0) };
    let numbers = [
        i128::from(stat.st_ino),
        i128::from(stat.st_mode),
        i128::from(stat.st_uid),
        i128::from(stat.st_gid),
        i128::from(stat.st_size),
        i128::from(stat.st_rdev),
        i128::from(stat.st_mtime),
        i128::from(stat.st_mtime_nsec),
        i128::from(changed.0),
        i128::from(changed.1),
    ];
    numbers.iter().for_each(|number| sum.update(number.to_le_bytes()));
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

/// Sorted: file systems list them in any order.
fn names(dir: &OwnedFd) -> nix::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(dir.try_clone().map_err(|_| nix::Error::EMFILE)?)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_further_name_breaks_no_seal_and_a_change_does() {
        let base = tempfile::tempdir().unwrap();
        let tree = base.path().join("tree");
        fs::create_dir_all(tree.join("usr")).unwrap();
        fs::create_dir_all(tree.join("etc")).unwrap();
        for name in ["usr/shared", "etc/own"] {
            fs::write(tree.join(name), "content").unwrap();
        }
        let (root, rules) = (GuestRoot::open(&tree).unwrap(), Rules::parse(b"/etc/*\n"));
        let seal = || of(&root, &rules).unwrap();
        let first = seal();
        assert_eq!((first.objects, first.bytes), (4, 14));
        fs::hard_link(tree.join("usr/shared"), base.path().join("guest")).unwrap();
        fs::remove_file(base.path().join("guest")).unwrap();
        assert_eq!(seal(), first);
        fs::set_permissions(tree.join("usr/shared"), fs::Permissions::from_mode(0o600)).unwrap();
        let second = seal();
        assert_ne!(second, first);
        fs::write(tree.join("usr/shared"), "CONTENT").unwrap();
        let third = seal();
        assert_ne!(third, second);
        // What is not shared has no further name, and the time of its last change cannot be set back.
        let written = tree.join("etc/own").metadata().unwrap().modified().unwrap();
        let own = fs::File::options().write(true).open(tree.join("etc/own")).unwrap();
        own.set_modified(written).unwrap();
        assert_ne!(seal(), third);
    }
}
