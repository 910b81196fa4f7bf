//! FAI, the fully automatic installation of Debian and its kin: fai(8) of the host, action `dirinstall`, with the administrator's
//! config space. Its scripts run on the host as FAI means them to, in a mount and a PID namespace of their own: nothing that they
//! mount or start stays, and what FAI writes below `/run` and `/var/log` of the host goes with it (the tree has the log, too).

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::request::{BuildRequest, Fai, Progress};
use crate::signals::Signals;
use crate::stage::Stage;
use crate::{Error, child, confine, explain};

const PROGRAM: &str = "fai";
/// Where FAI has its own settings, unless another place is given. fai(8).
const SETTINGS: &str = "/etc/fai";
/// Without it `dirinstall` does not begin.
const NEEDED: &str = "nfsroot.conf";
/// A layer over `/run`, in which the host's resolver may be; the log of a run is read from the tree.
const APART: &str = "set -e; mount -t tmpfs -o mode=0755 fai \"$1\"; mkdir \"$1/run\" \"$1/work\"
mount -t overlay -o \"lowerdir=/run,upperdir=$1/run,workdir=$1/work\" fai /run
mount -t tmpfs -o mode=0755 fai /var/log; shift; exec \"$@\"";

/// A planned run.
pub(crate) struct Run {
    options: Vec<String>,
    host: Option<String>,
}

impl Run {
    /// Looks for the program and its settings, before anything is made.
    pub(crate) fn plan(arguments: &Fai) -> Result<Self, Error> {
        if !child::installed(PROGRAM) {
            return Err(Error::Missing { program: PROGRAM, package: "fai-client" });
        }
        let settings = arguments.settings.clone().unwrap_or_else(|| PathBuf::from(SETTINGS));
        let settings = settings.canonicalize().map_err(Error::io("find the settings of FAI", &settings))?;
        if !settings.join(NEEDED).is_file() {
            let reason = format!(
                "FAI does not begin without '{}': install the Debian package 'fai-server', or say with --faidir where its \
                 settings are",
                settings.join(NEEDED).display()
            );
            return Err(Error::Wish { reason });
        }
        let words = [("host name for FAI", &arguments.host), ("list of classes", &arguments.classes)];
        for (what, word) in words.iter().filter_map(|(what, word)| Some((*what, word.as_deref()?))) {
            if word.is_empty() || word.starts_with('-') || word.contains(char::is_whitespace) {
                return Err(Error::BadWord { word: word.to_owned(), what });
            }
        }
        let mut options = vec!["--verbose".to_owned(), format!("--cfdir={}", settings.display())];
        options.extend(arguments.space.as_deref().map(space).transpose()?.map(|uri| format!("--cspace={uri}")));
        options.push(arguments.classes.as_ref().map_or("--new".to_owned(), |list| format!("--class={list}")));
        options.extend(arguments.options.iter().cloned());
        Ok(Self { options, host: arguments.host.clone() })
    }

    /// Fills the tree. Any failure of FAI is ours.
    pub(crate) fn perform(
        &self,
        request: &BuildRequest,
        stage: &Stage,
        signals: &Signals,
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        let guest = &request.guest;
        let host = self.host.as_deref().or(guest.hostname.as_deref()).unwrap_or(guest.name.as_str());
        progress.stage(&format!("installing {host} by FAI"));
        let apart = stage.dir().join("fai");
        fs::create_dir_all(&apart).map_err(Error::io("make the directory", &apart))?;
        let mut command = confine::apart();
        command
            .args(["sh", "-c", APART, "sh"])
            .arg(&apart)
            .args(self.words(host, stage.root()))
            .env("LC_ALL", "C.UTF-8");
        let log = stage.log("fai.log");
        child::run(PROGRAM, &mut command, &log, signals, progress).map_err(|error| match (&error, failures(&log)) {
            (Error::Program { .. }, Some(tasks)) => Error::Wish {
                reason: format!("FAI has not installed '{host}': {tasks}; --debug shows all that it says"),
            },
            _ => explain::fetching(error, host),
        })
    }

    fn words(&self, host: &str, root: &Path) -> Vec<OsString> {
        let mut words = vec![OsString::from(PROGRAM)];
        words.extend(self.options.iter().map(OsString::from));
        words.extend([format!("--hostname={host}").into(), "dirinstall".into(), root.into()]);
        words
    }
}

/// What FAI says of tasks and scripts that failed: it goes on after most of them, so its last words are of others.
fn failures(log: &Path) -> Option<String> {
    let said = fs::read_to_string(log).ok()?;
    let is_failure = |line: &&str| line.starts_with("Exit code ") || line.contains(" FAILED with exit code ");
    let lines = said.lines().filter(is_failure).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let lines: Vec<String> = lines.take(5).collect();
    (!lines.is_empty()).then(|| lines.join(", ").trim_end_matches('.').to_owned())
}

/// A directory of this host, as a URI; what is one already is FAI's to understand.
fn space(word: &str) -> Result<String, Error> {
    if word.contains("://") {
        return Ok(word.to_owned());
    }
    let dir = Path::new(word).canonicalize().map_err(Error::io("find the config space", word))?;
    Ok(format!("file://{}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fai_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let wish = Fai { settings: Some(dir.path().to_owned()), ..Fai::default() };
        if !child::installed(PROGRAM) {
            assert!(matches!(Run::plan(&wish), Err(Error::Missing { package: "fai-client", .. })));
            return;
        }
        assert!(Run::plan(&wish).err().unwrap().to_string().contains("fai-server"));
        fs::write(dir.path().join(NEEDED), "").unwrap();
        let words = |wish: &Fai| Run::plan(wish).map(|run| run.words("web1", Path::new("/t")));
        let cfdir = format!("--cfdir={}", dir.path().canonicalize().unwrap().display());
        let plain = ["fai", "--verbose", &cfdir, "--new", "--hostname=web1", "dirinstall", "/t"];
        assert_eq!(words(&wish).unwrap(), plain);
        let more =
            Fai { space: Some("nfs://server/config".into()), classes: Some("DEBIAN,WEB".into()), ..wish.clone() };
        let said = words(&more).unwrap();
        assert_eq!(said[3..5], ["--cspace=nfs://server/config", "--class=DEBIAN,WEB"]);
        let bad = [
            Fai { classes: Some("-x".into()), ..wish.clone() },
            Fai { host: Some("a b".into()), ..wish.clone() },
            Fai { space: Some("/no/such".into()), ..wish },
        ];
        assert!(bad.iter().all(|wish| words(wish).is_err()));
    }
}
