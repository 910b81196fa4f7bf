//! The method rsync: a tree of this host or of another one, as rsync(1) carries it. Of this host it is read where nothing
//! else can be: what changes a directory into a link meanwhile leads nowhere.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::confine::{Room, TREE};
use crate::request::{Progress, Rsync};
use crate::signals::Signals;
use crate::stage::Stage;
use crate::{Error, child, import};

const PROGRAM: &str = "rsync";
/// Unless others are given. Source: util-vserver, `commands.md` §4.
const OPTIONS: [&str; 2] = ["-Hazx", "--numeric-ids"];

/// A planned run.
pub(crate) struct Run {
    /// Of this host, or `None`.
    local: Option<PathBuf>,
    source: String,
    options: Vec<String>,
}

impl Run {
    /// Looks for the source and the programs, before anything is made.
    pub(crate) fn plan(arguments: &Rsync) -> Result<Self, Error> {
        if !child::installed(PROGRAM) {
            return Err(Error::Missing { program: PROGRAM, package: "rsync" });
        }
        let source = &arguments.source;
        if source.is_empty() || source.starts_with('-') {
            return Err(Error::BadWord {
                word: source.clone(),
                what: "source of rsync: write DIRECTORY, HOST:PATH or rsync://HOST/PATH",
            });
        }
        let mut options: Vec<String> = match arguments.options.is_empty() {
            true => OPTIONS.map(str::to_owned).to_vec(),
            false => arguments.options.clone(),
        };
        options.extend(arguments.more.iter().cloned());
        let local = if is_remote(source) { None } else { Some(tree(Path::new(source))?) };
        let own_shell =
            options.iter().any(|o| o.starts_with("--rsh") || (o.starts_with("-e") && !o.starts_with("-en")));
        if local.is_none() && !source.contains("://") && !source.contains("::") && !own_shell {
            if !child::installed("ssh") {
                return Err(Error::Missing { program: "ssh", package: "openssh-client" });
            }
            // Nobody is there to answer.
            options.extend(["-e", "ssh -o BatchMode=yes"].map(str::to_owned));
        }
        Ok(Self { local, source: source.clone(), options })
    }

    /// Fills the tree.
    pub(crate) fn perform(&self, stage: &Stage, signals: &Signals, progress: &mut dyn Progress) -> Result<(), Error> {
        progress.stage(&format!("copying {}", self.source));
        let log = stage.log("rsync.log");
        let mut command = match &self.local {
            Some(tree) => self.beside(tree, stage)?,
            None => {
                let mut command = Command::new(PROGRAM);
                command.args(&self.options).arg("--").arg(slash(&self.source)).arg(stage.root().join(""));
                command
            }
        };
        child::run(PROGRAM, &mut command, &log, signals, progress)
            .map_err(|error| crate::explain::fetching(error, &self.source))
    }

    fn beside(&self, tree: &Path, stage: &Stage) -> Result<Command, Error> {
        let work = stage.dir().join("tool");
        std::fs::create_dir_all(&work).map_err(Error::io("make the directory", &work))?;
        let room = Room { tree: stage.root().to_owned(), work, lent: vec![tree.to_owned()], ..Room::default() };
        let mut words = vec![OsString::from(PROGRAM)];
        words.extend(self.options.iter().map(OsString::from));
        // They are mounted there; the tree's own are made afterwards.
        words.extend(["--exclude=/dev/*", "--exclude=/proc/*", "--exclude=/sys/*", "--"].map(OsString::from));
        words.extend([tree.join("").into_os_string(), format!("{TREE}/").into()]);
        room.command(&words)
    }
}

fn slash(source: &str) -> String {
    format!("{}/", source.trim_end_matches('/'))
}

/// `HOST:PATH`, `HOST::MODULE` and `rsync://`; a colon behind a slash is part of a name.
fn is_remote(source: &str) -> bool {
    source.split_once(':').is_some_and(|(before, _)| !before.contains('/') && !before.is_empty())
}

fn tree(source: &Path) -> Result<PathBuf, Error> {
    let real = source.canonicalize().map_err(Error::io("find the tree", source))?;
    let found = real.metadata().map_err(Error::io("look at", &real))?;
    if !found.is_dir() {
        return Err(Error::Wish {
            reason: format!("'{}' is no directory, so rsync has no tree to copy", source.display()),
        });
    }
    let host = Path::new("/").metadata().map_err(Error::io("look at", "/"))?;
    if (found.dev(), found.ino()) == (host.dev(), host.ino()) {
        return Err(import::itself());
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_here_and_elsewhere() {
        for remote in ["host:/srv", "root@host:srv", "host::module", "rsync://host/x"] {
            assert!(is_remote(remote), "{remote}");
        }
        for local in ["/srv/a:b", "./a:b", "tree", ":x"] {
            assert!(!is_remote(local), "{local}");
        }
        let plan =
            |source: &str| Run::plan(&Rsync { source: source.to_owned(), ..Rsync::default() }).map(|run| run.options);
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(plan(dir.path().to_str().unwrap()).unwrap(), ["-Hazx", "--numeric-ids"]);
        assert!(plan("/").err().unwrap().to_string().contains("this host itself"));
        assert!(plan("-e sh").is_err() && plan("/no/such/tree").is_err());
    }
}
