//! Root tests: every verb with real guests, on the real kernel.
//!
//! libtest runs a test in a second thread, where `unshare` and `setns` fail, so this is a harness of its own:
//!
//! ```text
//!  harness (libtest-mimic) ── one per test ──► warden ──────────────► body
//!  picks, runs in parallel                     own mount and network   the test itself
//!                                              namespace, reaper of
//!                                              all that the test left,
//!                                              leak check, clean-up
//! ```
//!
//! The warden is the "host" of its test: a network namespace with only `lo`, empty directories mounted over the run
//! directories, and the parent of every supervisor whose starter has ended. It compares the machine before and after
//! each test, failed or not, and removes what is left.
// Tests panic and print; both are how they speak.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr, clippy::exit)]

mod cases;
mod fixture;
mod inside;
mod leak;
mod needs;
mod repositories;
mod security;
mod transcript;
mod tree;
mod trial;
mod typed;
mod warden;

use std::process::ExitCode;

/// Set: only the smoke subset.
const SMOKE: &str = "VSERVER_TEST_SMOKE";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, warden::AS_WARDEN, name] => warden::run(find(name)),
        [_, warden::AS_BODY, name] => warden::body(&find(name)),
        [_, inside::ALLOCATE, bytes] => inside::allocate(bytes, None),
        [_, inside::ALLOCATE, bytes, program] => inside::allocate(bytes, Some(program)),
        [_, inside::GET, address] => inside::get(address),
        [_, inside::ASK, socket] => inside::ask(socket),
        [_, inside::ECHO, address] => inside::echo(address),
        [_, inside::ECHO_LITE, address] => inside::echo_lite(address),
        [_, inside::LISTEN6, port] => inside::listen6(port),
        [_, inside::LATE_INIT] => inside::late_init(),
        _ => harness(),
    }
}

/// Every test there is.
fn all() -> Vec<trial::Trial> {
    let mut trials = cases::tests();
    trials.extend(security::tests());
    trials
}

fn find(name: &str) -> trial::Trial {
    all().into_iter().find(|trial| trial.name == name).unwrap_or_else(|| panic!("there is no test '{name}'"))
}

fn harness() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    let host = warden::Host::prepare();
    let only_smoke = std::env::var_os(SMOKE).is_some();
    let chosen = all().into_iter().filter(|trial| trial.smoke || !only_smoke);
    let trials = chosen.map(trial::Trial::into_mimic).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(host);
    conclusion.exit_code()
}
