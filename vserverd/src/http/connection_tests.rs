use super::*;
use crate::launcher::{Launcher, socket_pair};
use crate::peer::Peer;
use std::future::Future;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vserver_runtime::Host;

/// Runs a test on a runtime like the daemon's.
fn asynchronously<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

fn root() -> Caller {
    Ok(Peer { pid: 1, uid: 0, groups: vec![0], guest: None })
}

/// What a connection says to these bytes, to its end.
async fn say(confdir: &std::path::Path, caller: Caller, request: &[u8]) -> String {
    let (ours, _launcher) = socket_pair().unwrap();
    let mut host = Host::new(Some(confdir.to_owned()));
    host.run_dir = confdir.join("run");
    let front = Front::new(host, Launcher::new(ours).unwrap(), None);
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let serving = tokio::spawn(serve(front, server, caller));
    client.write_all(request).await.unwrap();
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    serving.await.unwrap();
    String::from_utf8(said).unwrap()
}

fn status(said: &str) -> &str {
    said.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next()).unwrap_or(said)
}

#[test]
fn questions_are_answered_with_a_length_and_closed() {
    let dir = tempfile::tempdir().unwrap();
    asynchronously(async {
        let said = say(dir.path(), root(), b"GET /v1/guests HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert_eq!(status(&said), "200");
        assert!(said.contains("content-length: 3\r\n") && said.contains("connection: close\r\n"), "{said}");
        assert!(said.ends_with("\r\n\r\n[]\n"), "{said}");
        let said = say(dir.path(), root(), b"GET /v1/guests/nobody HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert_eq!(status(&said), "404");
        assert!(said.contains(r#""code":"no_such_guest""#), "{said}");
    });
}

#[test]
fn a_refused_caller_hears_403_whatever_it_wants() {
    let dir = tempfile::tempdir().unwrap();
    asynchronously(async {
        for line in ["GET /v1/guests", "POST /v1/guests/a/start", "GET /nothing"] {
            let refused = Err("you are nobody".to_owned());
            let said = say(dir.path(), refused, format!("{line} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await;
            assert_eq!(status(&said), "403", "{line}");
            assert!(said.contains(r#"{"error":"you are nobody","code":"forbidden"}"#), "{said}");
        }
    });
}

#[test]
fn a07_what_is_too_long_or_misshapen_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let long_head = format!("GET /v1/guests HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    let many = "a: b\r\n".repeat(100);
    let many_headers = format!("GET /v1/guests HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    let start = "POST /v1/guests/a/start HTTP/1.1\r\nhost: x\r\n";
    let long_body = format!("{start}content-length: 9000\r\n\r\n{}", " ".repeat(9000));
    let chunks = format!("{start}transfer-encoding: chunked\r\n\r\n1388\r\n{}\r\n0\r\n\r\n", " ".repeat(5000));
    let two_lengths = format!("{start}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}");
    let wrong_body = format!("{start}content-length: 3\r\n\r\n{{}}x");
    let method = "BREW /v1/guests HTTP/1.1\r\nhost: x\r\n\r\n".to_owned();
    let expected = [
        (long_head, "431"),
        (many_headers, "431"),
        (long_body, "413"),
        (chunks, "413"),
        (two_lengths, "400"),
        (wrong_body, "400"),
        (method, "405"),
        ("\x16\x03\x01 not http\r\n\r\n".to_owned(), "400"),
    ];
    asynchronously(async {
        for (request, code) in expected {
            let said = say(dir.path(), root(), request.as_bytes()).await;
            assert_eq!(status(&said), code, "{}", &request[..request.len().min(100)]);
        }
    });
}

#[test]
fn a07_a_second_request_behind_the_first_is_not_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let twice = b"GET /v1/guests HTTP/1.1\r\nhost: x\r\n\r\nGET /v1/guests HTTP/1.1\r\nhost: x\r\n\r\n";
    let said = asynchronously(say(dir.path(), root(), twice));
    assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{said}");
}

#[test]
fn d15_who_dawdles_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    asynchronously(async {
        let silent = say(dir.path(), root(), b"");
        let half_head = say(dir.path(), root(), b"GET /v1/guests HT");
        let half_body =
            say(dir.path(), root(), b"POST /v1/guests/a/stop HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{");
        let begun = std::time::Instant::now();
        let said = tokio::join!(silent, half_head, half_body);
        assert_eq!(said, (String::new(), String::new(), String::new()));
        let took = begun.elapsed();
        assert!(took >= PATIENCE && took < PATIENCE * 2, "{took:?}: they are waited for one after the other");
    });
}
