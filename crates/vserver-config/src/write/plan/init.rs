//! `apps/init/`, and the time limit of `apps/vshelper/`.

use super::super::editor::Editor;
use crate::init::{Init, KillStep, Style};
use crate::model::GuestConfig;

pub(super) fn plan(editor: &mut Editor<'_>, now: &GuestConfig, wanted: &GuestConfig) {
    let (now, wanted) = (&now.init, &wanted.init);
    if now.style != wanted.style {
        editor.scalar("apps/init/style", wanted.style.map(|style| style.to_string()).as_deref());
    }
    levels(editor, now, wanted);
    for (file, is, shall) in [
        ("cmd.start", &now.cmd_start, &wanted.cmd_start),
        ("cmd.stop", &now.cmd_stop, &wanted.cmd_stop),
        ("cmd.prepare", &now.cmd_prepare, &wanted.cmd_prepare),
        ("cmd.start-sync", &now.cmd_start_sync, &wanted.cmd_start_sync),
        ("cmd.stop-sync", &now.cmd_stop_sync, &wanted.cmd_stop_sync),
    ] {
        if is != shall {
            editor.arguments(&format!("apps/init/{file}"), shall.as_deref());
        }
    }
    if now.killseq != wanted.killseq {
        editor.arguments("apps/init/killseq", Some(&tokens(&wanted.killseq)));
    }
    if now.environment != wanted.environment {
        editor.arguments("apps/init/environment", Some(&wanted.environment));
    }
    for (file, is, shall) in
        [("apps/init/mark", &now.mark, &wanted.mark), ("apps/init/depends", &now.depends, &wanted.depends)]
    {
        if is != shall {
            editor.list(file, shall);
        }
    }
    if now.sync != wanted.sync {
        editor.flag("apps/init/sync", wanted.sync);
    }
    if now.sync_timeout != wanted.sync_timeout {
        editor.scalar("apps/vshelper/sync-timeout", Some(&wanted.sync_timeout.as_secs().to_string()));
    }
}

/// An own file is needed for what the style does not say by itself.
fn levels(editor: &mut Editor<'_>, now: &Init, wanted: &Init) {
    let style = wanted.style.unwrap_or(Style::Sysv);
    let changed = now.style != wanted.style;
    if changed || now.runlevel_start != wanted.runlevel_start {
        let usual = wanted.runlevel_start.as_deref() == style.start_level();
        if usual && !editor.exists("apps/init/runlevel") && !editor.exists("apps/init/runlevel.start") {
            // Nothing says otherwise.
        } else if editor.exists("apps/init/runlevel.start") {
            editor.scalar("apps/init/runlevel.start", Some(wanted.runlevel_start.as_deref().unwrap_or_default()));
        } else {
            editor.scalar("apps/init/runlevel", Some(wanted.runlevel_start.as_deref().unwrap_or_default()));
        }
    }
    if changed || now.runlevel_stop != wanted.runlevel_stop {
        let usual = wanted.runlevel_stop.as_deref() == style.stop_level();
        if !usual || editor.exists("apps/init/runlevel.stop") {
            editor.scalar("apps/init/runlevel.stop", Some(wanted.runlevel_stop.as_deref().unwrap_or_default()));
        }
    }
}

/// Signal, wait, signal, wait, …: one per line.
fn tokens(steps: &[KillStep]) -> Vec<String> {
    let pair = |step: &KillStep| [Some(step.signal.to_string()), step.wait.map(|wait| wait.as_secs().to_string())];
    steps.iter().flat_map(pair).flatten().collect()
}
