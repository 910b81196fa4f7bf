//! The peer that is no Debian package: cargo builds it, once, into a directory of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{KEEP, capture, find, say};

const VERSION: &str = "0.35.0";

/// The program, which is built if it is missing.
pub fn program() -> Result<PathBuf, String> {
    let own = Path::new(KEEP).join("fclones");
    let program = own.join("bin/fclones");
    if let Some(found) = find("fclones").or_else(|| program.is_file().then(|| program.clone())) {
        return Ok(found);
    }
    say(&format!("building fclones {VERSION} into {}, once", own.display()));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Not in the repository, whose settings for builds are not meant for it.
    cargo.current_dir("/").args(["install", "--quiet", "--locked", "--version", VERSION, "--root"]).arg(&own);
    capture(cargo.arg("fclones"))?;
    Ok(program)
}
