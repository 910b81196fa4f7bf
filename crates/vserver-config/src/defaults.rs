//! `.defaults/` and `.distributions/`: what the whole host agrees on.

use std::path::{Path, PathBuf};

use vserver_types::{CgroupBase, ParseError};

use crate::error::Error;
use crate::reader::Reader;

/// Where guests' roots lie unless `.defaults/vdirbase` points elsewhere.
pub const VDIRBASE: &str = "/vservers";
/// Where guests' caches lie unless `.defaults/cachebase` points elsewhere.
pub const CACHEBASE: &str = "/var/cache/vservers";
/// First context number that build hands out.
pub const FIRST_CONTEXT: u32 = 40_000;
/// The fstab of a new guest. Source: `config-tree.md` §5.5.
pub const FSTAB: &str = "none\t/proc\t\tproc\tdefaults\t\t0 0\n\
                         none\t/tmp\t\ttmpfs\tsize=16m,mode=1777\t0 0\n\
                         none\t/dev/pts\tdevpts\tgid=5,mode=620\t\t0 0\n";
/// Ticks per second of the kernels that `sched/` was written for, unless `.defaults/sched/hz` says otherwise.
pub const HZ: u32 = 250;

/// The host-wide part of a configuration tree. Missing files mean the defaults; faults in one are the caller's error.
#[derive(Clone, Debug)]
pub struct Defaults {
    confdir: PathBuf,
}

impl Defaults {
    /// Of this configuration root.
    pub fn new(confdir: &Path) -> Self {
        Self { confdir: confdir.to_owned() }
    }

    /// The configuration root.
    pub fn confdir(&self) -> &Path {
        &self.confdir
    }

    /// Options for build that come before those of the command line (`apps/build/options`, one argument per line).
    pub fn build_options(&self) -> Result<Vec<String>, Error> {
        let path = self.path("apps/build/options");
        self.with(|reader| reader.argv(&path)).map(Option::unwrap_or_default)
    }

    /// The debootstrap mirror for a distribution: `.distributions/<d>/debootstrap.mirror`, then
    /// `.defaults/apps/debootstrap/mirror`; `None` leaves it to the host's own package configuration.
    pub fn debootstrap_mirror(&self, distribution: Option<&str>) -> Result<Option<String>, Error> {
        let files = self.chain(distribution, "debootstrap.mirror", "apps/debootstrap/mirror");
        self.with(|reader| reader.first_scalar(&files).filter(|mirror| !mirror.is_empty()))
    }

    /// More options for debootstrap, split at blanks; looked for like the mirror.
    pub fn debootstrap_options(&self, distribution: Option<&str>) -> Result<Vec<String>, Error> {
        let files = self.chain(distribution, "debootstrap.options", "apps/debootstrap/options");
        let line = self.with(|reader| reader.first_scalar(&files))?.unwrap_or_default();
        Ok(line.split_ascii_whitespace().map(str::to_owned).collect())
    }

    /// debootstrap's script for a distribution: `.distributions/<d>/debootstrap.script`, if there is one.
    pub fn debootstrap_script(&self, distribution: &str) -> Option<PathBuf> {
        self.special(Some(distribution), "debootstrap.script").filter(|path| path.is_file())
    }

    /// A program of a distribution, `initpre` or `initpost`, if there is one, whether it can be executed or not.
    pub fn program(&self, distribution: Option<&str>, file: &str) -> Option<PathBuf> {
        self.special(distribution, file).filter(|path| path.symlink_metadata().is_ok())
    }

    /// The archive that a distribution's guests begin with (`template`), if there is one.
    pub fn template(&self, distribution: Option<&str>) -> Option<PathBuf> {
        self.special(distribution, "template").filter(|path| path.is_file())
    }

    /// The packages of a distribution's lists, `pkgs/*`, in alphabetical order of the lists. The options that may lead a list
    /// (`--reinstall`, `--can-fail`) are left out.
    pub fn packages(&self, distribution: &str) -> Result<Vec<String>, Error> {
        let Some(dir) = self.special(Some(distribution), "pkgs") else { return Ok(Vec::new()) };
        self.with(|reader| {
            let lists: Vec<_> =
                reader.names(&dir).into_iter().filter_map(|name| reader.text(&dir.join(name))).collect();
            let words = lists.iter().flat_map(|list| list.split_whitespace()).filter(|word| !word.starts_with('-'));
            words.map(str::to_owned).collect()
        })
    }

