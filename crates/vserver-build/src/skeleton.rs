//! What every guest's tree has, whatever fills the rest. Source: util-vserver, `behaviours.md` §7.1.

use std::path::{Path, PathBuf};

use nix::sys::stat::{SFlag, makedev};
use vserver_fs::GuestRoot;
use vserver_runtime::Around;

use crate::Error;

/// What `/dev` holds on disk. A started guest has a `/dev` of its own; this one is for those who chroot into the tree.
const DEVICES: &str = include_str!("../../../distributions/defaults/devs");
const DIRECTORIES: [&str; 4] = ["etc", "dev", "proc", "sys"];

/// The directories that a start needs.
pub(crate) fn directories(root: &GuestRoot) -> Result<(), Error> {
    for dir in DIRECTORIES {
        root.create_dir_all(dir, 0o755)?;
    }
    Ok(())
}

/// What [`devices`] leaves out where this program runs, as a sentence.
pub(crate) fn note() -> Option<String> {
    let note = "no device nodes were made in its /dev, as nobody may inside of a guest; when it is started it has those of the guest \
                around it";
    (!Around::here().is_host()).then(|| note.to_owned())
}

/// Empties `/dev` and fills it anew: what debootstrap or a tarball put there is not to be trusted. Inside of a guest, where
/// the kernel makes no device nodes, without those.
pub(crate) fn devices(root: &GuestRoot) -> Result<(), Error> {
    root.remove_tree("dev")?;
    root.create_dir_all("dev", 0o755)?;
    for line in DEVICES.lines() {
        device(root, line)?;
    }
    Ok(())
}

/// `name c|b major minor mode`, `name d mode`, `name l target`.
fn device(root: &GuestRoot, line: &str) -> Result<(), Error> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let path = |name: &str| Path::new("dev").join(name);
    let octal = |text: &str| u32::from_str_radix(text, 8).ok();
    match words.as_slice() {
        [] => return Ok(()),
        [name, "d", mode] => {
            if let Some(mode) = octal(mode) {
                root.create_dir_all(path(name), mode)?;
                return Ok(());
            }
        }
        [name, "l", target] => return Ok(root.symlink(PathBuf::from(target), path(name))?),
        [_, "c" | "b", _, _, _] if !Around::here().is_host() => return Ok(()),
        [name, kind @ ("c" | "b"), major, minor, mode] => {
            if let (Ok(major), Ok(minor), Some(mode)) = (major.parse(), minor.parse(), octal(mode)) {
                let kind = if *kind == "c" { SFlag::S_IFCHR } else { SFlag::S_IFBLK };
                return Ok(root.mknod(path(name), kind, mode, makedev(major, minor))?);
            }
        }
        _ => {}
    }
    Err(Error::BadWord { word: line.to_owned(), what: "line of a device list" })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// E13: on disk too there is nothing but harmless devices.
    #[test]
    fn dev_is_made_anew_and_holds_what_the_list_says() {
        let dir = tempfile::tempdir().unwrap();
        let root = GuestRoot::open(dir.path()).unwrap();
        directories(&root).unwrap();
        root.mknod("dev/sda", SFlag::S_IFBLK, 0o666, makedev(8, 0)).unwrap();
        devices(&root).unwrap();
        let names = root.list("dev").unwrap();
        let wanted = [
            "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom",
            "zero",
        ];
        assert_eq!(names, wanted);
        assert_eq!(dir.path().join("dev/shm").metadata().unwrap().mode() & 0o7777, 0o1777);
        assert_eq!(dir.path().join("dev/null").metadata().unwrap().mode() & 0o7777, 0o666);
    }
}
