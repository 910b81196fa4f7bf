//! Requests and answers.

use serde::{Deserialize, Serialize};
use vserver_types::{GuestName, GuestState, Nid, Unenforced, Xid};

/// One guest of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestSummary {
    /// Its name.
    pub name: GuestName,
    /// Of the running guest, else the configured one.
    pub xid: Option<Xid>,
    /// What it is doing.
    pub state: GuestState,
    /// Configured addresses, as `address/prefix`, in order.
    pub addresses: Vec<String>,
    /// Why its configuration or its state cannot be read.
    pub fault: Option<String>,
}

/// One guest, as far as the host can prove it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestStatus {
    /// Its name.
    pub name: GuestName,
    /// What it is doing.
    pub state: GuestState,
    /// Its context, while it runs.
    pub xid: Option<Xid>,
    /// Its network context, while it runs.
    pub nid: Option<Nid>,
    /// How many processes it has.
    pub processes: u64,
    /// Seconds since it was started.
    pub uptime: Option<u64>,
    /// The host's number of its first process.
    pub init: Option<i32>,
    /// The host's number of its supervisor.
    pub supervisor: Option<i32>,
    /// What this kernel does not enforce of what was asked for.
    pub unenforced: Vec<Unenforced>,
}

/// What the processes of one context use together: a line of `vserver-stat`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatRow {
    /// The context; 0 is the host.
    pub xid: Xid,
    /// Its name for people.
    pub name: String,
    /// Number of processes.
    pub processes: u64,
    /// Virtual size in bytes, summed.
    pub vsz: u64,
    /// Resident bytes, summed.
    pub rss: u64,
    /// CPU time in user mode, ms.
    pub utime: u64,
    /// CPU time in the kernel, ms.
    pub stime: u64,
    /// Age of the oldest process, ms.
    pub uptime: u64,
}

/// Wishes about a start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StartRequest {
    /// Refuse to start if this kernel cannot enforce everything.
    pub strict: bool,
}

/// Wishes about a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StopRequest {
    /// Do not give the guest time.
    pub kill: bool,
}

/// The guest runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartAnswer {
    /// Its number.
    pub xid: Xid,
    /// It ran before, and nothing was done.
    pub already_running: bool,
    /// What this kernel does not enforce.
    pub unenforced: Vec<Unenforced>,
    /// Warnings about its configuration.
    pub warnings: Vec<String>,
}

/// The guest does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopAnswer {
    /// It ran before; if not, nothing was done.
    pub was_running: bool,
    /// What the caller should hear, a sentence each.
    pub report: Vec<String>,
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For people: what was tried, on what, why not.
    pub error: String,
    /// For programs.
    pub code: Code,
}

impl Refusal {
    /// A refusal of this kind with this sentence.
    pub fn new(code: Code, error: impl Into<String>) -> Self {
        Self { error: error.into(), code }
    }
}

/// Kinds of refusal. `Other` is what a newer daemon says to an older client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// The request is not one of those that there are: 404.
    NoSuchRoute,
    /// The request exists with another method: 405.
    BadMethod,
    /// The body or the query is not understood: 400.
    BadRequest,
    /// The text in place of a guest's name cannot be one: 400.
    BadName,
    /// Body or head is too long: 413.
    TooLarge,
    /// The caller may not use this socket: 403.
    Forbidden,
    /// There is no configuration of that name: 404.
    NoSuchGuest,
    /// The configuration has faults: 409.
    InvalidConfiguration,
    /// A context number or an address belongs to another guest: 409.
    Taken,
    /// The guest's tree has no program to begin with: 409.
    NoInit,
    /// This kernel cannot enforce everything, and that was required: 409.
    NotEnforced,
    /// The start command of a guest without an init failed; what it started may run: 500.
    StartCommand,
    /// The guest did not end in time: 500.
    Stuck,
    /// Too much is being done already; try again: 503.
    Busy,
    /// Anything else that failed: 500.
    Internal,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

impl Code {
    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::BadName => 400,
            Self::Forbidden => 403,
            Self::NoSuchRoute | Self::NoSuchGuest => 404,
            Self::BadMethod => 405,
            Self::InvalidConfiguration | Self::Taken | Self::NoInit | Self::NotEnforced => 409,
            Self::TooLarge => 413,
            Self::StartCommand | Self::Stuck | Self::Internal | Self::Other => 500,
            Self::Busy => 503,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_sentence_and_a_word() {
        let refusal = Refusal::new(Code::NoSuchGuest, "there is none");
        let text = serde_json::to_string(&refusal).unwrap();
        assert_eq!(text, r#"{"error":"there is none","code":"no_such_guest"}"#);
        let newer = r#"{"error":"x","code":"of_a_newer_daemon","hint":"y"}"#;
        assert_eq!(serde_json::from_str::<Refusal>(newer).unwrap(), Refusal::new(Code::Other, "x"));
    }

    #[test]
    fn requests_may_be_empty_but_not_misspelt() {
        assert_eq!(serde_json::from_str::<StartRequest>("{}").unwrap(), StartRequest { strict: false });
        assert!(serde_json::from_str::<StartRequest>(r#"{"strikt":true}"#).is_err());
        assert!(serde_json::from_str::<StopRequest>(r#"{"kill":1}"#).is_err());
    }
}
