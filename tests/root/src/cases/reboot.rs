//! reboot and poweroff from inside do what they say.

use std::time::Duration;

use crate::fixture::{Fixture, eventually};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("reboot::from_inside_restarts", from_inside_restarts).smoke(),
        Trial::new("reboot::poweroff_from_inside_stops", poweroff_from_inside_stops),
        Trial::new("reboot::forced_reboot_restarts", forced_reboot_restarts),
        Trial::new("reboot::last_process_ends_a_sysv_guest", last_process_ends_a_sysv_guest),
    ]
}

fn from_inside_restarts() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let before = guest.init();
    // Init ends all processes, perhaps this one before it has ended by itself: any status will do.
    guest.sh("reboot");
    let again = || guest.lives_again(before);
    eventually("it runs again with another init", Duration::from_secs(20), again);
    guest.stop();
    let log = std::fs::read_to_string(guest.root.join("var/log/boot")).unwrap();
    assert_eq!(log, "started\nstopped\nstarted\nstopped\n");
}

fn poweroff_from_inside_stops() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    // As above.
    guest.sh("poweroff");
    eventually("it is stopped", Duration::from_secs(20), || !guest.is_running());
    guest.v(&["status"]).exits(3);
}

/// K01 of the threat model: reboot(2) ends this guest's init only.
fn forced_reboot_restarts() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let before = guest.init();
    // The caller dies with its guest: any status will do.
    guest.sh("reboot -f");
    let again = || guest.lives_again(before);
    eventually("it runs again with another init", Duration::from_secs(20), again);
}

/// compat/behaviours.md §3: "the guest stops by itself when its last process exits".
fn last_process_ends_a_sysv_guest() {
    let host = Fixture::new();
    let guest = host.guest_of_style("sysv");
    guest.start();
    // The caller may die with its guest.
    guest.sh("killall sleep");
    eventually("it is stopped", Duration::from_secs(10), || !guest.is_running());
}
