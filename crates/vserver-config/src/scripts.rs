//! The administrator's scripts: which ones belong to a moment of a guest's life, in which order.
//! Source: util-vserver, `config-tree.md` §6. Whether one may be run is the runtime's question.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use vserver_types::GuestName;

use crate::error::Error;
use crate::reader::is_backup;

/// A moment at which scripts run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Nothing was done yet.
    Initialize,
    /// The root's file system is mounted.
    PrepreStart,
    /// Addresses are up and the mounts made; the guest does not run.
    PreStart,
    /// The start command has returned.
    PostStart,
    /// The guest runs.
    PreStop,
    /// Its processes are gone.
    PostStop,
    /// Its addresses, too.
    PostpostStop,
}

impl Flavour {
    /// All, in the order of a guest's life.
    pub const ALL: [Self; 7] = [
        Self::Initialize,
        Self::PrepreStart,
        Self::PreStart,
        Self::PostStart,
        Self::PreStop,
        Self::PostStop,
        Self::PostpostStop,
    ];

    /// The name of its file and, with `.d`, of its directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::PrepreStart => "prepre-start",
            Self::PreStart => "pre-start",
            Self::PostStart => "post-start",
            Self::PreStop => "pre-stop",
            Self::PostStop => "post-stop",
            Self::PostpostStop => "postpost-stop",
        }
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Where it is.
    pub path: PathBuf,
    /// It is executed; otherwise a shell sources it.
    pub executable: bool,
}

/// The scripts of one moment: the guest's own, and the host's, which run only if the guest has none or says so.
///
/// # Errors
/// A directory that cannot be listed.
pub fn scripts(confdir: &Path, name: &GuestName, flavour: Flavour) -> Result<[Vec<Script>; 2], Error> {
    let [own, host] = bases(confdir, name);
    Ok([of_base(&own, flavour)?, of_base(&host, flavour)?])
}

fn bases(confdir: &Path, name: &GuestName) -> [PathBuf; 2] {
    [confdir.join(name.as_str()).join("scripts"), confdir.join(".defaults/scripts")]
}

/// Whether there is any script at all for this guest.
///
/// # Errors
/// As [`scripts`].
pub fn has_scripts(confdir: &Path, name: &GuestName) -> Result<bool, Error> {
    if bases(confdir, name).iter().all(|base| !base.is_dir()) {
        return Ok(false);
    }
    for flavour in Flavour::ALL {
        if scripts(confdir, name, flavour)?.iter().any(|found| !found.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `<base>/<flavour>`, then `<base>/<flavour>.d/*`, sorted by bytes.
fn of_base(base: &Path, flavour: Flavour) -> Result<Vec<Script>, Error> {
    if !base.is_dir() {
        return Ok(Vec::new());
    }
    let mut found: Vec<Script> = script(base.join(flavour.name())).into_iter().collect();
    let dir = base.join(format!("{flavour}.d"));
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(found);
        }
        Err(error) => return Err(Error::io("list", &dir)(error)),
    };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.retain(|name| !name.to_string_lossy().starts_with('.'));
    names.sort_unstable();
    found.extend(names.into_iter().filter_map(|name| script(dir.join(name))));
    Ok(found)
}

/// A regular file, also behind a link, whose name is not that of a copy.
fn script(path: PathBuf) -> Option<Script> {
    let name = path.file_name()?.to_string_lossy();
    let metadata = fs::metadata(&path).ok().filter(|found| found.is_file() && !is_backup(&name))?;
    let executable = metadata.permissions().mode() & 0o111 != 0;
    Some(Script { executable, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_file_comes_before_its_directory_and_copies_are_left_out() {
        let confdir = tempfile::tempdir().unwrap();
        let name: GuestName = "web1".parse().unwrap();
        let own = confdir.path().join("web1/scripts");
        put(&own.join("pre-start"), 0o755);
        for file in ["50-b", "10-a", "50-b~", "60-x.rpmsave", ".hidden", "70-y.cfsaved1"] {
            put(&own.join("pre-start.d").join(file), 0o644);
        }
        fs::create_dir(own.join("pre-start.d/dir")).unwrap();
        std::os::unix::fs::symlink("nowhere", own.join("pre-start.d/dangling")).unwrap();
        put(&confdir.path().join(".defaults/scripts/post-stop.d/10-z"), 0o755);
        let [own, host] = scripts(confdir.path(), &name, Flavour::PreStart).unwrap();
        let found: Vec<_> =
            own.iter().map(|s| (s.path.file_name().unwrap().to_str().unwrap(), s.executable)).collect();
        assert_eq!(found, [("pre-start", true), ("10-a", false), ("50-b", false)]);
        assert!(host.is_empty());
        assert!(has_scripts(confdir.path(), &name).unwrap());
        assert_eq!(scripts(confdir.path(), &name, Flavour::PostStop).unwrap()[1].len(), 1);
    }
}
