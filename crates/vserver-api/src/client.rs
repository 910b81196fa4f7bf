//! The client: blocking, one connection per request.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use vserver_types::GuestName;

use crate::error::{Error, Result};
use crate::http;
use crate::words::{GuestStatus, GuestSummary, Refusal, StartAnswer, StartRequest, StatRow, StopAnswer, StopRequest};

/// Longest silence of the daemon. A start may wait five minutes for the guest's lock, and a stop as long as the guest's
/// configuration gives it.
const PATIENCE: Duration = Duration::from_secs(900);

/// Knows where the daemon listens.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Nothing is connected yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// Where it asks.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// All guests, by name.
    pub fn list(&self) -> Result<Vec<GuestSummary>> {
        self.get("/v1/guests")
    }

    /// One guest.
    pub fn status(&self, name: &GuestName) -> Result<GuestStatus> {
        self.get(&format!("/v1/guests/{name}"))
    }

    /// What the host and each running guest use.
    pub fn stat(&self) -> Result<Vec<StatRow>> {
        self.get("/v1/stat")
    }

    /// Starts a guest and waits until it has started.
    pub fn start(&self, name: &GuestName, request: &StartRequest) -> Result<StartAnswer> {
        self.post(&format!("/v1/guests/{name}/start"), request)
    }

    /// Stops a guest and waits until it has ended.
    pub fn stop(&self, name: &GuestName, request: &StopRequest) -> Result<StopAnswer> {
        self.post(&format!("/v1/guests/{name}/stop"), request)
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.exchange("GET", path, None)
    }

    fn post<T: DeserializeOwned>(&self, path: &str, request: &impl Serialize) -> Result<T> {
        let body = serde_json::to_vec(request).map_err(|error| self.broken("POST", path)(error.into()))?;
        self.exchange("POST", path, Some(&body))
    }

    fn exchange<T: DeserializeOwned>(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<T> {
        let connected = UnixStream::connect(&self.socket);
        let mut stream = connected.map_err(|source| Error::Connect { socket: self.socket.clone(), source })?;
        let spoken = stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .and_then(|()| http::ask(&mut stream, method, path, body))
            .and_then(|()| http::answer(&mut stream));
        let (status, body) = spoken.map_err(self.broken(method, path))?;
        let strange = |reason: serde_json::Error| Error::Answer {
            request: format!("{method} {path}"),
            reason: reason.to_string(),
        };
        if status == 200 {
            return serde_json::from_slice(&body).map_err(strange);
        }
        let refusal: Refusal = serde_json::from_slice(&body).map_err(strange)?;
        Err(Error::Refused { status, refusal })
    }

    fn broken(&self, method: &str, path: &str) -> impl FnOnce(io::Error) -> Error {
        let (socket, request) = (self.socket.clone(), format!("{method} {path}"));
        |source| Error::Exchange { socket, request, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    /// A daemon that says `answer` to one request and gives back what it was asked.
    fn daemon(socket: &Path, answer: &'static str) -> std::thread::JoinHandle<String> {
        let listener = UnixListener::bind(socket).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = vec![0; 4096];
            let length = stream.read(&mut heard).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&heard[..length]).into_owned()
        })
    }

    #[test]
    fn answers_and_refusals_come_back_as_values() {
        let dir = tempfile::tempdir().unwrap();
        let name = "web1".parse().unwrap();
        let socket = dir.path().join("a");
        let yes = "HTTP/1.1 200 OK\r\ncontent-length: 33\r\n\r\n{\"was_running\":true,\"report\":[]}\n";
        let asked = daemon(&socket, yes);
        let answer = Client::new(&socket).stop(&name, &StopRequest { kill: true }).unwrap();
        assert!(answer.was_running);
        assert!(asked.join().unwrap().ends_with("\r\n\r\n{\"kill\":true}"));

        let socket = dir.path().join("b");
        let no =
            "HTTP/1.1 404 Not Found\r\ncontent-length: 38\r\n\r\n{\"error\":\"no\",\"code\":\"no_such_guest\"}\n";
        let asked = daemon(&socket, no);
        match Client::new(&socket).status(&name) {
            Err(Error::Refused { status: 404, refusal }) => assert_eq!(refusal.code, Code::NoSuchGuest),
            other => panic!("{other:?}"),
        }
        assert!(asked.join().unwrap().starts_with("GET /v1/guests/web1 HTTP/1.1\r\n"));
    }

    #[test]
    fn nobody_there_is_said_with_the_socket() {
        let error = Client::new("/nonexistent/api.sock").list().unwrap_err();
        assert_eq!(error.to_string(), "cannot connect to the daemon at '/nonexistent/api.sock'");
    }
}
