//! New guests, and the end of old ones. Nothing is ever half made: a directory appears complete or not at all.

mod apply;
mod context;
mod create;
mod duplicate;
mod editor;
mod guest;
mod interface;
mod new_guest;
mod plan;
mod set;
mod shadow;
mod text;
mod words;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::{Flock, FlockArg};
use vserver_types::GuestName;

use crate::error::Error;
use crate::list::nearest_guest;

pub use context::next_context;
pub use create::{Created, create, create_over};
pub use duplicate::{duplicate, relink, rename};
pub use guest::write;
pub use interface::NewInterface;
pub use new_guest::{NewCpuSet, NewGuest};
pub use set::{Edit, edit};

/// Removes a guest's configuration directory, and nothing that it points to.
///
/// # Errors
/// [`Error::NoSuchGuest`]; [`Error::Io`], after which the directory has another, hidden name and is no guest.
pub fn remove(confdir: &Path, name: &GuestName) -> Result<(), Error> {
    let dir = existing(confdir, name)?;
    let _lock = lock(confdir)?;
    // One rename makes it vanish; what an interruption leaves behind is no guest.
    let gone = hidden(confdir, "gone", name);
    remove_tree(&gone)?;
    fs::rename(&dir, &gone).map_err(Error::io("rename", &dir))?;
    remove_tree(&gone)
}

/// Renames a guest's configuration to `<name>.~<seconds>~`, which is no guest's name, and gives the new path
/// (`build --force`).
pub fn set_aside(confdir: &Path, name: &GuestName) -> Result<PathBuf, Error> {
    let dir = existing(confdir, name)?;
    let _lock = lock(confdir)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let aside = (now..).map(|second| confdir.join(format!("{name}.~{second}~"))).find(|path| !is_there(path));
    let aside = aside.unwrap_or_else(|| confdir.join(format!("{name}.~0~")));
    fs::rename(&dir, &aside).map_err(Error::io("rename", &dir))?;
    Ok(aside)
}

fn existing(confdir: &Path, name: &GuestName) -> Result<PathBuf, Error> {
    let dir = confdir.join(name.as_str());
    match is_there(&dir) {
        true => Ok(dir),
        false => Err(Error::NoSuchGuest { dir, nearest: nearest_guest(confdir, name) }),
    }
}

/// Whether there is anything of that name, a dangling link included.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// A name below `confdir` that no guest can have.
fn hidden(confdir: &Path, what: &str, name: &GuestName) -> PathBuf {
    confdir.join(format!(".{what}-{name}"))
}

fn remove_tree(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Excludes other writers of the same tree for as long as it lives; dies with its holder.
fn lock(dir: &Path) -> Result<Flock<File>, Error> {
    let file = File::open(dir).map_err(Error::io("open", dir))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| Error::io("lock", dir)(errno.into()))
}

/// Makes a directory's entries durable.
fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(Error::io("sync", dir))
}
