//! Copying trees: by descriptor, no link followed, no mount entered, and everything that a file has goes with it.

mod content;
mod dress;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, mkdirat, mknodat};
use nix::unistd::{linkat, symlinkat};

pub use dress::dress;

use crate::{Error, GuestRoot, Kind, lookup, mounts_below};

/// Asked between files and now and then within a large one; an error ends the copy.
pub type Check<'a, E> = &'a mut dyn FnMut() -> Result<(), E>;

/// Copies everything in `from` to `to`, an empty directory that nobody else can enter: owners, modes, times, hard links,
/// holes, extended attributes, ACLs, devices. Where the file system can share
/// blocks (`FICLONE`), it does.
///
/// # Errors
/// [`Error::NotCopied`], before anything is copied, if something is mounted in the tree; whatever a call or `check` says,
/// after which the caller removes what is there.
pub fn copy_tree<E: From<Error>>(from: &GuestRoot, to: &GuestRoot, check: Check<'_, E>) -> Result<(), E> {
    refuse_mounts(from)?;
    let mut copy = Copy { from, to, dirs: vec![PathBuf::new()], linked: HashMap::new() };
    let mut next = 0;
    while let Some(dir) = copy.dirs.get(next).cloned() {
        copy.directory(&dir, check)?;
        next += 1;
    }
    copy.dress_directories()?;
    Ok(())
}

/// Makes a regular file `name` in `dir` as `object` is, looked at as `stat`: content, owner, attributes, mode and times.
pub fn copy_file(object: &OwnedFd, stat: &FileStat, dir: &OwnedFd, name: &OsStr) -> std::io::Result<()> {
    let mut check = || Ok::<(), std::convert::Infallible>(());
    content::copy(object, stat, dir, name, &mut check).map_err(|fault| match fault {
        content::Fault::Io(error) => error,
        content::Fault::Stopped(never) => match never {},
    })?;
    dress_file(object, stat, dir, name)
}

/// The same, but only where it shares its blocks with `object`: then it is `object` as it was at one moment, whoever writes
/// to it. Gives whether that was possible; if not, nothing was made.
pub fn share_file(object: &OwnedFd, stat: &FileStat, dir: &OwnedFd, name: &OsStr) -> std::io::Result<bool> {
    if !content::share(object, dir, name)? {
        return Ok(false);
    }
    dress_file(object, stat, dir, name).map(|()| true)
}

fn dress_file(object: &OwnedFd, stat: &FileStat, dir: &OwnedFd, name: &OsStr) -> std::io::Result<()> {
    let made = lookup::beneath(dir, Path::new(name), OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)?;
    dress(object, &made, stat)
}

fn refuse_mounts(from: &GuestRoot) -> Result<(), Error> {
    let failed = |e| Error::call("find the path of", from.path().display().to_string(), e);
    let real = std::fs::read_link(lookup::by_descriptor(from)).map_err(failed)?;
    let mut mounts = mounts_below(&real)?;
    // The tree may have a file system of its own.
    mounts.retain(|mount| *mount != real);
    if mounts.is_empty() { Ok(()) } else { Err(Error::NotCopied { path: from.path().to_owned(), mounts }) }
}

struct Copy<'a> {
    from: &'a GuestRoot,
    to: &'a GuestRoot,
    /// Directories, each after the one that holds it. A name is opened anew each time, which bounds the descriptors.
    dirs: Vec<PathBuf>,
    /// Where an object with several names was first met.
    linked: HashMap<(u64, u64), PathBuf>,
}

/// An entry of a directory, held.
struct Entry<'a> {
    dir: &'a OwnedFd,
    name: &'a OsStr,
    rel: PathBuf,
    object: OwnedFd,
    stat: FileStat,
}

impl Copy<'_> {
    fn directory<E: From<Error>>(&mut self, rel: &Path, check: Check<'_, E>) -> Result<(), E> {
        let source = self.from.open_dir_for_change(rel)?;
        let target = self.to.open_dir_for_change(rel)?;
        for name in names(&source).map_err(|e| Error::call("list", self.from.name(rel), e))? {
            check()?;
            let path = rel.join(&name);
            let object = lookup::beneath(&source, Path::new(&name), OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)
                .map_err(|e| self.failed(&path, e))?;
            let stat = fstat(&object).map_err(|e| self.failed(&path, e))?;
            self.entry(&Entry { dir: &target, name: &name, rel: path, object, stat }, check)?;
        }
        Ok(())
    }

    fn entry<E: From<Error>>(&mut self, entry: &Entry<'_>, check: Check<'_, E>) -> Result<(), E> {
        let kind = Kind::of(entry.stat.st_mode);
        if kind == Kind::Directory {
            mkdirat(entry.dir, entry.name, Mode::S_IRWXU).map_err(|e| self.failed(&entry.rel, e))?;
            self.dirs.push(entry.rel.clone());
            return Ok(());
        }
        if entry.stat.st_nlink > 1 && self.link(entry)? {
            return Ok(());
        }
        match kind {
            Kind::File => content::copy(&entry.object, &entry.stat, entry.dir, entry.name, check)
                .map_err(|fault| fault.or(|e| self.failed(&entry.rel, e)))?,
            Kind::Symlink => readlinkat(&entry.object, "")
                .and_then(|text| symlinkat(text.as_os_str(), entry.dir, entry.name))
                .map_err(|e| self.failed(&entry.rel, e))?,
            Kind::Special | Kind::Directory => {
                let kind = SFlag::from_bits_truncate(entry.stat.st_mode & SFlag::S_IFMT.bits());
                mknodat(entry.dir, entry.name, kind, Mode::S_IRUSR, entry.stat.st_rdev)
                    .map_err(|e| self.failed(&entry.rel, e))?;
            }
        }
        let made = lookup::beneath(entry.dir, Path::new(entry.name), OFlag::O_PATH | OFlag::O_NOFOLLOW, 0);
        made.map_err(std::io::Error::from)
            .and_then(|made| dress(&entry.object, &made, &entry.stat))
            .map_err(|e| self.failed(&entry.rel, e))?;
        Ok(())
    }

    /// A further name of what is there already: whether it was one.
    fn link(&mut self, entry: &Entry<'_>) -> Result<bool, Error> {
        let first = match self.linked.entry((entry.stat.st_dev, entry.stat.st_ino)) {
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(entry.rel.clone());
                return Ok(false);
            }
            std::collections::hash_map::Entry::Occupied(known) => known.get().clone(),
        };
        let (dir, last) = self.to.parent(&first)?;
        linkat(&dir, last.as_os_str(), entry.dir, entry.name, AtFlags::empty())
            .map_err(|e| self.failed(&entry.rel, e))?;
        Ok(true)
    }

    /// Last of all: what was made in a directory has changed its time, and a default ACL would have been inherited.
    fn dress_directories(&self) -> Result<(), Error> {
        for rel in self.dirs.iter().rev() {
            let (source, target) = (self.from.open_dir_for_change(rel)?, self.to.open_dir_for_change(rel)?);
            fstat(&source)
                .map_err(std::io::Error::from)
                .and_then(|stat| dress(&source, &target, &stat))
                .map_err(|e| self.failed(rel, e))?;
        }
        Ok(())
    }

    fn failed(&self, rel: &Path, error: impl Into<std::io::Error>) -> Error {
        let error = error.into();
        if error.raw_os_error() == Some(Errno::EXDEV as i32) {
            return Error::NotCopied { path: self.from.path().to_owned(), mounts: vec![rel.to_owned()] };
        }
        Error::call("copy", self.from.name(rel), error)
    }
}

