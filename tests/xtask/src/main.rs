//! `cargo xtask VERB`: how everything in this repository is run.
// A program for the terminal of whoever works here: it prints, and its exit status is its verdict.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::exit)]

mod bench;
mod build;
mod busybox;
mod ci;
mod debian;
mod demo;
mod fuzz;
mod install;
mod kills;
mod layers;
mod packages;
mod shell;
mod test;
mod vm;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask VERB

  demo [--clean]                     a Debian 12 guest with nginx and sshd, running on this host
  test [--root-only|--no-root] [FILTER]
                                     every test; with CI=true also every check of `ci`
  ci                                 format, lints, documentation, licences, layers, tests, VM smoke
  bench [SET] [--json]               ours and each peer that is installed, side by side (SET: life, net, store [unify|clone|import])
  fuzz [READER] [--seconds N]        every reader of foreign bytes under libFuzzer, 60 s each
  kills [N]                          runs of vhashify are killed N times, 200 without
  install [--destdir DIR] [--prefix DIR]
  vm [--smoke] [FILTER]              the root tests on a pure cgroup v2 Debian kernel
  vm boot                            a Debian 12 host that boots, starts marked guests, and powers off";

/// A verb's end: nothing to say, or the sentence that says why it failed.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["demo", ref rest @ ..] => demo::run(rest),
        ["test", ref rest @ ..] => test::run(rest),
        ["ci"] => ci::run(),
        ["bench", ref rest @ ..] => bench::run(rest),
        ["fuzz", ref rest @ ..] => fuzz::run(rest),
        ["kills", ref rest @ ..] => kills::run(rest),
        ["install", ref rest @ ..] => install::run(rest),
        ["vm", ref rest @ ..] => vm::run(rest),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("no such verb: {}\n{USAGE}", words.join(" "))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
