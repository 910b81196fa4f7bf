//! What a rename changes, as data.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vserver_config::Defaults;
use vserver_fs::GuestRoot;
use vserver_types::GuestName;

use crate::copy::run_file;
use crate::delete::{check, real};
use crate::snapshot::beside;
use crate::{Error, own_disk};

/// Link to the package data that the host keeps.
const PKGBASE: &str = "apps/pkgmgmt/base";
/// Guests that start before this one.
pub(super) const DEPENDS: &str = "apps/init/depends";

/// Everything that a rename does, each part of which can be done twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The old name.
    pub from: GuestName,
    /// The new one.
    pub to: GuestName,
    /// Files and directories of its name.
    pub moves: Vec<Move>,
    /// Links of its configuration.
    pub links: Vec<Link>,
    /// Files of its configuration with one line.
    pub edits: Vec<Edit>,
    /// Guests that name it in their `depends`.
    pub dependants: Vec<GuestName>,
    /// Files that may be there.
    pub logs: Vec<Move>,
}

/// A rename on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Move {
    pub before: PathBuf,
    pub after: PathBuf,
}

/// A link, relative to the guest's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    pub name: String,
    pub was: PathBuf,
    pub target: PathBuf,
}

/// A value, of a file relative to the guest's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Edit {
    pub file: String,
    pub was: String,
    pub value: String,
}

/// Looks at everything and refuses what stands in the way.
pub(super) fn make(
    confdir: &Path,
    from: &GuestName,
    to: &GuestName,
    logs: Vec<(PathBuf, PathBuf)>,
) -> Result<Plan, Error> {
    let config = confdir.join(from.as_str());
    let root = real(&config.join("vdir"));
    if let Some(root) = &root {
        check(confdir, from, root, "renamed")?;
        // What a crash has left beside it would not be found under the new name.
        vserver_unify::Layers::settle(&GuestRoot::open(root)?)?;
    }
    let mut plan = Plan {
        from: from.clone(),
        to: to.clone(),
        moves: Vec::new(),
        links: Vec::new(),
        edits: Vec::new(),
        dependants: dependants(confdir, from)?,
        logs: logs.into_iter().map(|(before, after)| Move { before, after }).collect(),
    };
    // A name that an administrator chose stays.
    plan.edits.extend(value(&config, "name").filter(|name| name == from.as_str()).map(|was| Edit {
        file: "name".to_owned(),
        was,
        value: to.to_string(),
    }));
    for name in ["vdir", "cache", PKGBASE] {
        link(&mut plan, &config, name);
    }
    if let Ok(was) = fs::read_link(config.join("run")) {
        plan.links.push(Link { name: "run".to_owned(), was, target: run_file(confdir, from, to) });
    }
    disk(&mut plan, &config)?;
    limits(&mut plan, &config);
    packages(&mut plan, confdir, &config);
    match plan.moves.iter().find(|wanted| wanted.after.symlink_metadata().is_ok()) {
        Some(taken) => Err(Error::Exists { root: taken.after.clone(), config: confdir.join(to.as_str()) }),
        None => Ok(plan),
    }
}

/// The one line of a file.
fn value(config: &Path, file: &str) -> Option<String> {
    let text = fs::read_to_string(config.join(file)).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}

fn link(plan: &mut Plan, config: &Path, name: &str) {
    let link = config.join(name);
    let (Ok(was), Some(before)) = (fs::read_link(&link), real(&link)) else { return };
    if before.file_name().is_none_or(|last| last != plan.from.as_str()) {
        return;
    }
    let after = before.with_file_name(plan.to.as_str());
    let target = was.with_file_name(plan.to.as_str());
    snapshots(plan, &before, &after);
    plan.moves.push(Move { before, after });
    plan.links.push(Link { name: name.to_owned(), was, target });
}

/// They lie beside a tree or an image under its name.
fn snapshots(plan: &mut Plan, before: &Path, after: &Path) {
    let (before, after) = (beside(before), beside(after));
    if before.is_dir() {
        plan.moves.push(Move { before, after });
    }
}

/// An image that bears its name.
fn disk(plan: &mut Plan, config: &Path) -> Result<(), Error> {
    let image = own_disk::of(config)?.filter(|image| own_disk::bears_name(image, &plan.from));
    let Some(before) = image.filter(|image| image.symlink_metadata().is_ok()) else { return Ok(()) };
    let after = before.with_file_name(format!("{}.img", plan.to));
    let text = |path: &Path| path.to_string_lossy().into_owned();
    plan.edits.push(Edit { file: "disk/image".to_owned(), was: text(&before), value: text(&after) });
    snapshots(plan, &before, &after);
    plan.moves.push(Move { before, after });
    Ok(())
}

/// Limits that speak of the guest's own tree, or of something in it.
fn limits(plan: &mut Plan, config: &Path) {
    let moves = plan.moves.iter().map(|one| (one.before.clone(), one.after.clone()));
    let links = plan.links.iter().filter(|link| link.name == "vdir");
    let roots: Vec<_> = moves.chain(links.map(|link| (link.was.clone(), link.target.clone()))).collect();
    plan.edits.extend(limits_below(config, &roots));
}

/// What `dlimits/*/directory` says in `config`, where that is one of the first paths or below it, and with the second one
/// in its place.
pub(crate) fn limits_below(config: &Path, roots: &[(PathBuf, PathBuf)]) -> Vec<Edit> {
    let mut found = Vec::new();
    for entry in fs::read_dir(config.join("dlimits")).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let file = format!("dlimits/{name}/directory");
        let Some(was) = value(config, &file) else { continue };
        let moved = roots.iter().find_map(|(before, after)| {
            let rest = Path::new(&was).strip_prefix(before).ok()?;
            Some(if rest.as_os_str().is_empty() { after.clone() } else { after.join(rest) })
        });
        found.extend(moved.map(|moved| Edit { file, was, value: moved.to_string_lossy().into_owned() }));
    }
    found
}

/// The package data that the host keeps for the guest, if it does and no link leads there.
fn packages(plan: &mut Plan, confdir: &Path, config: &Path) {
    let base = Defaults::new(confdir).pkgbase();
    let (before, after) = (base.join(plan.from.as_str()), base.join(plan.to.as_str()));
    if before.is_dir() && !config.join(PKGBASE).is_symlink() {
        plan.moves.push(Move { before, after });
    }
}

fn dependants(confdir: &Path, from: &GuestName) -> Result<Vec<GuestName>, Error> {
    let mut all = vserver_config::list(confdir)?;
    all.retain(|other| names(confdir, other, from));
    Ok(all)
}

/// Whether a guest depends on the one of this name.
pub(super) fn names(confdir: &Path, other: &GuestName, name: &GuestName) -> bool {
    let text = fs::read_to_string(confdir.join(other.as_str()).join(DEPENDS)).unwrap_or_default();
    text.lines().any(|line| line.trim() == name.as_str())
}
