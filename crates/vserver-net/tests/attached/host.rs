//! The host's side: services that guests must reach or must not reach, and what the host sees of the guests.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use vserver_net::{Added, AddressPlan, Broadcast, Steer, add_address, addresses_on_host, confine, remove_address};
use vserver_sys::bpf::{AttachType, netns_links, prog_query};

use crate::{Cgroup, Guests, LOOPBACKS, Running, policy};

pub type Case = fn(&Guests);

pub const CASES: &[(&str, Case)] = &[
    ("a guest binds its own addresses and no others", |guests| run(&guests.web, "binds")),
    ("the same behind mapped IPv6 addresses", |guests| run(&guests.web, "mapped_binds")),
    ("TCP has a source of the guest", |guests| run(&guests.web, "tcp_source")),
    ("UDP has a source of the guest, also when forged", |guests| run(&guests.web, "udp_source")),
    ("the host's loopback is out of reach", |guests| run(&guests.web, "host_loopback")),
    ("the guest's loopback looks like 127.0.0.1", |guests| run(&guests.web, "own_loopback")),
    ("the loopback of a guest without addresses", |guests| run(&guests.none, "own_loopback")),
    ("localhost finds a wildcard listener", |guests| run(&guests.web, "localhost_wildcard")),
    ("raw and other sockets are refused", |guests| run(&guests.web, "sockets")),
    ("low ports in a user name space", |guests| run(&guests.web, "low_port_allowed")),
    ("no low ports without the policy", |guests| run(&guests.old, "low_port_refused")),
    ("IPv6 with an address", |guests| run(&guests.six, "six")),
    ("a guest in 127.0.0.0/8", |guests| run(&guests.demo, "demo")),
    ("the host reaches a guest in 127.0.0.0/8", host_to_demo),
    ("sixty-four addresses", |guests| run(&guests.many, "many")),
    ("two guests on one wildcard port", two_wildcards),
    ("a wildcard hears all addresses of its guest", all_addresses),
    ("a dual-stack wildcard hears both families", both_families),
    ("a more exactly bound socket has precedence", exact_first),
    ("a wildcard that is closed gives its addresses up", closed_wildcard),
    ("one table serves all guests, as long as somebody holds it", one_table),
    ("a wildcard hears datagrams for all addresses and answers from the one asked", datagrams_of_all),
    ("a more exactly bound datagram socket has precedence", exact_datagrams_first),
    ("a loopback is private to its guest", private_loopbacks),
    ("listen without bind answers on own addresses only", listen_without_bind),
    ("a datagram socket hears what is for its guest only", hear_unbound),
    ("nobody joins the port of another with SO_REUSEPORT", shared_port),
    ("IP_TRANSPARENT and IP_FREEBIND bind own addresses only", |guests| run(&guests.web, "transparent")),
    ("TCP fast open is judged as a connection", |guests| run(&guests.web, "fast_open")),
    ("a group that was joined without the capability is not heard", unheard_group),
    ("a socket that was passed on stays under the rules of who made it", passed_socket),
    ("datagrams of IPv6 sockets to mapped addresses", |guests| run(&guests.web, "mapped_datagrams")),
    ("a live guest gets another policy", another_policy),
    ("addresses come and go with their guests", device_addresses),
    ("addresses of many guests come and go at once", addresses_at_once),
];

/// Starts what guests connect to. Every TCP service says who called, every UDP service answers with it.
pub fn services() {
    for address in ["127.0.0.1:7001", "0.0.0.0:7002", "10.99.0.9:7003", "[::1]:7004", "[fd00:99::9]:7007"] {
        let listener = TcpListener::bind(address).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let caller = stream.peer_addr().unwrap().ip();
                let _ = write!(stream, "{caller}");
                let _ = stream.shutdown(Shutdown::Write);
            }
        });
    }
    for address in ["127.0.0.1:7006", "0.0.0.0:7008", "10.99.0.9:7005", "[fd00:99::9]:7009"] {
        let socket = UdpSocket::bind(address).unwrap();
        std::thread::spawn(move || {
            loop {
                let (_, caller) = socket.recv_from(&mut [0; 64]).unwrap();
                let _ = socket.send_to(caller.ip().to_string().as_bytes(), caller);
            }
        });
    }
}

