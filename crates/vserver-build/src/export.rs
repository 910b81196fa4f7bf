//! A guest's tree as an archive, with everything that an import keeps.

use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use vserver_archive::{All, Report};
use vserver_disk::image::{self, Access};
use vserver_fs::GuestRoot;
use vserver_types::GuestName;

use crate::delete::real;
use crate::request::Progress;
use crate::signals::Signals;
use crate::{Error, disk, own_disk};

/// Where the archive goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output, as it is.
    Standard,
    /// A file, which appears when it is complete; the end of its name says how it is compressed (`.gz`, `.zst`, `.xz`,
    /// `.bz2`, else not).
    File(PathBuf),
}

/// Packs the tree of a guest. One that runs is packed as it is at each moment, and so may not fit together; one with a
/// disk of its own must not run.
///
/// # Errors
/// There is no tree; a file cannot be read or the archive not be written, and nothing of it is left then.
pub fn export(
    confdir: &Path,
    name: &GuestName,
    output: &Output,
    progress: &mut dyn Progress,
) -> Result<Report, Error> {
    let signals = Signals::block()?;
    let root = tree(confdir, name)?;
    progress.stage(&format!("packing {name}"));
    write(&root, output, &signals, progress)
}

/// Packs a tree to where it shall go.
pub(crate) fn write(
    root: &GuestRoot,
    output: &Output,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Report, Error> {
    match output {
        Output::Standard => {
            pack(root, io::BufWriter::with_capacity(1 << 20, io::stdout().lock()), Path::new("-"), signals, progress)
        }
        Output::File(path) => to_file(root, path, signals, progress),
    }
}

fn tree(confdir: &Path, name: &GuestName) -> Result<GuestRoot, Error> {
    let (config, _) = vserver_config::read(confdir, name)?;
    if let Some(file) = own_disk::of(&config.dir)? {
        let (root, _) = image::detached(&file, Access::Read)?;
        return Ok(GuestRoot::of(root, &file)?);
    }
    let vdir = config.dir.join("vdir");
    let place = real(&vdir).filter(|root| root.is_dir()).ok_or(Error::NoTree { path: vdir })?;
    Ok(GuestRoot::open(&place)?)
}

fn to_file(root: &GuestRoot, path: &Path, signals: &Signals, progress: &mut dyn Progress) -> Result<Report, Error> {
    let path = std::path::absolute(path).map_err(Error::io("use", path))?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    let failed = || Error::io("write", &path);
    let mut file = tempfile::Builder::new().prefix(".vserver-export-").tempfile_in(dir).map_err(failed())?;
    let packed = compressed(root, file.as_file_mut(), &path, signals, progress);
    let report = packed.map_err(|error| disk::explain(error, dir, None))?;
    file.as_file().sync_data().map_err(failed())?;
    file.persist(&path).map_err(|error| failed()(error.error))?;
    Ok(report)
}

fn compressed(
    root: &GuestRoot,
    file: &mut File,
    path: &Path,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Report, Error> {
    let failed = || Error::io("write", path);
    let file = io::BufWriter::with_capacity(1 << 20, file);
    match path.extension().and_then(|end| end.to_str()) {
        Some("gz" | "tgz") => {
            let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::default());
            let report = pack(root, &mut encoder, path, signals, progress)?;
            encoder.finish().and_then(|mut file| file.flush()).map_err(failed())?;
            Ok(report)
        }
        Some("zst") => {
            let mut encoder = zstd::stream::write::Encoder::new(file, 3).map_err(failed())?;
            let report = pack(root, &mut encoder, path, signals, progress)?;
            encoder.finish().and_then(|mut file| file.flush()).map_err(failed())?;
            Ok(report)
        }
        Some("xz" | "txz") => {
            let mut encoder = liblzma::write::XzEncoder::new(file, 6);
            let report = pack(root, &mut encoder, path, signals, progress)?;
            encoder.finish().and_then(|mut file| file.flush()).map_err(failed())?;
            Ok(report)
        }
        Some("bz2") => {
            let mut encoder = bzip2::write::BzEncoder::new(file, bzip2::Compression::best());
            let report = pack(root, &mut encoder, path, signals, progress)?;
            encoder.finish().and_then(|mut file| file.flush()).map_err(failed())?;
            Ok(report)
        }
        _ => pack(root, file, path, signals, progress),
    }
}

fn pack(
    root: &GuestRoot,
    output: impl Write,
    path: &Path,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Report, Error> {
    let mut fault = None;
    let mut tick = |done| {
        progress.bytes(done, None);
        match signals.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                fault = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    let packed = vserver_archive::pack(root, output, false, &mut All, &mut tick);
    match fault {
        Some(error) => Err(error),
        None => packed.map_err(|source| Error::Pack { tarball: path.to_owned(), source }),
    }
}
