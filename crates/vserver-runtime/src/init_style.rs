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
    /// `PREVLEVEL` and `RUNLEVEL` of the stop command and of stop scripts.
    pub stop_levels: Vec<(String, String)>,
    /// What is done in its tree before it starts.
    pub preparation: Preparation,
    /// The style in force, as scripts know it.
    pub style: String,
    /// systemd needs namespaces and mounts of its own: the `nesting` part of the policy.
    pub systemd: bool,
}

/// What is done in a guest's tree, from the host, before it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// Everything that is no directory goes from `/var/run` and `/var/lock`: of its last life.
    pub clean_run: bool,
    /// No check of file systems: `/fastboot` is made, `/.autofsck` and `/forcefsck` go.
    pub fastboot: bool,
    /// This run level is recorded in `/var/run/utmp`.
    pub utmp: Option<char>,
    /// This command of the host runs, with the tree as working directory, in place of the record.
    pub command: Option<Vec<String>>,
}

/// Something else than the configured init.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rescue {
    /// `start --rescue`
    Command {
        /// Program and arguments; empty is `/bin/sleep 900`.
        command: Vec<String>,
        /// It is the guest's first process; otherwise start returns when it has ended.
        init: bool,
    },
    /// Nothing but our reaper: what is left of a guest with the flag `persistent` when its init has ended.
    Nobody,
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
        Ok(InitPlan { first: First::Init(argv), stop, systemd, ..common(config, style) })
    };
    match style {
        Style::Plain | Style::Systemd => own_init("/sbin/init"),
        Style::Minit => own_init("/sbin/minit-start"),
        _ if init.fakeinit => own_init("/sbin/init"),
        _ => reaped(config, tree, style),
    }
}

/// Of `apps/init/` only the environment counts then. Source: util-vserver, `commands.md` §3.1.
pub fn rescue(config: &GuestConfig, tree: &GuestRoot, wish: &Rescue) -> InitPlan {
    let first = match wish {
        Rescue::Nobody => First::Reaper(Vec::new()),
        Rescue::Command { command, init } => {
            let usual = || ["/bin/sleep", "900"].map(str::to_owned).to_vec();
            let command = if command.is_empty() { usual() } else { command.clone() };
            if *init { First::Init(command) } else { First::Reaper(command) }
        }
    };
    let killall = tree.is_executable("sbin/killall5").unwrap_or(false) && matches!(first, First::Reaper(_));
    InitPlan {
        first,
        stop: if killall { StopPlan::Command(vec!["/sbin/killall5".to_owned()]) } else { StopPlan::KillSequence },
        style: "rescue".to_owned(),
        preparation: Preparation::default(),
        stop_levels: Vec::new(),
        ..common(config, Style::Empty)
    }
}

/// `--debug-sysv`: the commands of style `sysv` run under `bash -x`.
pub fn trace_sysv(plan: &mut InitPlan) {
    if plan.style != "sysv" {
        return;
    }
    let traced = ["/bin/bash", "-x"].map(str::to_owned);
    if let First::Reaper(command) = &mut plan.first {
        command.splice(0..0, traced.clone());
    }
    if let StopPlan::Command(command) = &mut plan.stop {
        command.splice(0..0, traced);
    }
}

/// What does not depend on the commands.
fn common(config: &GuestConfig, style: Style) -> InitPlan {
    let init = &config.init;
    let digit = |level: Option<&String>| level.filter(|l| l.len() == 1).and_then(|l| l.chars().next());
    let utmp = match style {
        Style::Sysv | Style::Arch => digit(init.runlevel_start.as_ref()),
        Style::Minit => digit(init.runlevel_start.as_ref()).filter(char::is_ascii_digit),
        Style::Gentoo | Style::Openrc => Some('3'),
        Style::Plain | Style::Systemd | Style::Empty => None,
    };
    let pair = |name: &str, value: Option<&String>| (name.to_owned(), value.cloned().unwrap_or_default());
    let stop_levels = match style {
        Style::Sysv => {
            vec![pair("PREVLEVEL", init.runlevel_start.as_ref()), pair("RUNLEVEL", init.runlevel_stop.as_ref())]
        }
        Style::Gentoo | Style::Openrc => vec![("RUNLEVEL".to_owned(), "0".to_owned())],
        _ => Vec::new(),
    };
    let command = init.cmd_prepare.clone();
    InitPlan {
        first: First::Init(Vec::new()),
        stop: StopPlan::KillSequence,
        stop_levels,
        preparation: Preparation {
            clean_run: style == Style::Sysv,
            fastboot: style == Style::Plain,
            utmp: utmp.filter(|_| command.is_none()),
            command,
        },
        style: style.to_string(),
        systemd: false,
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
        Style::Sysv => Some(with_level(find(tree, start_candidates(style))?, init.runlevel_stop.as_ref())),
        Style::Gentoo | Style::Openrc => Some(vec!["/sbin/rc".to_owned(), "shutdown".to_owned()]),
        Style::Arch => Some(vec!["/etc/rc.shutdown".to_owned()]),
        _ => None,
    });
    let stop = stop.map_or(StopPlan::KillSequence, StopPlan::Command);
    Ok(InitPlan { first: First::Reaper(start), stop, ..common(config, style) })
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
fn find<'a>(tree: &GuestRoot, candidates: &[&'a str]) -> Option<&'a str> {
    let usable = |path: &&&str| tree.is_executable(path.trim_start_matches('/')).unwrap_or(false);
    candidates.iter().rev().find(usable).copied()
}

fn require<'a>(config: &GuestConfig, tree: &GuestRoot, candidates: &[&'a str]) -> Result<&'a str> {
    find(tree, candidates).ok_or_else(|| Error::NoInit {
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