    /// The file that a new guest's `/etc/<name>` is copied from, if there is one; an empty one means "copy nothing".
    pub fn etc_file(&self, distribution: Option<&str>, name: &str) -> Option<PathBuf> {
        let files = self.chain(distribution, &format!("files/{name}"), &format!("files/{name}"));
        files.into_iter().find(|path| path.is_file())
    }

    /// Program for `enter`.
    pub fn shell(&self) -> Result<Option<String>, Error> {
        let path = self.path("shell");
        self.with(|reader| reader.scalar(&path).filter(|shell| !shell.is_empty()))
    }

    /// Content of a new guest's fstab: `.defaults/fstab`, else [`FSTAB`].
    pub fn fstab(&self) -> Result<String, Error> {
        let path = self.path("fstab");
        Ok(self.with(|reader| reader.text(&path))?.unwrap_or_else(|| FSTAB.to_owned()))
    }

    /// Whether new guests get their number at start (`context.dynamic`).
    pub fn context_dynamic(&self) -> bool {
        Reader::exists(&self.path("context.dynamic"))
    }

    /// Directory of new guests' roots, as links name it: `<confdir>/.defaults/vdirbase` if that is a directory or a
    /// link, else [`VDIRBASE`].
    pub fn vdirbase(&self) -> PathBuf {
        self.base("vdirbase", VDIRBASE)
    }

    /// Directory of guests' caches, found in the same way.
    pub fn cachebase(&self) -> PathBuf {
        self.base("cachebase", CACHEBASE)
    }

    /// Directory of the package data that the host keeps for guests: `.defaults/apps/pkgmgmt/base`, else `.pkg` beside
    /// the guests' roots. Source: `config-tree.md`.
    pub fn pkgbase(&self) -> PathBuf {
        let path = self.path("apps/pkgmgmt/base");
        if path.symlink_metadata().is_ok() { path } else { self.vdirbase().join(".pkg") }
    }

    /// Ticks per second that the numbers of `sched/` mean; see [`HZ`].
    pub fn hz(&self) -> Result<u32, Error> {
        let dir = self.confdir.join(".defaults");
        self.with(|reader| read_hz(reader, &dir))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.confdir.join(".defaults").join(name)
    }

    fn base(&self, name: &str, fallback: &str) -> PathBuf {
        let path = self.path(name);
        match path.symlink_metadata() {
            Ok(_) => path,
            Err(_) => PathBuf::from(fallback),
        }
    }

    /// A distribution's file. Its name is one path component or it has no files.
    fn special(&self, distribution: Option<&str>, file: &str) -> Option<PathBuf> {
        let usable = |name: &&str| !name.is_empty() && !name.contains('/') && !name.starts_with('.');
        distribution.filter(usable).map(|name| self.confdir.join(".distributions").join(name).join(file))
    }

    /// A distribution's file, then the host's.
    fn chain(&self, distribution: Option<&str>, special: &str, general: &str) -> Vec<PathBuf> {
        self.special(distribution, special).into_iter().chain([self.path(general)]).collect()
    }

    fn with<T>(&self, read: impl FnOnce(&mut Reader) -> T) -> Result<T, Error> {
        let mut reader = Reader::default();
        let value = read(&mut reader);
        let diagnostics = reader.findings;
        match diagnostics.iter().any(|finding| finding.severity == crate::Severity::Error) {
            true => Err(Error::Invalid { diagnostics }),
            false => Ok(value),
        }
    }
}

/// `.defaults/cgroup/base`: the directory of guests' cgroups, below the mount of each hierarchy.
pub(crate) fn read_cgroup_base(reader: &mut Reader, defaults: &Path) -> CgroupBase {
    let path = defaults.join("cgroup/base");
    let parsed: Option<Result<CgroupBase, ParseError>> = reader.scalar(&path).map(|text| text.parse());
    match parsed {
        None => CgroupBase::default(),
        Some(Ok(base)) => base,
        Some(Err(error)) => {
            reader.error(
                &path,
                Some(1),
                error.to_string(),
                "one or more names with slashes between, such as vservers.slice",
            );
            CgroupBase::default()
        }
    }
}

/// `.defaults/sched/hz`, 1–10000.
pub(crate) fn read_hz(reader: &mut Reader, defaults: &Path) -> u32 {
    let path = defaults.join("sched/hz");
    let hz = reader.parsed::<u32>(&path, "a number");
    match hz {
        Some(hz @ 1..=10_000) => hz,
        Some(hz) => {
            reader.error(&path, Some(1), format!("{hz} is not between 1 and 10000"), "usual are 100, 250 and 1000");
            HZ
        }
        None => HZ,
    }
}
