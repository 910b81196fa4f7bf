//! Planned changes are made: each file is the old one or the new one, nothing between.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, symlink};
use std::path::{Path, PathBuf};

use super::editor::{Change, Changes};
use super::{is_there, sync_dir};
use crate::error::Error;

/// Makes the changes below `dir`. Nothing is written below `fence`, the guest's own tree, whatever links say. What is not
/// `durable` may be gone after a power cut.
pub(super) fn apply(dir: &Path, changes: &Changes, fence: Option<&Path>, durable: bool) -> Result<(), Error> {
    for (file, change) in changes {
        let path = dir.join(file);
        match change {
            Change::Text(text) => write_text(&path, text, fence, durable),
            Change::Link(target) => replace_link(&path, target),
            Change::Directory => in_place_of_a_link(&path).map_err(Error::io("create", &path)),
            Change::Gone => fs::remove_file(&path).map_err(Error::io("remove", &path)),
            Change::Aside => set_aside(&path),
        }?;
    }
    Ok(())
}

fn in_place_of_a_link(path: &Path) -> io::Result<()> {
    if path.is_symlink() {
        fs::remove_file(path)?;
    }
    make_dir(path)
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Through a link to the file that it leads to, which keeps its owner and its mode.
fn write_text(path: &Path, text: &str, fence: Option<&Path>, durable: bool) -> Result<(), Error> {
    let failed = || Error::io("write", path);
    let parent = path.parent().unwrap_or(path);
    make_dir(parent).map_err(failed())?;
    let real = match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => fs::canonicalize(path),
        _ => fs::canonicalize(parent).map(|parent| parent.join(path.file_name().unwrap_or_default())),
    };
    let real = real.map_err(failed())?;
    if fence.is_some_and(|fence| real.starts_with(fence)) {
        let reason = "it is a link into the guest's own tree, where nothing is written; make it a file";
        return Err(failed()(io::Error::new(io::ErrorKind::PermissionDenied, reason)));
    }
    let draft = beside(&real);
    let written =
        fill(&draft, text, fs::metadata(&real).ok().as_ref(), durable).and_then(|()| fs::rename(&draft, &real));
    if let Err(error) = written {
        // The write's own fault is the one to report.
        fs::remove_file(&draft).ok();
        return Err(failed()(error));
    }
    if durable { sync_dir(real.parent().unwrap_or(&real)) } else { Ok(()) }
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

fn fill(draft: &Path, text: &str, old: Option<&fs::Metadata>, durable: bool) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(text.as_bytes())?;
    let own = file.metadata()?;
    if let Some(old) = old.filter(|old| (old.uid(), old.gid()) != (own.uid(), own.gid())) {
        fchown(&file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(old.map_or(0o644, |old| old.mode() & 0o7777)))?;
    if durable { file.sync_all() } else { Ok(()) }
}

fn replace_link(path: &Path, target: &Path) -> Result<(), Error> {
    let draft = beside(path);
    let replace = || {
        make_dir(path.parent().unwrap_or(path))?;
        symlink(target, &draft)?;
        fs::rename(&draft, path)
    };
    replace().map_err(|error| {
        fs::remove_file(&draft).ok();
        Error::io("replace the link", path)(error)
    })
}

/// Names that begin with a dot are read by nothing.
fn set_aside(path: &Path) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let free =
        (0..u32::MAX).map(|number| path.with_file_name(format!(".{name}.~{number}~"))).find(|to| !is_there(to));
    let to = free.unwrap_or_else(|| path.with_file_name(format!(".{name}~")));
    fs::rename(path, &to).map_err(Error::io("set aside", path))
}
