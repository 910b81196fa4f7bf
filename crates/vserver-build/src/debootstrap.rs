//! debootstrap(8) of the host, in a mount and a PID namespace of its own: nothing that it mounts or starts stays.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use vserver_config::Defaults;
use vserver_fs::GuestRoot;

use crate::distribution::Distribution;
use crate::request::Debootstrap;
use crate::signals::Signals;
use crate::stage::Stage;
use crate::{Error, Progress, Recipe, apt, child, confine, explain, fetched};

const PROGRAM: &str = "debootstrap";
/// Does the same with apt, faster; without its scripts and its cache.
const FAST: &str = "mmdebstrap";
/// Where the administrator can configure a mirror, below the configuration root.
const MIRROR_FILE: &str = ".defaults/apps/debootstrap/mirror";

/// debootstrap's scripts, one for each suite that it knows.
const SCRIPTS: &str = "/usr/share/debootstrap/scripts";

/// A planned run.
pub(crate) struct Run {
    program: &'static str,
    pub suite: String,
    pub mirror: String,
    pub script: Option<PathBuf>,
    pub options: Vec<String>,
}

impl Run {
    /// Decides suite and mirror and looks for the program, before anything is made.
    pub(crate) fn plan(arguments: &Debootstrap, defaults: &Defaults) -> Result<Self, Error> {
        let program = if arguments.fast { FAST } else { PROGRAM };
        if !child::installed(program) {
            return Err(Error::Missing { program, package: program });
        }
        if arguments.fast && arguments.script.is_some() {
            let reason = "mmdebstrap has no scripts of suites; leave -s out, or use '-m debootstrap'";
            return Err(Error::Wish { reason: reason.to_owned() });
        }
        let name = match &arguments.suite {
            Some(suite) => suite.clone(),
            None => {
                host_suite().ok_or_else(|| Error::BadWord { word: String::new(), what: "suite; give one with -d" })?
            }
        };
        let distribution = Distribution::find(defaults, &name);
        let suite = suite(&name, distribution.as_ref())?;
        let mirror = match &arguments.mirror {
            Some(mirror) => Some(mirror.clone()),
            None => mirror(&name, distribution.as_ref(), defaults)?,
        };
        let mirror = mirror.or_else(|| apt::mirror(&apt::host_sources(Path::new("/etc/apt")), &suite));
        let file = || PathBuf::from(MIRROR_FILE);
        let mirror = mirror.ok_or_else(|| Error::NoMirror { suite: suite.clone(), file: file() })?;
        for (word, what) in [(&suite, "suite"), (&mirror, "mirror")] {
            if word.is_empty() || word.starts_with('-') || word.contains(char::is_whitespace) {
                return Err(Error::BadWord { word: word.clone(), what });
            }
        }
        let mut options = defaults.debootstrap_options(Some(&name))?;
        options.extend(arguments.options.iter().cloned());
        add_packages(&mut options, &[defaults.packages(&name)?, arguments.packages.clone()].concat());
        let script = match arguments.fast {
            true => None,
            false => arguments.script.clone().or_else(|| defaults.debootstrap_script(&name)),
        };
        if script.is_none() {
            known(Path::new(SCRIPTS), &suite)?;
        }
        Ok(Self { program, suite, mirror, script, options })
    }

    /// Whether its trees are kept as templates: those of debootstrap are.
    pub(crate) fn is_kept(&self) -> bool {
        self.program == PROGRAM
    }

    /// The run that made a template.
    pub(crate) fn of_recipe(recipe: &Recipe) -> Result<Self, Error> {
        if !child::installed(PROGRAM) {
            return Err(Error::Missing { program: PROGRAM, package: "debootstrap" });
        }
        let Recipe { suite, mirror, script, options } = recipe.clone();
        Ok(Self { program: PROGRAM, suite, mirror, script, options })
    }

    /// Fills the tree. Any failure of debootstrap is ours.
    pub(crate) fn perform(
        &self,
        stage: &Stage,
        defaults: &Defaults,
        signals: &Signals,
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        let cache = self.cache(defaults)?;
        progress.stage(&format!("installing {}", self.suite));
        let mut command = confine::apart();
        command
            .args(self.words(stage.root(), cache.as_deref()))
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C.UTF-8");
        child::run(self.program, &mut command, &stage.log("debootstrap.log"), signals, progress)
            .map_err(|error| explain::fetching(error, &self.suite))?;
        forget_packages(&GuestRoot::open(stage.root())?)
    }

    fn words(&self, root: &Path, cache: Option<&Path>) -> Vec<OsString> {
        let mut words = vec![OsString::from(self.program)];
        if !self.is_kept() {
            // The tree has the directories that every guest's has.
            words.extend(["--mode=root", "--skip=check/empty"].map(OsString::from));
        }
        words.extend(self.options.iter().map(OsString::from));
        if let Some(cache) = cache.filter(|_| !self.options.iter().any(|o| o.starts_with("--cache-dir"))) {
            let mut word = OsString::from("--cache-dir=");
            word.push(cache);
            words.push(word);
        }
        words.extend([OsString::from(&self.suite), root.into(), OsString::from(&self.mirror)]);
        words.extend(self.script.iter().map(OsString::from));
        words
    }

    fn cache(&self, defaults: &Defaults) -> Result<Option<PathBuf>, Error> {
        match self.suite.contains('/') || !self.is_kept() {
            true => Ok(None),
            false => fetched::dir(defaults, PROGRAM, &self.suite).map(Some),
        }
    }
}

