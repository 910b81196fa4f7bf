//! From management by the guest's own tools to the host's, and back. The configuration changes last, and what was moved is
//! removed where it was only after that.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use vserver_config::Edit;
use vserver_fs::{GuestRoot, Kind, Owner};
use vserver_types::GuestName;

use super::Places;
use crate::delete::real;
use crate::{Error, PackageStyle};

const DATABASE: &str = "var/lib/rpm";
/// The flag for management from inside.
const INTERNAL: &str = "apps/pkgmgmt/internal";
/// What is copied from the guest: for whom, a directory or file of its tree, and its place below the base.
const SETTINGS: [(Family, &str, &str); 10] = [
    (Family::Debian, "etc/apt", "apt/etc"),
    (Family::Debian, "etc/apt/sources.list.d", "apt/etc/sources.list.d"),
    (Family::Debian, "etc/apt/trusted.gpg.d", "apt/etc/trusted.gpg.d"),
    (Family::Debian, "etc/apt/preferences.d", "apt/etc/preferences.d"),
    (Family::Debian, "etc/apt/apt.conf.d", "apt/etc/apt.conf.d"),
    (Family::Rpm, DATABASE, "rpm/state"),
    (Family::Rpm, "etc/rpm", "rpm/etc"),
    (Family::Rpm, "etc/yum.repos.d", "yum/etc/yum.repos.d"),
    (Family::Rpm, "etc/dnf", "yum/etc/dnf"),
    (Family::Rpm, "etc/yum", "yum/etc/yum"),
];
/// What the tools fill.
const EMPTY: [(Family, &str); 4] = [
    (Family::Debian, "apt/state"),
    (Family::Debian, "apt/cache"),
    (Family::Debian, "apt/archives"),
    (Family::Rpm, "yum/cache"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Debian,
    Rpm,
}

impl Family {
    fn of(style: PackageStyle) -> Self {
        match style {
            PackageStyle::Debian => Self::Debian,
            PackageStyle::Rpm | PackageStyle::Suse => Self::Rpm,
        }
    }
}

/// Moves what the guest's tools know to the host, to where its configuration leads, else to `<pkgbase>/NAME`. To be called under the guest's lock, while it is
/// stopped.
///
/// # Errors
/// [`Error::PackageData`] if something lies there already and not `force`; after any error the guest's own tools go on as before.
pub fn externalize(confdir: &Path, name: &GuestName, style: PackageStyle, force: bool) -> Result<(), Error> {
    let config = confdir.join(name.as_str());
    let base = place(confdir, name);
    let parent = parent_of(&base)?;
    let base = parent.join(base.file_name().unwrap_or(name.as_str().as_ref()));
    if has_content(&base) && !force {
        return Err(Error::PackageData { name: name.clone(), path: base });
    }
    let root = tree(&config)?;
    let staged = Staged::new(parent.join(format!(".{name}.externalize-{}", std::process::id())))?;
    let family = Family::of(style);
    for (_, dir) in EMPTY.iter().filter(|(whose, _)| *whose == family) {
        make(&staged.0.join(dir))?;
    }
    for (_, from, to) in SETTINGS.iter().filter(|(whose, ..)| *whose == family) {
        copy_out(&root, from, &staged.0.join(to))?;
    }
    if family == Family::Debian {
        offer_apt_conf(confdir, &staged.0.join("apt/etc/apt.conf"))?;
    }
    if has_content(&base) {
        let aside = parent.join(format!("{name}.~{}~", std::process::id()));
        fs::rename(&base, &aside).map_err(Error::io("put aside", &base))?;
    }
    fs::remove_dir(&base).or_else(none).map_err(Error::io("replace the directory", &base))?;
    fs::rename(&staged.0, &base).map_err(Error::io("rename to its place", &base))?;
    let link = config.join("apps/pkgmgmt/base");
    make(&config.join("apps/pkgmgmt"))?;
    let linked = fs::remove_file(&link).or_else(none).and_then(|()| symlink(&base, &link));
    linked.map_err(Error::io("make the link", &link))?;
    vserver_config::edit(confdir, name, &[Edit::Unset(INTERNAL.to_owned())])?;
    match family {
        Family::Rpm if root.exists(DATABASE)? => Ok(root.empty_dir(DATABASE)?),
        _ => Ok(()),
    }
}

/// Moves it back. What the guest does not need stays on the host.
///
/// # Errors
/// [`Error::TwoDatabases`] if the guest has a database of rpm, too, and not `force`, which keeps the guest's.
pub fn internalize(confdir: &Path, name: &GuestName, style: Option<PackageStyle>, force: bool) -> Result<(), Error> {
    let root = tree(&confdir.join(name.as_str()))?;
    let state = Places::of(confdir, name).find("rpmstate", &["rpm/state", "var/lib/rpm"]);
    let wanted = style != Some(PackageStyle::Debian);
    let state = state.filter(|dir| wanted && has_content(dir));
    let taken = root.exists(DATABASE)? && !root.list(DATABASE)?.is_empty();
    match (&state, taken) {
        (Some(state), true) if !force => {
            return Err(Error::TwoDatabases { name: name.clone(), path: state.clone() });
        }
        (Some(state), false) => copy_in(state, &root)?,
        _ => {}
    }
    vserver_config::edit(confdir, name, &[Edit::Set(INTERNAL.to_owned(), String::new())])?;
    match state.filter(|_| !taken) {
        Some(state) => empty(&state),
        None => Ok(()),
    }
}

/// The host's default, for a guest that has none.
fn offer_apt_conf(confdir: &Path, place: &Path) -> Result<(), Error> {
    let default = confdir.join(".defaults/apps/pkgmgmt/apt.conf");
    if default.is_file() && !place.exists() {
        fs::copy(&default, place).map_err(Error::io("copy", &default))?;
    }
    Ok(())
}

/// Where a link of the configuration leads counts before the place that all guests have.
fn place(confdir: &Path, name: &GuestName) -> PathBuf {
    let link = confdir.join(name.as_str()).join("apps/pkgmgmt/base");
    let target = fs::read_link(&link).ok().and_then(|target| Some(link.parent()?.join(target)));
    target.unwrap_or_else(|| vserver_config::Defaults::new(confdir).pkgbase().join(name.as_str()))
}

fn tree(config: &Path) -> Result<GuestRoot, Error> {
    let vdir = config.join("vdir");
    Ok(GuestRoot::open(&real(&vdir).ok_or(Error::NoTree { path: vdir })?)?)
}

/// The directory of all guests' package data, made if it is missing.
fn parent_of(base: &Path) -> Result<PathBuf, Error> {
    let parent = base.parent().unwrap_or(base);
    DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(Error::io("make the directory", parent))?;
    parent.canonicalize().map_err(Error::io("find", parent))
}

fn make(dir: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(Error::io("make the directory", dir))
}

fn none(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn has_content(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}

/// The ordinary files of one directory of the guest: a link could lead anywhere once it lies on the host.
fn copy_out(root: &GuestRoot, from: &str, to: &Path) -> Result<(), Error> {
    make(to)?;
    if root.kind(from)? != Some(Kind::Directory) {
        return Ok(());
    }
    for name in root.list(from)? {
        let path = Path::new(from).join(&name);
        let plain = root.readlink(&path).is_err() && root.kind(&path)? == Some(Kind::File);
        if plain {
            let copy = to.join(&name);
            let mut file = File::create_new(&copy).map_err(Error::io("write", &copy))?;
            std::io::copy(&mut root.open_file(&path)?, &mut file).map_err(Error::io("write", &copy))?;
        }
    }
    Ok(())
}

/// The database's files into the guest's empty directory.
fn copy_in(state: &Path, root: &GuestRoot) -> Result<(), Error> {
    root.create_dir_all(DATABASE, 0o755)?;
    let copied = plain_files(state)?.iter().try_for_each(|path| {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let place = Path::new(DATABASE).join(path.file_name().unwrap_or_default());
        Ok(root.write_atomic(place, &bytes, 0o644, Some(Owner::ROOT))?)
    });
    if copied.is_err() {
        // The first failure is the one to report.
        root.empty_dir(DATABASE).ok();
    }
    copied
}

fn empty(dir: &Path) -> Result<(), Error> {
    plain_files(dir)?.iter().try_for_each(|path| fs::remove_file(path).map_err(Error::io("remove", path)))
}

fn plain_files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = || Error::io("look into", dir);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        if entry.file_type().map_err(failed())?.is_file() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// A directory that is gone unless it was renamed.
struct Staged(PathBuf);

impl Staged {
    fn new(path: PathBuf) -> Result<Self, Error> {
        make(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Nothing is there after the rename.
        vserver_fs::remove_guest_tree(&self.0).ok();
    }
}
