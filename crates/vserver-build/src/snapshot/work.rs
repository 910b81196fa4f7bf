//! A snapshot that is being made, or a tree on its way into its place. There is one at a time: the guest's lock is held.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::syncfs;

use super::order::{Order, identity};
use super::place::{MADE, Place, entries, now};
use super::{picture, remove};
use crate::Error;

/// Its directory.
const WORK: &str = ".work";

/// Dropped, it is removed.
pub(super) struct Work<'a> {
    pub place: &'a Place,
    pub dir: PathBuf,
}

impl<'a> Work<'a> {
    /// An empty one, after whatever a killed command has left is finished or removed.
    pub fn begin(place: &'a Place) -> Result<Self, Error> {
        recover(place)?;
        let dir = place.dir.join(WORK);
        let private = |path: &Path, recursive| {
            DirBuilder::new()
                .mode(0o700)
                .recursive(recursive)
                .create(path)
                .map_err(Error::io("make the directory", path))
        };
        private(&place.dir, true)?;
        private(&dir, false)?;
        Ok(Self { place, dir })
    }

    /// The tree or image in it.
    pub fn content(&self) -> PathBuf {
        self.dir.join(self.place.content())
    }

    /// Makes a snapshot of it.
    pub fn commit(&self, label: &str) -> Result<(), Error> {
        self.finish()?;
        named(&self.dir, &self.place.dir.join(label))
    }

    /// Puts it in the place of what the guest has, and does with that as ordered.
    pub fn exchange(&self, order: &Order) -> Result<(), Error> {
        self.finish()?;
        order.write(&self.dir)?;
        renameat2(AT_FDCWD, &self.content(), AT_FDCWD, &self.place.live, RenameFlags::RENAME_EXCHANGE)
            .map_err(|errno| Error::io("put in its place", &self.place.live)(errno.into()))?;
        carry_out(self.place, &self.dir, order)
    }

    /// It is whole, and stays so after a power cut.
    fn finish(&self) -> Result<(), Error> {
        let path = self.dir.join(MADE);
        fs::write(&path, format!("{}\n", now())).map_err(Error::io("write", &path))?;
        sync(&self.dir)
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        // Nobody is left to be told: the next command tries again.
        recover(self.place).and_then(|()| self.place.tidy()).ok();
    }
}

/// Finishes a restore that was killed after the exchange; removes everything else that is under way.
pub(super) fn recover(place: &Place) -> Result<(), Error> {
    let work = place.dir.join(WORK);
    if let Some(order) = Order::read(&work)
        && identity(&place.live)? == order.new
    {
        carry_out(place, &work, &order)?;
    }
    for name in entries(&place.dir)? {
        let path = place.dir.join(&name);
        match name.as_encoded_bytes().first() {
            Some(b'.') => remove::entry(&path)?,
            _ => Order::forget(&path)?,
        }
    }
    Ok(())
}

/// What the guest had is in `dir` now.
fn carry_out(place: &Place, dir: &Path, order: &Order) -> Result<(), Error> {
    let Some(label) = &order.keep else {
        return remove::entry(dir);
    };
    picture::seal(&dir.join(place.content()))?;
    let path = place.dir.join(label);
    named(dir, &path)?;
    Order::forget(&path)
}

fn named(from: &Path, to: &Path) -> Result<(), Error> {
    renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE)
        .map_err(|errno| Error::io("rename to its place", to)(errno.into()))
}

fn sync(dir: &Path) -> Result<(), Error> {
    let failed = || Error::io("write out", dir);
    let file = File::open(dir).map_err(failed())?;
    syncfs(&file).map_err(|errno| failed()(errno.into()))
}
