//! Building the programs once, and where they then lie.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::shell::{capture, repository, run, say};

/// The packages whose programs an administrator uses.
pub const PROGRAMS: &[&str] = &["vserver-cli", "vserverd"];

/// `cargo` as it runs us, in the repository.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repository());
    cargo
}

/// Builds release programs of some packages; the directory that holds them.
pub fn release(packages: &[&str]) -> Result<PathBuf, String> {
    say(&format!("building {}", packages.join(", ")));
    let mut build = cargo();
    build.args(["build", "--release", "--locked"]);
    for package in packages {
        build.args(["-p", package]);
    }
    run(&mut build)?;
    release_dir()
}

/// `.cargo/config.toml` names the host as the target, so programs lie below its name.
pub fn release_dir() -> Result<PathBuf, String> {
    Ok(target_dir()?.join(host_triple()?).join("release"))
}

/// Cargo's target directory.
pub fn target_dir() -> Result<PathBuf, String> {
    let dir = metadata(true)?["target_directory"].as_str().map(PathBuf::from);
    dir.ok_or_else(|| "cargo metadata named no target directory".into())
}

/// `cargo metadata`, of the workspace alone or with all that it depends on.
pub fn metadata(workspace_only: bool) -> Result<Value, String> {
    let mut metadata = cargo();
    metadata.args(["metadata", "--format-version", "1", "--locked"]);
    if workspace_only {
        metadata.arg("--no-deps");
    }
    serde_json::from_str(&capture(&mut metadata)?).map_err(|error| format!("cargo metadata is not JSON: {error}"))
}

/// The machine that this compiler makes programs for.
pub fn host_triple() -> Result<String, String> {
    let version = capture(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned);
    host.ok_or_else(|| "rustc -vV names no host".into())
}
