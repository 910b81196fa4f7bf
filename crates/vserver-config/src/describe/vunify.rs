//! `apps/vunify/`: which files a guest may share with others.

use serde_json::{Map, Value, json};

use super::Subject;
use crate::reader::Reader;
use crate::sharing::{references_of, stores_of, uses_packages};

pub(super) fn vunify(subject: &Subject<'_>) -> Value {
    let own = subject.own("apps/vunify");
    if !own.is_dir() {
        return json!({"usable": false, "reason": "no apps/vunify directory"});
    }
    let host = subject.defaults.join("apps/vunify");
    let exclude = subject.inherited("apps/vunify/exclude").map(|path| subject.shown(&path));
    let mut out = json!({"usable": true, "exclude_from": exclude, "pkgmgmt": uses_packages(&own, &host)});
    let references = references_of(&own);
    if !references.is_empty() {
        out["refservers"] = references.into_iter().map(|(_, target)| json!(target)).collect();
    }
    let hash = subject.inherited("apps/vunify/hash");
    if let Some(hash) = hash.filter(|hash| hash.is_dir()) {
        let name = |link: &std::path::Path| link.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let dirs = stores_of(&hash).into_iter().map(|(link, target)| (name(&link), json!(target)));
        out["hash_dirs"] = Value::Object(dirs.collect::<Map<_, _>>());
        let method = Reader::default().scalar(&hash.join("method")).filter(|method| !method.is_empty());
        out["hash_method"] = json!(method.as_deref().unwrap_or("sha1"));
    }
    out
}
