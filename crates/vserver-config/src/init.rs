//! How a guest starts and stops: `apps/init/`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use vserver_types::ParseError;

/// Which commands start and stop a guest. Source: util-vserver, `behaviours.md` §3; `systemd` is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The guest's own `/sbin/init` is PID 1.
    Plain,
    /// The rc script runs for the run level; there is no init. The default.
    Sysv,
    /// As `plain`, stopped by `SIGRTMIN+3`.
    Systemd,
    /// `/sbin/minit-start`.
    Minit,
    /// `init-vserver.sh` of Gentoo.
    Gentoo,
    /// The same of OpenRC.
    Openrc,
    /// `/etc/rc.multi`.
    Arch,
    /// No commands but those of `cmd.*`: an empty line.
    Empty,
}

impl Style {
    /// Names as in `apps/init/style`.
    pub const NAMES: [(&'static str, Style); 8] = [
        ("plain", Self::Plain),
        ("sysv", Self::Sysv),
        ("systemd", Self::Systemd),
        ("minit", Self::Minit),
        ("gentoo", Self::Gentoo),
        ("openrc", Self::Openrc),
        ("arch", Self::Arch),
        ("", Self::Empty),
    ];

    /// Run level at start unless configured.
    pub(crate) fn start_level(self) -> Option<&'static str> {
        match self {
            Self::Sysv | Self::Arch => Some("3"),
            Self::Gentoo | Self::Openrc => Some("default"),
            Self::Plain | Self::Systemd | Self::Minit | Self::Empty => None,
        }
    }

    /// Run level at stop unless configured.
    pub(crate) fn stop_level(self) -> Option<&'static str> {
        (self == Self::Sysv).then_some("6")
    }
}

impl FromStr for Style {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, style)| *style).ok_or_else(|| {
            let reason = "the styles are plain, sysv, systemd, minit, gentoo, openrc and arch";
            ParseError::new("init style", text, reason)
        })
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::NAMES.iter().find(|(_, style)| style == self);
        f.pad(found.map_or("", |(name, _)| name))
    }
}

/// One step of the final kill sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KillStep {
    /// Signal number.
    pub signal: i32,
    /// How long to wait afterwards for the guest to end; the last step may have none.
    pub wait: Option<Duration>,
}

/// `apps/init/` and the part of `apps/vshelper/` that stop needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// The style; `None` if there is no file, which means [`Style::Sysv`].
    pub style: Option<Style>,
    /// A line `fakeinit` in `cflags`: the start command becomes PID 1 as with `plain`.
    pub fakeinit: bool,
    /// Run level at start: `runlevel.start`, else `runlevel`, else the style's.
    pub runlevel_start: Option<String>,
    /// Run level at stop: `runlevel.stop`, else the style's.
    pub runlevel_stop: Option<String>,
    /// Replaces the style's start command, inside the guest.
    pub cmd_start: Option<Vec<String>>,
    /// Replaces the style's stop command, inside the guest; unused when the guest has an init of its own.
    pub cmd_stop: Option<Vec<String>>,
    /// Replaces the style's preparation, on the host with the guest's root as current directory.
    pub cmd_prepare: Option<Vec<String>>,
    /// Host-side command after start, with `sync`.
    pub cmd_start_sync: Option<Vec<String>>,
    /// Host-side command after stop.
    pub cmd_stop_sync: Option<Vec<String>>,
    /// Final kill sequence.
    pub killseq: Vec<KillStep>,
    /// Environment of the first process as configured; see [`Init::start_environment`].
    pub environment: Vec<String>,
    /// Boot groups.
    pub mark: Vec<String>,
    /// Guests that must run first.
    pub depends: Vec<String>,
    /// Start waits for `cmd.start-sync`.
    pub sync: bool,
    /// How long stop waits for the guest to end by itself.
    pub sync_timeout: Duration,
}

impl Init {
    /// The style in force.
    pub fn style(&self) -> Style {
        self.style.unwrap_or(Style::Sysv)
    }

    /// The first process's whole environment: the configured one and what the style adds. `term` is the caller's `TERM`.
    pub fn start_environment(&self, term: Option<&str>) -> Vec<String> {
        let mut all = self.environment.clone();
        match self.style() {
            Style::Sysv => {
                all.push("PREVLEVEL=N".to_owned());
                all.push(format!("RUNLEVEL={}", self.runlevel_start.as_deref().unwrap_or_default()));
            }
            Style::Gentoo | Style::Openrc => all.extend(term.map(|term| format!("TERM={term}"))),
            Style::Plain | Style::Systemd | Style::Minit | Style::Arch | Style::Empty => {}
        }
        all
    }
}

/// `15`, wait five seconds, `9`. Source: `config-tree.md` §5.8.
pub(crate) const KILLSEQ: [KillStep; 2] =
    [KillStep { signal: 15, wait: Some(Duration::from_secs(5)) }, KillStep { signal: 9, wait: None }];

/// The one line of the environment that the original ships.
pub(crate) const ENVIRONMENT: &str = "PATH=/bin:/usr/bin:/sbin:/usr/sbin";
