//! Quotas of users and groups on a guest's own disk: what its file system needs for them, and whether the kernel has that.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{Kind, program};
use crate::error::{Error, Result};

/// Options of a mount that counts and holds; ext4 and xfs know the same words.
pub(super) const OPTIONS: &str = "usrquota,grpquota";

/// Why users inside cannot be held to quotas on this image; `None` if they can, as far as that is known before it is tried.
pub fn lack(image: &Path) -> Result<Option<String>> {
    Ok(match Kind::find(image)? {
        Kind::Btrfs => {
            Some("the guest's disk is a btrfs, which knows no quotas of users; ext4 and xfs do".to_owned())
        }
        Kind::Ext4 if !kernel_counts_ext4() => {
            Some("this kernel has no quotas for ext4 (CONFIG_QUOTA and CONFIG_QFMT_V2)".to_owned())
        }
        Kind::Xfs if !kernel_counts_xfs() => Some("this kernel has no quotas for xfs (CONFIG_XFS_QUOTA)".to_owned()),
        Kind::Ext4 | Kind::Xfs => None,
    })
}

/// Whether it mounts an ext4 with the feature `quota` for writing: it must have quotas and their format, in itself or as a
/// module.
pub(super) fn kernel_counts_ext4() -> bool {
    Path::new("/proc/sys/fs/quota").is_dir()
        && (Path::new("/sys/module/quota_v2").exists() || is_a_module("quota_v2") || is_built_in())
}

/// `/proc/fs/xfs/xqmstat` is there only with them, if xfs is there at all.
fn kernel_counts_xfs() -> bool {
    let known = Path::new("/proc/fs/xfs");
    !known.exists() || known.join("xqmstat").exists() || known.join("xqm").exists()
}

fn is_a_module(name: &str) -> bool {
    let release = nix::sys::utsname::uname().map(|own| own.release().to_owned()).unwrap_or_default();
    let lists = Path::new("/lib/modules").join(release);
    ["modules.builtin", "modules.dep"].iter().any(|list| {
        let text = fs::read_to_string(lists.join(list)).unwrap_or_default();
        text.lines().filter_map(|line| line.split(':').next()).any(|path| path.contains(&format!("/{name}.ko")))
    })
}

/// A kernel without a list of what it is made of: by the name of a function of the format.
fn is_built_in() -> bool {
    let Ok(names) = File::open("/proc/kallsyms") else { return false };
    BufReader::new(names).lines().map_while(|line| line.ok()).any(|line| line.ends_with(" v2r1_mem2diskdqb"))
}

/// Whether an ext4 has the feature `quota` with a file for users and one for groups.
pub(super) fn has_feature(image: &Path) -> Result<bool> {
    /// The superblock, and three fields of it: `s_feature_ro_compat`, `s_usr_quota_inum`, `s_grp_quota_inum`.
    const FIELDS: [u64; 3] = [0x400 + 0x64, 0x400 + 0x240, 0x400 + 0x244];
    /// `EXT4_FEATURE_RO_COMPAT_QUOTA`
    const QUOTA: u32 = 0x100;
    let file = File::open(image).map_err(Error::call("open", image))?;
    let field = |place| -> Result<u32> {
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, place).map_err(Error::call("read", image))?;
        Ok(u32::from_le_bytes(bytes))
    };
    let [features, users, groups] = FIELDS.map(field);
    Ok(features? & QUOTA != 0 && users? != 0 && groups? != 0)
}

/// Gives an ext4 that feature, and says whether it lacked it. What is used already is counted now.
pub(super) fn give_feature(image: &Path) -> Result<bool> {
    if has_feature(image)? {
        return Ok(false);
    }
    // What a crash left in the journal is to be counted, too. Status 1 is "errors corrected".
    program::run("e2fsck", "e2fsprogs", &["-p"], image, &[0, 1])?;
    program::run("tune2fs", "e2fsprogs", &["-O", "quota", "-Q", OPTIONS], image, &[0])?;
    Ok(true)
}

/// Takes it off again, and all limits with it.
pub(super) fn take_feature(image: &Path) -> Result<()> {
    program::run("tune2fs", "e2fsprogs", &["-O", "^quota"], image, &[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Wish, create};

    #[test]
    fn the_feature_comes_and_goes() {
        if !program::is_installed("mkfs.ext4") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        create(&image, &Wish { bytes: 16 << 20, inodes: None, kind: Some(Kind::Ext4) }).unwrap();
        assert!(!has_feature(&image).unwrap());
        assert_eq!((give_feature(&image).unwrap(), give_feature(&image).unwrap()), (true, false));
        assert!(has_feature(&image).unwrap());
        take_feature(&image).unwrap();
        assert!(!has_feature(&image).unwrap());
    }
}
