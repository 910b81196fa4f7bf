//! Where the tree grows, and how it takes its place: all at once, last of all the configuration.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use vserver_config::{Created, Defaults, NewGuest};
use vserver_disk::image::{Kind, Wish};
use vserver_fs::{Flock, remove_guest_tree};
use vserver_types::GuestName;

use crate::own_disk::{self, OwnDisk};
use crate::request::{BuildRequest, CopyRequest};
use crate::snapshot::beside;
use crate::{Error, limit, orphans};

/// Where the guest is to be, after it was seen that it may be there.
pub(crate) struct Target {
    /// The tree, links of its base resolved.
    pub root: PathBuf,
    /// The configuration.
    pub config: PathBuf,
    /// What it lies in.
    pub base: PathBuf,
    name: GuestName,
    /// The image of a disk of its own.
    image: Option<PathBuf>,
    /// Build in the tree that is there.
    in_place: bool,
}

impl Target {
    /// The image of a disk of its own.
    pub(crate) fn image(&self) -> Option<&Path> {
        self.image.as_deref()
    }

    /// Finds the places and refuses what stands in the way. Makes the base directory if there is none.
    pub(crate) fn check(request: &BuildRequest) -> Result<Self, Error> {
        let own_disk = request.disk.is_some();
        Self::find(&request.confdir, &request.guest, own_disk, request.accept_root, request.force)
    }

    /// The same for a copy, which replaces nothing.
    pub(crate) fn of_copy(request: &CopyRequest, own_disk: bool) -> Result<Self, Error> {
        Self::find(&request.confdir, &request.guest, own_disk, false, false)
    }

    fn find(confdir: &Path, guest: &NewGuest, own_disk: bool, accept_root: bool, force: bool) -> Result<Self, Error> {
        let name = guest.name.clone();
        let config = confdir.join(name.as_str());
        let wanted = guest.vdir.clone();
        let wanted = wanted.unwrap_or_else(|| Defaults::new(confdir).vdirbase().join(name.as_str()));
        let (Some(parent), Some(last)) = (wanted.parent(), wanted.file_name()) else {
            return Err(Error::BadWord { word: wanted.display().to_string(), what: "guest's root directory" });
        };
        let base = base(parent)?;
        let root = base.join(last);
        let in_place = accept_root && root.symlink_metadata().is_ok();
        let taken = config.symlink_metadata().is_ok() || (!in_place && !is_free(&root)?);
        if taken && !force {
            return Err(Error::Exists { root: wanted, config });
        }
        let image = own_disk.then(|| own_disk::place(&root));
        if let Some(image) = image.as_ref().filter(|image| !force && image.symlink_metadata().is_ok()) {
            return Err(Error::Exists { root: image.clone(), config });
        }
        Ok(Self { root, config, base, name, image, in_place: in_place && !force })
    }
}

/// The growing tree. Dropping it without [`commit`](Self::commit) or [`keep`](Self::keep) removes it.
pub(crate) struct Stage {
    /// `.<name>.build-<pid>` beside the target: the tree below it, its disk, and logs.
    dir: PathBuf,
    root: PathBuf,
    disk: Option<OwnDisk>,
    kept: bool,
    /// Says that somebody works here.
    _lock: Flock,
}

