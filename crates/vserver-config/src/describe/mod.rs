//! What was understood of a guest's configuration, as JSON for people and programs: `vserver NAME config --json`.

mod boot;
mod devices;
mod identity;
mod limits;
mod mounts;
mod network;
mod scripts;
mod spaces;
mod vunify;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::error::Diagnostic;
use crate::model::GuestConfig;
use crate::reader::Reader;

/// A guest and where its files and those of the host are.
pub(crate) struct Subject<'a> {
    config: &'a GuestConfig,
    /// `CONFDIR/.defaults`
    defaults: PathBuf,
}

impl Subject<'_> {
    /// A file of the guest.
    fn own(&self, file: &str) -> PathBuf {
        self.config.dir.join(file)
    }

    /// A file of the guest, or the host's if there is none.
    fn inherited(&self, file: &str) -> Option<PathBuf> {
        [self.own(file), self.defaults.join(file)].into_iter().find(|path| path.exists())
    }

    /// A path as seen from the guest's directory, or from the one above for the host's files.
    fn shown(&self, path: &Path) -> String {
        let base = self.defaults.parent().unwrap_or(&self.defaults);
        let relative = path.strip_prefix(&self.config.dir).or_else(|_| path.strip_prefix(base));
        relative.unwrap_or(path).display().to_string()
    }
}

/// What is understood of a guest, one key per topic; what is not configured is null or empty. `confdir` is the tree
/// that `config` was read from. Only files of the tree are looked at, never the guest's own.
pub fn describe(confdir: &Path, config: &GuestConfig, warnings: &[Diagnostic]) -> Value {
    let subject = Subject { config, defaults: confdir.join(".defaults") };
    let mut all = Map::new();
    let mut put = |key: &str, value: Value| {
        all.insert(key.to_owned(), value);
    };
    put("schema", json!(1));
    put("guest", json!(config.name.as_str()));
    put("identity", identity::identity(&subject));
    put("init", identity::init(&subject));
    put("vshelper", identity::vshelper(&subject));
    put("personality", identity::personality(&subject));
    put("uts", identity::uts(&config.uts));
    put("enter_shell", json!(config.shell));
    put("apparmor", json!(Some(config.apparmor.as_line()).filter(|line| !line.is_empty())));
    put("keepfds", json!(config.keepfds));
    put("pkgmgmt", json!(pkgmgmt(&subject)));
    for (key, value) in identity::flags(&subject) {
        put(key, value);
    }
    put("boot", boot::boot(&subject));
    put("network", network::network(&subject));
    put("netns", spaces::netns(&subject));
    put("spaces", spaces::spaces(&subject));
    put("vunify", vunify::vunify(&subject));
    put("dlimits", devices::dlimits(&subject));
    put("vdevmap", devices::vdevmap(&subject));
    for (key, value) in limits::all(&subject) {
        put(key, value);
    }
    for (key, value) in mounts::all(&subject) {
        put(key, value);
    }
    put("scripts", scripts::scripts(&subject));
    put("warnings", warnings.iter().map(|finding| json!(finding.to_string())).collect());
    Value::Object(all)
}

/// Whose package tools are used; the guest's own unless a directory without `internal` is there.
fn pkgmgmt(subject: &Subject<'_>) -> &'static str {
    let external = subject.own("apps/pkgmgmt").is_dir() && !subject.own("apps/pkgmgmt/internal").exists();
    if external { "external" } else { "internal" }
}

/// A list file's lines, without findings: they were reported when the guest was read.
fn lines(path: &Path) -> Vec<String> {
    Reader::default().list(path).into_iter().map(|line| line.text).collect()
}

/// Names of a printed set.
fn names(set: &impl std::fmt::Display) -> Vec<String> {
    set.to_string().split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
