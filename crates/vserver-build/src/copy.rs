//! A second guest from the first: the whole tree and configuration, but an identity of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use vserver_config::{Created, Defaults, NewGuest};
use vserver_fs::{GuestRoot, Kind, Owner, copy_tree};
use vserver_types::GuestName;

use crate::child::Running;
use crate::delete::real;
use crate::own_disk::{self, Original};
use crate::rename::limits_below;
use crate::request::{Built, CopyRequest, Progress};
use crate::signals::Signals;
use crate::stage::{Stage, Target};
use crate::{Error, disk, limit};

/// The name that systemd knows a machine by: it makes a new one where the file is empty. Source: machine-id(5).
const MACHINE_ID: &str = "etc/machine-id";
/// D-Bus's own, made anew where it is missing; usually a link to the other one.
const DBUS_ID: &str = "var/lib/dbus/machine-id";
/// Where sshd keeps its keys.
const SSH: &str = "etc/ssh";
const KEYS: [&str; 4] = ["rsa", "dsa", "ecdsa", "ed25519"];

/// Copies a guest that does not run; the caller holds the locks of both. Owners, modes, times, hard links, holes, extended
/// attributes, ACLs and device nodes are kept; on file systems that can, the copies share their blocks. Signals as in [`crate::build()`].
///
/// # Errors
/// [`Error::Exists`]; something is mounted below the tree; whatever a file meets; and nothing of the copy is left.
pub fn copy(request: &CopyRequest, progress: &mut dyn Progress) -> Result<Built, Error> {
    let signals = Signals::block()?;
    let config = request.confdir.join(request.from.as_str());
    let vdir = config.join("vdir");
    let source = real(&vdir).filter(|root| root.is_dir()).ok_or(Error::NoTree { path: vdir })?;
    let own = own_disk::of(&config)?.map(|image| Original::open(&image)).transpose()?;
    let target = Target::of_copy(request, own.is_some())?;
    let mut stage = Stage::with(&target, vserver_config::subvolumes(&request.confdir))?;
    let outcome = give_disk(own.as_ref(), &mut stage)
        .and_then(|()| original(&source, own.as_ref(), &stage))
        .and_then(|source| fill(&source, &stage, request, &signals, progress))
        .and_then(|mut notes| {
            let created = stage.commit_with(&target, || write(request, &source, &target))?;
            notes.extend(created.notes);
            Ok(Built { root: target.root.clone(), config: created.dir, init_style: None, notes })
        });
    outcome.map_err(|error| disk::explain(error, stage.root(), own.map(|own| own.wish.bytes)))
}

fn original(source: &Path, own: Option<&Original>, stage: &Stage) -> Result<GuestRoot, Error> {
    own.map_or_else(|| Ok(GuestRoot::open(source)?), |own| own.root(stage))
}

/// A disk as large as the original's, and with as many inodes if those were counted out.
fn give_disk(own: Option<&Original>, stage: &mut Stage) -> Result<(), Error> {
    own.map_or(Ok(()), |own| stage.give_disk(&own.wish).map(drop))
}

