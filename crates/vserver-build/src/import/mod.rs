//! A machine that is to be a guest: its tree comes from an archive, a mounted tree or the machine itself.
//!
//! ```text
//!  fetch (what is left out never arrives) ─► survey: the report ─► tame ─► the rest of every build
//! ```
//!
//! The survey is data, made from the tree; with [`look`] the tree is hollow (names and attributes, data only of what
//! the survey reads), and gone when it is told.

mod cannot;
mod image;
mod left_out;
mod local;
mod ports;
mod remote;
mod repeat;
mod survey;

use std::path::{Path, PathBuf};

use vserver_archive::Options;
use vserver_config::Userns;
use vserver_fs::GuestRoot;

use crate::request::{BuildRequest, Method, Progress};
use crate::signals::Signals;
use crate::stage::{Stage, Target};
use crate::{Error, disk, tame, template};
use left_out::Filter;

pub use image::is_image;
pub use ports::Port;
pub use remote::Remote;
pub use repeat::repeat;
pub use survey::{LeftOut, Survey};

/// Where the tree comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A tarball; `-` is standard input.
    Tar(PathBuf),
    /// A directory, with what is mounted below it.
    Tree(PathBuf),
    /// The image of a disk (qcow2, vmdk, vhdx, vdi, raw), and the number of its partition, if that was said.
    Image(PathBuf, Option<u32>),
    /// A machine that rsync reaches by ssh.
    Ssh(Remote),
}

/// Arguments of an import.
#[derive(Clone, Debug)]
pub struct Import {
    /// Where the tree comes from.
    pub source: Source,
    /// The directory of the archive or tree that is the root, if it is not all of it.
    pub below: PathBuf,
    /// Nothing is left out or rewritten: it is the tree of a guest.
    pub as_is: bool,
    /// machine-id and ssh host keys stay: it is the same server, in another place.
    pub keep_identity: bool,
    /// Take it although it is this host.
    pub this_host: bool,
}

/// What an import has brought.
pub(crate) struct Fetched {
    pub survey: Survey,
    pub notes: Vec<String>,
}

/// What an import would do. Nothing of it is left afterwards; an archive on standard input is used up.
///
/// # Errors
/// As those of [`crate::build()`].
pub fn look(request: &BuildRequest, progress: &mut dyn Progress) -> Result<Survey, Error> {
    let signals = Signals::block()?;
    let Method::Import(import) = &request.method else {
        return Err(Error::Wish { reason: "only an import has a report".to_owned() });
    };
    refuse_host(import)?;
    let target = Target::check(request)?;
    let stage = Stage::with(&target, false)?;
    let fetched = fetch(import, request, &stage, true, &signals, progress);
    fetched.map(|fetched| fetched.survey).map_err(|error| disk::explain(error, stage.root(), None))
}

/// Brings the tree, and looks at it.
pub(crate) fn fetch(
    import: &Import,
    request: &BuildRequest,
    stage: &Stage,
    hollow: bool,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Fetched, Error> {
    refuse_host(import)?;
    let root = GuestRoot::open(stage.root())?;
    let options = Options { ids: u64::from(u32::MAX), ..Options::default() };
    let mut filter = Filter::new(import, hollow);
    let mut notes = Vec::new();
    let report = match &import.source {
        Source::Tar(file) => {
            progress.stage(&format!("unpacking {}", file.display()));
            let report = template::one(file, &options, &root, &mut filter, signals, progress)?;
            notes = template::left_out(file, &report);
            Some(report)
        }
        Source::Tree(dir) => {
            progress.stage(&format!("copying {}", dir.display()));
            let report = local::copy(dir, dir, &options, &root, &mut filter, signals, progress)?;
            notes = template::left_out(dir, &report);
            Some(report)
        }
        Source::Image(file, partition) => {
            let disk = image::open(file, *partition, stage, signals, progress)?;
            progress.stage(&format!("copying {}", file.display()));
            let report = local::copy(&disk.path(), file, &options, &root, &mut filter, signals, progress)?;
            notes = template::left_out(file, &report);
            Some(report)
        }
        Source::Ssh(remote) => {
            let into = remote::Into { root: stage.root(), logs: stage.dir(), hollow, kept: &[] };
            remote.fetch(&into, import, signals, progress)?;
            None
        }
    };
    refuse_roots(&root, import)?;
    let mut survey = survey::of(&root, &request.guest, import, &filter)?;
    survey.count(&root, report.as_ref(), request.guest.userns == Some(Userns::Off))?;
    if !import.this_host && !import.as_is {
        refuse_own(&root)?;
    }
    if !hollow {
        survey.remove_swap(&root)?;
    }
    Ok(Fetched { survey, notes })
}

/// Makes a guest of it.
pub(crate) fn tame(
    import: &Import,
    fetched: &Fetched,
    root: &GuestRoot,
    stage: &Stage,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Vec<String>, Error> {
    if import.as_is {
        return Ok(Vec::new());
    }
    progress.stage("making a guest of it");
    tame::apply(root, &fetched.survey.changes)?;
    if import.keep_identity {
        return Ok(Vec::new());
    }
    crate::copy::identity(root, stage, crate::copy::HostKeys::default(), signals, progress)
}

/// The host's own root is no guest, by whatever name.
fn refuse_host(import: &Import) -> Result<(), Error> {
    match &import.source {
        Source::Tree(dir) => {
            let failed = Error::io("look at", dir);
            let (it, host) = (
                std::fs::metadata(dir).map_err(failed)?,
                Path::new("/").metadata().map_err(Error::io("look at", "/"))?,
            );
            use std::os::unix::fs::MetadataExt;
            match (it.dev(), it.ino()) == (host.dev(), host.ino())
                && import.below.as_os_str().is_empty()
                && !import.this_host
            {
                true => Err(itself()),
                false => Ok(()),
            }
        }
        Source::Tar(_) | Source::Image(..) | Source::Ssh(_) => Ok(()),
    }
}

pub(crate) fn itself() -> Error {
    let reason = "that is this host itself, which cannot be its own guest; to run a copy of its services in a guest, import \
                  an archive of it with --this-host";
    Error::Wish { reason: reason.to_owned() }
}

/// A machine has its id from its installation, so an equal one means this very host.
fn refuse_own(root: &GuestRoot) -> Result<(), Error> {
    let own = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let theirs = tame::text(root, "etc/machine-id")?.unwrap_or_default();
    let (own, theirs) = (own.trim(), theirs.trim());
    if own.len() == 32 && own == theirs { Err(itself()) } else { Ok(()) }
}

/// A tree begins with its root, and has one.
fn refuse_roots(root: &GuestRoot, import: &Import) -> Result<(), Error> {
    let is_root = |dir: &str| -> Result<bool, Error> {
        let has = |name: &str| root.exists(format!("{dir}/{name}"));
        Ok(has("etc")? && (has("usr")? || has("bin")?))
    };
    if import.as_is || is_root(".")? {
        return Ok(());
    }
    let mut roots = Vec::new();
    for name in tame::names_in(root, ".")? {
        if is_root(&name)? {
            roots.push(name);
        }
    }
    let reason = match roots.as_slice() {
        [] => "there is no root of a system in it: neither /etc nor /usr and /bin at its top".to_owned(),
        [one] => format!("its root is in the directory '{one}'; say so with --below {one}"),
        several => format!(
            "it has {} roots, {}; say which one with --below DIRECTORY",
            several.len(),
            several.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
        ),
    };
    Err(Error::Wish { reason: format!("nothing is imported: {reason}") })
}
