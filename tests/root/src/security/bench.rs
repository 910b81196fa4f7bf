//! The bench of threats.md §2.0: a guest of each mode with the probe in its tree, and what it must never change.

use std::fs;

use crate::fixture::{Fixture, Guest, program};

/// How a guest's root relates to the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// An id range of its own behind a user namespace: what a new guest gets.
    User,
    /// Host uid 0 with fewer capabilities, as in Linux-VServer.
    Classic,
}

/// Both modes.
pub const BOTH: [Mode; 2] = [Mode::User, Mode::Classic];

/// A configured, stopped guest of a mode with `/probe` in its tree.
pub fn guest(host: &Fixture, mode: Mode) -> Guest<'_> {
    let guest = host.guest();
    // Its init takes seconds to shut down, which is not what these rows are about.
    guest.set("apps/vshelper/sync-timeout", "0\n");
    if mode == Mode::Classic {
        guest.set("userns", "off\n");
    }
    fs::copy(program("vserver-probe"), guest.root.join("probe")).unwrap();
    guest
}
