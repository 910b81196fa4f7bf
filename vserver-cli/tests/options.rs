//! Every option that `commands.md` gives a program is known to it, or answered with a sentence. Each is written before an option
//! that nobody knows: what is complained of is the latter.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use vserver_cli::manual::programs;

const UNKNOWN: &str = "--no-such-option";

/// Programs and options that are no more: one sentence, whatever follows. And a start, which reads its guest first.
const ANSWERED: [&str; 5] =
    ["capchroot", "vrsetup", "vserver ----insecure", "vserver web1 start", "vserver web1 build -m urpmi"];

fn run(confdir: &Path, tool: &str, before: &[&str], option: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vserver"))
        .args(["--applet", tool])
        .args(before)
        .args(option)
        .arg(UNKNOWN)
        .env("VSERVER_CONFDIR", confdir)
        .env("VSERVER_RUNDIR", confdir.join(".run"))
        .env("VSERVER_LOCKDIR", confdir)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn every_option_of_the_original_is_known() {
    // The verbs of a guest look for it before they read their options; it leads nowhere.
    let confdir = tempfile::tempdir().unwrap();
    std::fs::create_dir(confdir.path().join("web1")).unwrap();
    std::os::unix::fs::symlink("/nonexistent/tree", confdir.path().join("web1/vdir")).unwrap();
    let (mut seen, mut strange) = (BTreeSet::new(), Vec::new());
    let text = include_str!("data/options.txt");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (program, options) = line.split_once(": ").unwrap();
        let words: Vec<&str> = program.split(' ').collect();
        let (tool, before) = words.split_first().unwrap();
        seen.insert((*tool).to_owned());
        if !programs().contains(tool) {
            strange.push(format!("{tool}: no such program"));
            continue;
        }
        let mut options = options.split_whitespace().peekable();
        while let Some(option) = options.next() {
            let value = options.next_if(|word| !word.starts_with('-'));
            let option: Vec<&str> = std::iter::once(option).chain(value).collect();
            let output = run(confdir.path(), tool, before, &option);
            let said = String::from_utf8(output.stderr).unwrap();
            let answered = ANSWERED.iter().any(|known| format!("{program} {}", option[0]).starts_with(known));
            let fine = match answered {
                true => said.contains(' ') && !said.contains("unexpected argument"),
                false => said.contains(UNKNOWN),
            };
            if !fine || output.status.success() {
                strange.push(format!("{program} {}: {}{said}", option.join(" "), output.status));
            }
        }
    }
    assert!(strange.is_empty(), "{} options:\n{}", strange.len(), strange.join("\n"));
    assert!(seen.len() > 40, "{seen:?}");
}

/// What has no transcript: top and pstree say what they say, switches are of `switch::`, the services are root tests of `family::`, those that share files of `unify::`.
const ELSEWHERE: [&str; 15] = [
    "vserver-switch",
    "vtop",
    "vpstree",
    "vhashify",
    "vunify",
    "vcopy",
    "vclone",
    "v_gated",
    "v_httpd",
    "v_named",
    "v_portmap",
    "v_sendmail",
    "v_smb",
    "v_sshd",
    "v_xinetd",
];

/// Every program is in a transcript: what it prints is compared to the byte (`cargo xtask test transcripts::`).
#[test]
fn every_program_has_a_transcript() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/root/transcripts");
    let texts = std::fs::read_dir(dir).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let text: String = texts.collect();
    let mut called = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("$ ")) {
        called.extend(line.split(' ').next().map(str::to_owned));
    }
    let missing = programs().into_iter().filter(|tool| !called.contains(*tool) && !ELSEWHERE.contains(tool));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new(), "these are in no transcript");
}
