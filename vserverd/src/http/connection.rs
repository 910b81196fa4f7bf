//! One connection: one request, one answer, and nobody who dawdles. Threat model: A07, A15, D15.

use std::convert::Infallible;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use vserver_api::{Code, Refusal};

use super::answer::{Answer, answer, json};
use super::body::{self, Whole};
use super::route::route;
use super::{Caller, Front};

/// How long the other side may take to say what it wants, and again to take the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest head, bytes.
const MAX_HEAD: usize = 16 << 10;
/// Most header lines; a client of ours sends four.
const MAX_HEADERS: usize = 64;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The caller's: to send a request, or to read the answer.
    Theirs,
    /// Ours, as long as it takes.
    Ours,
}

/// Serves a connection to its end. What goes wrong with it is the caller's affair: it has heard a status, or has gone.
pub async fn serve(front: Front, stream: impl AsyncRead + AsyncWrite + Unpin, caller: Caller) {
    let (turn, watched) = watch::channel(Turn::Theirs);
    let service = service_fn(|request| respond(&front, &caller, &turn, request));
    // One request per connection: no second one can hide in the body of the first. A caller that has closed its sending
    // side still gets its answer.
    let connection = http1::Builder::new()
        .keep_alive(false)
        .half_close(true)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ended = connection => {}
        () = dawdling(watched) => {}
    }
}

/// Returns when the caller has let us wait for too long.
async fn dawdling(mut turn: watch::Receiver<Turn>) {
    loop {
        let whose = *turn.borrow_and_update();
        let changed = match whose {
            Turn::Ours => turn.changed().await,
            Turn::Theirs => match timeout(PATIENCE, turn.changed()).await {
                Ok(changed) => changed,
                Err(_) => return,
            },
        };
        if changed.is_err() {
            return;
        }
    }
}

async fn respond(
    front: &Front,
    caller: &Caller,
    turn: &watch::Sender<Turn>,
    request: Request<Incoming>,
) -> Result<Response<Whole>, Infallible> {
    let answer = decide(front, caller, turn, request).await;
    turn.send_replace(Turn::Theirs);
    Ok(response(answer))
}

/// The caller is judged before anything that it sent is looked at.
async fn decide(front: &Front, caller: &Caller, turn: &watch::Sender<Turn>, request: Request<Incoming>) -> Answer {
    let peer = caller.as_ref().map_err(|reason| Refusal::new(Code::Forbidden, reason))?;
    let action = route(request.method(), request.uri())?;
    let body = body::read(request.into_body()).await?;
    turn.send_replace(Turn::Ours);
    answer(front, peer, action, &body).await
}

fn response(answer: Answer) -> Response<Whole> {
    let (status, allow, body) = match answer {
        Ok(body) => (200, false, body),
        Err(refusal) => (refusal.code.status(), refusal.code == Code::BadMethod, json(&refusal).unwrap_or_default()),
    };
    let mut response = Response::new(Whole::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if allow {
        headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    response
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
