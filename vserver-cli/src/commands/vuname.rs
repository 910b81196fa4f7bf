//! `vuname`: the names of a context that runs.

use std::ffi::OsString;
use std::fs::File;

use nix::sched::{CloneFlags, setns};
use nix::sys::utsname::{UtsName, uname};
use nix::unistd::sethostname;
use vserver_runtime::bare::{Side, is_apart, join_spaces};
use vserver_sys::process;
use vserver_types::Exit;

use crate::args::VunameArgs;
use crate::commands::chain::{self, Target};
use crate::context::Context;
use crate::error::CliError;

/// In the order of the original's output. Source: util-vserver, `commands.md` §5.
const TAGS: [&str; 7] = ["context", "sysname", "nodename", "release", "version", "machine", "domainname"];
/// What stands for a value that is not known.
const UNKNOWN: &str = "???";

/// Where the names are: the configuration directory, and a process with them; the host's own if there is none.
struct Place {
    directory: Option<String>,
    process: Option<i32>,
    /// There is something to ask.
    runs: bool,
}

/// Shows or changes them.
pub fn run(args: &VunameArgs, context: &Context) -> Result<Exit, CliError> {
    let word = args.xid.as_deref();
    if word.is_none() {
        return Err(CliError::usage("vuname", "--xid is needed", Exit::BeforeExec));
    }
    let place = place(context, word)?;
    if args.set || args.dir.is_some() {
        let wishes = wishes(args)?;
        own_names_only(&place)?;
        in_names_of(&place, || change(&wishes))??;
        return chain::go_on(&args.words);
    }
    let tags = args.words.iter().map(tag).collect::<Result<Vec<_>, _>>()?;
    let tags = if tags.is_empty() { TAGS.to_vec() } else { tags };
    let names = place.runs.then(|| in_names_of(&place, || uname().ok()).ok().flatten()).flatten();
    let values: Vec<String> = tags.iter().map(|tag| value(tag, names.as_ref(), &place)).collect();
    context.printer.line(values.join(" "))?;
    Ok(Exit::Success)
}

fn place(context: &Context, word: Option<&str>) -> Result<Place, CliError> {
    match chain::target(context, Side::Context, word)? {
        Target::Guest(record) => {
            let directory = record.confdir.join(record.name.as_str()).display().to_string();
            Ok(Place { directory: Some(directory), process: Some(record.init), runs: true })
        }
        Target::Bare(bare) => {
            let process = bare.processes().first().copied();
            Ok(Place { directory: None, process, runs: process.is_some() })
        }
        Target::Host => Ok(Place { directory: None, process: None, runs: true }),
        // A number that nobody has is answered with question marks, as the original does.
        Target::Idle(Some(_)) => Ok(Place { directory: None, process: None, runs: false }),
        Target::Idle(_) => Err(chain::no_such(Side::Context, word)),
    }
}

/// A whole tag, from its beginning in any case.
fn tag(word: &OsString) -> Result<&'static str, CliError> {
    let text = word.to_string_lossy();
    let lower = text.to_lowercase();
    let found = TAGS.iter().find(|tag| !lower.is_empty() && tag.starts_with(lower.as_str()));
    found.copied().ok_or_else(|| CliError::known(format!("Tag '{text}' not recognized"), Exit::BeforeExec))
}

fn value(tag: &str, names: Option<&UtsName>, place: &Place) -> String {
    let name = |pick: fn(&UtsName) -> &std::ffi::OsStr| names.map(|names| pick(names).to_string_lossy().into_owned());
    let found = match tag {
        "context" => place.directory.clone(),
        "sysname" => name(UtsName::sysname),
        "nodename" => name(UtsName::nodename),
        "release" => name(UtsName::release),
        "version" => name(UtsName::version),
        "machine" => name(UtsName::machine),
        _ => name(UtsName::domainname),
    };
    found.unwrap_or_else(|| UNKNOWN.to_owned())
}

/// Tags with their new values: of `-t`, then of the files in `--dir`.
fn wishes(args: &VunameArgs) -> Result<Vec<(&'static str, String)>, CliError> {
    let mut all = Vec::new();
    for word in &args.tag {
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| CliError::usage("vuname", &format!("'{word}' is not TAG=VALUE"), Exit::BeforeExec))?;
        all.push((tag(&OsString::from(name))?, value.to_owned()));
    }
    let Some(dir) = &args.dir else {
        return Ok(all);
    };
    if !dir.is_dir() {
        let missing = CliError::Refused(format!("'{}' is not a directory", dir.display()));
        return if args.missingok { Ok(all) } else { Err(missing) };
    }
    for tag in TAGS {
        if let Ok(text) = std::fs::read_to_string(dir.join(tag)) {
            all.push((tag, text.lines().next().unwrap_or_default().to_owned()));
        }
    }
    Ok(all)
}

/// A context that shares the host's names must not change them for everybody.
fn own_names_only(place: &Place) -> Result<(), CliError> {
    if place.process.is_some_and(|pid| is_apart(&pid.to_string(), "uts")) {
        return Ok(());
    }
    Err(CliError::Refused("it has the host's names, which stay; hostname(1) changes them".to_owned()))
}

fn change(wishes: &[(&'static str, String)]) -> Result<(), CliError> {
    for (tag, value) in wishes {
        let failed = || CliError::io(format!("cannot set {tag} to '{}'", value.escape_debug()));
        match *tag {
            "nodename" => sethostname(value).map_err(|errno| failed()(errno.into()))?,
            "domainname" => process::set_domain_name(value.as_bytes()).map_err(failed())?,
            _ => {
                return Err(CliError::Refused(format!(
                    "{tag} is the kernel's own and cannot be changed for one context; only nodename and domainname can"
                )));
            }
        }
    }
    Ok(())
}

/// Does something with the names of the place, and comes back.
fn in_names_of<T>(place: &Place, what: impl FnOnce() -> T) -> Result<T, CliError> {
    let Some(pid) = place.process else {
        return Ok(what());
    };
    let own = File::open("/proc/self/ns/uts").map_err(CliError::io("cannot open our own UTS namespace"))?;
    join_spaces(pid, process::NEWUTS)?;
    let done = what();
    setns(&own, CloneFlags::CLONE_NEWUTS).map_err(|errno| CliError::io("cannot come back")(errno.into()))?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_by_its_beginning() {
        assert_eq!(tag(&"node".into()).unwrap(), "nodename");
        assert_eq!(tag(&"CONTEXT".into()).unwrap(), "context");
        for bad in ["", "x", "nodenames"] {
            let error = tag(&bad.into()).unwrap_err();
            assert_eq!(error.to_string(), format!("Tag '{bad}' not recognized"));
            assert_eq!(error.exit(Exit::Failure), Exit::BeforeExec);
        }
    }
}
