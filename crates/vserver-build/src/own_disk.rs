//! A disk of the guest's own, while its tree is made: the image beside the tree, mounted for this process alone. Whatever
//! becomes of the process, the host never sees the mount, and it ends with it.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{fchdir, syncfs};
use vserver_disk::image::{self, Access, Kind, Wish};
use vserver_fs::GuestRoot;
use vserver_types::GuestName;

use crate::Error;
use crate::stage::Stage;

/// Name of an image in a stage.
const IMAGE: &str = "disk.img";

/// Place in a stage for the disk that is copied.
const ORIGINAL: &str = "original";

/// An image, mounted in a mount namespace of our own. Dropped, the mount is gone; the file stays for its owner to remove.
pub(crate) struct OwnDisk {
    image: PathBuf,
    kind: Kind,
    root: PathBuf,
    home: OwnedFd,
    cwd: Option<File>,
    is_mounted: bool,
}

impl OwnDisk {
    /// Makes an image in the directory `dir` and mounts it on `root`.
    pub(crate) fn make(dir: &Path, root: &Path, wish: &Wish) -> Result<Self, Error> {
        let image = dir.join(IMAGE);
        let kind = image::create(&image, wish)?;
        let home = File::open("/proc/self/ns/mnt").map_err(Error::io("open", "/proc/self/ns/mnt"))?;
        let failed = |errno: Errno| Error::io("make a mount namespace for", &image)(errno.into());
        unshare(CloneFlags::CLONE_NEWNS).map_err(failed)?;
        let own = Self {
            root: root.to_owned(),
            home: home.into(),
            cwd: File::open(".").ok(),
            is_mounted: false,
            kind,
            image: image.clone(),
        };
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none).map_err(failed)?;
        own.mounted()
    }

    /// debootstrap wants devices that work; nobody but us can reach them.
    fn mounted(mut self) -> Result<Self, Error> {
        let root = File::open(&self.root).map_err(Error::io("open", &self.root))?;
        image::mount_on(&self.image, root.as_fd(), Access::Write)?;
        self.is_mounted = true;
        fs::set_permissions(&self.root, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .map_err(Error::io("set the mode of", &self.root))?;
        // e2fsck(8) makes it anew if it has something to put there; a tree has none.
        GuestRoot::open(&self.root)?.remove_tree("lost+found")?;
        Ok(self)
    }

    /// What is in it.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Writes everything out and lets go of it: its file.
    ///
    /// # Errors
    /// What the host's file system had no room for shows only here.
    pub(crate) fn finish(mut self) -> Result<PathBuf, Error> {
        let failed = || Error::io("write out", &self.image);
        let root = File::open(&self.root).map_err(failed())?;
        syncfs(&root).map_err(|errno| failed()(errno.into()))?;
        drop(root);
        self.unmount().map_err(|errno| Error::io("unmount", &self.image)(errno.into()))?;
        File::open(&self.image).and_then(|file| file.sync_all()).map_err(Error::io("write out", &self.image))?;
        Ok(self.image.clone())
    }

    fn unmount(&mut self) -> nix::Result<()> {
        self.is_mounted = false;
        let original = self.image.with_file_name(ORIGINAL);
        if original.is_dir() {
            umount2(&original, MntFlags::UMOUNT_NOFOLLOW | MntFlags::MNT_DETACH).ok();
        }
        match umount2(&self.root, MntFlags::UMOUNT_NOFOLLOW) {
            // A process that the tree's own programs left behind; everything is written already.
            Err(Errno::EBUSY) => umount2(&self.root, MntFlags::UMOUNT_NOFOLLOW | MntFlags::MNT_DETACH),
            done => done,
        }
    }
}

impl Drop for OwnDisk {
    fn drop(&mut self) {
        // Nobody is left to be told: with the last process in it the namespace takes its mounts along.
        if self.is_mounted {
            self.unmount().ok();
        }
        setns(&self.home, CloneFlags::CLONE_NEWNS).ok();
        if let Some(cwd) = &self.cwd {
            fchdir(cwd).ok();
        }
    }
}

/// The image that the configuration in `config` names, if it does.
pub(crate) fn of(config: &Path) -> Result<Option<PathBuf>, Error> {
    let file = config.join("disk/image");
    match fs::read_to_string(&file) {
        Ok(text) => {
            Ok(text.lines().next().map(|line| PathBuf::from(line.trim())).filter(|image| image.is_absolute()))
        }
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(Error::io("read", &file)(error)),
    }
}

/// Where the image of a guest lies whose tree is at `root`: beside it.
pub(crate) fn place(root: &Path) -> PathBuf {
    root.with_added_extension("img")
}

/// Whether an image is called as that of a guest is.
pub(crate) fn bears_name(image: &Path, name: &GuestName) -> bool {
    image.file_name().is_some_and(|last| *last == *format!("{name}.img"))
}

/// The disk of a guest that does not run, to be read.
pub(crate) struct Original {
    image: PathBuf,
    /// Another one like it.
    pub wish: Wish,
}

impl Original {
    /// Writes what a crash has left in its journal, and nothing else.
    pub(crate) fn open(image: &Path) -> Result<Self, Error> {
        let (kind, bytes) = (Kind::find(image)?, image::size(image)?);
        let (root, _) = image::detached(image, Access::Read)?;
        let found = fstatvfs(&root).map_err(|errno| Error::io("look at", image)(errno.into()))?;
        // Ten of them are the file system's own, and are added again.
        let inodes = (kind == Kind::Ext4).then_some(found.files().saturating_sub(10));
        Ok(Self { image: image.to_owned(), wish: Wish { bytes, inodes, kind: Some(kind) } })
    }

    /// What is in it, mounted beside the copy's own disk for as long as that is.
    pub(crate) fn root(&self, stage: &Stage) -> Result<GuestRoot, Error> {
        let place = stage.log(ORIGINAL);
        fs::create_dir(&place).map_err(Error::io("make the directory", &place))?;
        let directory = File::open(&place).map_err(Error::io("open", &place))?;
        image::mount_on(&self.image, directory.as_fd(), Access::Read)?;
        Ok(GuestRoot::open(&place)?)
    }
}
