//! Packages that were fetched stay on the host, so that the next guest of the same distribution fetches only new ones. Each
//! tool checks them against its signed index before use.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use vserver_config::Defaults;

use crate::Error;

/// The directory for one tool and distribution, made (closed to all but root) if it is missing.
pub(crate) fn dir(defaults: &Defaults, program: &str, distribution: &str) -> Result<PathBuf, Error> {
    let base = defaults.cachebase();
    let base = fs::read_link(&base).map_or(base.clone(), |to| base.parent().unwrap_or(&base).join(to));
    let dir = base.join(program).join(distribution);
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(Error::io("make the directory", &dir))?;
    dir.canonicalize().map_err(Error::io("find", &dir))
}
