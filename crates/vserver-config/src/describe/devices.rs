//! `dlimits/` and `apps/vdevmap/`: one directory for each file system or device. Source: `config-tree.md` §5.5, §5.11.

use std::path::Path;

use serde_json::{Map, Value, json};
use vserver_types::c_integer;

use super::Subject;
use crate::reader::Reader;

/// Disk limits that are not switched off: `space_total` in KiB, `inodes_total` a count, `reserved` in percent.
pub(super) fn dlimits(subject: &Subject<'_>) -> Value {
    let entry = |dir: &Path| {
        let mut out = Map::new();
        out.insert("directory".to_owned(), json!(text(&dir.join("directory"))));
        for file in ["space_total", "inodes_total", "reserved"] {
            out.insert(file.to_owned(), number(&dir.join(file)));
        }
        out
    };
    each(&subject.own("dlimits"), |dir| !dir.join("disabled").exists(), entry)
}

/// What a guest may do with single devices.
pub(super) fn vdevmap(subject: &Subject<'_>) -> Value {
    let entry = |dir: &Path| {
        let flag = |name: &str| (name.to_owned(), json!(dir.join(name).exists()));
        let mut out: Map<_, _> = ["create", "open", "remap"].map(flag).into_iter().collect();
        for file in ["device", "target"] {
            out.insert(file.to_owned(), json!(text(&dir.join(file))));
        }
        out.insert("flags".to_owned(), number(&dir.join("flags")));
        out
    };
    each(&subject.own("apps/vdevmap"), |_| true, entry)
}

/// The wanted directories in alphabetical order, each with its own name as `dir`.
fn each(base: &Path, wanted: impl Fn(&Path) -> bool, entry: impl Fn(&Path) -> Map<String, Value>) -> Value {
    let names = Reader::default().names(base).into_iter().filter(|name| {
        let dir = base.join(name);
        dir.is_dir() && wanted(&dir)
    });
    let described = names.map(|name| {
        let mut all = entry(&base.join(&name));
        all.insert("dir".to_owned(), json!(name));
        Value::Object(all)
    });
    described.collect()
}

fn text(path: &Path) -> Option<String> {
    Reader::default().scalar(path).filter(|text| !text.is_empty())
}

/// A number in C notation, −1 and −2 as for limits; the text itself if it is none.
fn number(path: &Path) -> Value {
    let Some(text) = text(path) else { return Value::Null };
    match c_integer(&text) {
        Some(-1) => json!("inf"),
        Some(-2) => json!("keep"),
        Some(number) => json!(number),
        None => json!(text),
    }
}
