//! Counting and shaping: what a guest exchanges with others, and how fast.

use std::fs::File;
use std::io::{Read, Write, stdin};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use vserver_net::{Meter, Steer, confine};
use vserver_types::{Counts, Traffic};

use crate::host::{Case, run as finish};
use crate::{Cgroup, Guests, LOOPBACKS, policy};

pub const CASES: &[(&str, Case)] = &[
    ("what a guest sends to others and gets from them is counted", counted),
    ("so is that of a guest without addresses of its own", counted_freely),
    ("counts and rates outlive another policy", kept),
    ("a guest sends no faster than it may", egress),
    ("a guest receives no faster than it may", ingress),
    ("TCP comes near the rate, in both directions", tcp),
];

/// On the host.
const SINK: &str = "10.99.0.9:9095";
const PACKET: usize = 1000;
const HEADERS: u64 = 28;

pub fn run(case: &str) {
    match case {
        "send_hundred" => send(100, SINK),
        "send_itself" => send(100, "10.99.0.2:9096"),
        "flood" => flood(&UdpSocket::bind("0.0.0.0:0").unwrap(), SINK),
        "drain" => drain(),
        "tcp_sink" => {
            let listener = TcpListener::bind("0.0.0.0:9097").unwrap();
            println!("listens");
            println!("{}", sink(&listener));
        }
        "pour" => source(TcpStream::connect("10.99.0.9:9098").unwrap()),
        other => panic!("no case {other}"),
    }
}

fn send(count: usize, to: &str) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    for _ in 0..count {
        socket.send_to(&[0; PACKET], to).unwrap();
    }
}

/// For a second, as fast as it can.
fn flood(socket: &UdpSocket, to: &str) {
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        // What is dropped on the way out may be told.
        let _ = socket.send_to(&[0; PACKET], to);
    }
}

/// Hears whatever comes, until its standard input ends.
fn drain() {
    let socket = UdpSocket::bind("0.0.0.0:9096").unwrap();
    println!("{}", socket.local_addr().unwrap());
    std::thread::spawn(move || while socket.recv_from(&mut [0; 2048]).is_ok() {});
    stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Takes one connection: bytes per second of it.
fn sink(listener: &TcpListener) -> u64 {
    let (mut stream, _) = listener.accept().unwrap();
    let (begin, mut buffer, mut all) = (Instant::now(), vec![0; 1 << 16], 0);
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        all += length as u64;
    }
    (all as f64 / begin.elapsed().as_secs_f64()) as u64
}

/// For two seconds.
fn source(mut stream: TcpStream) {
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        stream.write_all(&[0; 1 << 14]).unwrap();
    }
}

fn meter(guest: &Cgroup) -> Meter {
    Meter::of(File::open(&guest.0).unwrap().as_fd()).unwrap().unwrap()
}

fn difference(now: Counts, before: Counts) -> [u64; 4] {
    [
        now.rx_packets - before.rx_packets,
        now.rx_bytes - before.rx_bytes,
        now.tx_packets - before.tx_packets,
        now.tx_bytes - before.tx_bytes,
    ]
}

fn counted(guests: &Guests) {
    let _sink = UdpSocket::bind(SINK).unwrap();
    let mut drain = guests.web.start("drain");
    drain.line();
    let (meter, other) = (meter(&guests.web), meter(&guests.mail));
    let (before, others) = (meter.counts().unwrap(), other.counts().unwrap());
    finish(&guests.web, "send_hundred");
    let size = PACKET as u64 + HEADERS;
    assert_eq!(difference(meter.counts().unwrap(), before), [0, 0, 100, 100 * size]);
    finish(&guests.web, "send_itself");
    assert_eq!(difference(meter.counts().unwrap(), before), [0, 0, 100, 100 * size]);
    let host = UdpSocket::bind("10.99.0.9:0").unwrap();
    for _ in 0..50 {
        host.send_to(&[0; PACKET], "10.99.0.1:9096").unwrap();
    }
    assert_eq!(difference(meter.counts().unwrap(), before), [50, 50 * size, 100, 100 * size]);
    assert_eq!(other.counts().unwrap(), others);
    drain.finish();
}