fn fill(
    source: &GuestRoot,
    stage: &Stage,
    request: &CopyRequest,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Vec<String>, Error> {
    progress.stage(&format!("copying {}", request.from));
    let root = GuestRoot::open(stage.root())?;
    vserver_unify::Layers::settle(source)?;
    let keys = HostKeys::of(source, stage)?;
    copy_tree(source, &root, &mut || signals.check())?;
    // Its files are its own.
    vserver_unify::unmark(&root)?;
    progress.stage("giving it an identity of its own");
    let notes = identity(&root, stage, keys, signals, progress)?;
    rename_host(&root, request.guest.hostname.as_deref())?;
    signals.check()?;
    Ok(notes)
}

/// The host name that was asked for, where the tree has one.
pub(crate) fn rename_host(root: &GuestRoot, name: Option<&str>) -> Result<(), Error> {
    match name {
        Some(name) if is_file(root, "etc/hostname")? => {
            Ok(root.write_atomic("etc/hostname", format!("{name}\n").as_bytes(), 0o644, Some(Owner::ROOT))?)
        }
        _ => Ok(()),
    }
}

/// A machine-id and ssh host keys of the guest's own, in place of those that are there; what could not be made is told.
pub(crate) fn identity(
    root: &GuestRoot,
    stage: &Stage,
    mut keys: HostKeys,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Vec<String>, Error> {
    if is_file(root, MACHINE_ID)? {
        root.write_atomic(MACHINE_ID, b"", 0o444, Some(Owner::ROOT))?;
    }
    if is_file(root, DBUS_ID)? {
        root.remove_file(DBUS_ID)?;
    }
    keys.begin(root, stage)?;
    let mut notes = Vec::new();
    for kind in KEYS {
        let place = place(kind);
        if is_file(root, &place)? && !replace_key(root, stage, keys.take(kind), &place, signals, progress)? {
            notes.push(format!(
                "its ssh host key /{place} was removed, and ssh-keygen of this host makes no other: run ssh-keygen -A in it"
            ));
        }
    }
    Ok(notes)
}

fn place(kind: &str) -> String {
    format!("{SSH}/ssh_host_{kind}_key")
}

/// New host keys that are being made, outside of the tree and all at once: an RSA key may take longer than all the rest of a
/// clone.
#[derive(Default)]
pub(crate) struct HostKeys(Vec<(&'static str, Option<Running>)>);

impl HostKeys {
    /// For the keys that a tree has which is to be copied.
    pub(crate) fn of(source: &GuestRoot, stage: &Stage) -> Result<Self, Error> {
        let mut keys = Self::default();
        keys.begin(source, stage)?;
        Ok(keys)
    }

    /// Begins those that are missing yet.
    fn begin(&mut self, root: &GuestRoot, stage: &Stage) -> Result<(), Error> {
        for kind in KEYS {
            if !self.0.iter().any(|(known, _)| *known == kind) && is_file(root, &place(kind))? {
                let mut command = Command::new("ssh-keygen");
                command.args(["-q", "-t", kind, "-N", "", "-C", "root@guest", "-f"]).arg(stage.log(kind));
                let log = stage.log(&format!("{kind}.log"));
                // A host without the program makes none.
                self.0.push((kind, Running::start("ssh-keygen", &mut command, &log).ok()));
            }
        }
        Ok(())
    }

    fn take(&mut self, kind: &'static str) -> (&'static str, Option<Running>) {
        let at = self.0.iter().position(|(known, _)| *known == kind);
        (kind, at.and_then(|at| self.0.swap_remove(at).1))
    }
}

/// A new key of the kind in place of what is there; false if this host cannot make one: then there is none.
fn replace_key(
    root: &GuestRoot,
    stage: &Stage,
    (kind, running): (&str, Option<Running>),
    place: &str,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<bool, Error> {
    let public = format!("{place}.pub");
    root.remove_file(place)?;
    if is_file(root, &public)? {
        root.remove_file(&public)?;
    }
    match running.map(|running| running.finish(signals, progress)) {
        Some(Err(interrupted @ Error::Interrupted { .. })) => return Err(interrupted),
        None | Some(Err(_)) => return Ok(false),
        Some(Ok(())) => {}
    }
    let key = stage.log(kind);
    for (from, to, mode) in [(key.clone(), place, 0o600), (key.with_added_extension("pub"), &public, 0o644)] {
        let bytes = std::fs::read(&from).map_err(Error::io("read", &from))?;
        root.write_atomic(to, &bytes, mode, Some(Owner::ROOT))?;
    }
    Ok(true)
}

/// No directory on the way may be a link: what lies behind one is not this guest's own file.
fn is_file(root: &GuestRoot, path: &str) -> Result<bool, Error> {
    match root.kind(path) {
        Ok(kind) => Ok(kind == Some(Kind::File)),
        Err(error) if error.is_not_found() || error.errno() == Some(nix::errno::Errno::ELOOP as i32) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn write(request: &CopyRequest, source: &Path, target: &Target) -> Result<Created, Error> {
    let (defaults, name) = (Defaults::new(&request.confdir), request.guest.name.as_str());
    let mut files = request.guest.files.clone();
    files.extend(target.image().map(|image| limit::line("disk/image", image.display())));
    let config = request.confdir.join(request.from.as_str());
    let mut roots = vec![(source.to_owned(), target.root.clone())];
    roots.extend(std::fs::read_link(config.join("vdir")).ok().map(|was| (was, target.root.clone())));
    files.extend(limits_below(&config, &roots).into_iter().map(|edit| limit::line(&edit.file, edit.value)));
    let guest = NewGuest {
        files,
        vdir: Some(request.guest.vdir.clone().unwrap_or_else(|| defaults.vdirbase().join(name))),
        cache: Some(defaults.cachebase().join(name)),
        lockfile: Some(run_file(&request.confdir, &request.from, &request.guest.name)),
        ..request.guest.clone()
    };
    Ok(vserver_config::duplicate(&request.confdir, &request.from, &guest)?)
}

/// The run file of the new name, where the old one has its own.
pub(crate) fn run_file(confdir: &Path, from: &GuestName, to: &GuestName) -> PathBuf {
    let old = std::fs::read_link(confdir.join(from.as_str()).join("run")).ok();
    let dir = old.as_deref().and_then(Path::parent).filter(|dir| dir.is_absolute());
    dir.unwrap_or(Path::new("/var/run/vservers")).join(to.as_str())
}
