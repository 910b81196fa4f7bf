//! Scripts in the order in which they run.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Subject;
use crate::reader::{Reader, is_backup};
use crate::scripts::{Flavour, Script, scripts as find};

pub(super) fn scripts(subject: &Subject<'_>) -> Value {
    let confdir = subject.defaults.parent().unwrap_or(&subject.defaults);
    let mut all = Map::new();
    for flavour in Flavour::ALL {
        // A directory that cannot be listed is told at start.
        let [own, host] = find(confdir, &subject.config.name, flavour).unwrap_or_default();
        let asked = own.iter().any(keeps_defaults);
        let runs_host = own.is_empty() || asked;
        let mut run: Vec<Value> = own.iter().map(|script| entry(subject, script)).collect();
        if runs_host {
            run.extend(host.iter().map(|script| {
                let mut entry = entry(subject, script);
                if asked {
                    entry["because"] = json!("DONT_SKIP_DEFAULTS");
                }
                entry
            }));
        } else if !host.is_empty() {
            let skipped: Vec<String> = host.iter().map(|script| subject.shown(&script.path)).collect();
            all.insert(format!("{flavour}_skipped"), json!(skipped));
        }
        let mut copies = Reader::default().names(&subject.own("scripts").join(format!("{flavour}.d")));
        copies.retain(|name| is_backup(name));
        if !copies.is_empty() {
            all.insert(format!("{flavour}_ignored"), json!(copies));
        }
        if !run.is_empty() {
            all.insert(flavour.to_string(), Value::Array(run));
        }
    }
    if !all.is_empty() {
        all.insert("arguments".to_owned(), json!(["<flavour>", subject.config.name.as_str()]));
    }
    Value::Object(all)
}

fn entry(subject: &Subject<'_>, script: &Script) -> Value {
    json!({"path": subject.shown(&script.path), "mode": if script.executable { "execute" } else { "source" }})
}

/// A sourced script can ask for the host's scripts too. Only a plain assignment is seen here; the shell has the say.
fn keeps_defaults(script: &Script) -> bool {
    !script.executable && assigns(&script.path)
}

fn assigns(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().any(|line| {
        let value = line.trim().trim_start_matches("export ").strip_prefix("DONT_SKIP_DEFAULTS=");
        value.is_some_and(|value| !value.trim_matches(['"', '\'']).is_empty())
    })
}
