//! `apps/vunify/`: which files a guest may share with others.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::Subject;
use crate::reader::Reader;

pub(super) fn vunify(subject: &Subject<'_>) -> Value {
    let own = subject.own("apps/vunify");
    if !own.is_dir() {
        return json!({"usable": false, "reason": "no apps/vunify directory"});
    }
    let host = subject.defaults.join("apps/vunify");
    let exclude = subject.inherited("apps/vunify/exclude").map(|path| subject.shown(&path));
    let mut out = json!({"usable": true, "exclude_from": exclude, "pkgmgmt": uses_packages(&own, &host)});
    let references = targets(&own, |name| name.starts_with("refserver."));
    if !references.is_empty() {
        out["refservers"] = references.into_iter().map(|(_, target)| json!(target)).collect();
    }
    let hash = subject.inherited("apps/vunify/hash");
    if let Some(hash) = hash.filter(|hash| hash.is_dir()) {
        let dirs = targets(&hash, |name| !matches!(name, "method" | "blocks" | "blocksize"));
        let dirs = dirs.into_iter().map(|(name, target)| (name, json!(target)));
        out["hash_dirs"] = Value::Object(dirs.collect::<Map<_, _>>());
        let method = Reader::default().scalar(&hash.join("method")).filter(|method| !method.is_empty());
        out["hash_method"] = json!(method.as_deref().unwrap_or("sha1"));
    }
    out
}

/// The first of four files decides whether the packages' own files are left out.
fn uses_packages(own: &Path, host: &Path) -> bool {
    let files = [
        (own.join("pkgmgmt-ignore"), false),
        (own.join("pkgmgmt-force"), true),
        (host.join("pkgmgmt-ignore"), false),
        (host.join("pkgmgmt-force"), true),
        (host.join("pgkmgmt-force"), true),
    ];
    files.into_iter().find(|(path, _)| path.exists()).is_none_or(|(_, used)| used)
}

/// Links of a directory with their targets, in alphabetical order.
fn targets(dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<(String, PathBuf)> {
    let names = Reader::default().names(dir).into_iter().filter(|name| wanted(name));
    names.filter_map(|name| fs::read_link(dir.join(&name)).ok().map(|target| (name, target))).collect()
}
