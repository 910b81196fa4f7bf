//! The table of the family (`data/family.txt`) held against the programs: none is missing in either, each fails with the
//! status that scripts know, and what is obsolete is answered. Options, one by one: `options.rs`.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use vserver_cli::manual::{pages, programs};

const UNKNOWN: &str = "--no-such-option";

/// A line of the table.
struct Row {
    name: &'static str,
    class: &'static str,
    failure: i32,
    how: &'static str,
}

fn rows() -> Vec<Row> {
    let lines = include_str!("data/family.txt").lines().filter(|line| !line.starts_with('#'));
    let row = |line: &'static str| {
        let mut words = line.splitn(4, ' ');
        let mut next = || words.next().unwrap_or_else(|| panic!("too short: {line}"));
        Row { name: next(), class: next(), failure: next().parse().unwrap(), how: next() }
    };
    lines.map(row).collect()
}

fn run(words: &[&str]) -> Output {
    let nowhere = std::env::temp_dir().join(format!("cli-family-{}", std::process::id()));
    Command::new(env!("CARGO_BIN_EXE_vserver"))
        .arg("--applet")
        .args(words)
        .env("VSERVER_CONFDIR", &nowhere)
        .env("VSERVER_RUNDIR", nowhere.join(".run"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn the_table_is_whole() {
    let rows = rows();
    let named: BTreeSet<&str> = rows.iter().map(|row| row.name).collect();
    assert_eq!(named.len(), rows.len(), "a program stands there twice");
    assert_eq!(named, programs().into_iter().collect(), "left: the table, right: the programs");
    for row in &rows {
        let word = row.how.split(':').next().unwrap();
        assert!(["same", "more", "other", "answered", "words", "own"].contains(&word), "{}: {}", row.name, row.how);
        assert_eq!(word == "other", row.how.contains(": "), "{}: what differs is said, and only that", row.name);
        assert!(["core", "common", "rare", "obsolete", "-"].contains(&row.class), "{}: {}", row.name, row.class);
        // A core program is never only a sentence.
        assert!(row.class == "obsolete" || row.name == "vrsetup" || word != "answered", "{}", row.name);
    }
}

/// Whether the definition of a program knows a long option. Those with names of their own making (`--~SPACE`, `--NUMBER`) are
/// read before the definition; `options.rs` tries them.
#[test]
fn the_definitions_know_the_options() {
    let pages = pages();
    let mut missing = Vec::new();
    let mut tried = 0;
    for line in include_str!("data/options.txt").lines().filter(|line| !line.starts_with('#')) {
        let (program, options) = line.split_once(": ").unwrap();
        let Some(page) = pages.iter().find(|page| page.name == program) else { continue };
        let command = page.command.clone();
        let known = |option: &str| {
            command.get_arguments().any(|arg| match option.strip_prefix("--") {
                Some(long) => {
                    arg.get_long() == Some(long) || arg.get_all_aliases().is_some_and(|all| all.contains(&long))
                }
                None => arg.get_short() == option.chars().nth(1),
            })
        };
        let own_reading = ["vlimit", "vspace", "vnamespace", "setattr", "capchroot", "vrsetup", "vserver"];
        for option in options.split_whitespace().filter(|word| word.starts_with('-')) {
            if own_reading.contains(&program) || option.starts_with("--~") {
                continue;
            }
            tried += 1;
            if !known(option) {
                missing.push(format!("{program} {option}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
    assert!(tried > 200, "{tried}");
}

#[test]
fn a_failure_of_its_own_has_the_status_that_scripts_know() {
    let mut strange = Vec::new();
    for row in rows() {
        let output = run(&[row.name, UNKNOWN]);
        let said = String::from_utf8_lossy(&output.stderr);
        if row.how == "words" {
            continue;
        }
        let told = row.how == "answered" || said.contains(UNKNOWN);
        let (code, out) = (output.status.code(), output.stdout.is_empty());
        if code != Some(row.failure) || !out || !told {
            strange.push(format!("{}: {code:?}, not {}: {said}", row.name, row.failure));
        }
    }
    assert!(strange.is_empty(), "{}", strange.join("\n"));
}

/// One sentence after the name, whatever follows it.
#[test]
fn what_is_obsolete_is_answered() {
    for row in rows().into_iter().filter(|row| row.how == "answered") {
        let output = run(&[row.name, "--some", "words"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(row.failure), "{}", row.name);
        assert!(said.starts_with(&format!("{}: ", row.name)) && said.len() > row.name.len() + 15, "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

/// `commands.md` §3.1, and how each ends where there is no such guest: 5, and 2 for a word that is no verb.
#[test]
fn every_verb_is_known() {
    let verbs = [
        "start",
        "stop",
        "restart",
        "condrestart",
        "suexec 0 id",
        "exec id",
        "enter",
        "chkconfig --list",
        "running",
        "status",
        "delete",
        "unify",
        "hashify",
        "pkg get-conffiles",
        "pkgmgmt externalize",
        "apt-get update",
        "apt-config dump",
        "apt-cache policy",
        "rpm -qa",
    ];
    for verb in verbs {
        let words: Vec<&str> = ["vserver", "--silent", "web9"].into_iter().chain(verb.split(' ')).collect();
        let output = run(&words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.starts_with("Can not find a vserver-setup at '"), "{verb}: {said}");
        assert_eq!(output.status.code(), Some(5), "{verb}: {said}");
    }
    assert_eq!(run(&["vserver", "web9", "build"]).status.code(), Some(1));
    assert_eq!(run(&["vserver", "web9", "yum"]).status.code(), Some(2));
}