/// The suite that a distribution's name means: of `ubuntu` the newest, of `ubuntu-jammy` that one, else the name itself.
fn suite(name: &str, distribution: Option<&Distribution>) -> Result<String, Error> {
    match distribution.and_then(|found| Some((found.method()?, found))) {
        Some((PROGRAM, found)) => Ok(found.release.clone()),
        Some((other, _)) => Err(Error::OtherMethod { name: name.to_owned(), other, method: PROGRAM }),
        None => Ok(name.to_owned()),
    }
}

/// The configured one, else that of the distribution.
fn mirror(name: &str, distribution: Option<&Distribution>, defaults: &Defaults) -> Result<Option<String>, Error> {
    if let Some(mirror) = defaults.debootstrap_mirror(Some(name))? {
        return Ok(Some(mirror));
    }
    let shipped = distribution.map(|found| found.text("debootstrap.mirror")).transpose()?.flatten();
    Ok(shipped.map(|text| text.trim().to_owned()).filter(|mirror| !mirror.is_empty()))
}

/// Refuses a suite that debootstrap has no script for. Without its scripts it is for debootstrap to say so.
fn known(scripts: &Path, suite: &str) -> Result<(), Error> {
    let Ok(entries) = fs::read_dir(scripts) else { return Ok(()) };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    if names.is_empty() || names.iter().any(|name| name == suite) {
        return Ok(());
    }
    names.retain(|name| !name.contains('.') && name != "debian-common");
    names.extend(["debian", "ubuntu", "devuan", "kali"].map(str::to_owned));
    names.sort();
    names.dedup();
    names.sort_by_key(|name| vserver_config::distance(name, suite));
    Err(Error::UnknownSuite { suite: suite.to_owned(), known: names })
}

/// debootstrap takes the last `--include` only, so all are made one.
fn add_packages(options: &mut Vec<String>, packages: &[String]) {
    let mut all: Vec<String> = Vec::new();
    options.retain(|option| match option.strip_prefix("--include=") {
        Some(list) => {
            all.extend(list.split(',').map(str::to_owned));
            false
        }
        None => true,
    });
    all.extend(packages.iter().cloned());
    all.retain(|package| !package.is_empty());
    if !all.is_empty() {
        options.push(format!("--include={}", all.join(",")));
    }
}

/// The packages themselves are of no use in the guest any more.
fn forget_packages(root: &GuestRoot) -> Result<(), Error> {
    let dir = Path::new("var/cache/apt/archives");
    if !root.exists(dir)? {
        return Ok(());
    }
    for name in root.list(dir)? {
        if name.as_encoded_bytes().ends_with(b".deb") {
            root.remove_file(dir.join(name))?;
        }
    }
    Ok(())
}

/// `VERSION_CODENAME` of the host. os-release(5).
fn host_suite() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(line.trim_matches('"').to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_packages_go_into_one_include() {
        let mut options = vec!["--include=a,b".to_owned(), "--variant=minbase".to_owned(), "--include=c".to_owned()];
        add_packages(&mut options, &["d".to_owned()]);
        assert_eq!(options, ["--variant=minbase", "--include=a,b,c,d"]);
    }

    #[test]
    fn an_unknown_suite_is_told_the_nearest_first() {
        let dir = tempfile::tempdir().unwrap();
        assert!(known(&dir.path().join("none"), "x").is_ok(), "debootstrap itself will say it");
        for name in ["bookworm", "bullseye", "sid", "debian-common", "woody.buildd", "focal"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert!(known(dir.path(), "sid").is_ok());
        let error = known(dir.path(), "bookwrom").unwrap_err().to_string();
        assert!(error.contains("'bookwrom'") && error.contains("known: bookworm, "), "{error}");
        assert!(!error.contains("debian-common") && !error.contains("buildd"), "{error}");
    }

    #[test]
    fn a_distributions_script_and_packages_are_used_and_words_that_could_be_options_are_refused() {
        if !child::installed(PROGRAM) {
            panic!("the Debian package 'debootstrap' is not installed");
        }
        let dir = tempfile::tempdir().unwrap();
        let plan = |suite: &str, mirror: &str| {
            let arguments = Debootstrap {
                suite: Some(suite.to_owned()),
                mirror: Some(mirror.to_owned()),
                ..Debootstrap::default()
            };
            Run::plan(&arguments, &Defaults::new(dir.path())).map(|run| run.words(Path::new("/t"), None))
        };
        assert_eq!(plan("sid", "file:/m").unwrap(), ["debootstrap", "sid", "/t", "file:/m"]);
        let script = dir.path().join(".distributions/sid/debootstrap.script");
        std::fs::create_dir_all(script.parent().unwrap()).unwrap();
        std::fs::write(&script, "").unwrap();
        let with_script = ["debootstrap", "sid", "/t", "file:/m", script.to_str().unwrap()];
        assert_eq!(plan("sid", "file:/m").unwrap(), with_script);
        let lists = dir.path().join(".distributions/trixie/pkgs");
        std::fs::create_dir_all(&lists).unwrap();
        std::fs::write(lists.join("01-base"), "nginx\nless\n").unwrap();
        std::fs::write(lists.join("02-more"), "--can-fail vim").unwrap();
        let with_packages = ["debootstrap", "--include=nginx,less,vim", "trixie", "/t", "file:/m"];
        assert_eq!(plan("trixie", "file:/m").unwrap(), with_packages);
        let fast = Run { program: FAST, suite: "sid".into(), mirror: "m".into(), script: None, options: Vec::new() };
        assert_eq!(
            fast.words(Path::new("/t"), None),
            ["mmdebstrap", "--mode=root", "--skip=check/empty", "sid", "/t", "m"]
        );
        assert!(plan("--foreign", "file:/m").is_err());
        assert!(plan("sid", "").is_err());
    }
}
