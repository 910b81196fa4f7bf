//! Trees that were built once and are cloned since: `<vdirbase>/.templates/NAME/`, on the file system of the guests.
//!
//! ```text
//!  .templates/NAME.lock          one process at a time
//!  .templates/NAME/root          the tree, as debootstrap left it: nothing of a guest is in it
//!  .templates/NAME/template.json the recipe, when it was built, and the seal
//!  .templates/.NAME.new-PID      one in the making; nobody looks at it
//! ```
//!
//! A template appears by one rename, whole; one whose seal does not fit is not used.
//!
//! A guest gets one more name of each file that a guest may share, and a copy of the others (`/etc`, `/var`, `/root` …), to which
//! tools of the host write. It runs over an overlay, so nothing that it does reaches the template: [`vserver_unify`].

mod manage;
mod recipe;
mod seal;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use serde::{Deserialize, Serialize};
use vserver_config::Defaults;
use vserver_fs::{Flock, GuestRoot, copy_tree};
use vserver_unify::{Rules, SHIPPED};

use crate::Error;
use crate::copy::HostKeys;
use crate::debootstrap::Run;
use crate::request::Progress;
use crate::signals::Signals;
use crate::stage::Stage;

pub use manage::{AGE, delete, export, import, list, refresh};
pub use recipe::Recipe;

const FILE: &str = "template.json";
/// How long to wait for another process that makes or uses the same template.
const PATIENCE: Duration = Duration::from_secs(1800);

/// What is known of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// What it was made of.
    pub recipe: Recipe,
    /// When it was built, in seconds since 1970.
    pub built: u64,
    /// Objects of its tree.
    pub objects: u64,
    /// Bytes of its files.
    pub bytes: u64,
    seal: String,
}

