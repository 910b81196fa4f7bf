//! The Debian packages that a verb needs, installed by the host's own apt.

use std::process::Command;

use crate::Outcome;
use crate::shell::{capture, command, is_root, run, say, succeeds};

/// Installs those that are missing, saying which.
pub fn ensure(wanted: &[&str]) -> Outcome {
    let missing: Vec<&str> = wanted.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !succeeds(&mut command("apt-get", &["--version"])) {
        return Err(format!("this host has no apt-get: install {list} by hand, then run this again"));
    }
    if !is_root() {
        return Err(format!("the Debian packages {list} are missing, and only root can install them"));
    }
    say(&format!("installing the Debian packages {list}"));
    // The lists may be fresh enough, and then nothing but the packages is fetched.
    if install(&missing).is_ok() {
        return Ok(());
    }
    let fresh = run(apt().args(["-q", "update"])).and_then(|()| install(&missing));
    fresh.map_err(|_| {
        format!("the Debian packages {list} could not be installed: apt-get said why above (no network?)")
    })
}

fn install(packages: &[&str]) -> Outcome {
    run(apt().args(["install", "-q", "-y", "--no-install-recommends"]).args(packages))
}

/// Never asks, never waits long for a network that is not there.
fn apt() -> Command {
    let mut apt = command("apt-get", &["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=15"]);
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

fn is_installed(package: &str) -> bool {
    let status = capture(&mut command("dpkg-query", &["-W", "-f", "${db:Status-Status}", package]));
    status.is_ok_and(|status| status == "installed")
}
