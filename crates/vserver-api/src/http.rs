//! As much HTTP/1.1 as our own daemon speaks: one request, one answer with a length, end of connection.

use std::io::{self, Read, Write};

/// Longest answer that is read, bytes: a thousand guests' status is a few hundred KiB.
const MAX_ANSWER: u64 = 16 << 20;

/// Writes a request. `path` is made of our own words and a guest's name, which has no character that would need escaping.
pub fn ask(stream: &mut impl Write, method: &str, path: &str, body: Option<&[u8]>) -> io::Result<()> {
    let body = body.unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: vserverd\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat())?;
    stream.flush()
}

/// Reads the answer to the end of the connection: its status and its body.
pub fn answer(stream: &mut impl Read) -> io::Result<(u16, Vec<u8>)> {
    let mut bytes = Vec::new();
    let ended = stream.take(MAX_ANSWER + 1).read_to_end(&mut bytes);
    if bytes.len() as u64 > MAX_ANSWER {
        return Err(invalid("it is longer than 16 MiB"));
    }
    // A daemon that refuses a request without reading all of it resets the connection behind its answer.
    match (parse(&bytes), ended) {
        (Ok(answer), _) => Ok(answer),
        (Err(_), Err(broken)) => Err(broken),
        (Err(strange), Ok(_)) => Err(strange),
    }
}

fn parse(bytes: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) =
        end.map(|at| (&bytes[..at], &bytes[at + 4..])).ok_or_else(|| invalid("its head has no end"))?;
    let head = std::str::from_utf8(head).map_err(|_| invalid("its head is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(status).ok_or_else(|| invalid("it does not begin with an HTTP status"))?;
    let mut length = None;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse::<usize>().ok();
        }
    }
    match length {
        Some(length) if length == body.len() => Ok((status, body.to_vec())),
        Some(_) => Err(invalid("it was cut short")),
        None => Err(invalid("it has no length")),
    }
}

fn status(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_write_with_a_length() {
        let mut written = Vec::new();
        ask(&mut written, "POST", "/v1/guests/web1/stop", Some(b"{}")).unwrap();
        let text = String::from_utf8(written).unwrap();
        assert!(text.starts_with("POST /v1/guests/web1/stop HTTP/1.1\r\nhost: "), "{text}");
        assert!(text.ends_with("content-length: 2\r\n\r\n{}"), "{text}");
    }

    #[test]
    fn only_a_whole_answer_counts() {
        let whole = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(answer(&mut &whole[..]).unwrap(), (404, b"{}".to_vec()));
        for cut in 0..whole.len() {
            assert!(answer(&mut &whole[..cut]).is_err(), "{cut} bytes");
        }
        assert!(answer(&mut &b"HTTP/1.1 200 OK\r\n\r\n{}"[..]).is_err());
        assert!(answer(&mut &b"SSH-2.0-x\r\ncontent-length: 0\r\n\r\n"[..]).is_err());
    }
}
