//! One command for many guests: who is meant, in which order, how many at once, and what became of each.
//!
//! ```text
//!  Boot (marks, depends) ─ Selection::pick ─► names ─ Order ─► Schedule ─ run ─► rows ─► report, exit status
//!                                                                │ one process per guest: vserver NAME VERB
//! ```

mod job;
mod report;
mod row;
mod run;
mod select;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::time::Duration;

use vserver_config::Boot;
use vserver_config::order::Order;
use vserver_types::GuestName;

use crate::context::{Context, cpus};
use crate::error::CliError;

pub use report::Report;
pub use row::Row;
pub use select::{Selection, is_pattern};

/// Seconds that each guest may take unless told otherwise: a large guest's rc scripts end within minutes.
pub const TIMEOUT: u32 = 600;

/// What is to become of the guests; decides their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// They run: what they need comes first, and is started too.
    Up,
    /// They are stopped, each before what it needs.
    Down,
    /// Something else, in any order.
    Any,
}

/// One command for many guests.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What it is to lead to.
    pub goal: Goal,
    /// The verb and its arguments.
    pub words: Vec<OsString>,
    /// Options of `vserver` for each guest's command.
    pub options: Vec<OsString>,
    /// How many at once; `None`: as many as suits this host.
    pub jobs: Option<NonZeroUsize>,
    /// How long each guest may take; zero: as long as it wants.
    pub timeout: Duration,
    /// Show what each printed as it is, without its name before each line.
    pub verbatim: bool,
}

impl Wish {
    /// The verb.
    pub fn verb(&self) -> String {
        self.words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn at_once(&self) -> NonZeroUsize {
        let suits = match self.goal {
            // A guest that stops is waited for, and costs little meanwhile.
            Goal::Down => 99,
            // One that starts waits for scripts more than it works, and those that depend on it wait with it.
            Goal::Up => usize::try_from(16 * cpus()).unwrap_or(16).clamp(24, 99),
            Goal::Any => usize::try_from(2 * cpus()).unwrap_or(2).max(6),
        };
        self.jobs.or(NonZeroUsize::new(suits)).unwrap_or(NonZeroUsize::MIN)
    }
}

/// Does it, and says of each guest as it ends what became of it (unless `--silent` or as JSON).
pub fn perform(
    wish: &Wish,
    names: &BTreeSet<GuestName>,
    boot: &Boot,
    as_json: bool,
    context: &Context,
) -> Result<Report, CliError> {
    let depends = boot.depends();
    let order = match wish.goal {
        Goal::Up => Order::to_start(names, &depends, wish.at_once()),
        Goal::Down => Order::to_stop(names, &depends, wish.at_once()),
        Goal::Any => Order::to_stop(names, &Default::default(), wish.at_once()),
    };
    for circle in &order.circles {
        context.printer.note(format_args!(
            "guests depend on each other in a circle, which is cut at its end: {circle}; remove one of these lines of apps/init/depends"
        ));
    }
    let mut report = Report::new(wish, names, as_json);
    for lost in order.lost {
        report.add(Row::kept_back(lost.name, &lost.need), context)?;
    }
    run::run(order.schedule, wish, &mut report, context)?;
    Ok(report)
}
