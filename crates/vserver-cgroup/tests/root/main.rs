//! On the kernel's own hierarchies, below `vserver/` only. Needs root; each test removes what it made.
//!
//! A process under test is this program again with a role: it joins the guest's cgroup by itself, as a guest's first
//! process does, says "ready" and then does its role.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic; the lint knows only functions marked as tests")]

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use support::Need;

mod confinement;
mod lifecycle;
mod limiting;
mod support;

const TESTS: &[(&str, Need, fn())] = &[
    ("limits_are_written_lifted_and_read_back", Need::Root, limiting::written_lifted_and_read_back),
    ("a_quarter_of_a_cpu_is_a_quarter", Need::Root, limiting::quarter_of_a_cpu),
    ("memory_over_the_limit_is_killed_inside", Need::Root, limiting::memory_over_the_limit),
    ("forks_stop_at_the_process_limit", Need::Root, limiting::process_limit),
    ("a_cpuset_comes_to_a_running_guest", Need::Cpuset, limiting::cpuset_of_a_running_guest),
    ("e12_the_guests_own_directory_limits_nothing", Need::V2, confinement::e12_delegated_directory),
    ("e13_other_devices_are_refused", Need::Root, confinement::e13_devices),
    ("e13_other_devices_are_refused_on_v1", Need::V1, confinement::e13_devices_v1),
    ("a_device_policy_is_replaced", Need::Root, confinement::policy_replaced),
    ("kill_ends_a_fork_storm", Need::Root, lifecycle::kill_ends_a_fork_storm),
    ("kill_ends_everything_without_v2", Need::V1, lifecycle::kill_without_v2),
    ("freeze_stops_and_thaw_goes_on", Need::Root, lifecycle::freeze_and_thaw),
    ("freeze_stops_and_thaw_goes_on_on_v1", Need::V1, lifecycle::freeze_and_thaw_v1),
    ("f22_foreign_processes_are_reported_not_killed", Need::Hybrid, lifecycle::f22_foreign_process),
    ("remove_takes_what_the_guest_made", Need::V2, lifecycle::remove_takes_nested),
    ("leftovers_are_replaced_unless_they_live", Need::Root, lifecycle::leftovers),
    ("supervisors_have_a_place_of_their_own", Need::Root, lifecycle::supervisors),
    ("a_command_goes_beside_an_init_that_divided_its_cgroup", Need::PureV2, lifecycle::beside_init),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == "role") {
        return support::play(&arguments[2..]);
    }
    // One after another, on this thread: they measure time.
    let mut options = Arguments::from_args();
    options.test_threads = Some(1);
    let trials = TESTS.iter().map(|&(name, need, body)| match support::unmet(need) {
        None => Trial::test(name, move || {
            body();
            Ok(())
        }),
        // Nothing is skipped in silence: without root, what must run is a failure. The version of cgroups is the
        // machine's: each test has its turn on a hybrid host or on a pure v2 one.
        Some(reason) if std::env::var_os("CI").is_some() && support::unmet(Need::Root).is_some() => {
            Trial::test(name, move || Err(reason.into()))
        }
        Some(reason) => Trial::test(name, || Ok(())).with_ignored_flag(true).with_kind(reason),
    });
    libtest_mimic::run(&options, trials.collect()).exit_code()
}
