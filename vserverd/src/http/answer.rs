//! From what is wanted to what is answered.

use std::sync::Arc;

use serde::Serialize;
use tracing::{info, warn};
use vserver_api::{Code, Refusal};
use vserver_runtime::Host;

use super::Front;
use super::body;
use super::route::Action;
use crate::launcher::{Outcome, Task};
use crate::look;
use crate::peer::Peer;

/// The answer's body, or why there is none.
pub type Answer = Result<Vec<u8>, Refusal>;

/// Does what a permitted caller wants.
pub async fn answer(front: &Front, peer: &Peer, action: Action, body: &[u8]) -> Answer {
    match action {
        Action::List => look(front, look::list).await,
        Action::Stat => look(front, look::stat).await,
        Action::Status(name) => look(front, move |host| look::status(host, &name)).await,
        Action::Start(name) => operate(front, peer, Task::Start { name, request: body::parse(body)? }).await,
        Action::Stop(name) => operate(front, peer, Task::Stop { name, request: body::parse(body)? }).await,
    }
}

/// A value as a line of JSON.
pub fn json(value: &impl Serialize) -> Answer {
    let mut text = serde_json::to_vec(value).map_err(|error| internal(error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

/// Reading `/proc` takes its time, and is done beside the thread that all connections share.
async fn look<T, F>(front: &Front, question: F) -> Answer
where
    T: Serialize + Send + 'static,
    F: FnOnce(&Host) -> Result<T, Refusal> + Send + 'static,
{
    let host = front.host.clone();
    let looked = tokio::task::spawn_blocking(move || question(&host)).await;
    json(&looked.map_err(|error| internal(error.to_string()))??)
}

/// An operation is a task of its own: it is finished and logged even if the caller hangs up.
async fn operate(front: &Front, peer: &Peer, task: Task) -> Answer {
    let Ok(slot) = Arc::clone(&front.operations).try_acquire_owned() else {
        return Err(Refusal::new(Code::Busy, "too many guests are being started and stopped; try again"));
    };
    let (launcher, who) = (front.launcher.clone(), format!("uid {} pid {}", peer.uid, peer.pid));
    let operation = tokio::spawn(async move {
        let outcome = launcher.ask(task.clone()).await;
        log(&task, &who, &outcome);
        drop(slot);
        outcome
    });
    match operation.await.map_err(|error| internal(error.to_string()))? {
        Outcome::Started(answer) => json(&answer),
        Outcome::Stopped(answer) => json(&answer),
        Outcome::Refused(refusal) => Err(refusal),
    }
}

fn log(task: &Task, who: &str, outcome: &Outcome) {
    let (verb, name) = match task {
        Task::Start { name, .. } => ("start", name),
        Task::Stop { name, .. } => ("stop", name),
    };
    match outcome {
        Outcome::Refused(refusal) => warn!("{verb} of guest '{name}' for {who} failed: {}", refusal.error),
        Outcome::Started(answer) if answer.already_running => {
            info!("guest '{name}' ran already when {who} started it")
        }
        Outcome::Started(answer) => info!("guest '{name}' started at context {} for {who}", answer.xid),
        Outcome::Stopped(_) => info!("guest '{name}' stopped for {who}"),
    }
}

fn internal(reason: String) -> Refusal {
    Refusal::new(Code::Internal, reason)
}
