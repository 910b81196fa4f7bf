//! A file system that nobody has used before. On one with a past, ext4 goes around the inodes that were removed in the last minutes,
//! one by one, for each that it makes (`recently_deleted` in fs/ext4/ialloc.c): the trees that a bench makes and removes by turns
//! cost it more than the work that it measures, and the more the later the turn.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::shell::{capture, command, run, say, succeeds};

/// Bytes; nothing is taken that is not written.
const SIZE: u64 = 100 << 30;

/// It is mounted where only we see it, and gone when this is.
pub struct Fresh {
    image: PathBuf,
    at: PathBuf,
}

impl Fresh {
    /// Made and mounted as `home`/disk.
    pub fn below(home: &Path) -> Result<Self, String> {
        let fresh = Self { image: home.join("disk.img"), at: home.join("disk") };
        fs::create_dir_all(&fresh.at).map_err(|error| format!("could not make {}: {error}", fresh.at.display()))?;
        let made = fs::File::create(&fresh.image).and_then(|file| file.set_len(SIZE));
        made.map_err(|error| format!("could not make {}: {error}", fresh.image.display()))?;
        run(command("mkfs.ext4", &["-q", "-F", "-m", "0"]).arg(&fresh.image))?;
        // Past the page cache of the host's file system: each page is cached once.
        let device = capture(command("losetup", &["--find", "--show", "--direct-io=on"]).arg(&fresh.image))?;
        let mounted = run(command("mount", &["-t", "ext4", device.trim()]).arg(&fresh.at));
        // The device goes with the last who uses it.
        run(&mut command("losetup", &["--detach", device.trim()]))?;
        mounted.map(|()| fresh)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !succeeds(command("umount", &["-q"]).arg(&self.at)) {
            // Not mounted yet, or something is still in use: it goes with the namespace.
            succeeds(command("umount", &["-q", "--lazy"]).arg(&self.at));
        }
        if let Err(error) = fs::remove_file(&self.image) {
            say(&format!("could not remove {}: {error}", self.image.display()));
        }
    }
}

/// Leaves the host's mounts to the host.
pub fn apart() -> Outcome {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)
        .map_err(|error| format!("could not make a mount namespace: {error}"))?;
    run(&mut command("mount", &["--make-rprivate", "/"]))
}
