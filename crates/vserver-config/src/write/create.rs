//! Writes a guest's directory beside its place, checks it by reading it, and moves it there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use vserver_types::ParseError;

use super::{NewGuest, hidden, is_there, lock, remove_tree, sync_dir};
use crate::defaults::{CACHEBASE, Defaults, VDIRBASE};
use crate::error::Error;
use crate::read::{RUN_DIR, read_dir};

/// Directories that every guest gets.
const DIRS: [&str; 4] = ["apps/init", "interfaces", "uts", "cpuset"];

/// Links of every guest's directory.
const LINKS: [&str; 3] = ["vdir", "cache", "run"];

/// The link to what the host keeps of a guest's packages.
const PKGBASE: &str = "apps/pkgmgmt/base";

/// A guest's directory that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The directory.
    pub dir: PathBuf,
    /// Where its link `vdir` points: the guest's root, which is still to be made.
    pub vdir: PathBuf,
    /// What the administrator should be told, one sentence each.
    pub notes: Vec<String>,
}

/// Writes the configuration directory of a new guest in util-vserver's format. It appears at once and complete; whatever
/// fails leaves nothing behind. The links `vdirbase` and `cachebase` of `.defaults/` are made if there are none. Neither
/// the guest's root nor the targets of its other links are touched.
///
/// # Errors
/// [`Error::Exists`] if there is anything of that name; [`Error::Invalid`] if what was asked for cannot be read back.
pub fn create(confdir: &Path, guest: &NewGuest) -> Result<Created, Error> {
    create_over(confdir, guest, None)
}

/// The same with everything that the directory `changed` holds put over it, but for the links `vdir`, `cache` and `run`: files
/// with their modes, directories, and links.
///
/// # Errors
/// As [`create`].
pub fn create_over(confdir: &Path, guest: &NewGuest, changed: Option<&Path>) -> Result<Created, Error> {
    let confdir = std::path::absolute(confdir).map_err(Error::io("find", confdir))?;
    let dir = confdir.join(guest.name.as_str());
    fs::create_dir_all(confdir.join(".defaults")).map_err(Error::io("create", &confdir))?;
    let _lock = lock(&confdir)?;
    if is_there(&dir) {
        return Err(Error::Exists { path: dir });
    }
    base(&confdir, "vdirbase", VDIRBASE)?;
    base(&confdir, "cachebase", CACHEBASE)?;
    let draft = Draft(hidden(&confdir, "new", &guest.name));
    remove_tree(&draft.0)?;
    let (vdir, notes) = write(&confdir, &draft.0, guest)?;
    if let Some(changed) = changed {
        put_over(changed, &draft.0, &LINKS)?;
        sync_tree(&draft.0)?;
    }
    check(&confdir, &draft.0, &dir, guest)?;
    install(&confdir, &draft.0, &dir)?;
    Ok(Created { dir, vdir, notes })
}

fn put_over(from: &Path, to: &Path, except: &[&str]) -> Result<(), Error> {
    for entry in fs::read_dir(from).map_err(Error::io("list", from))? {
        let entry = entry.map_err(Error::io("list", from))?;
        let (source, place) = (entry.path(), to.join(entry.file_name()));
        if except.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let found = source.symlink_metadata().map_err(Error::io("look at", &source))?;
        if found.is_dir() {
            make_dir(&place)?;
            put_over(&source, &place, &[])?;
        } else if found.is_symlink() {
            let target = fs::read_link(&source).map_err(Error::io("read", &source))?;
            fs::remove_file(&place).or_else(absent).map_err(Error::io("replace", &place))?;
            symlink(target, &place).map_err(Error::io("create", &place))?;
        } else if found.is_file() {
            let content = fs::read(&source).map_err(Error::io("read", &source))?;
            write_file(&place, &content)?;
            fs::set_permissions(&place, found.permissions()).map_err(Error::io("set the mode of", &place))?;
        }
    }
    Ok(())
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Moves a draft to its place, where nothing must be.
pub(super) fn install(confdir: &Path, draft: &Path, dir: &Path) -> Result<(), Error> {
    match renameat2(AT_FDCWD, draft, AT_FDCWD, dir, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => sync_dir(confdir),
        Err(nix::Error::EEXIST) => Err(Error::Exists { path: dir.to_owned() }),
        Err(errno) => Err(Error::io("create", dir)(errno.into())),
    }
}

/// A directory that is removed unless it was renamed away.
pub(super) struct Draft(pub PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // Nobody can be told; the next create of this name removes it before it begins.
        let _ = remove_tree(&self.0);
    }
}

/// A link in `.defaults/` that installation makes.
fn base(confdir: &Path, name: &str, target: &str) -> Result<(), Error> {
    let path = confdir.join(".defaults").join(name);
    match symlink(target, &path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::io("create", &path)(error)),
        _ => Ok(()),
    }
}

fn write(confdir: &Path, draft: &Path, guest: &NewGuest) -> Result<(PathBuf, Vec<String>), Error> {
    let defaults = Defaults::new(confdir);
    let name = guest.name.as_str();
    make_dir(draft)?;
    for dir in DIRS {
        make_dir(&draft.join(dir))?;
    }
    let vdir = guest.vdir.clone().unwrap_or_else(|| defaults.vdirbase().join(name));
    let cache = guest.cache.clone().unwrap_or_else(|| defaults.cachebase().join(name));
    let run = guest.lockfile.clone().unwrap_or_else(|| Path::new(RUN_DIR).join(name));
    for (link, target) in [("vdir", &vdir), ("cache", &cache), ("run", &run)] {
        let path = draft.join(link);
        symlink(target, &path).map_err(Error::io("create", &path))?;
    }
    if let Some(base) = &guest.pkgbase {
        let path = draft.join(PKGBASE);
        path.parent().map_or(Ok(()), make_dir)?;
        symlink(base.join(name), &path).map_err(Error::io("create", &path))?;
    }
    let fstab = guest.fstab.clone().map_or_else(|| defaults.fstab(), Ok)?;
    write_file(&draft.join("fstab"), fstab.as_bytes())?;
    let (files, notes) = guest.files();
    for (path, content) in &files {
        // Nothing is written through one of the links just made.
        let linked = LINKS.iter().any(|link| path.starts_with(link));
        let below = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !below || linked || path.as_os_str().is_empty() {
            let reason = "it must be a path below the guest's directory, not through a link";
            return Err(ParseError::new("configuration file", &path.to_string_lossy(), reason).into());
        }
        let path = draft.join(path);
        path.parent().map_or(Ok(()), make_dir)?;
        write_file(&path, content)?;
    }
    sync_tree(draft)?;
    Ok((vdir, notes))
}

/// What was asked for may be nonsense: the reader decides, and names the place that the file would have had.
pub(super) fn check(confdir: &Path, draft: &Path, dir: &Path, guest: &NewGuest) -> Result<(), Error> {
    read_dir(confdir, draft, &guest.name).map_err(|error| error.moved(draft, dir)).map(drop)
}

fn make_dir(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(Error::io("create", path))
}

/// A file of an explicit name replaces the one that was derived from an option.
pub(super) fn write_file(path: &Path, content: &[u8]) -> Result<(), Error> {
    let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path);
    let write = |mut file: File| file.write_all(content).and_then(|()| file.sync_all());
    open().and_then(write).map_err(Error::io("write", path))
}

fn sync_tree(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let entry = entry.map_err(Error::io("list", dir))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            sync_tree(&entry.path())?;
        }
    }
    sync_dir(dir)
}
