//! The administrator's scripts at the moments of a guest's life. They run on the host, with its rights, so nothing that
//! a guest or another user could have written is run. Source: util-vserver, `config-tree.md` §6.

mod child;
mod command;
mod one;
mod shell;
mod trust;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use vserver_config::Flavour;
use vserver_types::GuestName;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::interrupt::Interrupts;
use shell::Shell;
use trust::Territory;

pub(crate) use command::run_command;
pub use trust::Trust;

/// Runs the scripts of one command.
#[derive(Debug)]
pub struct Scripts<'a> {
    host: &'a Host,
    name: &'a GuestName,
    verb: &'static str,
    interrupts: Option<&'a Interrupts>,
    /// Environment of executed scripts; `None` is ours.
    exported: Option<Vec<(OsString, OsString)>>,
    /// Beside that.
    added: Vec<(String, String)>,
    /// Where the output of late flavours goes, if not to the caller.
    tty: Option<PathBuf>,
    shell: Option<Shell>,
    territory: OnceCell<Territory>,
    /// What the shell's arrays hold.
    arrays: BTreeMap<String, Vec<String>>,
    scalars: BTreeMap<&'static str, String>,
    trace: bool,
    mute: bool,
    /// Arrays that a sentence was said about.
    said: BTreeSet<String>,
}

impl<'a> Scripts<'a> {
    /// For `start` or `stop` of a guest, given in the directory `cwd`: the scripts run in another mount namespace.
    pub fn new(
        host: &'a Host,
        name: &'a GuestName,
        verb: &'static str,
        interrupts: Option<&'a Interrupts>,
        cwd: &Path,
    ) -> Self {
        Self {
            host,
            name,
            verb,
            interrupts,
            exported: None,
            added: vec![("INIT_CWD".to_owned(), cwd.to_string_lossy().into_owned())],
            tty: None,
            shell: None,
            territory: OnceCell::new(),
            arrays: BTreeMap::new(),
            scalars: BTreeMap::new(),
            trace: false,
            mute: false,
            said: BTreeSet::new(),
        }
    }

    /// Sends the output of post-start, post-stop and postpost-stop scripts there (`--defaulttty`).
    pub fn set_tty(&mut self, tty: PathBuf) {
        self.tty = Some(tty);
    }

    /// Traces sourced scripts on standard error.
    pub fn trace(&mut self, trace: bool) {
        self.trace = trace;
    }

    /// Runs none.
    pub fn mute(&mut self, mute: bool) {
        self.mute = mute;
    }

    /// Sentences about arrays that scripts have changed in vain, each once.
    pub fn without_effect(&mut self) -> Vec<String> {
        let applied = ["OPTS_ENV", "INITCMD_START", "INITCMD_STOP"];
        let vain =
            self.arrays.iter().filter(|(name, values)| !applied.contains(&name.as_str()) && !values.is_empty());
        let names: Vec<String> = vain.map(|(name, _)| name.clone()).collect();
        let new: Vec<_> = names.into_iter().filter(|name| self.said.insert(name.clone())).collect();
        new.into_iter().map(|name| format!("a script set {name}, which has no effect here")).collect()
    }

    /// Adds a variable to the environment of executed scripts.
    pub fn export(&mut self, name: &str, value: &str) {
        self.added.push((name.to_owned(), value.to_owned()));
    }

    /// Sets a variable that sourced scripts see.
    pub fn define(&mut self, name: &'static str, value: impl ToString) {
        self.scalars.insert(name, value.to_string());
    }

    /// Sets an array that sourced scripts see and may change.
    pub fn define_array(&mut self, name: &'static str, values: Vec<String>) {
        self.arrays.insert(name.to_owned(), values);
    }

    /// What an array holds now, after the scripts that have run.
    pub fn array(&self, name: &str) -> &[String] {
        self.arrays.get(name).map_or(&[], Vec::as_slice)
    }

    /// Runs the scripts of a moment with `dir` as working directory: the guest's, then the host's if there was none or
    /// a sourced one set `DONT_SKIP_DEFAULTS`. The first failure ends it. Says whether there was any.
    pub fn run(&mut self, flavour: Flavour, dir: &Path) -> Result<bool> {
        if self.mute {
            return Ok(false);
        }
        let mut any = false;
        for base in vserver_config::scripts(&self.host.confdir, self.name, flavour)? {
            let mut go_on = base.is_empty();
            self.forget_defaults();
            for script in &base {
                if let Some(answer) = self.one(flavour, script, dir)? {
                    go_on = answer;
                }
                any = true;
            }
            if !go_on {
                break;
            }
        }
        Ok(any)
    }

    /// As [`Self::run`] where a failure changes nothing: it is returned as a sentence, and the other scripts run.
    pub fn run_all(&mut self, flavour: Flavour, dir: &Path) -> Vec<String> {
        if self.mute {
            return Vec::new();
        }
        let bases = match vserver_config::scripts(&self.host.confdir, self.name, flavour) {
            Ok(bases) => bases,
            Err(error) => return vec![Error::from(error).chain()],
        };
        let mut failures = Vec::new();
        for base in bases {
            let mut go_on = base.is_empty();
            self.forget_defaults();
            for script in &base {
                match self.one(flavour, script, dir) {
                    Ok(answer) => go_on = answer.unwrap_or(go_on),
                    Err(error) => failures.push(error.chain()),
                }
            }
            if !go_on {
                break;
            }
        }
        failures
    }

    /// What a sourced script said of the host's scripts holds for one directory of one moment.
    fn forget_defaults(&mut self) {
        if let Some(shell) = &mut self.shell {
            shell.tell("DONT_SKIP_DEFAULTS=").ok();
        }
    }
}

/// The directory that a command was given in, before it enters another mount namespace.
pub(crate) fn given_in() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
}
