//! What cannot be enforced is said at start, and refused with `--strict`.

use crate::fixture::Fixture;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("strict::shortfall_before_the_launch_is_refused", before_the_launch),
        Trial::new("strict::shortfall_during_the_launch_is_refused", during_the_launch).smoke(),
    ]
}

/// A setting that no stock kernel has.
fn before_the_launch() {
    refused("uts/sysname", "VServerOS\n", "uts/sysname");
}

/// Found when the guest is being built already, while its programs are loaded.
fn during_the_launch() {
    refused("noncontext", "", "addresses");
}

fn refused(file: &str, content: &str, word: &str) {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set(file, content);
    let ran = guest.v(&["start", "--strict"]);
    ran.exits(1);
    assert!(ran.err.contains(word) && !guest.is_running(), "{ran:?}");
    let run = std::path::Path::new("/run/vserver").join(&guest.name);
    assert!(!run.exists(), "a refused start left {}", run.display());
    let ran = guest.v(&["start"]);
    ran.ok();
    assert!(ran.err.contains(word), "a start says what it cannot enforce: {ran:?}");
    host.v(&["--json", &guest.name, "status"]).ok().says(word);
    guest.stop();
}