impl Stage {
    /// Makes an empty stage; the tree is a subvolume if that is wished and its file system has such a thing.
    pub(crate) fn with(target: &Target, subvolume: bool) -> Result<Self, Error> {
        orphans::remove(&target.base, &target.name)?;
        let dir = target.base.join(orphans::name(&target.name));
        DirBuilder::new().mode(0o700).create(&dir).map_err(Error::io("make the directory", &dir))?;
        let lock = orphans::hold(&dir)?;
        let mut stage = Self { root: dir.join("root"), dir, disk: None, kept: false, _lock: lock };
        if target.in_place {
            stage.root.clone_from(&target.root);
        } else {
            if !(subvolume && limit::subvolume(&stage.dir, &stage.root)?) {
                let failed = Error::io("make the directory", &stage.root);
                DirBuilder::new().mode(0o755).create(&stage.root).map_err(failed)?;
            }
            fs::set_permissions(&stage.root, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .map_err(Error::io("set the mode of", &stage.root))?;
        }
        Ok(stage)
    }

    /// One that has nothing to do with a guest: `dir`, which is not there yet, and an empty tree in it.
    pub(crate) fn bare(dir: PathBuf) -> Result<Self, Error> {
        if dir.symlink_metadata().is_ok() {
            // A process of the same number was killed.
            remove_guest_tree(&dir)?;
        }
        DirBuilder::new().mode(0o700).create(&dir).map_err(Error::io("make the directory", &dir))?;
        let lock = orphans::hold(&dir)?;
        let stage = Self { root: dir.join("root"), dir, disk: None, kept: false, _lock: lock };
        DirBuilder::new().mode(0o755).create(&stage.root).map_err(Error::io("make the directory", &stage.root))?;
        Ok(stage)
    }

    /// Removes everything beside the tree that is of no use to anybody later: the lock, logs of programs that have ended well.
    pub(crate) fn forget_logs(&self) -> Result<(), Error> {
        let failed = || Error::io("look into", &self.dir);
        for entry in fs::read_dir(&self.dir).map_err(failed())? {
            let path = entry.map_err(failed())?.path();
            if path.extension().is_some_and(|end| end == "log") || path.ends_with(orphans::LOCK) {
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// It has been renamed, and nothing of it is left to remove.
    pub(crate) fn gone(&mut self) {
        self.kept = true;
    }

    /// Puts the tree on a disk of its own, and says what is in that.
    pub(crate) fn give_disk(&mut self, wish: &Wish) -> Result<Kind, Error> {
        let disk = OwnDisk::make(&self.dir, &self.root, wish)?;
        let kind = disk.kind();
        self.disk = Some(disk);
        Ok(kind)
    }

    /// The tree.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory beside the tree that is gone with the stage.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A place for a log that is gone with the stage.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The configuration root of programs that run during the build: the guest's directory there is what it will have.
    pub(crate) fn draft(&self) -> PathBuf {
        self.dir.join("config")
    }

    /// Leaves everything that was made under a name that no later build removes, and says where.
    pub(crate) fn keep(&mut self, target: &Target) -> PathBuf {
        self.kept = true;
        self.disk = None;
        let kept = target.base.join(format!("{}.failed-{}", target.name, std::process::id()));
        match renameat2(AT_FDCWD, &self.dir, AT_FDCWD, &kept, RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => kept,
            Err(_) => self.dir.clone(),
        }
    }

    /// Moves what is in the way aside (`--force`), the tree into its place, and writes the configuration. If any of it
    /// fails, the rest is taken back.
    pub(crate) fn commit(
        &mut self,
        request: &BuildRequest,
        target: &Target,
        guest: &NewGuest,
    ) -> Result<Created, Error> {
        let mut undo = Undo::default();
        let created = set_aside(request, target, &mut undo).and_then(|()| {
            let mut guest = guest.clone();
            guest.vdir = request.guest.vdir.clone();
            let changed = self.draft().join(guest.name.as_str());
            self.commit_with(target, || {
                vserver_config::create_over(&request.confdir, &guest, changed.exists().then_some(changed.as_path()))
                    .map_err(|e| match e {
                        vserver_config::Error::Exists { path } => {
                            Error::Exists { root: target.root.clone(), config: path }
                        }
                        other => other.into(),
                    })
            })
        });
        if created.is_err() {
            undo.take_back();
        }
        created
    }

    /// Moves the tree into its place, where nothing is, and lets the configuration be written.
    pub(crate) fn commit_with(
        &mut self,
        target: &Target,
        write: impl FnOnce() -> Result<Created, Error>,
    ) -> Result<Created, Error> {
        let mut undo = Undo::default();
        let created = self.move_disk(target, &mut undo).and_then(|()| self.move_in(target, &mut undo));
        let created = created.and_then(|()| write());
        if created.is_err() {
            undo.take_back();
        }
        created
    }

    /// The mounted tree is a directory again afterwards, an empty one.
    fn move_disk(&mut self, target: &Target, undo: &mut Undo) -> Result<(), Error> {
        match (self.disk.take(), &target.image) {
            (Some(disk), Some(place)) => undo.rename(&disk.finish()?, place),
            _ => Ok(()),
        }
    }

    fn move_in(&self, target: &Target, undo: &mut Undo) -> Result<(), Error> {
        if target.in_place {
            return Ok(());
        }
        // An empty directory in its place was made for it.
        match fs::remove_dir(&target.root) {
            Ok(()) => undo.emptied = Some(target.root.clone()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("replace the directory", &target.root)(e)),
        }
        undo.rename(&self.root, &target.root)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.disk = None;
        if !self.kept {
            // Nobody is left to be told; the next build of this process number tries again.
            remove_guest_tree(&self.dir).ok();
        }
    }
}

/// What is in the way of `--force`: tree, disk, configuration, and what the host knows of the packages. Source: util-vserver,
/// `commands.md` §4.
fn set_aside(request: &BuildRequest, target: &Target, undo: &mut Undo) -> Result<(), Error> {
    if !request.force {
        return Ok(());
    }
    if !is_free(&target.root)? {
        set_aside_one(&target.root, undo)?;
    }
    if let Some(image) = target.image.as_ref().filter(|image| image.symlink_metadata().is_ok()) {
        set_aside_one(image, undo)?;
    }
    if target.config.symlink_metadata().is_ok() {
        let old = vserver_config::set_aside(&request.confdir, &request.guest.name)?;
        undo.done.push((target.config.clone(), old));
    }
    let usual = || Defaults::new(&request.confdir).pkgbase();
    let packages = request.guest.pkgbase.clone().unwrap_or_else(usual).join(request.guest.name.as_str());
    if is_free(&packages)? { Ok(()) } else { undo.rename(&packages, &aside(&packages)) }
}

/// A tree or an image, with its snapshots: those of the guest that was there are none of the new one.
fn set_aside_one(path: &Path, undo: &mut Undo) -> Result<(), Error> {
    let (away, snapshots) = (aside(path), beside(path));
    if snapshots.is_dir() {
        undo.rename(&snapshots, &beside(&away))?;
    }
    undo.rename(path, &away)
}

/// Renames that were done, to be done backwards.
#[derive(Default)]
pub(crate) struct Undo {
    done: Vec<(PathBuf, PathBuf)>,
    emptied: Option<PathBuf>,
}

impl Undo {
    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE).map_err(|e| match e {
            Errno::EEXIST | Errno::ENOTEMPTY => Error::Exists { root: to.to_owned(), config: PathBuf::new() },
            e => Error::io("rename to its place", to)(e.into()),
        })?;
        self.done.push((from.to_owned(), to.to_owned()));
        Ok(())
    }

    /// Newest first; one that fails does not stop the others.
    pub(crate) fn take_back(self) {
        for (from, to) in self.done.into_iter().rev() {
            fs::rename(to, from).ok();
        }
        if let Some(dir) = self.emptied {
            DirBuilder::new().mode(0o755).create(dir).ok();
        }
    }
}

/// The directory that holds guests' trees, made (closed to all but root) if it is missing.
fn base(parent: &Path) -> Result<PathBuf, Error> {
    let failed = || Error::io("make the directory", parent);
    if !parent.is_dir() {
        // The usual base is a link, and mkdir(2) does not make what a dangling link points to.
        let real = fs::read_link(parent).map(|target| parent.parent().unwrap_or(parent).join(target));
        let real = real.unwrap_or_else(|_| parent.to_owned());
        DirBuilder::new().recursive(true).mode(0o700).create(real).map_err(failed())?;
    }
    parent.canonicalize().map_err(failed())
}

/// Whether nothing, or an empty directory, has that name.
fn is_free(path: &Path) -> Result<bool, Error> {
    match path.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(Error::io("look at", path)(e)),
        Ok(found) if !found.is_dir() => Ok(false),
        Ok(_) => fs::read_dir(path).map(|mut entries| entries.next().is_none()).map_err(Error::io("look into", path)),
    }
}

/// `<path>.~<seconds>~`, a free one.
fn aside(path: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let name = |second: u64| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".~{second}~"));
        PathBuf::from(name)
    };
    (now..).map(name).find(|path| path.symlink_metadata().is_err()).unwrap_or_else(|| name(now))
}
