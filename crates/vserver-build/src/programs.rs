//! `initpre` and `initpost` of a distribution: programs of the administrator that run on the host while a guest is built,
//! before and after its tree is filled. They get the guest's configuration as it will be, in a directory of the stage,
//! with the stage's tree at its `vdir`; what they change there is the guest's. Source: util-vserver, `behaviours.md` §12,
//! `config-tree.md` §4.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use vserver_config::{Defaults, NewGuest};
use vserver_runtime::{Host, Trust};

use crate::request::{BuildRequest, Progress};
use crate::signals::Signals;
use crate::stage::Stage;
use crate::{Error, child};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The tree has nothing but directories.
    Before,
    /// The tree is filled.
    After,
}

impl Moment {
    fn file(self) -> &'static str {
        match self {
            Self::Before => "initpre",
            Self::After => "initpost",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Before => "the distribution's initpre",
            Self::After => "the distribution's initpost",
        }
    }
}

/// The programs of one build.
pub(crate) struct Programs<'a> {
    request: &'a BuildRequest,
    stage: &'a Stage,
    defaults: &'a Defaults,
    distribution: Option<String>,
    mirror: Option<String>,
}

impl<'a> Programs<'a> {
    /// Those of the distribution that was named, or of debootstrap's suite and mirror.
    pub(crate) fn new(
        request: &'a BuildRequest,
        stage: &'a Stage,
        defaults: &'a Defaults,
        debootstrap: Option<(&str, &str)>,
    ) -> Self {
        let suite = debootstrap.map(|(suite, _)| suite.to_owned());
        Self {
            request,
            stage,
            defaults,
            distribution: request.distribution.clone().or(suite),
            mirror: debootstrap.map(|(_, mirror)| mirror.to_owned()).filter(|mirror| !mirror.is_empty()),
        }
    }

    /// Refuses a build whose programs somebody else could have written, before anything is made.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let trust = Trust::new(&Host::new(Some(self.request.confdir.clone())));
        for path in [Moment::Before, Moment::After].into_iter().filter_map(|moment| self.find(moment)) {
            if let Some(reason) = trust.refuses(&path) {
                return Err(Error::Untrusted { path, reason });
            }
        }
        Ok(())
    }

    /// Whether there is one.
    pub(crate) fn has(&self, moment: Moment) -> bool {
        self.find(moment).is_some()
    }

    /// Runs the program of a moment, if there is one. Any status but 0 is a failure of the build.
    pub(crate) fn run(&self, moment: Moment, signals: &Signals, progress: &mut dyn Progress) -> Result<(), Error> {
        let Some(path) = self.find(moment) else { return Ok(()) };
        self.check()?;
        let (config, variables) = (self.draft()?, self.variables()?);
        progress.stage(&format!("running {}", path.display()));
        let mut command = Command::new(&path);
        command.arg(&config).arg(&variables).current_dir("/").env("UTIL_VSERVER_VARS", &variables);
        command.envs(self.distribution.as_ref().map(|name| ("DISTRIBUTION", name)));
        command.envs(self.mirror.as_ref().map(|mirror| ("MIRROR", mirror)));
        let log = self.stage.log(&format!("{}.log", moment.file()));
        child::run(moment.program(), &mut command, &log, signals, progress)
    }

    fn find(&self, moment: Moment) -> Option<PathBuf> {
        self.defaults.program(self.distribution.as_deref(), moment.file())
    }

    /// The configuration in the stage, made once.
    fn draft(&self) -> Result<PathBuf, Error> {
        let place = self.stage.draft();
        let dir = place.join(self.request.guest.name.as_str());
        if !dir.exists() {
            let guest = NewGuest {
                vdir: Some(self.stage.root().to_owned()),
                fstab: Some(self.request.guest.fstab.clone().map_or_else(|| self.defaults.fstab(), Ok)?),
                ..self.request.guest.clone()
            };
            vserver_config::create(&place, &guest)?;
        }
        Ok(dir)
    }

    /// The file that scripts source, with the names that they know: of what there is here.
    fn variables(&self) -> Result<PathBuf, Error> {
        let path = self.stage.log("util-vserver-vars");
        let host = Host::new(Some(self.request.confdir.clone()));
        let helpers = helpers(&host.vserver);
        let known = [
            ("__CONFDIR", Some(host.confdir)),
            ("__DEFAULT_VSERVERDIR", Some(self.defaults.vdirbase())),
            ("_VSERVER", Some(host.vserver)),
            ("_EXEC_CD", helpers.as_ref().map(|dir| dir.join("exec-cd"))),
            ("_CHROOT_SH", helpers.as_ref().map(|dir| dir.join("chroot-sh"))),
            ("__PKGLIBDIR", helpers),
        ];
        let lines = known.into_iter().filter_map(|(name, path)| Some(format!("{name}={}\n", quoted(&path?))));
        fs::write(&path, lines.collect::<String>()).map_err(Error::io("write", &path))?;
        Ok(path)
    }
}

/// The directory of util-vserver's small helpers, if they are installed beside that program.
fn helpers(vserver: &Path) -> Option<PathBuf> {
    let dir = vserver.parent()?.parent()?.join("lib/util-vserver");
    dir.join("exec-cd").exists().then_some(dir)
}

/// For a shell, whatever is in it.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}
