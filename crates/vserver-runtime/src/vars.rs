//! util-vserver's file of variables, by which its scripts find everything: only the configuration root is taken from it.
//! Source: `config-tree.md` §1.1.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Environment variable with the path of the file.
pub const VARS_VARIABLE: &str = "UTIL_VSERVER_VARS";

/// The configuration root that the file names: `None` if the variable is not set or empty, or the file names none.
///
/// # Errors
/// The file cannot be read.
pub fn confdir() -> Result<Option<PathBuf>> {
    match std::env::var_os(VARS_VARIABLE).filter(|path| !path.is_empty()) {
        Some(path) => confdir_in(Path::new(&path)),
        None => Ok(None),
    }
}

fn confdir_in(path: &Path) -> Result<Option<PathBuf>> {
    let action = "read the variables that UTIL_VSERVER_VARS (unset it, or correct it) has in";
    let text = std::fs::read_to_string(path).map_err(Error::io(action, path))?;
    Ok(value(&text, "__CONFDIR").filter(|found| found.starts_with('/')).map(PathBuf::from))
}

/// The last assignment to a variable. Nothing is given to a shell; a value with anything but variables is none.
fn value(text: &str, name: &str) -> Option<String> {
    let mut known: Vec<(&str, String)> = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let Some((variable, raw)) = line.split_once('=') else { continue };
        if let Some(value) = expanded(raw, &known) {
            known.push((variable, value));
        }
    }
    known.into_iter().rev().find(|(variable, _)| *variable == name).map(|(_, value)| value)
}

/// Quotes taken off, variables above put in.
fn expanded(raw: &str, known: &[(&str, String)]) -> Option<String> {
    if let Some(literal) = raw.strip_prefix('\'') {
        return literal.split_once('\'').map(|(literal, _)| literal.to_owned());
    }
    let quoted = raw.strip_prefix('"').and_then(|rest| rest.split_once('"')).map(|(quoted, _)| quoted);
    let mut rest = quoted.or_else(|| raw.split([' ', '\t', ';', '#']).next())?;
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once('$') {
        let end = |text: &str| text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len());
        let (name, behind) = match after.strip_prefix('{') {
            Some(after) => after.split_once('}')?,
            None => after.split_at(end(after)),
        };
        let (_, value) = known.iter().rev().find(|(variable, _)| *variable == name)?;
        out.push_str(before);
        out.push_str(value);
        rest = behind;
    }
    out.push_str(rest);
    (!out.contains(['`', '\\'])).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_as_a_shell_would_find_it() {
        for (text, found) in [
            ("__CONFDIR=/a/b\n", Some("/a/b")),
            ("# x\ntest -z \"$X\" || return 0\n__CONFDIR='/a b'\n", Some("/a b")),
            ("__SYSCONFDIR=\"/etc\"\n__CONFDIR=\"$__SYSCONFDIR/vservers\" # here\n", Some("/etc/vservers")),
            ("__A=/x\nexport __CONFDIR=${__A}y\n", Some("/xy")),
            ("__CONFDIR=/one\n__CONFDIR=/two\n", Some("/two")),
            ("__CONFDIR=$(touch /x)\n", None),
            ("__CONFDIR=\"`id`\"\n", None),
            ("__CONFDIR=$NOWHERE/x\n", None),
            ("__CONFDIR=relative\n", None),
            ("__OTHER=/x\n", None),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("vars");
            std::fs::write(&path, text).unwrap();
            assert_eq!(confdir_in(&path).unwrap(), found.map(PathBuf::from), "{text:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        let error = confdir_in(Path::new("/nowhere/vars")).unwrap_err();
        assert!(error.chain().contains("UTIL_VSERVER_VARS"), "{}", error.chain());
    }
}
