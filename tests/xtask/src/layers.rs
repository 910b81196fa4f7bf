//! The layers of docs/architecture.md, held against what cargo knows: a crate uses only what stands lower.

use serde_json::Value;

use crate::Outcome;
use crate::build::metadata;

/// Every crate and its level; crates on one level do not know each other.
const LEVELS: &[(&str, u8)] = &[
    ("vserver-sys", 0),
    ("vserver-types", 0),
    ("vserver-fs", 1),
    ("vserver-api", 1),
    ("vserver-sandbox", 2),
    ("vserver-cgroup", 2),
    ("vserver-net", 2),
    ("vserver-archive", 2),
    ("vserver-disk", 2),
    ("vserver-unify", 2),
    ("vserver-config", 3),
    ("vserver-runtime", 4),
    ("vserver-monitor", 4),
    ("vserver-build", 5),
    ("vserver-cli", 6),
    ("vserverd", 6),
    ("vserver-probe", 7),
    ("vserver-root-tests", 7),
    ("vserver-fuzz", 7),
    ("xtask", 7),
];

/// Compares the table with the workspace.
pub fn check() -> Outcome {
    let faults = faults(&metadata(true)?);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

fn level(name: &str) -> Option<u8> {
    LEVELS.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, level)| *level)
}

fn faults(metadata: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(own) = level(name) else {
            faults.push(format!(
                "the crate {name} stands on no level: add it to docs/architecture.md and xtask/layers.rs"
            ));
            continue;
        };
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        // What only tests use may stand beside.
        for dependency in dependencies.filter(|d| !d["path"].is_null() && d["kind"] != "dev") {
            let used = dependency["name"].as_str().unwrap_or_default();
            if level(used).is_none_or(|level| level >= own) {
                faults.push(format!("{name} (level {own}) uses {used}, which does not stand lower"));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Invariant "one direction" of docs/architecture.md.
    #[test]
    fn crates_use_only_what_stands_lower() {
        check().unwrap();
    }

    #[test]
    fn an_upward_use_is_a_fault() {
        let upward = serde_json::json!({"packages": [
            {"name": "vserver-fs", "dependencies": [{"name": "vserver-config", "path": "/x", "kind": null}]},
            {"name": "vserver-new", "dependencies": []},
        ]});
        assert_eq!(faults(&upward).len(), 2);
    }

    /// The drawing and this table are one.
    #[test]
    fn the_document_names_every_crate_on_its_level() {
        let path = crate::shell::repository().join("docs/architecture.md");
        let text = std::fs::read_to_string(path).unwrap();
        for (name, level) in LEVELS.iter().filter(|(_, level)| *level < 7) {
            let row = text.lines().find(|line| line.trim_start().starts_with(&format!("{level}  "))).unwrap();
            assert!(row.contains(name), "level {level} in docs/architecture.md lacks {name}: {row}");
        }
    }
}
