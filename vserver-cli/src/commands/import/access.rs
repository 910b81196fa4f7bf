//! `--root-password-file` and `--ssh-key`.

use std::path::Path;

use vserver_build::Access;

use crate::args::NewGuestArgs;
use crate::error::CliError;

/// Reads both files, where they were named.
pub fn access(args: &NewGuestArgs) -> Result<Access, CliError> {
    let (password, key) = (args.root_password_file.as_deref(), args.ssh_key.as_deref());
    let root_password = password.map(|file| first_line(file, "--root-password-file")).transpose()?;
    let ssh_key = key.map(public_key).transpose()?;
    if root_password.as_ref().is_some_and(|password| password.contains(':')) {
        let text = "--root-password-file: a hash cannot hold ':', and a password should not";
        return Err(CliError::Refused(text.to_owned()));
    }
    Ok(Access { root_password, ssh_key })
}

fn public_key(file: &Path) -> Result<String, CliError> {
    let key = first_line(file, "--ssh-key")?;
    let mut words = key.split_whitespace();
    let kinds = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"];
    if kinds.iter().any(|kind| key.starts_with(kind)) && words.nth(1).is_some() {
        return Ok(key);
    }
    Err(CliError::Refused(format!(
        "--ssh-key '{}' does not hold a public key; give the file that ends in .pub",
        file.display()
    )))
}

fn first_line(file: &Path, option: &str) -> Result<String, CliError> {
    let text =
        std::fs::read_to_string(file).map_err(CliError::io(format!("cannot read {option} '{}'", file.display())))?;
    let line = text.lines().next().unwrap_or_default().to_owned();
    match line.is_empty() {
        true => Err(CliError::Refused(format!("{option} '{}' has an empty first line", file.display()))),
        false => Ok(line),
    }
}
