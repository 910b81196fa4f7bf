//! On the kernel's own hierarchies, below `vserver/` only. Needs root; each test removes what it made.
//!
//! A process under test is this program again with a role: it joins the guest's cgroup by itself, as a guest's first
//! process does, says "ready" and then does its role.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by a panic; the lint knows only functions marked as tests"
)]

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

mod confinement;
mod lifecycle;
mod limiting;
mod support;

const TESTS: &[(&str, fn())] = &[
    (
        "limits_are_written_lifted_and_read_back",
        limiting::written_lifted_and_read_back,
    ),
    ("a_quarter_of_a_cpu_is_a_quarter", limiting::quarter_of_a_cpu),
    (
        "memory_over_the_limit_is_killed_inside",
        limiting::memory_over_the_limit,
    ),
    ("forks_stop_at_the_process_limit", limiting::process_limit),
    ("a_cpuset_comes_to_a_running_guest", limiting::cpuset_of_a_running_guest),
    (
        "e12_the_guests_own_directory_limits_nothing",
        confinement::e12_delegated_directory,
    ),
    ("e13_other_devices_are_refused", confinement::e13_devices),
    ("e13_other_devices_are_refused_on_v1", confinement::e13_devices_v1),
    ("a_device_policy_is_replaced", confinement::policy_replaced),
    ("kill_ends_a_fork_storm", lifecycle::kill_ends_a_fork_storm),
    ("kill_ends_everything_without_v2", lifecycle::kill_without_v2),
    ("freeze_stops_and_thaw_goes_on", lifecycle::freeze_and_thaw),
    (
        "f22_foreign_processes_are_reported_not_killed",
        lifecycle::f22_foreign_process,
    ),
    ("remove_takes_what_the_guest_made", lifecycle::remove_takes_nested),
    ("leftovers_are_replaced_unless_they_live", lifecycle::leftovers),
    ("supervisors_have_a_place_of_their_own", lifecycle::supervisors),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == "role") {
        return support::play(&arguments[2..]);
    }
    // One after another, on this thread: they measure time.
    let mut options = Arguments::from_args();
    options.test_threads = Some(1);
    let unmet = support::unmet();
    let trials = TESTS.iter().map(|&(name, body)| match &unmet {
        None => Trial::test(name, move || {
            body();
            Ok(())
        }),
        // Nothing is skipped in silence: what cannot run is a failure where tests must run.
        Some(reason) if std::env::var_os("CI").is_some() => {
            let reason = reason.clone();
            Trial::test(name, move || Err(reason.into()))
        }
        Some(reason) => Trial::test(name, || Ok(()))
            .with_ignored_flag(true)
            .with_kind(reason.clone()),
    });
    libtest_mimic::run(&options, trials.collect()).exit_code()
}
