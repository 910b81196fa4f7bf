//! A tree whose files are to be shared, and what must be so before: its guest does not run, and nobody starts it meanwhile.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use vserver_build::PackageStyle;
use vserver_config::Sharing;
use vserver_fs::{Flock, GuestRoot};
use vserver_types::{Exit, GuestName, GuestState};
use vserver_unify::{Layers, Rules, SHIPPED, Tree};

use crate::context::Context;
use crate::error::CliError;
use crate::resolve;

/// How long to wait for another command that holds a guest's lock.
const PATIENCE: Duration = Duration::from_secs(300);
/// Longest exclude list that is read.
const LIST: u64 = 16 << 20;

/// One tree.
pub struct Subject {
    /// As it is called in messages.
    pub label: String,
    /// The tree.
    pub tree: Tree,
    /// Where shared files may lie.
    pub stores: Vec<PathBuf>,
    /// Its guest's lock.
    pub held: Option<Flock>,
}

/// A guest by the word on a command line.
pub fn name(word: &str) -> Result<GuestName, CliError> {
    resolve::guest_word(word).map(|(_, name)| name)
}

impl Subject {
    /// That of a guest, by its configuration.
    pub fn of_guest(name: &GuestName, context: &Context) -> Result<Self, CliError> {
        Self::of(name, true, context)
    }

    /// The same of one that was made just now: it has no packages that could be asked for their configuration files.
    pub fn of_new_guest(name: &GuestName, context: &Context) -> Result<Self, CliError> {
        Self::of(name, false, context)
    }

    fn of(name: &GuestName, has_packages: bool, context: &Context) -> Result<Self, CliError> {
        let host = &context.host;
        let (config, _) = vserver_config::read(&host.confdir, name)?;
        let Some(sharing) = vserver_config::sharing(&host.confdir, name) else {
            // vunify's own words, which differ by one.
            let this = if context.printer.tool() == "vunify" { "this " } else { "" };
            return Err(CliError::Refused(format!(
                "Failed to initialize unification for {this}vserver '{name}': nothing of it is to be shared until its configuration has \
                 a directory apps/vunify"
            )));
        };
        // Its own tools are asked before its lock is held, because they need it.
        let rules = rules(&sharing)?;
        let own = if has_packages { configuration_files(&sharing, name, context)? } else { Some(Vec::new()) };
        let (held, root) = hold(name, &config.vdir, context)?;
        let own = match own {
            Some(own) => own,
            None => vserver_unify::debian_configuration(&root)?,
        };
        let tree = Tree { root, rules: rules.with_configuration(own) };
        Ok(Self { label: name.to_string(), tree, stores: sharing.stores, held: Some(held) })
    }

    /// One by its path. That its guest does not run is looked up among those that do.
    pub fn of_path(path: &Path, list: &Path, context: &Context) -> Result<Self, CliError> {
        let path = path.canonicalize().map_err(CliError::io(format!("cannot find '{}'", path.display())))?;
        for record in vserver_runtime::running(&context.host)? {
            let its = record.confdir.join(record.name.as_str()).join("vdir").canonicalize();
            if its.is_ok_and(|its| its.starts_with(&path) || path.starts_with(&its)) {
                return Err(runs(&record.name, GuestState::Running));
            }
        }
        let (rules, label) = (Rules::parse(&read(list)?), path.display().to_string());
        let confdir = &context.host.confdir;
        let guests = if confdir.is_dir() { vserver_config::list(confdir)? } else { Vec::new() };
        let its = |name: &GuestName| confdir.join(name.as_str()).join("vdir").canonicalize().ok();
        let (held, root) = match guests.into_iter().find(|name| its(name).as_ref() == Some(&path)) {
            // Nobody is to start it meanwhile.
            Some(name) => hold(&name, &path, context).map(|(held, root)| (Some(held), root))?,
            None => {
                let root = GuestRoot::open(&path).map_err(vserver_unify::Error::from)?;
                Layers::settle(&root)?;
                (None, root)
            }
        };
        Ok(Self { label, tree: Tree { root, rules }, stores: Vec::new(), held })
    }
}

/// The lock and the tree of a guest that does not run, with what a crash may have left folded in.
fn hold(name: &GuestName, vdir: &Path, context: &Context) -> Result<(Flock, GuestRoot), CliError> {
    let lock = context.host.lock(name, PATIENCE)?;
    let status = vserver_runtime::status(&context.host, name)?;
    if status.state != GuestState::Stopped {
        return Err(runs(name, status.state));
    }
    let vdir = vdir.canonicalize().map_err(CliError::io(format!("cannot find '{}'", vdir.display())))?;
    let root = GuestRoot::open(&vdir).map_err(vserver_unify::Error::from)?;
    Layers::settle(&root)?;
    Ok((lock, root))
}

/// `vserver NAME flatten`'s part: the tree, held until the end.
pub fn release(name: &GuestName, context: &Context) -> Result<(impl AsFd + use<>, GuestRoot), CliError> {
    let (config, _) = vserver_config::read(&context.host.confdir, name)?;
    hold(name, &config.vdir, context)
}

fn runs(name: &GuestName, state: GuestState) -> CliError {
    CliError::Refused(format!(
        "the files of guest '{name}' cannot be shared while it is {state}: it writes to them; stop it with `vserver {name} stop`"
    ))
}

fn rules(sharing: &Sharing) -> Result<Rules, CliError> {
    Ok(match &sharing.exclude {
        Some(list) => Rules::parse(&read(list)?),
        None => Rules::parse(SHIPPED),
    })
}

fn read(list: &Path) -> Result<Vec<u8>, CliError> {
    let failed = || CliError::io(format!("cannot read the exclude list '{}'", list.display()));
    let found = list.metadata().map_err(failed())?;
    if found.is_file() && found.len() > LIST {
        return Err(CliError::Refused(format!("the exclude list '{}' is larger than 16 MiB", list.display())));
    }
    std::fs::read(list).map_err(failed())
}

/// The configuration files of its packages, from its own tools; none if they stand in files of its tree.
fn configuration_files(
    sharing: &Sharing,
    name: &GuestName,
    context: &Context,
) -> Result<Option<Vec<Vec<u8>>>, CliError> {
    if !sharing.packages {
        return Ok(Some(Vec::new()));
    }
    let failed = |why: String| {
        CliError::known(
            format!(
                "{}: failed to determine configfiles of guest '{name}': {why}; make apps/vunify/pkgmgmt-ignore to do without",
                context.printer.tool()
            ),
            Exit::Failure,
        )
    };
    match vserver_build::package_style(&context.host.confdir, name)? {
        Some(PackageStyle::Debian) => Ok(None),
        Some(PackageStyle::Rpm | PackageStyle::Suse) => {
            let mut own = Command::new("/proc/self/exe");
            own.args(["--applet", "vserver", "--confdir"]).arg(&context.host.confdir);
            let asked = own.args([name.as_str(), "pkg", "get-conffiles"]).output();
            let asked = asked.map_err(|error| failed(error.to_string()))?;
            if !asked.status.success() {
                return Err(failed(String::from_utf8_lossy(&asked.stderr).trim().to_owned()));
            }
            Ok(Some(asked.stdout.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()))
        }
        None => Err(failed("its kind of distribution is not known".to_owned())),
    }
}
