//! What the administrator does with templates.

use std::fs;
use std::path::Path;
use std::time::Duration;

use vserver_archive::Options;
use vserver_config::Defaults;
use vserver_fs::remove_guest_tree;

use super::{Cache, FILE, Template};
use crate::debootstrap::Run;
use crate::request::Progress;
use crate::signals::Signals;
use crate::{Error, Output, export as packer, template as unpacker};

/// All templates by name, each with whether it is what was stored.
///
/// # Errors
/// The directory cannot be read.
pub fn list(confdir: &Path) -> Result<Vec<(Template, bool)>, Error> {
    let cache = Cache::open(&Defaults::new(confdir))?;
    let mut names = Vec::new();
    for entry in fs::read_dir(&cache.dir).map_err(Error::io("look into", &cache.dir))? {
        let entry = entry.map_err(Error::io("look into", &cache.dir))?;
        names.extend(entry.file_name().into_string().ok().filter(|name| !name.starts_with('.')));
    }
    names.sort();
    let known = names.iter().filter_map(|name| cache.read(name));
    Ok(known
        .map(|template| (cache.is_whole(&template), template))
        .map(|(whole, template)| (template, whole))
        .collect())
}

/// Builds a template anew from its recipe; the old one is used until the new one is complete.
///
/// # Errors
/// There is none of that name; whatever debootstrap meets, and the old one stays then.
pub fn refresh(confdir: &Path, name: &str, progress: &mut dyn Progress) -> Result<Template, Error> {
    let signals = Signals::block()?;
    let defaults = Defaults::new(confdir);
    let cache = Cache::open(&defaults)?;
    let known = find(&cache, name)?;
    let _lock = cache.lock(name)?;
    let run = Run::of_recipe(&known.recipe)?;
    let stage = cache.stage(name)?;
    run.perform(&stage, &defaults, &signals, progress)?;
    cache.store(name, known.recipe, stage)
}

/// Removes a template; guests that were cloned from it have their own files.
///
/// # Errors
/// There is none of that name, or it cannot be removed.
pub fn delete(confdir: &Path, name: &str) -> Result<(), Error> {
    let cache = Cache::open(&Defaults::new(confdir))?;
    find(&cache, name)?;
    let _lock = cache.lock(name)?;
    let away = cache.dir.join(format!(".{name}.gone-{}", std::process::id()));
    let place = cache.place(name);
    fs::rename(&place, &away).map_err(Error::io("remove", &place))?;
    remove_guest_tree(&away)?;
    fs::remove_file(cache.dir.join(format!("{name}.lock"))).map_err(Error::io("remove the lock of", &place))
}

/// Packs a template with its recipe, for another host.
///
/// # Errors
/// There is none of that name, it was changed, or the archive cannot be written.
pub fn export(confdir: &Path, name: &str, output: &Output, progress: &mut dyn Progress) -> Result<(), Error> {
    let signals = Signals::block()?;
    let cache = Cache::open(&Defaults::new(confdir))?;
    let known = find(&cache, name)?;
    let _lock = cache.lock(name)?;
    if !cache.is_whole(&known) {
        return Err(refused(name, "it is not what was stored: somebody has changed it; build it anew with refresh"));
    }
    let root = vserver_fs::GuestRoot::open(&cache.place(name))?;
    packer::write(&root, output, &signals, progress).map(drop)
}

/// Takes a template that [`export`] has packed, `-` from standard input. An archive is checked like any other.
///
/// # Errors
/// It is no such archive, or there is a template of that name already.
pub fn import(confdir: &Path, file: &Path, progress: &mut dyn Progress) -> Result<Template, Error> {
    let signals = Signals::block()?;
    let cache = Cache::open(&Defaults::new(confdir))?;
    let arrived = cache.stage("import")?;
    let root = vserver_fs::GuestRoot::open(arrived.root())?;
    let options = Options { ids: u64::from(u32::MAX), ..Options::default() };
    progress.stage(&format!("unpacking {}", file.display()));
    unpacker::one(file, &options, &root, &mut vserver_archive::All, &signals, progress)?;
    let no_template =
        || refused(&file.display().to_string(), "it is no archive that `vserver-template export` has made");
    let text = root.read(FILE, 1 << 20).map_err(|_| no_template())?;
    let known: Template = serde_json::from_slice(&text).map_err(|_| no_template())?;
    let name = known.recipe.name();
    if known.name != name || root.kind("root")? != Some(vserver_fs::Kind::Directory) {
        return Err(no_template());
    }
    let _lock = cache.lock(&name)?;
    if cache.read(&name).is_some() {
        return Err(refused(&name, "there is a template of that name already; delete it first"));
    }
    let mut template = cache.store_from(&name, known.recipe, &arrived)?;
    template.built = known.built;
    cache.rewrite(&template)?;
    Ok(template)
}

fn find(cache: &Cache, name: &str) -> Result<Template, Error> {
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
    plain
        .then(|| cache.read(name))
        .flatten()
        .ok_or_else(|| refused(name, "there is none of that name; see `vserver-template list`"))
}

fn refused(name: &str, reason: &str) -> Error {
    Error::Wish { reason: format!("template '{name}': {reason}") }
}

impl Cache {
    /// Stores the tree that has arrived in `root/` of another stage.
    fn store_from(
        &self,
        name: &str,
        recipe: super::Recipe,
        arrived: &crate::stage::Stage,
    ) -> Result<Template, Error> {
        let stage = self.stage(name)?;
        fs::remove_dir(stage.root()).map_err(Error::io("replace the directory", stage.root()))?;
        let from = arrived.root().join("root");
        fs::rename(&from, stage.root()).map_err(Error::io("rename to its place", stage.root()))?;
        self.store(name, recipe, stage)
    }

    fn rewrite(&self, template: &Template) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(template).map_err(|e| Error::io("write", FILE)(e.into()))?;
        Ok(vserver_fs::atomic::write(&self.place(&template.name).join(FILE), &text, 0o644)?)
    }
}

/// How old a template may be that a build takes, unless it says otherwise.
pub const AGE: Duration = Duration::from_secs(30 * 86_400);
