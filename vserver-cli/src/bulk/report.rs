//! What became of all guests.

use std::collections::{BTreeSet, VecDeque};

use vserver_types::{Exit, GuestName};

use crate::bulk::row::{Outcome, Row};
use crate::bulk::{Goal, Wish};
use crate::context::Context;
use crate::error::CliError;

/// As a shell has it for SIGINT.
const INTERRUPTED: Exit = Exit::Command(130);

/// All of them.
#[derive(Debug)]
pub struct Report {
    /// As they ended.
    pub rows: Vec<Row>,
    /// Nothing is printed before the end.
    pub as_json: bool,
    /// A signal came.
    pub interrupted: bool,
    goal: Goal,
    verb: String,
    verbatim: bool,
    killed: BTreeSet<GuestName>,
    /// Whose turn to be shown comes next, where results are shown by name.
    turn: VecDeque<GuestName>,
}

impl Report {
    /// Of nobody yet. What has no order of its own is shown by name, the rest as it ends.
    pub fn new(wish: &Wish, names: &BTreeSet<GuestName>, as_json: bool) -> Self {
        let turn = if wish.goal == Goal::Any { names.iter().cloned().collect() } else { VecDeque::new() };
        let (goal, verb, verbatim) = (wish.goal, wish.verb(), wish.verbatim);
        Self { rows: Vec::new(), as_json, interrupted: false, goal, verb, verbatim, killed: BTreeSet::new(), turn }
    }

    /// Adds one guest's result and shows it.
    pub fn add(&mut self, mut row: Row, context: &Context) -> Result<(), CliError> {
        if self.killed.contains(&row.name) && row.well() {
            row.outcome = Outcome::TimedOut;
            row.errors.push_str("it did not stop in time and was killed\n");
        }
        if self.goal != Goal::Any && !self.as_json {
            self.show(&row, context)?;
        }
        self.rows.push(row);
        while let Some(row) = self.turn.front().and_then(|next| self.rows.iter().find(|row| row.name == *next)) {
            if !self.as_json {
                self.show(row, context)?;
            }
            self.turn.pop_front();
        }
        Ok(())
    }

    fn show(&self, row: &Row, context: &Context) -> Result<(), CliError> {
        if !row.output.is_empty() && self.verbatim {
            context.printer.text(&row.output)?;
        } else if !row.output.is_empty() {
            let lines = row.output.lines().map(|line| format!("{}: {line}\n", row.name));
            context.printer.text(&lines.collect::<String>())?;
        }
        let remarks = row.remarks();
        // That there was nothing to do is worth a word only to a person.
        let wanted = !row.well() || !context.printer.is_quiet();
        if wanted && !remarks.is_empty() {
            context.printer.warn(remarks);
        }
        let verdict = self.past().map(|past| row.verdict(past)).unwrap_or_default();
        if verdict.is_empty() { Ok(()) } else { context.printer.status(verdict) }
    }

    fn past(&self) -> Option<&'static str> {
        match self.goal {
            Goal::Up => Some("started"),
            Goal::Down => Some("stopped"),
            Goal::Any => None,
        }
    }

    /// The report of two commands, one after the other: where the second one was tried for a guest, that counts.
    pub fn then(mut self, mut next: Self) -> Self {
        self.rows.retain(|row| next.rows.iter().all(|later| later.name != row.name));
        self.rows.append(&mut next.rows);
        Self { rows: self.rows, ..next }
    }

    /// That this guest's stop is now a kill.
    pub fn kills(&mut self, name: &GuestName) {
        self.killed.insert(name.clone());
    }

    /// Whether it was tried.
    pub fn was_killed(&self, name: &GuestName) -> bool {
        self.killed.contains(name)
    }

    /// How many went well, of how many.
    pub fn count(&self) -> (usize, usize) {
        (self.rows.iter().filter(|row| row.well()).count(), self.rows.len())
    }

    /// One line on standard error, or all of it as JSON.
    pub fn close(&self, context: &Context) -> Result<(), CliError> {
        if self.as_json {
            let mut rows: Vec<_> = self.rows.iter().collect();
            rows.sort_by_key(|row| &row.name);
            let rows: Vec<_> = rows.into_iter().map(Row::json).collect();
            return context.printer.json(&rows);
        }
        if !self.rows.is_empty() {
            context.printer.note(self.summary());
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let (well, all) = self.count();
        let already = self.rows.iter().filter(|row| row.outcome == Outcome::Already).count();
        let mut text = match self.past() {
            Some(past) => format!("{} of {all} guests {past}", well - already),
            None => format!("{}: {well} of {all} guests ended with 0", self.verb),
        };
        if already > 0 {
            text.push_str(&format!(
                ", {already} {}",
                if self.goal == Goal::Up { "already ran" } else { "did not run" }
            ));
        }
        let bad: Vec<_> = self.rows.iter().filter(|row| !row.well()).map(|row| row.name.as_str()).collect();
        if !bad.is_empty() {
            let word = if self.past().is_some() { "failed" } else { "others" };
            text.push_str(&format!(", {word}: {}", bad.join(" ")));
        }
        text
    }

    /// The status that all commands had, if it is one; else that it went well for some only. After a signal that of a
    /// command that was interrupted.
    pub fn exit(&self) -> Exit {
        if self.interrupted {
            return INTERRUPTED;
        }
        let mut codes = self.rows.iter().map(|row| row.code.unwrap_or(1));
        let Some(first) = codes.next() else { return Exit::Success };
        if codes.all(|code| code == first) {
            return Exit::Command(first);
        }
        let (well, _) = self.count();
        if self.past().is_some() && well == 0 { Exit::Failure } else { Exit::Partial }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report(goal: Goal, codes: &[Option<u8>]) -> Report {
        let (timeout, jobs, options) = (Duration::ZERO, None, Vec::new());
        let wish = Wish { goal, words: vec!["exec".into()], options, jobs, timeout, verbatim: false };
        let mut report = Report::new(&wish, &BTreeSet::new(), true);
        for (index, code) in codes.iter().enumerate() {
            let outcome = if *code == Some(0) { Outcome::Done } else { Outcome::Failed };
            report.rows.push(Row { code: *code, outcome, ..Row::empty(format!("g{index}").parse().unwrap()) });
        }
        report
    }

    #[test]
    fn the_status_says_all_some_or_none() {
        let exit = |goal, codes: &[Option<u8>]| report(goal, codes).exit().code();
        assert_eq!(exit(Goal::Up, &[]), 0);
        assert_eq!(exit(Goal::Up, &[Some(0), Some(0)]), 0);
        assert_eq!(exit(Goal::Up, &[Some(0), Some(3)]), 6);
        assert_eq!(exit(Goal::Up, &[Some(1), Some(3), None]), 1);
        assert_eq!(exit(Goal::Any, &[Some(3), Some(3)]), 3);
        assert_eq!(exit(Goal::Any, &[Some(3), Some(4)]), 6);
    }

    #[test]
    fn words_for_people() {
        let mut sample = report(Goal::Up, &[Some(0), Some(1), None]);
        sample.rows.push(Row::already("g9".parse().unwrap(), Goal::Up));
        assert_eq!(sample.summary(), "1 of 4 guests started, 1 already ran, failed: g1 g2");
        assert_eq!(report(Goal::Any, &[Some(0), Some(2)]).summary(), "exec: 1 of 2 guests ended with 0, others: g1");
        let row = Row { errors: "vserver: g0: no\nodd\n".into(), ..Row::empty("g0".parse().unwrap()) };
        assert_eq!(row.remarks(), "g0: no\ng0: odd");
    }
}
