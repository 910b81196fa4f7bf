//! Every program has a help with an example, a version, a man page and, if people call it, completions; all from one
//! source.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::process::{Command, Stdio};

use clap_complete::Shell;
use vserver_cli::manual::{pages, programs};

fn said(tool: &str, word: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vserver"));
    let output = command.args(["--applet", tool, word]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{tool} {word}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{tool} {word}");
    String::from_utf8(output.stdout).unwrap()
}

/// `commands.md` §1: vtop and vpstree hand both to the program that they run.
fn hands_on(tool: &str) -> bool {
    ["vtop", "vpstree"].contains(&tool)
}

#[test]
fn every_program_has_help_with_an_example() {
    for tool in programs().into_iter().filter(|tool| !hands_on(tool)) {
        let help = said(tool, "--help");
        assert!(help.contains("Usage:"), "{tool}: {help}");
        let (_, example) = help.split_once("Example").unwrap_or_else(|| panic!("{tool} has no example:\n{help}"));
        assert!(example.lines().any(|line| line.len() > 4), "{tool}: {help}");
    }
}

/// `commands.md` §1: `<tool> <version> -- <one line description>`, `This program is part of util-vserver <version>`, a
/// blank line, copyright and disclaimer.
#[test]
fn every_program_has_a_version_in_the_known_form() {
    for tool in programs().into_iter().filter(|tool| !hands_on(tool)) {
        let text = said(tool, "--version");
        let lines: Vec<&str> = text.lines().collect();
        let version = env!("CARGO_PKG_VERSION");
        let about = lines[0].strip_prefix(&format!("{tool} {version} -- "));
        assert!(about.is_some_and(|about| about.len() > 5), "{tool}: {text}");
        assert_eq!(lines[1], format!("This program is part of util-vserver {version}"));
        assert_eq!(lines[2], "");
        assert!(lines[3].starts_with("Copyright"), "{tool}: {text}");
    }
}

#[test]
fn every_program_has_a_page_and_completions() {
    let pages = pages();
    for tool in programs() {
        let page = pages.iter().find(|page| page.name == tool);
        let page = page.unwrap_or_else(|| panic!("{tool} has no definition in manual.rs"));
        let mut text = Vec::new();
        clap_mangen::Man::new(page.command.clone()).section("8").render(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(".SH NAME") && text.contains("Example"), "{tool}: {text}");
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut page.command.clone(), tool, &mut script);
            assert!(String::from_utf8(script).unwrap().contains(tool), "{tool} {shell}");
        }
    }
}

/// A reader that has had enough is no error.
#[test]
fn a_broken_pipe_is_no_failure() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vserver"));
    command.args(["--applet", "vserver-info", "-", "SYSINFO"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}
