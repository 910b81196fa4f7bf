//! Setting control files and saying what did not hold.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use vserver_types::Unenforced;

use crate::{Controller, GuestCgroup, files};

/// The control files of one controller in `vserver/<name>/`, and the list of what could not be enforced.
pub(crate) struct Knobs<'a> {
    controller: Controller,
    /// Nothing where the host lacks the controller.
    pub dir: Option<PathBuf>,
    /// Whether they are those of v2.
    pub v2: bool,
    /// What was found wanting.
    pub report: &'a mut Vec<Unenforced>,
}

/// A value for a control file.
pub(crate) struct Wish<'a> {
    /// What the administrator calls it, as in `memory limit`.
    pub setting: &'a str,
    /// The control file.
    pub file: &'a str,
    /// What to write.
    pub value: &'a str,
    /// It only lifts a limit: where the file is missing there is nothing to lift.
    pub lifts: bool,
    /// Whether what was read means what was written: kernels round and rewrite.
    pub same: fn(&str, &str) -> bool,
}

impl GuestCgroup {
    pub(crate) fn knobs<'a>(&self, controller: Controller, report: &'a mut Vec<Unenforced>) -> Knobs<'a> {
        let found = self.top_of(controller);
        let v2 = found.as_ref().is_some_and(|(_, v2)| *v2);
        Knobs { controller, dir: found.map(|(dir, _)| dir), v2, report }
    }
}

impl Knobs<'_> {
    /// The content of a control file; `None` if it is missing or unreadable.
    pub(crate) fn current(&self, file: &str) -> Option<String> {
        files::read(&self.dir.as_ref()?.join(file)).ok()
    }

    /// Writes without looking; a failure shows in the next [`Knobs::set`] of the same file.
    pub(crate) fn put(&self, file: &str, value: &str) {
        if let Some(dir) = &self.dir {
            let _ = files::write(&dir.join(file), value);
        }
    }

    /// Makes a control file mean what is wished, unless it does so already, and looks whether it does. True if so.
    pub(crate) fn set(&mut self, wish: &Wish<'_>) -> bool {
        let Some(before) = self.current(wish.file) else {
            if !wish.lifts {
                let reason = self.why_missing(wish.file);
                self.report.push(Unenforced::none(wish.setting, reason));
            }
            return wish.lifts;
        };
        if (wish.same)(&before, wish.value) {
            return true;
        }
        let Some(dir) = &self.dir else { return false };
        if let Err(error) = files::write(&dir.join(wish.file), wish.value) {
            let reason = refusal(wish.file, wish.value, &error);
            self.report.push(Unenforced::none(wish.setting, reason));
            return false;
        }
        // Success codes lie: a kernel may keep less than it was told.
        let after = self.current(wish.file).unwrap_or_default();
        let holds = (wish.same)(&after, wish.value);
        if !holds {
            let reason = format!("{} was set to '{}' and reads '{after}'", wish.file, wish.value.trim());
            self.report.push(Unenforced::none(wish.setting, reason));
        }
        holds
    }

    /// Notes that part of a setting holds.
    pub(crate) fn partial(&mut self, setting: &str, reason: &str) {
        self.report.push(Unenforced::partial(setting, reason));
    }

    /// Notes that nothing of a setting holds.
    pub(crate) fn none(&mut self, setting: &str, reason: impl Into<String>) {
        self.report.push(Unenforced::none(setting, reason));
    }

    fn why_missing(&self, file: &str) -> String {
        match self.dir {
            Some(_) => {
                format!("the guest's cgroup has no {file}: this kernel lacks it, or the controller is not enabled")
            }
            None => format!("this host has no {} controller", self.controller.name()),
        }
    }
}

/// A sentence about a write that failed.
pub(crate) fn refusal(file: &str, value: &str, error: &io::Error) -> String {
    let hint = match error.kind() {
        ErrorKind::ResourceBusy if file.starts_with("memory.") => {
            ": the guest uses more than that, and it could not be reclaimed"
        }
        _ => "",
    };
    format!("{file} did not take '{}' ({error}){hint}", value.trim())
}

/// Equal but for space around.
pub(crate) fn same_text(have: &str, want: &str) -> bool {
    have.trim() == want.trim()
}