/// All names of a directory, so that none is met that the copy itself has made.
fn names(dir: &OwnedFd) -> nix::Result<Vec<OsString>> {
    use std::os::unix::ffi::OsStrExt;
    let mut dir = nix::dir::Dir::from_fd(dir.try_clone().map_err(|_| Errno::EMFILE)?)?;
    let mut names = Vec::new();
    for entry in dir.iter() {
        let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
        if !lookup::is_dot(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
    use std::time::{Duration, SystemTime};

    use super::*;

    fn pair() -> (tempfile::TempDir, GuestRoot, GuestRoot) {
        let base = tempfile::tempdir().unwrap();
        let (a, b) = (base.path().join("a"), base.path().join("b"));
        fs::create_dir(&a).unwrap();
        fs::create_dir(&b).unwrap();
        let roots = (GuestRoot::open(&a).unwrap(), GuestRoot::open(&b).unwrap());
        (base, roots.0, roots.1)
    }

    #[test]
    fn everything_goes_with_a_file_and_links_stay_links() {
        let (base, from, to) = pair();
        let a = base.path().join("a");
        fs::create_dir_all(a.join("d/e")).unwrap();
        fs::write(a.join("d/f"), "text").unwrap();
        fs::hard_link(a.join("d/f"), a.join("d/e/same")).unwrap();
        fs::set_permissions(a.join("d/f"), PermissionsExt::from_mode(0o4751)).unwrap();
        rustix::fs::setxattr(a.join("d/f"), "user.colour", b"red", rustix::fs::XattrFlags::empty()).unwrap();
        symlink("/etc/passwd", a.join("d/link")).unwrap();
        let hole = File::create(a.join("hole")).unwrap();
        hole.write_at(b"x", 8 << 20).unwrap();
        hole.set_len(64 << 20).unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
        for name in ["d/f", "d/e", "d", ""] {
            File::open(a.join(name)).unwrap().set_modified(old).unwrap();
        }
        copy_tree::<Error>(&from, &to, &mut || Ok(())).unwrap();
        let b = base.path().join("b");
        let file = b.join("d/f").metadata().unwrap();
        assert_eq!((file.mode() & 0o7777, file.nlink(), file.modified().unwrap()), (0o4751, 2, old));
        assert_eq!(file.ino(), b.join("d/e/same").metadata().unwrap().ino());
        let mut value = [0; 8];
        assert_eq!(rustix::fs::getxattr(b.join("d/f"), "user.colour", &mut value).unwrap(), 3);
        assert_eq!(fs::read_link(b.join("d/link")).unwrap(), Path::new("/etc/passwd"));
        for dir in ["", "d", "d/e"] {
            assert_eq!(b.join(dir).metadata().unwrap().modified().unwrap(), old, "{dir}");
        }
        let hole = b.join("hole").metadata().unwrap();
        assert_eq!(hole.len(), 64 << 20);
        assert!(hole.blocks() * 512 < 1 << 20, "{} blocks", hole.blocks());
        let mut byte = [0];
        File::open(b.join("hole")).unwrap().read_at(&mut byte, 8 << 20).unwrap();
        assert_eq!(byte, *b"x");
    }

    #[test]
    fn a_check_that_says_no_ends_it() {
        let (base, from, to) = pair();
        for n in 0..10 {
            fs::write(base.path().join("a").join(n.to_string()), "x").unwrap();
        }
        let mut asked = 0;
        let mut check = || {
            asked += 1;
            if asked < 4 { Ok(()) } else { Err(Error::BadName { name: PathBuf::new() }) }
        };
        assert!(matches!(copy_tree(&from, &to, &mut check), Err(Error::BadName { .. })));
        assert!(fs::read_dir(base.path().join("b")).unwrap().count() < 10);
    }
}
