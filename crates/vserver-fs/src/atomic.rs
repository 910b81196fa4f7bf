//! State files of the host (never below a guest's root): the new content or the old, nothing between.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Error;

/// Replaces the file at `path` by `bytes` with `mode`: new file beside it, written, synced, renamed, directory synced.
/// A failure at any point leaves the old file and no temporary one.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    replace(path, bytes, mode, true)
}

/// As [`write()`], for facts about this boot (below `/run`): after a power cut they mean nothing, so nothing waits for a
/// disk. Two syncs cost 1–3 ms where `/run` is not a tmpfs.
pub fn write_volatile(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    replace(path, bytes, mode, false)
}

/// Removes what writers of `path` left that were killed in between. For one who knows that nobody writes it now.
pub fn sweep(path: &Path) -> Result<(), Error> {
    let failed = |e| Error::call("tidy up beside", path.display().to_string(), e);
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::BadName { name: path.to_owned() });
    };
    let prefix = format!(".{}.", name.to_string_lossy());
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            std::fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

fn replace(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> Result<(), Error> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let failed = |e| Error::call("write", path.display().to_string(), e);
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::BadName { name: path.to_owned() });
    };
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = dir.join(format!(".{}.{}-{number}", name.to_string_lossy(), std::process::id()));
    let written = fill(&temporary, bytes, mode, durable).and_then(|()| std::fs::rename(&temporary, path));
    if let Err(e) = written {
        // Best effort: the write's own fault is the one to report.
        std::fs::remove_file(&temporary).ok();
        return Err(failed(e));
    }
    if durable { File::open(dir).and_then(|d| d.sync_all()).map_err(failed) } else { Ok(()) }
}

fn fill(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    if durable { file.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_writers_left_is_swept_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        write_volatile(&path, b"1", 0o600).unwrap();
        for name in [".state.17-2", ".other.17-2"] {
            std::fs::write(dir.path().join(name), "half").unwrap();
        }
        sweep(&path).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".other.17-2", "state"]);
    }

    #[test]
    fn the_file_is_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        write(&path, b"one", 0o600).unwrap();
        write(&path, b"two", 0o644).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert!(write(&dir.path().join("no/such"), b"", 0o600).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
