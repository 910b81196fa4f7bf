//! Archives of dump(8) as templates: restore(8) unpacks them, in a root of its own ([`crate::confine`]), for they come from
//! anywhere. Source: util-vserver, `commands.md` §4 and `config-tree.md` §8.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use vserver_fs::GuestRoot;

use crate::confine::{Room, TREE, WORK};
use crate::request::Progress;
use crate::signals::Signals;
use crate::stage::Stage;
use crate::{Error, child};

const PROGRAM: &str = "restore";
/// What it leaves at the top of the tree, for a next dump that has only what has changed.
const TABLE: &str = "restoresymtable";
/// The archive beside the tree, where restore(8) finds nothing else of the host.
const COPY: &str = "dump";
const LOG: &str = "restore.log";
const PIECE: usize = 1 << 20;

/// Unpacks the file if it is such an archive. From standard input none is taken: it could not be read again.
///
/// # Errors
/// [`Error::Missing`] without restore(8); [`Error::Program`] with its last lines.
pub(crate) fn unpack(
    archive: &Path,
    stage: &Stage,
    root: &GuestRoot,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<bool, Error> {
    if !archive.is_file() {
        return Ok(false);
    }
    let file = File::open(archive).map_err(Error::io("open the tarball", archive))?;
    let unread = |source| Error::Unpack { tarball: archive.to_owned(), source };
    let Some(content) = vserver_archive::dump(file).map_err(unread)? else {
        return Ok(false);
    };
    if !child::installed(PROGRAM) {
        return Err(Error::Missing { program: PROGRAM, package: "dump" });
    }
    let work = stage.dir().join("tool");
    fs::create_dir_all(&work).map_err(Error::io("make the directory", &work))?;
    let room = Room { tree: stage.root().to_owned(), work, ..Room::default() };
    let copy = room.work.join(COPY);
    plain(content, &copy, signals)?;
    let done = run(&room, stage, signals, progress);
    // A second archive needs the same names.
    for left in [copy, stage.log(LOG)] {
        forget(&left)?;
    }
    done?;
    if root.exists(TABLE)? {
        root.remove_file(TABLE)?;
    }
    Ok(true)
}

/// It never asks, and what it would keep for itself goes to the directory of the build.
fn run(room: &Room, stage: &Stage, signals: &Signals, progress: &mut dyn Progress) -> Result<(), Error> {
    let archive = format!("{WORK}/{COPY}");
    let words = ["env", "-C", TREE, PROGRAM, "-r", "-y", "-T", WORK, "-f", &archive].map(OsString::from);
    child::run(PROGRAM, &mut room.command(&words)?, &stage.log(LOG), signals, progress)
}

/// Without its compressions it becomes a file: restore(8) knows not all of them.
fn plain(mut content: impl Read, to: &Path, signals: &Signals) -> Result<(), Error> {
    let mut file = File::create_new(to).map_err(Error::io("write", to))?;
    let mut buffer = vec![0; PIECE];
    loop {
        signals.check()?;
        match content.read(&mut buffer).map_err(Error::io("read the archive for", to))? {
            0 => return Ok(()),
            count => file.write_all(&buffer[..count]).map_err(Error::io("write", to))?,
        }
    }
}

fn forget(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
