//! Which guest a word means.

use std::path::{Component, Path, PathBuf};

use vserver_runtime::{Host, RunRecord};
use vserver_types::{Exit, GuestName, Xid, XidKind};

use crate::context::Context;
use crate::error::CliError;

/// Splits the guest word of a command line: `name`, `name/`, `./dir` or `/abs/dir`. A directory brings its own
/// configuration root.
pub fn guest_word(word: &str) -> Result<(Option<PathBuf>, GuestName), CliError> {
    let trimmed = word.trim_end_matches('/');
    let (root, name) = match trimmed.rsplit_once('/') {
        Some((root, name)) => (Some(if root.is_empty() { "/" } else { root }), name),
        None => (None, trimmed),
    };
    // What lies beyond `..` depends on links, and a build would make it in a place that nobody meant.
    if root.is_some_and(|root| Path::new(root).components().any(|part| part == Component::ParentDir)) {
        let text = format!("'{word}' leads through '..'; name the guest, or its directory from / or from ./");
        return Err(CliError::Refused(text));
    }
    let name = name.parse().map_err(|error: vserver_types::ParseError| CliError::Refused(error.to_string()))?;
    Ok((root.map(PathBuf::from), name))
}

/// The answer for a guest without a configuration, in the words that scripts know.
pub fn no_such_guest(confdir: &Path, name: &GuestName, nearest: Option<&str>) -> CliError {
    let dir = confdir.join(name.as_str());
    let mut text = format!(
        "Can not find a vserver-setup at '{}/'.\n\nPlease check that:\n \
         * the name is spelled as in `vserver list`,\n \
         * the configuration root is the right one (--confdir, VSERVER_CONFDIR),\n \
         * the guest has been made: `vserver {name} build -m METHOD …`.",
        dir.display()
    );
    if let Some(nearest) = nearest {
        text.push_str(&format!("\nDid you mean '{nearest}'?"));
    }
    CliError::known(text, Exit::NoSuchGuest)
}

/// Refuses a configuration root that is not there: that all of its guests are none would say that it is.
pub fn root_is_there(confdir: &Path) -> Result<(), CliError> {
    let why = match std::fs::metadata(confdir) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => "it is not a directory".to_owned(),
        Err(error) => crate::error::chain(&error),
    };
    Err(CliError::Refused(format!(
        "the configuration root '{}' cannot be read: {why}; name the right one (--confdir, VSERVER_CONFDIR), or build the \
         first guest, which makes it",
        confdir.display()
    )))
}

/// What an `--xid` argument means.
#[derive(Debug)]
pub enum Meant {
    /// 0 or 1: this host.
    Host,
    /// A running guest.
    Guest(Box<RunRecord>),
    /// A context that does not run.
    Idle,
}

/// Resolves an `--xid` argument: a number, a guest's name or directory, `:name`, or `self`.
pub fn context_word(context: &Context, word: &str) -> Result<Meant, CliError> {
    let number = if word == "self" { Some(Xid::HOST) } else { word.parse::<Xid>().ok() };
    if let Some(xid) = number {
        if matches!(xid.kind(), XidKind::Main | XidKind::Watch) {
            return Ok(Meant::Host);
        }
        let found = record_where(&context.host, |record| record.xid == xid)?;
        return Ok(found.map_or(Meant::Idle, Meant::Guest));
    }
    let (_, name) = guest_word(word.strip_prefix(':').unwrap_or(word)).map_err(|_| unresolved(word))?;
    if let Some(record) = record_where(&context.host, |record| record.name == name)? {
        return Ok(Meant::Guest(record));
    }
    let configured = vserver_config::read(&context.host.confdir, &name).ok().and_then(|(config, _)| config.context);
    configured.map(|_| Meant::Idle).ok_or_else(|| unresolved(word))
}

/// The number whose files an `--xid` argument means: the number itself, or that of a guest, running or not.
pub fn xid_word(context: &Context, word: &str) -> Result<u32, CliError> {
    project_word(context, word)?.ok_or_else(|| match is_number(word) {
        true => CliError::Refused(format!("vc_xidopt2xid(\"{word}\"): {}", too_large("a context"))),
        false => unresolved(word),
    })
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// What no number was made of is out of its range.
fn too_large(what: &str) -> String {
    format!("Numerical result out of range ({what} is a number from 0 to {})", Xid::LAST_DYNAMIC)
}

/// The same of an argument that is about tags.
pub fn tag_word(context: &Context, word: &str) -> Result<u32, CliError> {
    project_word(context, word)?.ok_or_else(|| {
        if is_number(word) {
            return CliError::Refused(format!("vc_tagopt2tag(\"{word}\"): {}", too_large("a tag")));
        }
        CliError::Refused(format!(
            "vc_tagopt2tag(\"{word}\"): No such process (no guest has this name and a number of its own; see `vserver list`)"
        ))
    })
}

fn project_word(context: &Context, word: &str) -> Result<Option<u32>, CliError> {
    if word == "self" {
        return Ok(Some(Xid::HOST.0));
    }
    if let Ok(xid) = word.parse::<Xid>() {
        return Ok(Some(xid.0));
    }
    let Ok((_, name)) = guest_word(word.strip_prefix(':').unwrap_or(word)) else { return Ok(None) };
    let configured = vserver_config::projects(&context.host.confdir)?;
    let configured = configured.into_iter().find(|(_, guest)| *guest == name).map(|(number, _)| number);
    match configured {
        Some(number) => Ok(Some(number)),
        None => Ok(record_where(&context.host, |record| record.name == name)?.map(|record| record.xid.0)),
    }
}

/// The guest whose files have this number.
pub fn guest_of_project(context: &Context, number: u32) -> Result<Option<GuestName>, CliError> {
    let all = vserver_config::projects(&context.host.confdir)?;
    Ok(all.into_iter().find(|(other, _)| *other == number).map(|(_, name)| name))
}

/// The original's words, then ours.
pub fn unresolved(word: &str) -> CliError {
    CliError::Refused(format!(
        "vc_xidopt2xid(\"{word}\"): No such process (no running context has this number or name; see `vserver list`)"
    ))
}

fn record_where(host: &Host, test: impl Fn(&RunRecord) -> bool) -> Result<Option<Box<RunRecord>>, CliError> {
    Ok(vserver_runtime::running(host)?.into_iter().find(|record| test(record)).map(Box::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_directories() {
        let split = |word| guest_word(word).map(|(root, name)| (root, name.to_string())).ok();
        assert_eq!(split("web1"), Some((None, "web1".into())));
        assert_eq!(split("web1/"), Some((None, "web1".into())));
        assert_eq!(split("/etc/vservers/web1"), Some((Some("/etc/vservers".into()), "web1".into())));
        assert_eq!(split("./web1/"), Some((Some(".".into()), "web1".into())));
        assert_eq!(split("/web1"), Some((Some("/".into()), "web1".into())));
        for bad in ["", "/", "..", "-x", "a b"] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_missing_set_up_begins_as_scripts_expect() {
        let error = no_such_guest(Path::new("/etc/vservers"), &"web9".parse().unwrap(), Some("web1"));
        assert!(error.to_string().starts_with("Can not find a vserver-setup at '/etc/vservers/web9/'.\n"));
        assert_eq!(error.exit(Exit::Failure), Exit::NoSuchGuest);
    }
}
