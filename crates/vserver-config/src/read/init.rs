//! `apps/init/`, and the time limit of `apps/vshelper/`.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::init::{ENVIRONMENT, Init, KILLSEQ, KillStep, Style};
use crate::model::SYNC_TIMEOUT;
use crate::nearest::nearest;
use crate::reader::Reader;

/// First real-time signal that programs get from glibc. Source: signal(7).
const SIGRTMIN: i32 = 34;
/// Last signal of Linux.
const SIGRTMAX: i32 = 64;

pub(super) fn read(reader: &mut Reader, dir: &Path, defaults: &Path, fakeinit: bool) -> Init {
    let init = dir.join("apps/init");
    let style = style(reader, &init.join("style"));
    let effective = style.unwrap_or(Style::Sysv);
    let mut level = |names: &[&str], default: Option<&str>| {
        let files: Vec<_> = names.iter().map(|name| init.join(name)).collect();
        reader.first_scalar(&files).filter(|level| !level.is_empty()).or(default.map(str::to_owned))
    };
    let runlevel_start = level(&["runlevel.start", "runlevel"], effective.start_level());
    let runlevel_stop = level(&["runlevel.stop"], effective.stop_level());
    let mut command = |name: &str| reader.argv(&init.join(name)).filter(|argv| !argv.is_empty());
    Init {
        style,
        fakeinit,
        runlevel_start,
        runlevel_stop,
        cmd_start: command("cmd.start"),
        cmd_stop: command("cmd.stop"),
        cmd_prepare: command("cmd.prepare"),
        cmd_start_sync: command("cmd.start-sync"),
        cmd_stop_sync: command("cmd.stop-sync"),
        killseq: killseq(reader, &init.join("killseq")),
        environment: environment(reader, &init, defaults),
        mark: words(reader, &init.join("mark")),
        depends: words(reader, &init.join("depends")),
        sync: reader.has(&init.join("sync")),
        sync_timeout: sync_timeout(reader, dir, defaults),
    }
}

fn style(reader: &mut Reader, path: &Path) -> Option<Style> {
    let text = reader.scalar(path)?;
    match text.parse() {
        Ok(style) => Some(style),
        Err(error) => {
            let near = nearest(&text, Style::NAMES.into_iter().map(|(name, _)| name).filter(|name| !name.is_empty()));
            let hint = match (near, text.as_str()) {
                (Some(near), _) => format!("did you mean '{near}'?"),
                (None, "upstart" | "initng") => "such guests run with 'plain'".to_owned(),
                (None, _) => error.reason.to_owned(),
            };
            reader.error(path, Some(1), format!("Unknown init-style '{}'", text.escape_debug()), &hint);
            None
        }
    }
}

/// Words for the boot scripts, to which the end of the last line made no difference.
fn words(reader: &mut Reader, path: &Path) -> Vec<String> {
    reader.lines(path).into_iter().map(|line| line.text).collect()
}

/// Signal, wait, signal, wait, …: one token per line. A word that is none keeps no guest from its start, nor did it in the
/// original: no signal is sent for it.
fn killseq(reader: &mut Reader, path: &Path) -> Vec<KillStep> {
    let Some(tokens) = reader.arguments(path) else {
        return KILLSEQ.to_vec();
    };
    let mut steps: Vec<KillStep> = Vec::new();
    for pair in tokens.chunks(2) {
        let Some(signal) = signal(pair[0].text.trim()) else {
            let message = format!("'{}' is not a signal, and none is sent for it", pair[0].text.escape_debug());
            reader.warn(path, Some(pair[0].number), message, "one signal or number of seconds per line, in turn");
            continue;
        };
        let wait = pair.get(1).and_then(|token| {
            let seconds = token.text.trim().parse::<u32>().ok();
            if seconds.is_none() {
                let message = format!("'{}' is not a number of seconds", token.text.escape_debug());
                reader.error(path, Some(token.number), message, "one signal or number of seconds per line, in turn");
            }
            seconds.map(|seconds| Duration::from_secs(seconds.into()))
        });
        steps.push(KillStep { signal, wait });
    }
    steps
}

/// A signal by number, by name with or without `SIG`, or as `RTMIN+n`.
fn signal(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=SIGRTMAX).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(offset) = bare.strip_prefix("RTMIN") {
        let offset = if offset.is_empty() { Some(0) } else { offset.strip_prefix('+')?.parse().ok() };
        return offset.filter(|n| (0..=SIGRTMAX - SIGRTMIN).contains(n)).map(|n: i32| SIGRTMIN + n);
    }
    Signal::from_str(&format!("SIG{bare}")).ok().map(|signal| signal as i32)
}

/// The guest's file replaces the host's, which replaces the shipped line.
fn environment(reader: &mut Reader, init: &Path, defaults: &Path) -> Vec<String> {
    for path in [init.join("environment"), defaults.join("apps/init/environment")] {
        let Some(lines) = reader.arguments(&path) else { continue };
        let mut all = Vec::new();
        for line in lines {
            match line.text.split_once('=') {
                Some((name, _)) if !name.is_empty() => all.push(line.text),
                _ => {
                    let message = format!("'{}' sets no variable", line.text.escape_debug());
                    reader.error(&path, Some(line.number), message, "write NAME=VALUE; there are no comments here");
                }
            }
        }
        return all;
    }
    vec![ENVIRONMENT.to_owned()]
}

fn sync_timeout(reader: &mut Reader, dir: &Path, defaults: &Path) -> Duration {
    let name = "apps/vshelper/sync-timeout";
    for path in [dir.join(name), defaults.join(name)] {
        if reader.has_file(&path) {
            let seconds = reader.parsed::<u32>(&path, "a number of seconds");
            return seconds.map_or(SYNC_TIMEOUT, |seconds| Duration::from_secs(seconds.into()));
        }
    }
    SYNC_TIMEOUT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [("15", 15), ("TERM", 15), ("sigterm", 15), ("KILL", 9), ("RTMIN+3", 37), ("64", 64)] {
            assert_eq!(signal(text), Some(number), "{text}");
        }
        for bad in ["0", "65", "-9", "15 5 9", "NONSENSE", "", "RTMIN+31", "RTMIN-1"] {
            assert_eq!(signal(bad), None, "{bad}");
        }
    }
}
