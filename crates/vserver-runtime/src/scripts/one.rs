//! One script: executed, or sourced into the shell of its command.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use vserver_config::{Flavour, Script};

use super::Scripts;
use super::child::{self, Ended};
use super::command::redirect;
use super::shell::{self, Fault, Shell};
use super::trust::{self, Territory};
use crate::error::{Error, Result};

impl Scripts<'_> {
    /// `Some` from a sourced script: whether the host's scripts shall run, too.
    pub(super) fn one(&mut self, flavour: Flavour, script: &Script, dir: &Path) -> Result<Option<bool>> {
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
