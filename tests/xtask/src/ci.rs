//! `ci`: what must hold for every change. Stops at the first check that fails, runs all tests.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crate::build::{cargo, target_dir};
use crate::shell::{self, command, need_root, say, succeeds};
use crate::{Outcome, layers, test, vm};

/// Everything that needs no guest.
fn checks() -> Outcome {
    step("format", || shell::run(cargo().args(["fmt", "--all", "--check"])))?;
    step("lints", || {
        shell::run(cargo().args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    })?;
    step("documentation", documentation)?;
    step("layers", layers::check)?;
    step("dependencies", dependencies)
}

/// Checks, then tests, the smoke subset on a pure cgroup v2 kernel too; all of them there: `cargo xtask vm`. Last, a
/// whole host boots.
pub fn run() -> Outcome {
    need_root("ci")?;
    step_components()?;
    checks()?;
    let mut tally = test::tests(true, true, None)?;
    tally += vm::tests(true, "")?;
    step("a host that boots and powers off", vm::boot::run)?;
    test::verdict(tally)
}

fn step(name: &str, work: impl FnOnce() -> Outcome) -> Outcome {
    say(name);
    let begun = Instant::now();
    work().map_err(|why| format!("{name}: {why}"))?;
    say(&format!("{name}: {:.0} s", begun.elapsed().as_secs_f32()));
    Ok(())
}

/// A toolchain may come without these two.
fn step_components() -> Outcome {
    for tool in ["fmt", "clippy"] {
        if !succeeds(cargo().args([tool, "--version"])) {
            return Err(format!("this Rust toolchain has no cargo {tool}: `rustup component add rustfmt clippy`"));
        }
    }
    Ok(())
}

fn documentation() -> Outcome {
    let mut doc = cargo();
    doc.args(["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]);
    shell::run(doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links"))
}

/// Licences, sources and bans of `deny.toml`. The advisories' database is not asked for: it changes without us, and a
/// change of ours must not fail for it.
fn dependencies() -> Outcome {
    let deny = cargo_deny()?;
    let mut check = Command::new(deny);
    shell::run(
        check
            .args(["deny", "--locked", "check", "bans", "licenses", "sources"])
            .current_dir(crate::shell::repository()),
    )
}

/// The installed one, or one built once into the target directory.
fn cargo_deny() -> Result<PathBuf, String> {
    if let Some(installed) = crate::shell::find("cargo-deny") {
        return Ok(installed);
    }
    let root = target_dir()?.join("tools");
    let program = root.join("bin/cargo-deny");
    if !program.exists() {
        say("building cargo-deny, once (some minutes)");
        let arguments = ["install", "cargo-deny", "--locked", "--root"];
        // Outside the repository: its configuration is for our own programs.
        shell::run(command("cargo", &arguments).arg(&root).current_dir("/"))?;
    }
    Ok(program)
}
