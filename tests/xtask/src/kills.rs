//! `kills`: the test that kills runs of `vhashify`, many times.

use std::process::Command;

use crate::Outcome;
use crate::build::{PROGRAMS, release};
use crate::shell::{need_root, run as run_command};

/// As often as an issue of this repository asks for.
const KILLS: &str = "200";

/// Runs the verb.
pub fn run(words: &[&str]) -> Outcome {
    let count = match words {
        [] => KILLS,
        [count] if count.parse::<u32>().is_ok_and(|count| count > 0) => count,
        _ => return Err("`cargo xtask kills` takes how often a run is killed".into()),
    };
    need_root("kills")?;
    let bin = release(&[PROGRAMS, &["vserver-probe", "vserver-root-tests"]].concat())?;
    let mut test = Command::new(bin.join("vserver-root-tests"));
    run_command(test.arg("unify::killed_at_any_moment").env("VSERVER_KILLS", count))
}
