//! delete: asks, stops, removes the tree and the configuration, and nothing else.

use std::fs;
use std::os::unix::fs::symlink;

use crate::fixture::Fixture;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("removal::asks_and_takes_no_for_an_answer", asks_and_takes_no_for_an_answer),
        Trial::new("removal::stops_and_removes", stops_and_removes).smoke(),
        Trial::new("removal::follows_no_link_out_of_the_tree", follows_no_link_out_of_the_tree),
    ]
}

/// compat/commands.md §3.1: end of file, or anything but y, is exit 2.
fn asks_and_takes_no_for_an_answer() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.v(&["delete"]).exits(2);
    host.tool_with_input("vserver", &[guest.name.as_str(), "delete"], b"n\n").exits(2);
    assert!(guest.cfg.exists() && guest.root.join("bin/busybox").exists());
    host.tool_with_input("vserver", &[guest.name.as_str(), "delete"], b"y\n").ok();
    assert!(!guest.cfg.exists() && !guest.root.exists());
}

fn stops_and_removes() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    host.v(&["--silent", &guest.name, "delete"]).ok();
    assert!(!guest.cfg.exists() && !guest.root.exists());
    let locks = fs::read_dir("/var/lock").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let own = locks.filter(|file| file.to_string_lossy().ends_with(&format!("{}.startup", guest.name)));
    assert_eq!(own.count(), 0);
    guest.v(&["status"]).exits(5);
}

fn follows_no_link_out_of_the_tree() {
    let host = Fixture::new();
    let guest = host.guest();
    let outside = host.scratch("outside");
    fs::write(outside.join("kept"), "kept").unwrap();
    symlink(&outside, guest.root.join("srv")).unwrap();
    host.v(&["--silent", &guest.name, "delete"]).ok();
    assert_eq!(fs::read_to_string(outside.join("kept")).unwrap(), "kept");
    assert!(!guest.root.exists());
}
