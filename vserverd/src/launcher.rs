//! The process that starts and stops guests on behalf of the daemon.
//!
//! Starting a guest forks into namespaces, which only a single-threaded, synchronous process may do; HTTP is spoken by an
//! asynchronous one. So the daemon forks this process before anything else, and talks to it over a socket pair: one
//! datagram of JSON per order and per outcome. The launcher ends when its daemon has ended.

mod front;
mod process;
mod work;

use serde::{Deserialize, Serialize};
use vserver_api::{Refusal, StartAnswer, StartRequest, StopAnswer, StopRequest};
use vserver_types::GuestName;

pub use front::{Launcher, socket_pair};
pub use process::run;

/// Longest datagram, bytes; texts are cut so that outcomes fit. The kernel takes some 200 KiB by default.
const MAX_MESSAGE: usize = 160 << 10;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Start a guest.
    Start {
        /// Which one.
        name: GuestName,
        /// How.
        request: StartRequest,
    },
    /// Stop a guest.
    Stop {
        /// Which one.
        name: GuestName,
        /// How.
        request: StopRequest,
    },
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It runs.
    Started(StartAnswer),
    /// It does not run.
    Stopped(StopAnswer),
    /// It was not done.
    Refused(Refusal),
}

/// A task and the number that its outcome is going to bear.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    id: u64,
    task: Task,
}

/// An outcome and the number of its order.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    id: u64,
    outcome: Outcome,
}
