//! `vserver doctor network`.

use std::net::{TcpListener, UdpSocket};

use serde_json::Value;

use crate::fixture::Fixture;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("doctor::services_on_all_addresses", services_on_all_addresses),
        Trial::new("doctor::what_guests_need", what_guests_need),
    ]
}

fn services_on_all_addresses() {
    let host = Fixture::new();
    assert_eq!(host.v(&["doctor", "network"]).exits(0).out, "");
    let _exact = TcpListener::bind("127.0.0.1:8094").unwrap();
    let _client = UdpSocket::bind("0.0.0.0:0").unwrap();
    assert_eq!(host.v(&["doctor", "network"]).exits(0).out, "");
    let (_web, _names) = (TcpListener::bind("[::]:8093").unwrap(), UdpSocket::bind("0.0.0.0:53").unwrap());
    let own = format!("(pid {})", std::process::id());
    host.v(&["doctor", "network"])
        .exits(1)
        .says(&format!("{own} listens on all addresses of udp port 53: no guest can bind that port"))
        .says(&format!("{own} listens on all addresses of tcp6 port 8093"))
        .says("let it listen on the host's own address");
    let ran = host.v(&["doctor", "network", "--json"]);
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(found.as_array().unwrap().len(), 2, "{found}");
    assert_eq!(found[0]["severity"], "warning");
    host.v(&["doctor"]).exits(2);
    host.v(&["doctor", "moon"]).exits(2);
}

/// A routed guest on a host that does not forward, and a VLAN for which there may be no module.
fn what_guests_need() {
    let host = Fixture::new();
    let guest = host.guest();
    for (file, content) in [("host", "v-doctor"), ("guest", "eth0"), ("routed", "")] {
        guest.set(&format!("netns/interfaces/0/{file}"), &format!("{content}\n"));
    }
    for (file, content) in [("ip", "10.99.41.1"), ("prefix", "32"), ("dev", "eth0")] {
        guest.set(&format!("interfaces/0/{file}"), &format!("{content}\n"));
    }
    // This is the warden's own namespace, in which nothing forwards at first.
    let forward = "/proc/sys/net/ipv4/ip_forward";
    std::fs::write(forward, "0").unwrap();
    let whom = format!("the host does not forward, so guests behind routed pairs reach nobody: {}", guest.name);
    host.v(&["doctor", "network"]).exits(1).says(&whom).says("sysctl net.ipv4.ip_forward=1");
    std::fs::write(forward, "1").unwrap();
    let ran = host.v(&["doctor", "network"]);
    assert!(!ran.out.contains("forward"), "{}", ran.out);
}
