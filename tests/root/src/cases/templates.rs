//! The cache of built trees: first filled, then cloned, checked, refreshed, carried to another host.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::fixture::Fixture;
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("templates::a_second_debian_is_cloned", a_second_debian_is_cloned)
            .needs(Need::Tool("debootstrap"))
            .on_host_network()
            .within(1200),
    ]
}

/// Builds a guest of minbase, and says how long that took and where its tree is.
fn build(host: &Fixture, more: &[&str]) -> (String, PathBuf, Duration) {
    let (name, xid) = host.fresh();
    let context = xid.to_string();
    let begun = Instant::now();
    let method = ["-m", "debootstrap", "--", "-d", "bookworm", "--", "--variant=minbase"];
    host.v(&[&[name.as_str(), "build", "--context", &context], more, &method].concat()).ok();
    let took = begun.elapsed();
    let root = host.trees().join(&name);
    (name, root, took)
}

fn list(host: &Fixture) -> serde_json::Value {
    let listed = host.tool("vserver-template", &["list", "--json"]);
    serde_json::from_str(&listed.ok().out).unwrap()
}

fn a_second_debian_is_cloned() {
    let host = Fixture::new();
    let (one, root, first) = build(&host, &[]);
    let all = list(&host);
    assert_eq!((&all[0]["suite"], &all[0]["whole"]), (&"bookworm".into(), &true.into()));
    let name = all[0]["name"].as_str().unwrap().to_owned();
    let kept = host.trees().join(".templates").join(&name).join("root/etc/apt/sources.list");
    let sources = fs::read_to_string(kept).unwrap_or_default();
    assert!(!sources.contains("bookworm-updates"), "what a guest gets is not in it: {sources}");
    // Measured against the same machine at the same moment: what it costs to copy such a tree.
    let (guest, clone, took) = build(&host, &["--hostname", "two.example"]);
    let begun = Instant::now();
    let copy = Command::new("cp").arg("-a").arg(&root).arg(host.scratch("copy").join("tree")).status().unwrap();
    let plain = begun.elapsed();
    assert!(copy.success());
    println!("a build from the template took {took:?}, the first {first:?}, cp -a of its tree {plain:?}");
    assert!(took < plain * 3 + Duration::from_secs(1) && took * 3 < first, "{took:?}, {plain:?}, {first:?}");
    assert_eq!(fs::read_to_string(clone.join("etc/hostname")).unwrap(), "two.example\n");
    assert_eq!(fs::read(root.join("bin/bash")).unwrap(), fs::read(clone.join("bin/bash")).unwrap());
    host.v(&["--silent", &guest, "delete"]).ok();
    a_changed_one_is_not_used(&host, &name);
    carried(&host, &name);
    host.v(&["--silent", &one, "delete"]).ok();
}

fn a_changed_one_is_not_used(host: &Fixture, name: &str) {
    let file = host.trees().join(".templates").join(name).join("root/etc/issue");
    fs::write(&file, "changed\n").unwrap();
    assert_eq!(list(host)[0]["whole"], false);
    host.tool("vserver-template", &["export", name, "-"]).exits(1).says("somebody has changed it");
    let (guest, root, _) = build(host, &[]);
    assert_ne!(fs::read_to_string(root.join("etc/issue")).unwrap(), "changed\n");
    assert_eq!(list(host)[0]["whole"], true, "the build has made it anew");
    host.v(&["--silent", &guest, "delete"]).ok();
}

fn carried(host: &Fixture, name: &str) {
    let file = host.scratch("carried").join("template.tar.zst");
    let word = file.to_str().unwrap();
    host.tool("vserver-template", &["export", name, word]).ok();
    host.tool("vserver-template", &["import", word]).exits(1).says("already");
    host.tool("vserver-template", &["delete", name]).ok();
    assert_eq!(list(host), serde_json::json!([]));
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    host.tool("vserver-template", &["import", word]).exits(1);
    assert_eq!(list(host), serde_json::json!([]));
    fs::write(&file, &whole).unwrap();
    host.tool("vserver-template", &["import", word]).ok();
    assert_eq!(list(host)[0]["whole"], true);
    let left: Vec<_> =
        fs::read_dir(host.trees().join(".templates")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
    host.tool("vserver-template", &["delete", "none"]).exits(1).says("vserver-template list");
    host.tool("vserver-template", &["refresh", "--older-than", "5"]).ok();
    host.tool("vserver-template", &["list"]).ok().says(name);
}
