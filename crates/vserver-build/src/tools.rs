//! Methods whose tree a tool of the host fills: what it is told is decided before anything is made.

use vserver_config::Defaults;
use vserver_fs::GuestRoot;

use crate::cache::Filled;
use crate::copy::identity;
use crate::debootstrap::Run;
use crate::request::{BuildRequest, Method, Progress};
use crate::signals::Signals;
use crate::stage::Stage;
use crate::{Error, cache, fai, packages, rsync, skeleton, tame};

/// What a tool is told.
pub(crate) enum Plan {
    Debootstrap(Run),
    Packages(packages::Plan),
    Rsync(rsync::Run),
    Fai(fai::Run),
    /// The method needs none.
    None,
}

impl Plan {
    pub(crate) fn of(method: &Method, defaults: &Defaults) -> Result<Self, Error> {
        Ok(match method {
            Method::Debootstrap(arguments) => Self::Debootstrap(Run::plan(arguments, defaults)?),
            Method::Packages(arguments) => Self::Packages(packages::Plan::of(arguments, defaults)?),
            Method::Rsync(arguments) => Self::Rsync(rsync::Run::plan(arguments)?),
            Method::Fai(arguments) => Self::Fai(fai::Run::plan(arguments)?),
            _ => Self::None,
        })
    }

    /// The distribution that it is of, and its mirror.
    pub(crate) fn names(&self) -> Option<(&str, &str)> {
        match self {
            Self::Debootstrap(run) => Some((&run.suite, &run.mirror)),
            Self::Packages(plan) => Some((plan.name(), "")),
            Self::Rsync(_) | Self::Fai(_) | Self::None => None,
        }
    }

    /// Fills the tree and makes a guest's of it; says what should be told. `templates` says how those are used.
    pub(crate) fn perform(
        &self,
        request: &BuildRequest,
        templates: cache::Use,
        stage: &Stage,
        root: &GuestRoot,
        signals: &Signals,
        progress: &mut dyn Progress,
    ) -> Result<Vec<String>, Error> {
        let defaults = Defaults::new(&request.confdir);
        let mut filled = Filled::default();
        match self {
            Self::None => return Ok(Vec::new()),
            Self::Rsync(run) => run.perform(stage, signals, progress)?,
            Self::Fai(run) => run.perform(request, stage, signals, progress)?,
            Self::Packages(plan) => filled.notes = plan.perform(stage, root, &defaults, signals, progress)?,
            Self::Debootstrap(run) => {
                let age = templates.age.filter(|_| run.is_kept());
                filled = cache::fill(run, stage, cache::Use { age, ..templates }, &defaults, signals, progress)?;
            }
        }
        skeleton::devices(root)?;
        progress.stage("adapting the guest");
        match self {
            Self::None => return Ok(filled.notes),
            Self::Rsync(_) => {
                tame::copied(root, &request.guest)?;
                return Ok(filled.notes);
            }
            Self::Fai(_) => tame::copied(root, &request.guest)?,
            Self::Packages(_) => tame::built(root, &request.guest)?,
            Self::Debootstrap(run) => tame::debian(root, &request.guest, &run.suite, &run.mirror)?,
        }
        // The keys that packages have made are those of a template, too, and of a base file.
        let Filled { mut notes, keys } = filled;
        notes.extend(identity(root, stage, keys, signals, progress)?);
        Ok(notes)
    }
}
