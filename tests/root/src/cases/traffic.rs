//! What a guest exchanges with others: counted over all of its runs, and held to its rates.

use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fixture::{Fixture, Guest, eventually};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("traffic::counted_over_all_runs", counted_over_all_runs).smoke(),
        Trial::new("traffic::held_to_its_rates", held_to_its_rates).smoke(),
        Trial::new("traffic::a_stack_of_its_own", a_stack_of_its_own),
    ]
}

/// The host's address, which goes with this.
struct HostAddress;

impl HostAddress {
    fn add() -> Self {
        Self::ip("add");
        Self
    }

    fn ip(verb: &str) {
        assert!(Command::new("ip").args(["addr", verb, "10.99.40.9/32", "dev", "lo"]).status().unwrap().success());
    }
}

impl Drop for HostAddress {
    fn drop(&mut self) {
        Self::ip("del");
    }
}

/// A guest at 10.99.40.1 that sends every datagram back; the host is 10.99.40.9.
fn echoing(host: &Fixture) -> Guest<'_> {
    let guest = host.guest();
    for (file, content) in [("ip", "10.99.40.1"), ("prefix", "32"), ("dev", "lo")] {
        guest.set(&format!("interfaces/0/{file}"), &format!("{content}\n"));
    }
    guest.carry_self();
    guest
}

fn serve(guest: &Guest<'_>) {
    guest.start();
    guest.sh("/self --echo 10.99.40.1:7 >/dev/null 2>&1 &");
    let socket = host_socket();
    eventually("it echoes", Duration::from_secs(10), || {
        socket.send(b"?").is_ok() && socket.recv(&mut [0; 8]).is_ok()
    });
}

fn host_socket() -> UdpSocket {
    let socket = UdpSocket::bind("10.99.40.9:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    socket.connect("10.99.40.1:7").unwrap();
    socket
}

fn stat(host: &Fixture, guest: &Guest<'_>) -> Value {
    let ran = host.tool("vserver-stat", &["--net", "--json"]);
    let rows: Value = serde_json::from_str(&ran.out).unwrap();
    let row = rows.as_array().unwrap().iter().find(|row| row["name"] == *guest.name.to_string());
    row.unwrap_or_else(|| panic!("{rows}")).clone()
}

fn counted_over_all_runs() {
    let host = Fixture::new();
    let (guest, _address) = (echoing(&host), HostAddress::add());
    let (mut total, mut before) = ((0, 0), 0);
    for run in 1..=2 {
        serve(&guest);
        let start = stat(&host, &guest);
        let socket = host_socket();
        for _ in 0..100 {
            socket.send(&[0; 972]).unwrap();
            assert_eq!(socket.recv(&mut [0; 2048]).unwrap(), 972);
        }
        // What the guest says to itself does not count.
        guest.sh("ping -c 1 10.99.40.1 >/dev/null 2>&1");
        let row = stat(&host, &guest);
        let grown = |field: &str| row["total"][field].as_u64().unwrap() - start["total"][field].as_u64().unwrap();
        let fields = ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"].map(grown);
        assert_eq!(fields, [100, 100_000, 100, 100_000], "run {run}: {row}");
        let (packets, bytes) =
            (row["total"]["rx_packets"].as_u64().unwrap(), row["total"]["rx_bytes"].as_u64().unwrap());
        assert!(row["since_start"]["rx_packets"].as_u64().unwrap() + before == packets, "{row} after {before}");
        assert!(packets > total.0 && bytes > total.1);
        (total, before) = ((packets, bytes), packets);
        host.tool("vserver-stat", &["--net"]).ok().says("RX-PKTS").says(&guest.name.to_string());
        guest.stop();
    }
}

/// One of the figures since the guest's start.
fn figure(host: &Fixture, guest: &Guest<'_>, field: &str) -> u64 {
    stat(host, guest)["since_start"][field].as_u64().unwrap()
}

/// What reaches the guest in a second of as much as there can be.
fn flooded(host: &Fixture, guest: &Guest<'_>) -> u64 {
    let socket = host_socket();
    let (dropped, received) = (figure(host, guest, "rx_dropped"), figure(host, guest, "rx_bytes"));
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        let _ = socket.send(&[0; 972]);
    }
    assert!(figure(host, guest, "rx_dropped") > dropped);
    figure(host, guest, "rx_bytes") - received
}

/// From the configuration, then changed while the guest runs.
fn held_to_its_rates() {
    let host = Fixture::new();
    let (guest, _address) = (echoing(&host), HostAddress::add());
    guest.set("traffic/ingress", "fast\n");
    guest.v(&["start"]).exits(1).says("traffic/ingress:1: 'fast' has the rate 'fast'; it is 8kbit to 1000gbit");
    guest.set("traffic/ingress", "8mbit - 100K\n");
    let warned = "a TCP connection comes to no more than about 4096 kbit/s, of 8000 on average";
    guest.v(&["check", "--quiet"]).ok().says(warned);
    serve(&guest);
    let within = |found: u64, expected: u64| {
        assert!((expected * 9 / 10..=expected * 11 / 10).contains(&found), "{found} instead of {expected}");
    };
    within(flooded(&host, &guest), 1_000_000 + 100 * 1024);
    host.tool("nattribute", &["--set", "--nid", &guest.name.to_string(), "--ingress", "16mbit - 200K"]).ok();
    within(flooded(&host, &guest), 2_000_000 + 200 * 1024);
    host.tool("nattribute", &["--nid", &guest.name.to_string(), "--ingress", "no"])
        .exits(1)
        .says("'no' has the rate");
    host.tool("nattribute", &["--nid", &guest.name.to_string(), "--ingress", "none"]).ok();
    let socket = host_socket();
    let before = figure(&host, &guest, "rx_dropped");
    for _ in 0..2000 {
        let _ = socket.send(&[0; 972]);
    }
    assert_eq!(figure(&host, &guest, "rx_dropped"), before);
    guest.stop();
}

/// A guest with a network namespace is counted, too, but for what stays on its loopback device.
fn a_stack_of_its_own() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("spaces/net", "").set("traffic/egress", "8mbit\n").carry_self().start();
    guest.sh("/self --echo 127.0.0.1:7 >/dev/null 2>&1 & sleep 0.2; echo hello | nc -u -w 1 127.0.0.1 7");
    assert_eq!(stat(&host, &guest)["total"]["tx_packets"], 0);
    guest.stop();
}
