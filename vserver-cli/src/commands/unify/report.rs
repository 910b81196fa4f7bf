//! What is told of each file. Source of the levels and words: util-vserver, `commands.md` §8.

use vserver_unify::{Event, Skip, Totals};

use crate::error::CliError;
use crate::printer::Printer;

/// How much is told.
#[derive(Clone, Copy)]
pub struct Report {
    printer: Printer,
    level: u8,
    dry_run: bool,
    action: &'static str,
}

impl Report {
    /// With so many `-v`.
    pub fn new(printer: Printer, level: u8, dry_run: bool) -> Self {
        Self { printer, level, dry_run, action: "unifying  " }
    }

    /// The other way round.
    pub fn reverse(self, reverse: bool) -> Self {
        if reverse { Self { action: "deunifying", ..self } } else { self }
    }

    /// Before the trees are walked.
    pub fn begin<'a>(&self, labels: impl Iterator<Item = &'a str>) -> Result<(), CliError> {
        if self.level == 0 {
            return Ok(());
        }
        for label in labels {
            self.printer.line(format_args!("Initializing exclude-list for {label}"))?;
        }
        self.printer.line("Starting to traverse directories...")
    }

    /// One file. That nobody reads any more is found out at the end.
    pub fn hear(&self, event: &Event<'_>) {
        let line = match event {
            Event::Unified { path, entry, .. } => self.unified(path, *entry),
            Event::Skipped { path, why: Skip::Failed(error), .. } => {
                self.printer.warn(format_args!("{}: '{path}' stays as it is: {error}", self.printer.tool()));
                None
            }
            Event::Skipped { path, why, .. } => self.skipped(path, why),
        };
        if let Some(line) = line {
            self.printer.line(line).ok();
        }
    }

    fn unified(&self, path: &str, entry: Option<&str>) -> Option<String> {
        if self.level < 2 && !self.dry_run {
            return None;
        }
        let to = entry.filter(|_| self.level >= 4).map(|entry| format!(" (to '{entry}')")).unwrap_or_default();
        Some(format!("{} '{path}'{to}", self.action))
    }

    fn skipped(&self, path: &str, why: &Skip) -> Option<String> {
        let needed = match why {
            Skip::Symlink => 6,
            Skip::Unified => 3,
            _ => 1,
        };
        let reason = match why {
            Skip::Excluded => "excluded",
            Skip::Symlink => "symlink",
            Skip::Irregular => "non regular file",
            Skip::Empty => "empty",
            Skip::Unified => "already unified",
            Skip::NoReference => "does not exist in refserver(s)",
            Skip::Different => "different",
            Skip::Changed => "changed meanwhile",
            Skip::Failed(_) => "general error",
        };
        match self.level {
            level if level < needed => None,
            1 => Some(format!("  skipping '{path}'")),
            _ => Some(format!("  skipping '{path}' ({reason})")),
        }
    }

    /// What it comes to. A page of a shared file is in memory once, whoever reads it.
    pub fn end(&self, totals: &Totals) -> Result<(), CliError> {
        let Totals { unified, known, freed, failed, .. } = totals;
        let mebibytes = |bytes: u64| format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20);
        if self.dry_run {
            return self.printer.line(format_args!(
                "would share {unified} files more than the {known} that are shared, which frees {0} of disk and up to {0} of page \
                 cache",
                mebibytes(*freed)
            ));
        }
        if *failed > 0 {
            self.printer.note(format_args!("{failed} files could not be shared and stay as they are"));
        }
        match self.level {
            0 => Ok(()),
            _ => self.printer.line(format_args!("shared {unified} files, freed {}", mebibytes(*freed))),
        }
    }
}
