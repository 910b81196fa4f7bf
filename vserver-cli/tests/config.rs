//! `vserver NAME config --json`: what is printed, and what a fault looks like.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as they do")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A configuration root of its own, gone at the end.
struct Tree(PathBuf);

impl Tree {
    /// With one guest, `web1`, that has a context and one address.
    fn new(test: &str) -> Self {
        let root = std::env::temp_dir().join(format!("cli-config-{test}-{}", std::process::id()));
        let tree = Self(root);
        tree.put("web1/context", "40012\n");
        tree.put("web1/interfaces/0/ip", "192.0.2.12\n");
        tree.put("web1/interfaces/0/dev", "eth0\n");
        tree.put("web1/interfaces/prefix", "24\n");
        symlink("/vservers/web1", tree.0.join("web1/vdir")).unwrap();
        tree
    }

    fn put(&self, file: &str, content: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_vserver"))
            .args(words)
            .env("VSERVER_CONFDIR", &self.0)
            .env("VSERVER_RUNDIR", self.0.join(".run"))
            .env("VSERVER_LOCKDIR", &self.0)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(Path::new(&self.0));
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn what_is_understood_is_one_object() {
    let tree = Tree::new("whole");
    let output = tree.run(&["web1", "config", "--json"]);
    assert_eq!((text(&output.stderr), output.status.code()), ("", Some(0)));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["guest"], "web1");
    assert_eq!(found["identity"]["context"], 40012);
    assert_eq!(found["network"]["allowed"], serde_json::json!(["192.0.2.12/24"]));
    assert_eq!(found["network"]["interfaces"][0]["prefix_from"], "interfaces/prefix");
    assert_eq!(found["init"]["style"], "sysv");
}

#[test]
fn a_fault_is_told_with_file_and_line_and_nothing_is_printed() {
    let tree = Tree::new("fault");
    tree.put("web1/cflags", "virt_mem\nvirt_memm\n");
    let output = tree.run(&["web1", "config", "--json"]);
    assert_eq!((text(&output.stdout), output.status.code()), ("", Some(1)));
    assert!(text(&output.stderr).contains("web1/cflags:2"), "{}", text(&output.stderr));
}

/// `commands.md`: a guest that does not exist is status 5.
#[test]
fn no_such_guest() {
    let tree = Tree::new("none");
    let output = tree.run(&["web2", "config", "--json"]);
    assert_eq!((text(&output.stdout), output.status.code()), ("", Some(5)));
    assert!(text(&output.stderr).contains("web1"), "{}", text(&output.stderr));
}

/// A guest of the 2.4 kind is started by nobody, and missed by nobody.
#[test]
fn a_guest_of_the_old_kind_is_told() {
    let tree = Tree::new("old");
    tree.put("old.conf", "S_CONTEXT=7\n");
    for words in [&["list"][..], &["--all", "check"]] {
        let output = tree.run(words);
        let said = text(&output.stderr);
        assert!(said.contains("old: left out: old.conf is of the 2.4 kind; `vserver old check` tells"), "{said}");
        assert!(text(&output.stdout).contains("web1"));
    }
    let output = tree.run(&["old", "check"]);
    assert!(text(&output.stdout).contains("old.conf:1: warning: S_CONTEXT is not read (write '7' to context)"));
    assert_eq!(output.status.code(), Some(1));
}

/// All changes or none, and what is printed is what changed.
#[test]
fn files_are_changed_in_place() {
    let tree = Tree::new("change");
    tree.put("web1/cflags", "# of old\nvirt_mem\n");
    let words = ["web1", "config", "--set", "nice=5", "--add", "cflags=sched_hard", "--unset", "interfaces/prefix"];
    let output = tree.run(&words);
    let cfg = tree.0.join("web1");
    let changed = ["interfaces/prefix", "nice", "cflags"].map(|file| format!("{}\n", cfg.join(file).display()));
    assert_eq!((text(&output.stderr), text(&output.stdout)), ("", changed.concat().as_str()));
    assert_eq!(fs::read_to_string(cfg.join("cflags")).unwrap(), "# of old\nvirt_mem\nsched_hard\n");
    let refused = tree.run(&["web1", "config", "--set", "nice=7", "--add", "cflags=virt_memm"]);
    assert_eq!((text(&refused.stdout), refused.status.code()), ("", Some(1)));
    assert!(text(&refused.stderr).contains("web1/cflags:4: Unknown flag 'virt_memm' (did you mean 'virt_mem'?)"));
    assert_eq!(fs::read_to_string(cfg.join("nice")).unwrap(), "5\n");
    assert_eq!(tree.run(&["web1", "config", "--set", "nice"]).status.code(), Some(2));
    assert_eq!(tree.run(&["web1", "config", "--set", "nice=7", "--json"]).status.code(), Some(2));
    assert_eq!(tree.run(&["web2", "config", "--set", "nice=7"]).status.code(), Some(5));
}
