//! One order, in a process of its own: the same calls as the command line's.

use vserver_api::{StartAnswer, StopAnswer};
use vserver_runtime::{Host, StartOptions, Started, StopOptions, Stopped};

use super::{Outcome, Task};
use crate::look;

/// Longest text of an outcome, bytes; as JSON it may become six times as long.
const MAX_TEXT: usize = 16 << 10;

/// Does it.
pub fn run(host: &Host, task: &Task) -> Outcome {
    let outcome = match task {
        Task::Start { name, request } => {
            let options = StartOptions { strict: request.strict, ..StartOptions::default() };
            vserver_runtime::start(host, name, &options).map(started)
        }
        Task::Stop { name, request } => {
            vserver_runtime::stop(host, name, &StopOptions { kill: request.kill, ..StopOptions::default() })
                .map(stopped)
        }
    };
    outcome.unwrap_or_else(|error| {
        let mut refusal = look::refusal(&error);
        cut(&mut refusal.error);
        Outcome::Refused(refusal)
    })
}

fn started(started: Started) -> Outcome {
    Outcome::Started(match started {
        Started::Now { xid, unenforced, warnings, .. } => {
            StartAnswer { xid, already_running: false, unenforced, warnings: fitting(warnings) }
        }
        Started::AlreadyRunning { xid } => {
            StartAnswer { xid, already_running: true, unenforced: Vec::new(), warnings: Vec::new() }
        }
    })
}

fn stopped(stopped: Stopped) -> Outcome {
    Outcome::Stopped(match stopped {
        Stopped::Now { report } => StopAnswer { was_running: true, report: fitting(report) },
        Stopped::WasNotRunning => StopAnswer { was_running: false, report: Vec::new() },
    })
}

/// As many sentences as fit, and how many do not.
fn fitting(mut sentences: Vec<String>) -> Vec<String> {
    let mut room = MAX_TEXT;
    let fit = |sentence: &&String| {
        let left = room.checked_sub(sentence.len());
        room = left.unwrap_or(0);
        left.is_some()
    };
    let kept = sentences.iter().take_while(fit).count();
    let rest = sentences.len() - kept;
    sentences.truncate(kept);
    if rest > 0 {
        sentences.push(format!("{rest} more"));
    }
    sentences
}

fn cut(text: &mut String) {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_and_it_is_said() {
        let mut text = "ä".repeat(MAX_TEXT);
        cut(&mut text);
        assert!(text.len() <= MAX_TEXT + 3 && text.ends_with('…'));
        let few = ["a".to_owned(), "b".to_owned()].to_vec();
        assert_eq!(fitting(few.clone()), few);
        let many = fitting(["x".repeat(10_000), "y".repeat(10_000), "z".to_owned()].to_vec());
        assert_eq!(many[1..], ["2 more"]);
    }
}