pub fn run(guest: &Cgroup, case: &str) {
    guest.start(case).finish();
}

/// What a server says before it closes.
fn ask(address: &str) -> std::io::Result<String> {
    let address: SocketAddr = address.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn two_wildcards(guests: &Guests) {
    let (mut web, mut mail) = (guests.web.start("serve_wildcard"), guests.mail.start("serve_wildcard"));
    assert_eq!(web.line(), "10.99.0.1:8080");
    assert_eq!(mail.line(), "10.99.0.3:8080");
    assert_eq!(ask("10.99.0.1:8080").unwrap(), "10.99.0.1:8080");
    assert_eq!(ask("10.99.0.3:8080").unwrap(), "10.99.0.3:8080");
    ask("10.99.0.9:8080").unwrap_err();
    ask("127.0.0.1:8080").unwrap_err();
    web.finish();
    mail.finish();
}

fn all_addresses(guests: &Guests) {
    let (mut web, mut six) = (guests.web.start("serve_wildcard"), guests.six.start("serve_wildcard"));
    assert_eq!((web.line(), six.line()), ("10.99.0.1:8080".to_owned(), "10.99.0.5:8080".to_owned()));
    for address in ["10.99.0.1:8080", "10.99.0.2:8080", "10.99.0.2:8080", "10.99.0.5:8080"] {
        assert_eq!(ask(address).unwrap(), address);
    }
    for foreign in ["10.99.0.3:8080", "10.99.0.9:8080", "127.0.0.1:8080", "[fd00:99::5]:8080"] {
        ask(foreign).unwrap_err();
    }
    let mut many = guests.many.start("serve_wildcard");
    assert_eq!(many.line(), "10.99.1.1:8080");
    assert_eq!(ask("10.99.1.64:8080").unwrap(), "10.99.1.64:8080");
    [web, six, many].into_iter().for_each(Running::finish);
}

fn both_families(guests: &Guests) {
    let (mut six, mut web) = (guests.six.start("serve_dual"), guests.web.start("serve_dual"));
    assert_eq!(six.line(), "[::ffff:10.99.0.5]:8080");
    assert_eq!(web.line(), "[::ffff:10.99.0.1]:8080");
    for address in ["10.99.0.5:8080", "10.99.0.1:8080", "10.99.0.2:8080"] {
        assert_eq!(ask(address).unwrap(), format!("[::ffff:{}", address.replace(':', "]:")));
    }
    assert_eq!(ask("[fd00:99::5]:8080").unwrap(), "[fd00:99::5]:8080");
    ask("[fd00:99::9]:8080").unwrap_err();
    [six, web].into_iter().for_each(Running::finish);
}

fn exact_first(guests: &Guests) {
    for order in [["serve_wildcard", "serve_second"], ["serve_second", "serve_wildcard"]] {
        let servers = order.map(|case| {
            let mut server = guests.web.start(case);
            server.line();
            server
        });
        assert_eq!(ask("10.99.0.1:8080").unwrap(), "10.99.0.1:8080", "{order:?}");
        assert_eq!(ask("10.99.0.2:8080").unwrap(), "exactly 10.99.0.2:8080", "{order:?}");
        servers.into_iter().for_each(Running::finish);
    }
}

fn closed_wildcard(guests: &Guests) {
    for _ in 0..3 {
        let mut web = guests.web.start("serve_wildcard");
        web.line();
        assert_eq!(ask("10.99.0.2:8080").unwrap(), "10.99.0.2:8080");
        web.finish();
        ask("10.99.0.2:8080").unwrap_err();
    }
}

/// What a socket that listens to nobody but `address` hears from there.
fn send(address: &str) -> std::io::Result<String> {
    let address: SocketAddr = address.parse().unwrap();
    let socket = UdpSocket::bind(if address.is_ipv4() { "10.99.0.9:0" } else { "[fd00:99::9]:0" }).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket.connect(address)?;
    socket.send(b"?")?;
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// The keeper hears of a bind a moment after it.
fn eventually(address: &str, expected: &str) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        match send(address) {
            Ok(said) if said == expected => return,
            other if std::time::Instant::now() > deadline => panic!("{address}: {other:?} instead of {expected}"),
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn datagrams_of_all(guests: &Guests) {
    for case in ["hear_wildcard", "hear_dual"] {
        let (mut web, mut six) = (guests.web.start(case), guests.six.start(case));
        for server in [&mut web, &mut six] {
            server.line();
        }
        for address in ["10.99.0.1:9053", "10.99.0.2:9053", "10.99.0.5:9053"] {
            eventually(address, "all 10.99.0.9");
        }
        for foreign in ["10.99.0.3:9053", "10.99.0.9:9053", "[fd00:99::9]:9053"] {
            send(foreign).unwrap_err();
        }
        if case == "hear_dual" {
            eventually("[fd00:99::5]:9053", "all fd00:99::9");
        }
        // One client asks at both addresses in turn, and hears each answer from where it asked.
        let socket = UdpSocket::bind("10.99.0.9:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        for address in ["10.99.0.1:9053", "10.99.0.2:9053"].into_iter().cycle().take(20) {
            socket.send_to(b"?", address).unwrap();
            assert_eq!(socket.recv_from(&mut [0; 64]).unwrap().1, address.parse().unwrap());
        }
        [web, six].into_iter().for_each(Running::finish);
        send("10.99.0.2:9053").unwrap_err();
    }
}

fn exact_datagrams_first(guests: &Guests) {
    for order in [["hear_wildcard", "hear_second"], ["hear_second", "hear_wildcard"]] {
        let servers = order.map(|case| {
            let mut server = guests.web.start(case);
            server.line();
            server
        });
        eventually("10.99.0.2:9053", "second 10.99.0.9");
        eventually("10.99.0.1:9053", "all 10.99.0.9");
        servers.into_iter().for_each(Running::finish);
    }
}

fn one_table(guests: &Guests) {
    // This process is alone in its network namespace.
    let netns = std::fs::metadata("/proc/self/ns/net").unwrap();
    let links = netns_links().unwrap();
    let here = links.iter().filter(|link| u64::from(link.netns) == std::os::unix::fs::MetadataExt::ino(&netns));
    assert_eq!(here.count(), 1);
    assert_eq!(guests.steering.len(), 3, "web, six and many have several addresses");
}

fn host_to_demo(guests: &Guests) {
    let mut demo = guests.demo.start("serve_wildcard");
    assert_eq!(demo.line(), "127.0.6.1:8080");
    // The host's source is 127.0.0.1 here.
    assert_eq!(ask("127.0.6.1:8080").unwrap(), "127.0.6.1:8080");
    demo.finish();
}

fn private_loopbacks(guests: &Guests) {
    let mut web = guests.web.start("serve_loopback");
    assert_eq!(web.line(), "127.0.0.1:8081");
    run(&guests.mail, "others_loopback");
    ask("127.0.0.1:8081").unwrap_err();
    // The host is trusted, and may.
    assert_eq!(ask(&format!("{}:8081", LOOPBACKS[0])).unwrap(), "127.0.0.1:8081");
    web.finish();
}

fn listen_without_bind(guests: &Guests) {
    let mut web = guests.web.start("serve_unbound");
    let port = web.line();
    ask(&format!("10.99.0.9:{port}")).unwrap_err();
    ask(&format!("127.0.0.1:{port}")).unwrap_err();
    ask(&format!("[fd00:99::9]:{port}")).unwrap_err();
    assert_eq!(ask(&format!("10.99.0.1:{port}")).unwrap(), "unbound");
    web.finish();
}

fn hear_unbound(guests: &Guests) {
    let mut web = guests.web.start("hear_unbound");
    let port: u16 = web.line().parse().unwrap();
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    for address in ["10.99.0.9", "127.0.0.1", "10.99.0.3"] {
        socket.send_to(b"for others", format!("{address}:{port}")).unwrap();
    }
    socket.send_to(b"for the guest", format!("10.99.0.1:{port}")).unwrap();
    web.finish();
}

fn shared_port(guests: &Guests) {
    let mut web = guests.web.start("share_port");
    web.line();
    let mut mail = guests.mail.start("join_port");
    mail.line();
    // From many ports: of a group with two members, each would get some.
    for _ in 0..50 {
        UdpSocket::bind("10.99.0.9:0").unwrap().send_to(b"for web", "10.99.0.1:9060").unwrap();
    }
    [mail, web].into_iter().for_each(Running::finish);
}

fn unheard_group(guests: &Guests) {
    let mut web = guests.web.start("hear_group");
    let port: u16 = web.line().parse().unwrap();
    let host = UdpSocket::bind("10.99.0.9:0").unwrap();
    for port in [port, 9070] {
        // Without a route for groups it goes nowhere, which is as good.
        let _ = host.send_to(b"?", ("239.1.2.3", port));
    }
    web.finish();
}

fn passed_socket(guests: &Guests) {
    let mut web = guests.web.start("give_socket");
    web.line();
    run(&guests.mail, "take_socket");
    web.finish();
}

fn another_policy(guests: &Guests) {
    let directory = File::open(&guests.mail.0).unwrap();
    let ids = |place| prog_query(directory.as_fd(), place).unwrap();
    let before = ids(AttachType::Inet4Bind);
    confine(directory.as_fd(), &policy(&["10.99.0.4"], LOOPBACKS[1]), Steer::Yes).unwrap();
    let after = ids(AttachType::Inet4Bind);
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before, after);
    run(&guests.mail, "is_now_4");
    confine(directory.as_fd(), &policy(&["10.99.0.3"], LOOPBACKS[1]), Steer::Yes).unwrap();
}

/// All in one network, so that each removal of the first takes the others with it in the kernel.
fn addresses_at_once(_: &Guests) {
    let count = || addresses_on_host().unwrap().iter().filter(|(_, ip)| ip.to_string().starts_with("10.98.")).count();
    let plan = |last: u32| AddressPlan {
        dev: "lo".to_owned(),
        address: format!("10.98.0.{last}/24").parse().unwrap(),
        label: None,
        broadcast: Broadcast::No,
        peer: None,
        scope: None,
        up: false,
    };
    std::thread::scope(|scope| {
        for thread in 1..=4 {
            scope.spawn(move || {
                for round in 0..50 {
                    let plan = plan(thread * 50 + round);
                    assert_eq!(add_address(&plan).unwrap(), Added::Now);
                    remove_address("lo", plan.address).unwrap();
                }
            });
        }
    });
    assert_eq!(count(), 0);
}

fn device_addresses(_: &Guests) {
    let plan = |address: &str| AddressPlan {
        dev: "lo".to_owned(),
        address: address.parse().unwrap(),
        label: Some("lo:guest".to_owned()),
        broadcast: Broadcast::Computed,
        peer: None,
        scope: None,
        up: true,
    };
    let on_host = |address: &str| {
        let wanted = ("lo".to_owned(), address.parse().unwrap());
        addresses_on_host().unwrap().contains(&wanted)
    };
    assert_eq!(add_address(&plan("10.98.0.1/24")).unwrap(), Added::Now);
    assert_eq!(add_address(&plan("10.98.0.1/24")).unwrap(), Added::WasThere);
    assert_eq!(add_address(&plan("10.98.0.2/24")).unwrap(), Added::Now);
    assert_eq!(add_address(&plan("fd00:98::1/64")).unwrap(), Added::Now);
    assert_eq!(add_address(&plan("fd00:98::1/64")).unwrap(), Added::WasThere);
    // The first address of a network takes the others with it in the kernel: the second guest must keep its own.
    remove_address("lo", "10.98.0.1/24".parse().unwrap()).unwrap();
    remove_address("lo", "fd00:98::1/64".parse().unwrap()).unwrap();
    assert!(!on_host("10.98.0.1/24") && on_host("10.98.0.2/24") && !on_host("fd00:98::1/64"));
    assert!(on_host("10.99.0.1/32"));
    UdpSocket::bind((Ipv4Addr::new(10, 98, 0, 2), 0)).unwrap();
    remove_address("lo", "10.98.0.2/24".parse().unwrap()).unwrap();
    remove_address("lo", "10.98.0.2/24".parse().unwrap()).unwrap();
    assert!(!on_host("10.98.0.2/24"));
}