impl Template {
    /// Since it was built.
    pub fn age(&self) -> Duration {
        Duration::from_secs(now().saturating_sub(self.built))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The directory of all templates.
pub(crate) struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// Makes the directory, closed to all but root, if it is missing.
    pub(crate) fn open(defaults: &Defaults) -> Result<Self, Error> {
        let base = defaults.vdirbase();
        let base = fs::read_link(&base).map_or(base.clone(), |to| base.parent().unwrap_or(&base).join(to));
        let dir = base.join(".templates");
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(Error::io("make the directory", &dir))?;
        Ok(Self { dir: dir.canonicalize().map_err(Error::io("find", &dir))? })
    }

    fn place(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn lock(&self, name: &str) -> Result<Flock, Error> {
        Ok(Flock::take(&self.dir.join(format!("{name}.lock")), PATIENCE)?)
    }

    /// What is stored by that name; `None` if there is nothing, or nothing that can be understood.
    fn read(&self, name: &str) -> Option<Template> {
        let text = fs::read_to_string(self.place(name).join(FILE)).ok()?;
        serde_json::from_str(&text).ok().filter(|template: &Template| template.name == name)
    }

    fn root(&self, name: &str) -> Result<GuestRoot, Error> {
        Ok(GuestRoot::open(&self.place(name).join("root"))?)
    }

    /// Whether it is what was stored.
    fn is_whole(&self, template: &Template) -> bool {
        let sealed = self.root(&template.name).and_then(|root| seal::of(&root, &Rules::parse(SHIPPED)));
        sealed.is_ok_and(|seal| seal.sum == template.seal)
    }

    /// An empty stage for a template in the making.
    fn stage(&self, name: &str) -> Result<Stage, Error> {
        Stage::bare(self.dir.join(format!(".{name}.new-{}", std::process::id())))
    }

    /// Gives a stage with a finished tree its place, in place of an older template of that name.
    fn store(&self, name: &str, recipe: Recipe, mut stage: Stage) -> Result<Template, Error> {
        let root = GuestRoot::open(stage.root())?;
        let seal::Seal { sum, objects, bytes } = seal::of(&root, &Rules::parse(SHIPPED))?;
        let template = Template { name: name.to_owned(), recipe, built: now(), objects, bytes, seal: sum };
        let text = serde_json::to_vec_pretty(&template).map_err(|e| Error::io("write", FILE)(e.into()))?;
        vserver_fs::atomic::write(&stage.dir().join(FILE), &text, 0o644)?;
        stage.forget_logs()?;
        let place = self.place(name);
        let failed = |e: Errno| Error::io("rename to its place", &place)(e.into());
        match renameat2(AT_FDCWD, stage.dir(), AT_FDCWD, &place, RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => stage.gone(),
            // The stage has the old one then, and takes it along when it ends.
            Err(Errno::EEXIST) => {
                renameat2(AT_FDCWD, stage.dir(), AT_FDCWD, &place, RenameFlags::RENAME_EXCHANGE).map_err(failed)?;
            }
            Err(e) => return Err(failed(e)),
        }
        Ok(template)
    }
}

/// How a build uses templates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    /// How old one may be. `None`: neither is one looked for nor made.
    pub age: Option<Duration>,
    /// The guest may have files in common with it.
    pub share: bool,
}

/// What filling the stage has shown.
#[derive(Default)]
pub(crate) struct Filled {
    /// For the user.
    pub notes: Vec<String>,
    /// New ssh host keys in the making, where it was seen beforehand that the tree would have some.
    pub keys: HostKeys,
}

/// Fills the stage by the recipe of `run`: from its template, if there is one that is whole and young enough, else by
/// debootstrap, and the template is made of that.
pub(crate) fn fill(
    run: &Run,
    stage: &Stage,
    wish: Use,
    defaults: &Defaults,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Filled, Error> {
    let Some(age) = wish.age else {
        return run.perform(stage, defaults, signals, progress).map(|()| Filled::default());
    };
    let (cache, recipe) = (Cache::open(defaults)?, Recipe::of(run));
    let name = recipe.name();
    let _lock = cache.lock(&name)?;
    let known = cache.read(&name).filter(|known| known.recipe == recipe && known.age() <= age);
    if known.is_some_and(|known| cache.is_whole(&known)) {
        progress.stage(&format!("cloning template {name}"));
        let template = cache.root(&name)?;
        let keys = HostKeys::of(&template, stage)?;
        clone(&template, stage.root(), wish.share, signals)?;
        return Ok(Filled { keys, ..Filled::default() });
    }
    run.perform(stage, defaults, signals, progress)?;
    progress.stage(&format!("keeping it as template {name}"));
    match keep(&cache, &name, recipe, stage.root(), signals) {
        Ok(()) => Ok(Filled::default()),
        Err(error @ Error::Interrupted { .. }) => Err(error),
        // The guest is whole without it.
        Err(error) => Ok(Filled {
            notes: vec![format!("no template is kept for the next build: {error}")],
            ..Filled::default()
        }),
    }
}

/// By a copy: the only Debian of a host has nobody to share with, and stays a plain tree.
fn keep(cache: &Cache, name: &str, recipe: Recipe, from: &Path, signals: &Signals) -> Result<(), Error> {
    let stage = cache.stage(name)?;
    clone(&GuestRoot::open(from)?, stage.root(), false, signals)?;
    cache.store(name, recipe, stage).map(drop)
}

/// A tree of the same files in place of what is in `to`, which is not more than empty directories; a copy of its own where
/// they cannot or must not be shared. On a file system that shares blocks (btrfs, xfs) the copy does.
fn clone(from: &GuestRoot, to: &Path, share: bool, signals: &Signals) -> Result<(), Error> {
    let to = GuestRoot::open(to)?;
    for name in to.list("")? {
        to.remove_tree(name)?;
    }
    if share && vserver_unify::can_clone(from, &to) {
        return Ok(vserver_unify::clone_with_copies(from, &to, &Rules::parse(SHIPPED))?);
    }
    copy_tree(from, &to, &mut || signals.check())?;
    Ok(vserver_unify::unmark(&to)?)
}
