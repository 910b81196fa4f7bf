//! `vserver-wrapper`: what init scripts of a mark call. Source: util-vserver, `commands.md` §10.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use vserver_types::Exit;

use crate::args::{Common, StartVserversArgs, VserverWrapperArgs};
use crate::bulk;
use crate::commands::start_vservers;
use crate::context::Context;
use crate::error::CliError;

/// What the environment says.
struct Group {
    mark: String,
    jobs: NonZeroUsize,
    lock: PathBuf,
}

impl Group {
    fn from_environment() -> Result<Self, CliError> {
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mark = given("MARK").unwrap_or_else(|| "default".to_owned());
        let jobs = given("NUMPARALLEL").unwrap_or_else(|| "6".to_owned());
        let jobs = jobs.parse().map_err(|_| {
            let text = format!("NUMPARALLEL is '{jobs}', which is no number of guests at once; give one from 1 on");
            CliError::Refused(text)
        })?;
        let lock = given("LOCKFILE").unwrap_or_else(|| format!("vservers-{}", mark.replace('/', "_")));
        let dirs = ["/var/lock/subsys", "/var/run"].map(Path::new);
        let dir = dirs.into_iter().find(|dir| dir.is_dir()).unwrap_or(Path::new("/run"));
        Ok(Self { mark, jobs, lock: dir.join(lock) })
    }
}

/// `start`, `stop`, `restart`, `condrestart`, `status`. That some guests failed is success: the others are up.
pub fn run(args: &VserverWrapperArgs, context: &Context) -> Result<Exit, CliError> {
    let group = Group::from_environment()?;
    match args.action.as_str() {
        "start" => start(&group, context),
        "stop" => stop(&group, context),
        "status" => Ok(if group.lock.exists() { Exit::Success } else { Exit::Failure }),
        "condrestart" if !group.lock.exists() => Ok(Exit::Success),
        _ => stop(&group, context).and_then(|_| start(&group, context)),
    }
}

fn start(group: &Group, context: &Context) -> Result<Exit, CliError> {
    context.printer.status(format_args!("Starting vservers of type '{}'...", group.mark))?;
    let exit = all(group, false, context)?;
    if exit == Exit::Success {
        let cannot = format!("cannot make the lock file '{}'", group.lock.display());
        fs::write(&group.lock, "").map_err(CliError::io(cannot))?;
    }
    Ok(exit)
}

fn stop(group: &Group, context: &Context) -> Result<Exit, CliError> {
    context.printer.status(format_args!("Stopping vservers of type '{}'...", group.mark))?;
    let exit = all(group, true, context)?;
    match fs::remove_file(&group.lock) {
        Err(error) if exit == Exit::Success && error.kind() != std::io::ErrorKind::NotFound => {
            Err(CliError::io(format!("cannot remove the lock file '{}'", group.lock.display()))(error))
        }
        _ => Ok(exit),
    }
}

fn all(group: &Group, stop: bool, context: &Context) -> Result<Exit, CliError> {
    let args = StartVserversArgs {
        mark: Some(group.mark.clone()),
        jobs: group.jobs,
        start: !stop,
        stop,
        all: true,
        timeout: bulk::TIMEOUT,
        common: Common::default(),
        marked: false,
        unmarked: false,
        running: false,
        stopped: false,
        debug: false,
        c: false,
        names: Vec::new(),
    };
    let exit = start_vservers::run(&args, context)?;
    Ok(if exit == Exit::Usage { Exit::Success } else { exit })
}
