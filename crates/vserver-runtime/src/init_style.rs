//! Which program a guest begins with, and how it is asked to end. Source: util-vserver, `behaviours.md` §3.

use serde::{Deserialize, Serialize};
use vserver_config::{GuestConfig, Style};
use vserver_fs::GuestRoot;

use crate::error::{Error, Result};
use crate::settings::StopPlan;

/// `SIGRTMIN+3`: systemd halts the machine. Source: systemd(1), "Signals".
const SYSTEMD_HALT: i32 = 37;
/// What ctrl-alt-del sends to an init.
const SIGINT: i32 = 2;

/// The guest's first process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum First {
    /// A program of the guest.
    Init(Vec<String>),
    /// Our own tiny init, which runs this start command.
    Reaper(Vec<String>),
}

/// Start, stop, and whether systemd is the init.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitPlan {
    /// The first process.
    pub first: First,
    /// How it is asked to end.
    pub stop: StopPlan,
    /// systemd needs namespaces and mounts of its own: the `nesting` part of the policy.
    pub systemd: bool,
}

/// Decides it, looking into the guest's tree.
pub fn plan(config: &GuestConfig, tree: &GuestRoot) -> Result<InitPlan> {
    let init = &config.init;
    let style = init.style.unwrap_or_else(|| guess(tree));
    let level = init.runlevel_start.clone();
    let own_init = |path: &str| -> Result<InitPlan> {
        let argv = init.cmd_start.clone().unwrap_or_else(|| with_level(path, level.as_ref()));
        let program = argv.first().cloned().unwrap_or_default();
        require(config, tree, &[&program])?;
        let systemd = style == Style::Systemd || is_systemd(tree, &program);
        let stop = StopPlan::Signal(if systemd { SYSTEMD_HALT } else { SIGINT });
        Ok(InitPlan { first: First::Init(argv), stop, systemd })
    };
    match style {
        Style::Plain | Style::Systemd => own_init("/sbin/init"),
        Style::Minit => own_init("/sbin/minit-start"),
        _ if init.fakeinit => own_init("/sbin/init"),
        _ => reaped(config, tree, style),
    }
}

/// Styles without an init: a start command, a stop command, and our reaper.
fn reaped(config: &GuestConfig, tree: &GuestRoot, style: Style) -> Result<InitPlan> {
    let init = &config.init;
    let start = match &init.cmd_start {
        Some(command) => command.clone(),
        None => {
            let candidates = start_candidates(style);
            let script = require(config, tree, candidates)?;
            let level = if style == Style::Arch { None } else { init.runlevel_start.as_ref() };
            with_level(script, level)
        }
    };
    let stop = init.cmd_stop.clone().or_else(|| match style {
        Style::Sysv if init.cmd_start.is_none() => Some(with_level(start.first()?, init.runlevel_stop.as_ref())),
        Style::Gentoo | Style::Openrc => Some(vec!["/sbin/rc".to_owned(), "shutdown".to_owned()]),
        Style::Arch => Some(vec!["/etc/rc.shutdown".to_owned()]),
        _ => None,
    });
    let stop = stop.map_or(StopPlan::KillSequence, StopPlan::Command);
    Ok(InitPlan { first: First::Reaper(start), stop, systemd: false })
}

fn start_candidates(style: Style) -> &'static [&'static str] {
    match style {
        Style::Gentoo | Style::Openrc => &["/lib/rcscripts/sh/init-vserver.sh", "/lib/rc/sh/init-vserver.sh"],
        Style::Arch => &["/etc/rc.multi"],
        Style::Empty => &[],
        _ => &["/etc/init.d/rc", "/etc/rc.d/rc"],
    }
}

/// The last of `candidates` that is an executable file.
fn require<'a>(config: &GuestConfig, tree: &GuestRoot, candidates: &[&'a str]) -> Result<&'a str> {
    let usable = |path: &&&str| tree.is_executable(path.trim_start_matches('/')).unwrap_or(false);
    candidates.iter().rev().find(usable).copied().ok_or_else(|| Error::NoInit {
        name: config.name.clone(),
        looked: if candidates.is_empty() { "apps/init/cmd.start".to_owned() } else { candidates.join(", ") },
    })
}

fn with_level(program: &str, level: Option<&String>) -> Vec<String> {
    std::iter::once(program.to_owned()).chain(level.cloned()).collect()
}

/// Without a configured style: the rc script that the original would run, else the guest's own init.
fn guess(tree: &GuestRoot) -> Style {
    let there = |path: &str| tree.is_executable(path).unwrap_or(false);
    let rc = there("etc/init.d/rc") || there("etc/rc.d/rc");
    if !rc && there("sbin/init") { Style::Plain } else { Style::Sysv }
}

/// Whether `program` is a link that ends at systemd.
fn is_systemd(tree: &GuestRoot, program: &str) -> bool {
    let relative = program.trim_start_matches('/');
    let merged = format!("usr/{relative}");
    [relative, merged.as_str()].iter().any(|path| tree.readlink(path).is_ok_and(|target| target.ends_with("systemd")))
        || relative.ends_with("systemd/systemd")
}
