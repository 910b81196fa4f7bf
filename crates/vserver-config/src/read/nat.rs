//! `netns/interfaces/<x>/masquerade` and `forward`: a guest with private addresses reaches others as the host, and is
//! reached by the host's ports. Ours.

use std::net::IpAddr;
use std::path::Path;

use crate::model::Interface;
use crate::network_space::{LinkKind, NetLink, PortForward, Transport};
use crate::reader::Reader;

const EXAMPLES: &str = "as `tcp 8080 80`, `udp 192.0.2.1:53`, `tcp [2001:db8::1]:443 8443`";

/// Lines of `PROTOCOL [ADDRESS:]PORT [PORT INSIDE]`.
pub(super) fn forwards(reader: &mut Reader, own: &Path) -> Vec<PortForward> {
    let path = own.join("forward");
    let mut found: Vec<PortForward> = Vec::new();
    for line in reader.list(&path) {
        match parse(&line.text) {
            Some(forward) if found.iter().any(|other| other.clashes(&forward)) => {
                let message = format!("port {} is forwarded twice", forward.port);
                reader.error(&path, Some(line.number), message, "remove one of the lines");
            }
            Some(forward) => found.push(forward),
            None => {
                let message = format!("'{}' is no port to forward", line.text.escape_debug());
                reader.error(&path, Some(line.number), message, EXAMPLES);
            }
        }
    }
    found
}

fn parse(line: &str) -> Option<PortForward> {
    let mut words = line.split_whitespace();
    let transport = match words.next()? {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        "sctp" => Transport::Sctp,
        _ => return None,
    };
    let (host, port) = place(words.next()?)?;
    let to = words.next().map_or(Some(port), number)?;
    words.next().is_none().then_some(PortForward { transport, host, port, to })
}

fn place(word: &str) -> Option<(Option<IpAddr>, u16)> {
    let Some((host, port)) = word.rsplit_once(':') else {
        return Some((None, number(word)?));
    };
    let host: IpAddr = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(six) => IpAddr::V6(six.parse().ok()?),
        None => IpAddr::V4(host.parse().ok()?),
    };
    Some((Some(host), number(port)?))
}

fn number(word: &str) -> Option<u16> {
    word.parse().ok().filter(|port| *port > 0)
}

/// Only a pair has the host on its way, and what is translated needs an address.
pub(super) fn judge(reader: &mut Reader, own: &Path, link: &NetLink, interfaces: &[Interface]) {
    let file = match (link.masquerade, link.forwards.is_empty()) {
        (_, false) => "forward",
        (true, true) => "masquerade",
        (false, true) => return,
    };
    let path = own.join(file);
    if !matches!(link.kind, LinkKind::Veth { .. }) {
        let message =
            format!("a {} does not lead through the host, which therefore cannot translate", link.kind.word());
        reader.error(&path, None, message, "remove it, or choose the type veth");
        return;
    }
    let own: Vec<IpAddr> = interfaces
        .iter()
        .filter(|interface| interface.dev.as_deref() == Some(&link.guest))
        .map(|interface| interface.address.ip)
        .collect();
    if own.is_empty() {
        let message = format!("no address of interfaces/ is on device '{}'", link.guest);
        reader.error(&path, None, message, "give it one: it is what is translated");
    }
    let reached = |host: IpAddr| own.iter().any(|ip| ip.is_ipv4() == host.is_ipv4());
    let lost =
        link.forwards.iter().filter_map(|forward| forward.host).find(|host| !own.is_empty() && !reached(*host));
    if let Some(host) = lost {
        let message = format!("'{}' has no address of the family of {host}", link.guest);
        reader.error(&path, None, message, "give it one, or remove the line");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_forward_and_lines_that_do_not() {
        let port = |transport, host: Option<&str>, port, to| {
            Some(PortForward { transport, host: host.map(|host| host.parse().unwrap()), port, to })
        };
        assert_eq!(parse("tcp 8080 80"), port(Transport::Tcp, None, 8080, 80));
        assert_eq!(parse("udp 192.0.2.1:53"), port(Transport::Udp, Some("192.0.2.1"), 53, 53));
        assert_eq!(parse("sctp 2905"), port(Transport::Sctp, None, 2905, 2905));
        assert_eq!(parse("tcp [2001:db8::1]:443 8443"), port(Transport::Tcp, Some("2001:db8::1"), 443, 8443));
        for wrong in
            ["", "tcp", "tcp 0", "tcp 80 0", "tcp 65536", "dccp 80", "tcp 80 80 80", "tcp 2001:db8::1:80", "tcp x:80"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
