//! HTTP/1.1 on the unix socket: one request per connection, everything limited.

mod answer;
mod body;
mod connection;
mod route;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;
use vserver_runtime::Host;

use crate::launcher::Launcher;
use crate::peer::Peer;

/// Connections at once of root's. Threat model: D15.
const ROOT_CONNECTIONS: usize = 96;
/// Connections at once of everybody else's together, so that root always gets through.
const OTHER_CONNECTIONS: usize = 32;
/// Starts and stops at once; each is a process.
const OPERATIONS: usize = 32;
/// Pause after a failed accept: out of descriptors, it would fail again at once.
const BREATH: Duration = Duration::from_millis(100);

/// Whatever a request may need.
#[derive(Clone, Debug)]
pub struct Front {
    host: Host,
    launcher: Launcher,
    admins: Option<u32>,
    operations: Arc<Semaphore>,
    root: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

/// Who asks, or why the caller may not.
pub type Caller = Result<Peer, String>;

impl Front {
    /// `admins`: the group whose members may ask.
    pub fn new(host: Host, launcher: Launcher, admins: Option<u32>) -> Self {
        let slots = |count| Arc::new(Semaphore::new(count));
        Self {
            host,
            launcher,
            admins,
            operations: slots(OPERATIONS),
            root: slots(ROOT_CONNECTIONS),
            others: slots(OTHER_CONNECTIONS),
        }
    }

    /// Answers until it is dropped.
    pub async fn accept(self, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.greet(stream),
                Err(error) => {
                    warn!("a connection could not be accepted: {error}");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    /// A connection above the limit is closed without a word: words would need what is short.
    fn greet(&self, stream: UnixStream) {
        let caller = self.caller(&stream);
        if let Some(slot) = self.slot(&caller) {
            let front = self.clone();
            tokio::spawn(async move {
                connection::serve(front, stream, caller).await;
                drop(slot);
            });
        }
    }

    fn caller(&self, stream: &UnixStream) -> Caller {
        let unknown = |why: String| format!("the caller is not known: {why}");
        let bases = vserver_runtime::cgroup_bases(&self.host).map_err(|error| unknown(error.chain()))?;
        let peer = Peer::of(stream, &bases).map_err(|error| unknown(error.chain()))?;
        peer.judge(self.admins).map(|()| peer)
    }

    fn slot(&self, caller: &Caller) -> Option<OwnedSemaphorePermit> {
        let is_root = caller.as_ref().is_ok_and(|peer| peer.uid == 0);
        let slots = if is_root { &self.root } else { &self.others };
        Arc::clone(slots).try_acquire_owned().ok()
    }
}