fn counted_freely(guests: &Guests) {
    let _sink = UdpSocket::bind(SINK).unwrap();
    // Everything here goes over the loopback device, which does not count for such a guest.
    finish(&guests.free, "send_hundred");
    assert_eq!(meter(&guests.free).counts().unwrap(), Counts::default());
}

fn kept(guests: &Guests) {
    let _sink = UdpSocket::bind(SINK).unwrap();
    finish(&guests.mail, "send_hundred");
    let before = meter(&guests.mail).counts().unwrap();
    assert!(before.tx_packets >= 100);
    shaped(&guests.mail, "", "8kbit", || {
        let directory = File::open(&guests.mail.0).unwrap();
        confine(directory.as_fd(), &policy(&["10.99.0.3"], LOOPBACKS[1]), Steer::Yes).unwrap();
        assert_eq!(meter(&guests.mail).counts().unwrap(), before);
        // A bucket of 64 KiB holds 63 packets.
        finish(&guests.mail, "send_hundred");
        let now = meter(&guests.mail).counts().unwrap();
        assert_eq!((now.tx_packets - before.tx_packets, now.tx_dropped - before.tx_dropped), (63, 37));
    });
}

/// With these rates, and afterwards with none again.
fn shaped(guest: &Cgroup, ingress: &str, egress: &str, body: impl FnOnce()) {
    let shape = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
    meter(guest).shape(&Traffic { egress: shape(egress), ingress: shape(ingress) }).unwrap();
    body();
    meter(guest).shape(&Traffic::default()).unwrap();
}

#[track_caller]
fn about(found: u64, expected: u64, percent: u64) {
    let range = expected * (100 - percent) / 100..=expected * (100 + percent) / 100;
    assert!(range.contains(&found), "{found} instead of {expected}, more or less {percent} per cent");
}

fn egress(guests: &Guests) {
    let _sink = UdpSocket::bind(SINK).unwrap();
    // Burst and rate for a second; a peak that the average never reaches; a peak that makes the burst last.
    for (shape, expected) in [
        ("8mbit - 250K", 250_000 + 1_000_000),
        ("8mbit 8gbit 250K", 250_000 + 1_000_000),
        ("8mbit 16mbit 10M", 2_000_000 + 65_536),
    ] {
        shaped(&guests.web, "", shape, || {
            let before = meter(&guests.web).counts().unwrap();
            finish(&guests.web, "flood");
            let [_, _, _, sent] = difference(meter(&guests.web).counts().unwrap(), before);
            about(sent, expected, 10);
        });
    }
}

fn ingress(guests: &Guests) {
    let mut drain = guests.web.start("drain");
    drain.line();
    shaped(&guests.web, "16mbit - 100K", "", || {
        let before = meter(&guests.web).counts().unwrap();
        flood(&UdpSocket::bind("10.99.0.9:0").unwrap(), "10.99.0.1:9096");
        let [_, received, _, _] = difference(meter(&guests.web).counts().unwrap(), before);
        about(received, 2_000_000 + 100_000, 10);
    });
    drain.finish();
}

/// For two seconds a bucket of half a second is a quarter more; a sender that is stopped needs a fifth of a second to try again.
#[track_caller]
fn near(rate: u64) {
    assert!((7_000_000..13_000_000).contains(&rate), "{rate} instead of 10 to 12.5 million bytes per second");
}

fn tcp(guests: &Guests) {
    shaped(&guests.web, "", "80mbit", || {
        let listener = TcpListener::bind("10.99.0.9:9098").unwrap();
        let guest = guests.web.start("pour");
        near(sink(&listener));
        guest.finish();
    });
    shaped(&guests.web, "80mbit", "", || {
        let mut guest = guests.web.start("tcp_sink");
        guest.line();
        // Unless it is bound, the host's source would be the guest's own address.
        let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
        bind(fd.as_raw_fd(), &SockaddrIn::new(10, 99, 0, 9, 0)).unwrap();
        connect(fd.as_raw_fd(), &SockaddrIn::new(10, 99, 0, 1, 9097)).unwrap();
        source(TcpStream::from(fd));
        near(guest.line().parse().unwrap());
        guest.finish();
    });
}
