//! The daemon's end: orders go out, outcomes come back in any order.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use tokio::net::UnixDatagram;
use tokio::sync::oneshot;
use vserver_api::{Code, Refusal};

use super::{MAX_MESSAGE, Order, Outcome, Report, Task};
use crate::error::{Error, Result};

/// Both ends, the daemon's first.
pub fn socket_pair() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(Error::io("make a socket pair for the launcher"))
}

/// Whom to ask. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct Launcher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Datagrams that keep their order and have an end: the kernel's type is seqpacket, which the standard library has no
    /// name for. The calls are the same.
    socket: UnixDatagram,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    answers: HashMap<u64, oneshot::Sender<Outcome>>,
}

impl Launcher {
    /// Takes the daemon's end. Must be called where tokio runs.
    pub fn new(socket: OwnedFd) -> Result<Self> {
        let socket = std::os::unix::net::UnixDatagram::from(socket);
        let socket = socket.set_nonblocking(true).and_then(|()| UnixDatagram::from_std(socket));
        let socket = socket.map_err(Error::io("watch the launcher's socket"))?;
        Ok(Self { shared: Arc::new(Shared { socket, waiting: Mutex::default() }) })
    }

    /// Has something done. It is done to its end even if nobody waits for the outcome any more.
    pub async fn ask(&self, task: Task) -> Outcome {
        let (sender, outcome) = oneshot::channel();
        let id = {
            let mut waiting = self.waiting();
            waiting.last += 1;
            let id = waiting.last;
            waiting.answers.insert(id, sender);
            id
        };
        if let Err(error) = self.send(&Order { id, task }).await {
            self.waiting().answers.remove(&id);
            return lost(&format!("the launcher process cannot be asked: {error}"));
        }
        outcome.await.unwrap_or_else(|_| lost("the launcher process has ended"))
    }

    /// Hands out outcomes until the launcher has gone.
    pub async fn hand_out(&self) {
        while let Ok(bytes) = self.receive().await {
            if bytes.is_empty() {
                break;
            }
            // It is our own program that speaks: what cannot be read was cut, and its order fails when it is reaped.
            if let Ok(Report { id, outcome }) = serde_json::from_slice(&bytes)
                && let Some(sender) = self.waiting().answers.remove(&id)
            {
                sender.send(outcome).ok();
            }
        }
        self.waiting().answers.clear();
    }

    async fn send(&self, order: &Order) -> io::Result<()> {
        let bytes = serde_json::to_vec(order)?;
        self.shared.socket.send(&bytes).await.map(drop)
    }

    async fn receive(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; MAX_MESSAGE];
        let length = self.shared.socket.recv(&mut bytes).await?;
        bytes.truncate(length);
        Ok(bytes)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics between lock and unlock that would leave the table half changed.
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost(reason: &str) -> Outcome {
    Outcome::Refused(Refusal::new(Code::Internal, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{MsgFlags, recv, send};
    use std::os::fd::AsRawFd;
    use vserver_api::{StartRequest, StopAnswer, StopRequest};

    fn next_order(socket: &OwnedFd) -> Order {
        let mut buffer = vec![0; MAX_MESSAGE];
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
        serde_json::from_slice(&buffer[..length]).unwrap()
    }

    /// Answers stops, the last one first, with the guest's name; starts get no outcome, and then it goes.
    fn answer(socket: OwnedFd, count: usize) {
        let orders: Vec<Order> = (0..count).map(|_| next_order(&socket)).collect();
        for order in orders.into_iter().rev() {
            let Task::Stop { name, .. } = order.task else {
                continue;
            };
            let outcome = Outcome::Stopped(StopAnswer { was_running: true, report: vec![name.to_string()] });
            let bytes = serde_json::to_vec(&Report { id: order.id, outcome }).unwrap();
            send(socket.as_raw_fd(), &bytes, MsgFlags::empty()).unwrap();
        }
    }

    #[test]
    fn outcomes_find_their_orders_and_an_end_ends_all() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (ours, theirs) = socket_pair().unwrap();
        let answering = std::thread::spawn(move || answer(theirs, 3));
        let stop = |name: &str| Task::Stop { name: name.parse().unwrap(), request: StopRequest::default() };
        let start = Task::Start { name: "c".parse().unwrap(), request: StartRequest::default() };
        let outcomes = runtime.block_on(async {
            let launcher = Launcher::new(ours).unwrap();
            let handing_out = launcher.clone();
            tokio::spawn(async move { handing_out.hand_out().await });
            tokio::join!(launcher.ask(stop("a")), launcher.ask(stop("b")), launcher.ask(start))
        });
        let name = |outcome| match outcome {
            Outcome::Stopped(answer) => answer.report.concat(),
            Outcome::Started(_) => "started".to_owned(),
            Outcome::Refused(refusal) => refusal.error,
        };
        assert_eq!((name(outcomes.0), name(outcomes.1)), ("a".to_owned(), "b".to_owned()));
        assert_eq!(name(outcomes.2), "the launcher process has ended");
        answering.join().unwrap();
    }
}
