//! A web page by a plain socket: the host needs no HTTP client for it.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::shell::{capture, command};

/// The title of the page at an address, port 80; a server may take a moment to listen.
pub fn title(address: &str, patience: Duration) -> Result<String, String> {
    let begun = Instant::now();
    loop {
        match get(address) {
            Ok(page) => return Ok(title_of(&page)),
            Err(error) if begun.elapsed() > patience => {
                return Err(format!("no web page from http://{address}/ within {} s: {error}", patience.as_secs()));
            }
            Err(_) => sleep(Duration::from_millis(100)),
        }
    }
}

fn get(address: &str) -> std::io::Result<String> {
    let mut stream = connect(&format!("{address}:80"))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(format!("GET / HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::other("the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn title_of(page: &str) -> String {
    let inside = page.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    inside.map_or_else(|| page.lines().next().unwrap_or("(empty)").to_owned(), |(title, _)| title.trim().to_owned())
}

/// Whether the mirror that the host's apt uses takes connections: told apart from a build that fails for another reason.
pub fn mirror_answers() -> bool {
    let Ok(sites) = capture(&mut command("apt-get", &["indextargets", "--format", "$(SITE)"])) else {
        return false;
    };
    let hosts = sites.lines().filter_map(|site| {
        let (scheme, rest) = site.split_once("://")?;
        let host = rest.split('/').next()?;
        let port = if scheme == "https" { 443 } else { 80 };
        Some(if host.contains(':') { host.to_owned() } else { format!("{host}:{port}") })
    });
    hosts.take(3).any(|host| connect(&host).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_is_found_or_the_status_shown() {
        assert_eq!(title_of("HTTP/1.0 200 OK\r\n\r\n<html><title> Hello </title>"), "Hello");
        assert_eq!(title_of("HTTP/1.0 404 Not Found\r\n\r\n"), "HTTP/1.0 404 Not Found");
    }
}
