//! The administrator's scripts at the moments of a guest's life. They run on the host, with its rights, so nothing that
//! a guest or another user could have written is run. Source: util-vserver, `config-tree.md` §6.

mod child;
mod shell;
mod trust;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use vserver_config::{Flavour, Script};
use vserver_types::GuestName;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::interrupt::Interrupts;
use child::Ended;
use shell::{Fault, Shell};
use trust::Territory;

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
    /// For `start` or `stop` of a guest.
    pub fn new(host: &'a Host, name: &'a GuestName, verb: &'static str, interrupts: Option<&'a Interrupts>) -> Self {
        let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
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
            if let Some(shell) = &mut self.shell {
                shell.tell("DONT_SKIP_DEFAULTS=").ok();
            }
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

    /// `Some` from a sourced script: whether the host's scripts shall run, too.
    fn one(&mut self, flavour: Flavour, script: &Script, dir: &Path) -> Result<Option<bool>> {
        let territory = self.territory.get_or_init(|| Territory::of(&self.host.confdir));
        trust::check(&script.path, territory)
            .map_err(|what| self.failed(flavour, script, format!("is not run: {what}")))?;
        if script.executable {
            self.execute(flavour, script, dir).map(|()| None)
        } else {
            self.source(flavour, script, dir).map(Some)
        }
    }

    fn execute(&mut self, flavour: Flavour, script: &Script, dir: &Path) -> Result<()> {
        let mut command = Command::new(&script.path);
        command.args([flavour.name(), self.name.as_str()]).current_dir(dir);
        self.environment(&mut command);
        let cannot = |error: std::io::Error| self.failed(flavour, script, format!("cannot be executed: {error}"));
        if let Some(tty) = self.redirection(flavour) {
            redirect(&mut command, tty).map_err(cannot)?;
        }
        let mut child = vserver_sys::command::independent(&mut command).spawn().map_err(cannot)?;
        let ended = child::wait(&mut child, self.interrupts, None).map_err(cannot)?;
        self.judge(flavour, script, ended)
    }

    fn source(&mut self, flavour: Flavour, script: &Script, dir: &Path) -> Result<bool> {
        let running = self.shell.take().map_or_else(|| self.new_shell(), Ok);
        let told = running.and_then(|mut shell| shell.tell(&self.prelude(flavour, dir)).map(|()| shell));
        let mut shell = told.map_err(|error| self.no_shell(flavour, script, &error))?;
        match shell.source(&script.path, [flavour.name(), self.name.as_str()], self.interrupts) {
            Ok(report) => {
                self.shell = Some(shell);
                self.arrays = report.arrays;
                self.exported = Some(report.exported);
                Ok(report.dont_skip_defaults)
            }
            Err(Fault::Ended(ended)) => self.judge(flavour, script, Some(ended)).map(|()| false),
            Err(Fault::Io(error)) => Err(self.no_shell(flavour, script, &error)),
        }
    }

    fn no_shell(&self, flavour: Flavour, script: &Script, error: &std::io::Error) -> Error {
        let what = format!(
            "needs the shell bash, which cannot be used ({error}); install bash, or make the script executable"
        );
        self.failed(flavour, script, what)
    }

    /// What the shell evaluates before a script.
    fn prelude(&self, flavour: Flavour, dir: &Path) -> String {
        let mut code = format!("cd -- {}\n", shell::quote(&dir.to_string_lossy()));
        if let Some(tty) = self.redirection(flavour) {
            let files = match (tty.is_file(), shell::quote(&tty.to_string_lossy())) {
                (true, tty) => format!("exec </dev/null >>{tty} 2>&1\n"),
                (false, tty) => format!("exec <{tty} >{tty} 2>&1\n"),
            };
            code.push_str(&files);
        }
        for (name, value) in &self.scalars {
            code.push_str(&format!("{name}={}\n", shell::quote(value)));
        }
        for (name, values) in &self.arrays {
            code.push_str(&shell::assign(name, values));
            code.push('\n');
        }
        code
    }

    fn new_shell(&self) -> std::io::Result<Shell> {
        let mut shell = Shell::start(|command| self.environment(command))?;
        if self.verb == "start" {
            shell.tell("_vs_strict")?;
        }
        if self.trace {
            shell.tell("set -x")?;
        }
        let directory = self.host.confdir.join(self.name.as_str());
        let fixed = [
            ("VSERVER_DIR", directory.to_string_lossy().into_owned()),
            ("VSERVER_NAME", self.name.to_string()),
            ("vserver", self.name.to_string()),
            ("cmd", self.verb.to_owned()),
            ("__CONFDIR", self.host.confdir.to_string_lossy().into_owned()),
        ];
        for (name, value) in fixed {
            shell.tell(&format!("{name}={}", shell::quote(&value)))?;
        }
        Ok(shell)
    }

    fn environment(&self, command: &mut Command) {
        if let Some(exported) = &self.exported {
            command.env_clear().envs(exported.iter().map(|(name, value)| (name, value)));
        }
        command.envs(self.added.iter().map(|(name, value)| (name, value)));
    }

    fn redirection(&self, flavour: Flavour) -> Option<&Path> {
        let late = matches!(flavour, Flavour::PostStart | Flavour::PostStop | Flavour::PostpostStop);
        self.tty.as_deref().filter(|_| late)
    }

    fn judge(&self, flavour: Flavour, script: &Script, ended: Option<Ended>) -> Result<()> {
        match ended {
            Some(Ended::Status(status)) if status.success() => Ok(()),
            Some(Ended::Status(status)) => {
                let how = match (status.code(), status.signal()) {
                    (Some(code), _) => format!("ended with status {code}"),
                    (None, signal) => format!("was ended by signal {}", signal.unwrap_or(0)),
                };
                Err(self.failed(flavour, script, how))
            }
            Some(Ended::TooLong) => Err(self.failed(
                flavour,
                script,
                format!("did not end within {} s and was killed", child::LIMIT.as_secs()),
            )),
            Some(Ended::Interrupted) | None => Err(Error::Interrupted { name: self.name.clone() }),
        }
    }

    fn failed(&self, flavour: Flavour, script: &Script, what: String) -> Error {
        Error::Script { name: self.name.clone(), flavour, path: script.path.clone(), what }
    }
}

