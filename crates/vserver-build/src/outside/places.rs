//! Directories of `apps/pkgmgmt/`.

use std::path::{Path, PathBuf};

use vserver_config::Defaults;
use vserver_types::GuestName;

use crate::Error;

/// Where the data of one guest's packages lies on the host.
#[derive(Clone, Debug)]
pub struct Places {
    dir: PathBuf,
    base: PathBuf,
    name: GuestName,
}

impl Places {
    /// As the configuration says, else `<pkgbase>/NAME`.
    pub fn of(confdir: &Path, name: &GuestName) -> Self {
        let dir = confdir.join(name.as_str()).join("apps/pkgmgmt");
        let link = dir.join("base");
        let usual = || Defaults::new(confdir).pkgbase().join(name.as_str());
        let base = if link.symlink_metadata().is_ok() { link } else { usual() };
        Self { dir, base, name: name.clone() }
    }

    /// The base of all.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// A directory that has a key of its own, else the first of `usual` (below the base, or absolute) that is there.
    pub(super) fn find(&self, key: &str, usual: &[&str]) -> Option<PathBuf> {
        let own = Some(self.dir.join(key)).filter(|path| path.symlink_metadata().is_ok());
        own.into_iter().chain(usual.iter().map(|path| self.base.join(path))).find_map(|path| path.canonicalize().ok())
    }

    /// The same where there must be one.
    pub(super) fn require(&self, key: &'static str, usual: &[&str]) -> Result<PathBuf, Error> {
        self.find(key, usual).ok_or_else(|| Error::NoPackageData {
            name: self.name.clone(),
            key,
            path: usual.first().map_or_else(|| self.dir.join(key), |path| self.base.join(path)),
        })
    }

    /// A directory of the tools' own, made below the base if there is none.
    pub(super) fn make(&self, key: &'static str, below: &str) -> Result<PathBuf, Error> {
        match self.find(key, &[below]) {
            Some(found) => Ok(found),
            None => {
                // The base itself is not made: a dangling one is the administrator's to repair.
                let base = self.require("base", &[""])?;
                let path = base.join(below);
                std::fs::create_dir_all(&path).map_err(Error::io("make the directory", &path))?;
                Ok(path)
            }
        }
    }
}
