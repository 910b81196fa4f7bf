//! Methods that let a package tool of the host fill the tree: what it is told is planned before anything is made; then
//! each step runs in a root of its own ([`crate::confine`]).

mod apk;
mod pacman;
mod rpm;
mod yum;
mod zypper;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use vserver_config::Defaults;
use vserver_fs::GuestRoot;

use crate::confine::{self, Room};
use crate::distribution::{Distribution, List};
use crate::request::{Manager, Packages, Progress};
use crate::signals::Signals;
use crate::stage::Stage;
use crate::{Error, child, explain, fetched};

/// Where rpm's database is unless the distribution has another place.
const MACROS: &str = "%_dbpath /var/lib/rpm\n";

/// What a package tool is told.
pub(crate) struct Plan {
    program: &'static str,
    distribution: Distribution,
    /// Files for it, by their names below its home.
    files: Vec<(String, String)>,
    /// Directories that the tree must have beforehand.
    directories: Vec<&'static str>,
    /// Where it keeps what it fetches.
    cache: Option<&'static str>,
    lent: Vec<PathBuf>,
    exec: Option<PathBuf>,
    steps: Vec<Step>,
    notes: Vec<String>,
}

/// One run of it.
struct Step {
    what: String,
    words: Vec<OsString>,
    can_fail: bool,
}

impl Step {
    fn new(what: impl Into<String>, words: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self { what: what.into(), words: words.into_iter().map(Into::into).collect(), can_fail: false }
    }
}

impl Plan {
    /// Decides everything, and refuses what cannot be built.
    pub(crate) fn of(arguments: &Packages, defaults: &Defaults) -> Result<Self, Error> {
        let find = |method| Distribution::of_method(defaults, arguments.distribution.as_deref(), method);
        match arguments.manager {
            Manager::Yum => yum::plan(find("yum")?, arguments),
            Manager::Rpm => rpm::plan(arguments, defaults),
            Manager::Zypper => zypper::plan(find("zypper")?, arguments),
            Manager::Apk => apk::plan(find("apk")?, arguments),
            Manager::Pacman => pacman::plan(find("pacman")?, arguments),
        }
    }

    /// A plan without steps.
    fn new(program: &'static str, package: &'static str, distribution: Distribution) -> Result<Self, Error> {
        let exec = distribution.path("execdir").filter(|dir| dir.is_dir());
        if !Room::has(program, exec.as_deref()) {
            return Err(Error::Missing { program, package });
        }
        Ok(Self {
            program,
            distribution,
            files: Vec::new(),
            directories: Vec::new(),
            cache: None,
            lent: Vec::new(),
            exec,
            steps: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// The distribution's name.
    pub(crate) fn name(&self) -> &str {
        &self.distribution.name
    }

    /// The files of a directory of the distribution, each below `dir`; what they name of the host is lent.
    fn settings(&mut self, item: &str) -> Result<String, Error> {
        let mut all = String::new();
        for (name, text) in self.distribution.files(item)? {
            self.lent.extend(confine::named(&text));
            all.push_str(&text);
            self.files.push((format!("{item}/{name}"), text));
        }
        if all.trim().is_empty() {
            let name = &self.distribution.name;
            return Err(Error::Wish {
                reason: format!(
                    "the distribution '{name}' has no repositories; describe them in '.distributions/{name}/{item}/'"
                ),
            });
        }
        Ok(all)
    }

    /// rpm's settings and the keys that it is to trust.
    fn rpm_settings(&mut self) -> Result<bool, Error> {
        let macros = self.distribution.text("rpm/macros")?.unwrap_or_else(|| MACROS.to_owned());
        self.files.push((".rpmmacros".to_owned(), macros));
        let keys = self.distribution.keys()?;
        for (number, (_, key)) in keys.iter().enumerate() {
            let file = format!("keys/{number}");
            let words = ["rpm", "--root", confine::TREE, "--import"].map(OsString::from).into_iter();
            self.steps.push(Step::new("importing keys", words.chain([format!("{}/{file}", confine::WORK).into()])));
            self.files.push((file, key.clone()));
        }
        Ok(!keys.is_empty())
    }

    /// The lists of the distribution, and one of what the command line says; there must be a package.
    fn lists(&self, more: &[String]) -> Result<Vec<List>, Error> {
        let mut lists = self.distribution.lists()?;
        if let Some(word) = more.iter().find(|word| word.starts_with('-') || word.is_empty()) {
            return Err(Error::BadWord { word: word.clone(), what: "package" });
        }
        lists.push(List { name: "the command line".to_owned(), packages: more.to_vec(), ..List::default() });
        lists.retain(|list| !list.packages.is_empty());
        if lists.is_empty() {
            let name = &self.distribution.name;
            return Err(Error::Wish {
                reason: format!(
                    "the distribution '{name}' has no list of packages in '.distributions/{name}/pkgs/', and none was named"
                ),
            });
        }
        Ok(lists)
    }

    /// Fills the tree, and says what should be told.
    pub(crate) fn perform(
        &self,
        stage: &Stage,
        root: &GuestRoot,
        defaults: &Defaults,
        signals: &Signals,
        progress: &mut dyn Progress,
    ) -> Result<Vec<String>, Error> {
        let room = self.room(stage, root, defaults)?;
        let mut notes = self.notes.clone();
        for (number, step) in self.steps.iter().enumerate() {
            progress.stage(&format!("{}: {}", self.distribution.name, step.what));
            let mut command = room.command(&step.words)?;
            let log = stage.log(&format!("{}-{number}.log", self.program));
            match child::run(self.program, &mut command, &log, signals, progress) {
                Ok(()) => {}
                Err(Error::Program { status, .. }) if step.can_fail => {
                    notes
                        .push(format!("{} could not be installed ({status}); the guest is built without", step.what));
                }
                Err(error) => return Err(explain::fetching(error, &self.distribution.name)),
            }
        }
        Ok(notes)
    }

    fn room(&self, stage: &Stage, root: &GuestRoot, defaults: &Defaults) -> Result<Room, Error> {
        let work = stage.dir().join("tool");
        for (name, text) in &self.files {
            let path = work.join(name);
            let dir = path.parent().unwrap_or(&work);
            fs::create_dir_all(dir).map_err(Error::io("make the directory", dir))?;
            fs::write(&path, text).map_err(Error::io("write", &path))?;
        }
        fs::create_dir_all(&work).map_err(Error::io("make the directory", &work))?;
        for dir in &self.directories {
            root.create_dir_all(dir, 0o755)?;
        }
        let cache = self.cache.map(|place| {
            let dir = fetched::dir(defaults, self.program, &self.distribution.name)?;
            Ok::<_, Error>((dir, place))
        });
        let tree = stage.root().to_owned();
        Ok(Room { tree, work, cache: cache.transpose()?, lent: self.lent.clone(), exec: self.exec.clone() })
    }
}