/// Standard input, output and error; a regular file takes output only.
fn redirect(command: &mut Command, tty: &Path) -> std::io::Result<()> {
    let (input, output) = match tty.is_file() {
        true => (File::open("/dev/null")?, OpenOptions::new().append(true).open(tty)?),
        false => (File::open(tty)?, OpenOptions::new().write(true).open(tty)?),
    };
    command.stdin(input).stdout(output.try_clone()?).stderr(output);
    Ok(())
}

/// Judges programs and directories of the host that are to be used for a guest.
#[derive(Debug)]
pub struct Trust(Territory);

impl Trust {
    /// As the configurations of all guests are now.
    pub fn new(host: &Host) -> Self {
        Self(Territory::of(&host.confdir))
    }

    /// Why it may not be used, if it may not: somebody else than root, or a guest, could change it or the way to it.
    pub fn refuses(&self, program: &Path) -> Option<String> {
        trust::check(program, &self.0).err()
    }
}

/// Runs a command of the host and waits for it.
pub(crate) fn run_command(
    command: &mut Command,
    interrupts: Option<&Interrupts>,
    name: &GuestName,
) -> Result<std::process::ExitStatus> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let cannot = |error| Error::layer(format!("run {shown}"), name)(error);
    let mut child = vserver_sys::command::independent(command).spawn().map_err(cannot)?;
    match child::wait(&mut child, interrupts, None).map_err(cannot)? {
        Some(Ended::Status(status)) => Ok(status),
        Some(Ended::TooLong) => Err(cannot(std::io::ErrorKind::TimedOut.into())),
        Some(Ended::Interrupted) | None => Err(Error::Interrupted { name: name.clone() }),
    }
}
