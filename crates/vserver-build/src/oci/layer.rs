//! One layer over the tree so far. What it takes away is read first, since a whiteout means the layers below only,
//! wherever it stands in its own. Source: OCI image specification, "Image Layer Filesystem Changeset".

use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use vserver_archive::{Choice, Options, Select};
use vserver_fs::GuestRoot;

use super::image::{Blob, changed, hex};
use super::open;
use crate::request::Progress;
use crate::signals::Signals;
use crate::{Error, template};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Applies it, and says what could not be kept.
pub(super) fn apply(
    place: &GuestRoot,
    blob: &Blob,
    root: &GuestRoot,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Vec<String>, Error> {
    let mut file = open(place, &blob.path, "layer")?;
    let total = file.metadata().map_err(Error::io("look at", &blob.path))?.len();
    if let Some(wanted) = &blob.sha256 {
        verify(&mut file, wanted, &blob.path, signals)?;
    }
    let (options, name) = (Options { ids: u64::from(u32::MAX), ..Options::default() }, Path::new(&blob.path));
    let mut whiteouts = Whiteouts { gone: Vec::new(), emptied: Vec::new(), collect: true };
    let mut pass = |select: &mut Whiteouts, progress: &mut dyn Progress| {
        file.rewind().map_err(Error::io("read", &blob.path))?;
        let input = file.try_clone().map_err(Error::io("read", &blob.path))?;
        template::stream(input, name, Some(total), &options, root, select, signals, progress)
    };
    pass(&mut whiteouts, progress)?;
    whiteouts.take_away(root)?;
    whiteouts.collect = false;
    let report = pass(&mut whiteouts, progress)?;
    Ok(template::left_out(name, &report))
}

fn verify(file: &mut std::fs::File, wanted: &str, path: &str, signals: &Signals) -> Result<(), Error> {
    let (mut sum, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(Error::io("read", path))? {
            0 => break,
            count => sum.update(&buffer[..count]),
        }
        signals.check()?;
    }
    if hex(&sum.finalize()) == wanted { Ok(()) } else { Err(changed(path)) }
}

/// Two passes: names that take something away, then everything else.
struct Whiteouts {
    gone: Vec<PathBuf>,
    emptied: Vec<PathBuf>,
    collect: bool,
}

impl Select for Whiteouts {
    fn choose(&mut self, path: &Path, _: u64) -> Choice {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let dir = path.parent().unwrap_or(Path::new(""));
        if self.collect && name == OPAQUE {
            self.emptied.push(dir.to_owned());
        } else if self.collect
            && let Some(gone) = name.strip_prefix(WHITEOUT).filter(|gone| !gone.is_empty())
        {
            self.gone.push(dir.join(std::ffi::OsStr::from_bytes(gone)));
        }
        match self.collect || name.starts_with(WHITEOUT) {
            true => Choice::Leave,
            false => Choice::Take,
        }
    }
}

impl Whiteouts {
    fn take_away(&self, root: &GuestRoot) -> Result<(), Error> {
        for dir in &self.emptied {
            if root.kind(dir)? == Some(vserver_fs::Kind::Directory) {
                for name in root.list(dir)? {
                    remove(root, &dir.join(name))?;
                }
            }
        }
        self.gone.iter().try_for_each(|path| remove(root, path))
    }
}

/// A name of whatever kind; no link is followed, and it is no error if there is none.
fn remove(root: &GuestRoot, path: &Path) -> Result<(), Error> {
    // '.wh...' would mean the directory above.
    if path.file_name().is_none() || path.components().any(|part| part == std::path::Component::ParentDir) {
        return Err(super::refused(&format!("it takes '{}' away", path.display().to_string().escape_debug())));
    }
    match root.remove_tree(path) {
        Err(error) if error.is_not_found() => Ok(()),
        done => Ok(done?),
    }
}
