//! The programs, run in a virtual machine of user space: what they decide, without root and without a kernel.
//! The packet filters are not here (their context holds pointers of 32 bits that only the kernel makes into addresses);
//! `tests/attached.rs` runs everything in the kernel.

use std::cell::Cell;
use std::net::Ipv4Addr;

use nix::errno::Errno;
use rbpf::EbpfVmRaw;

use super::*;
use crate::policy::{Localhost, word, words};
use crate::{AddressPolicy, private_loopback};

const FULL: Features = Features { errno: true, low_ports: true, v6only: true };
const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const LOOPBACK: Ipv4Addr = Ipv4Addr::new(127, 0, 5, 1);
const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

thread_local! {
    static RETVAL: Cell<i32> = const { Cell::new(0) };
    /// Where the socket lies that lookups find, or 0.
    static LISTENER: Cell<u64> = const { Cell::new(0) };
    static BIND_RESULT: Cell<u64> = const { Cell::new(0) };
    static BINDS: Cell<u32> = const { Cell::new(0) };
    /// Where the kernel's view of the socket lies.
    static FULL_SOCKET: Cell<u64> = const { Cell::new(0) };
}

fn set_retval(value: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    RETVAL.set(value as i32);
    0
}
fn lookup(_: u64, _: u64, length: u64, netns: u64, _: u64) -> u64 {
    assert_eq!((length, netns as i64), (12, -1));
    LISTENER.get()
}
fn release(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    0
}
fn bind(_: u64, _: u64, length: u64, _: u64, _: u64) -> u64 {
    assert!(length == 16 || length == 28);
    BINDS.set(BINDS.get() + 1);
    BIND_RESULT.get()
}
fn full_socket(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    FULL_SOCKET.get()
}

fn policy(addresses: &[&str]) -> Table {
    Table::new(&AddressPolicy {
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        loopback: private_loopback(vserver_types::Nid(5)),
        broadcast: Some(Ipv4Addr::new(192, 0, 2, 255)),
        low_ports: true,
        raw_icmp: false,
        localhost: Localhost::Private,
        hide_loopback: true,
        multicast: false,
    })
}

fn two() -> Table {
    policy(&["192.0.2.1", "192.0.2.2"])
}

/// A context of the kernel, and the socket and listener that it refers to.
struct Context {
    bytes: [u8; 72],
    socket: [u8; 80],
    listener: Option<[u8; 80]>,
    full: [u8; 32],
}

/// What a program said and did.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    verdict: u64,
    errno: Errno,
}

const ALLOWED: Outcome = Outcome { verdict: 1, errno: Errno::UnknownErrno };
const ALLOWED_LOW: Outcome = Outcome { verdict: 3, errno: Errno::UnknownErrno };

fn refused(errno: Errno) -> Outcome {
    Outcome { verdict: 0, errno }
}

impl Context {
    fn new() -> Self {
        Self { bytes: [0; 72], socket: [0; 80], listener: None, full: [0; 32] }
    }

    fn put(mut self, offset: i16, value: u32) -> Self {
        self.bytes[offset as usize..][..4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn put4(self, offset: i16, address: Ipv4Addr) -> Self {
        self.put(offset, word(address))
    }

    fn put6(self, offset: i16, address: &str) -> Self {
        let words = words(address.parse().unwrap());
        words.into_iter().zip((offset..).step_by(4)).fold(self, |context, (value, at)| context.put(at, value))
    }

    fn bound_to(mut self, address: Ipv4Addr, port: u32) -> Self {
        self.socket[24..28].copy_from_slice(&word(address).to_ne_bytes());
        self.socket[44..48].copy_from_slice(&port.to_ne_bytes());
        self
    }

    fn listener_on(mut self, address: Ipv4Addr) -> Self {
        let mut listener = [0; 80];
        listener[24..28].copy_from_slice(&word(address).to_ne_bytes());
        self.listener = Some(listener);
        self
    }

    fn get(&self, offset: i16) -> u32 {
        u32::from_ne_bytes(self.bytes[offset as usize..][..4].try_into().unwrap())
    }

    fn get4(&self, offset: i16) -> Ipv4Addr {
        Ipv4Addr::from(self.get(offset).to_ne_bytes())
    }

    fn run(&mut self, program: Generator, table: &Table) -> Outcome {
        self.run_with(program, table, FULL)
    }

    fn run_with(&mut self, program: Generator, table: &Table, features: Features) -> Outcome {
        let code: Vec<u8> = program(table, features).unwrap().into_iter().flat_map(Insn::to_bytes).collect();
        let mut vm = EbpfVmRaw::new(Some(&code)).unwrap();
        for (number, helper) in [(187, set_retval as rbpf::ebpf::Helper), (84, lookup), (85, lookup), (86, release)] {
            vm.register_helper(number, helper).unwrap();
        }
        for (number, helper) in [(64, bind as rbpf::ebpf::Helper), (136, full_socket), (140, full_socket)] {
            vm.register_helper(number, helper).unwrap();
        }
        let mut lend = |bytes: &[u8]| {
            let start = bytes.as_ptr().expose_provenance() as u64;
            vm.register_allowed_memory(start..start + bytes.len() as u64);
            start
        };
        let socket = lend(&self.socket);
        self.bytes[64..72].copy_from_slice(&socket.to_ne_bytes());
        FULL_SOCKET.set(lend(&self.full));
        LISTENER.set(self.listener.as_ref().map_or(0, |listener| lend(listener)));
        RETVAL.set(0);
        BINDS.set(0);
        let verdict = vm.execute_program(&mut self.bytes).unwrap();
        let errno = match RETVAL.get() {
            0 => Errno::UnknownErrno,
            negative => Errno::from_raw(-negative),
        };
        Outcome { verdict, errno }
    }
}

const IP4: i16 = 4;
const IP6: i16 = 8;
const PORT: i16 = 24;
const PROTOCOL: i16 = 36;
const SOURCE: i16 = 40;

#[test]
fn bind4_replaces_wildcard_and_loopback_and_refuses_the_foreign() {
    let cases = [
        (ANY, ALLOWED_LOW, FIRST),
        (LOCALHOST, ALLOWED_LOW, LOOPBACK),
        (FIRST, ALLOWED_LOW, FIRST),
        (SECOND, ALLOWED_LOW, SECOND),
        (LOOPBACK, ALLOWED_LOW, LOOPBACK),
        (Ipv4Addr::new(192, 0, 2, 255), ALLOWED_LOW, Ipv4Addr::new(192, 0, 2, 255)),
        (OTHER, refused(Errno::EADDRNOTAVAIL), OTHER),
        (Ipv4Addr::new(127, 0, 0, 2), refused(Errno::EADDRNOTAVAIL), Ipv4Addr::new(127, 0, 0, 2)),
        (Ipv4Addr::new(224, 0, 0, 1), refused(Errno::EADDRNOTAVAIL), Ipv4Addr::new(224, 0, 0, 1)),
    ];
    for (asked, outcome, becomes) in cases {
        let mut context = Context::new().put4(IP4, asked);
        assert_eq!(context.run(bind::bind4, &two()), outcome, "{asked}");
        assert_eq!(context.get4(IP4), becomes, "{asked}");
    }
}

#[test]
fn a_guest_without_addresses_has_its_loopback() {
    for asked in [ANY, LOCALHOST] {
        let mut context = Context::new().put4(IP4, asked);
        assert_eq!(context.run(bind::bind4, &policy(&[])), ALLOWED_LOW);
        assert_eq!(context.get4(IP4), LOOPBACK);
    }
}

#[test]
fn low_ports_and_errno_are_left_out_where_the_kernel_lacks_them_or_nobody_asked() {
    let plain = Features { errno: false, low_ports: false, v6only: false };
    assert_eq!(Context::new().run_with(bind::bind4, &two(), plain), ALLOWED);
    let foreign = Context::new().put4(IP4, OTHER).run_with(bind::bind4, &two(), plain);
    assert_eq!(foreign, Outcome { verdict: 0, errno: Errno::UnknownErrno });
    let table = Table { low_ports: false, ..two() };
    assert_eq!(Context::new().run(bind::bind4, &table), ALLOWED);
}

#[test]
fn sixty_four_addresses_and_far_more_fit() {
    let many: Vec<String> = (0..2000_u32).map(|n| Ipv4Addr::from(0x0a00_0001 + n).to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let table = policy(&many);
    for (address, outcome) in [("10.0.0.64", ALLOWED_LOW), ("10.0.9.9", refused(Errno::EADDRNOTAVAIL))] {
        assert_eq!(Context::new().put4(IP4, address.parse().unwrap()).run(bind::bind4, &table), outcome, "{address}");
    }
    for hook in HOOKS {
        (hook.generate)(&table, FULL).unwrap();
    }
}

#[test]
fn bind6_sees_ipv4_behind_mapped_addresses() {
    for (asked, outcome, becomes) in [
        ("::ffff:0.0.0.0", ALLOWED_LOW, FIRST),
        ("::ffff:127.0.0.1", ALLOWED_LOW, LOOPBACK),
        ("::ffff:192.0.2.2", ALLOWED_LOW, SECOND),
        ("::ffff:192.0.2.9", refused(Errno::EADDRNOTAVAIL), OTHER),
    ] {
        let mut context = Context::new().put6(IP6, asked);
        assert_eq!(context.run(bind::bind6, &two()), outcome, "{asked}");
        assert_eq!(context.get4(IP6 + 12), becomes, "{asked}");
    }
    for foreign in ["::1", "2001:db8::1", "fe80::1", "::192.0.2.1"] {
        let outcome = Context::new().put6(IP6, foreign).run(bind::bind6, &two());
        assert_eq!(outcome, refused(Errno::EADDRNOTAVAIL), "{foreign}");
    }
}

#[test]
fn the_ipv6_wildcard_depends_on_v6only() {
    let both = policy(&["192.0.2.1", "2001:db8::1"]);
    for (table, only6, becomes, port) in [
        (&two(), false, "::ffff:192.0.2.1", 80),
        (&two(), true, "::1", 0),
        (&both, false, "::ffff:192.0.2.1", 80),
        (&both, true, "2001:db8::1", 80),
        (&policy(&["2001:db8::1"]), false, "2001:db8::1", 80),
    ] {
        for protocol in [6, 17] {
            let mut context = Context::new().put6(IP6, "::").put(PORT, 80).put(PROTOCOL, protocol);
            context.full[19] = if only6 { 0x20 } else { 0x10 };
            assert_eq!(context.run(bind::bind6, table), ALLOWED_LOW);
            let expected = Context::new().put6(IP6, becomes).put(PORT, port);
            assert_eq!(context.bytes[8..28], expected.bytes[8..28], "{becomes} {only6}");
        }
    }
    let own = Context::new().put6(IP6, "2001:db8::1").run(bind::bind6, &both);
    assert_eq!(own, ALLOWED_LOW);
}

#[test]
fn after_a_bind_only_own_addresses_remain() {
    // `struct bpf_sock`: src_ip4 at 24, src_ip6 at 28.
    for (address, outcome) in [(FIRST, ALLOWED), (LOOPBACK, ALLOWED), (ANY, refused(Errno::EADDRNOTAVAIL))] {
        assert_eq!(Context::new().put4(24, address).run(bind::post_bind4, &two()), outcome, "{address}");
    }
    let both = policy(&["192.0.2.1", "2001:db8::1"]);
    for (address, table, allowed) in [
        ("::ffff:192.0.2.1", &two(), true),
        ("::1", &two(), true),
        ("::1", &both, false),
        ("2001:db8::1", &both, true),
        ("2001:db8::2", &both, false),
        ("::", &both, false),
    ] {
        let outcome = Context::new().put6(28, address).run(bind::post_bind6, table);
        assert_eq!(outcome.verdict == 1, allowed, "{address}");
    }
}

#[test]
fn localhost_is_where_the_guest_itself_listens() {
    for listener in [LOOPBACK, FIRST] {
        for asked in [LOCALHOST, ANY, LOOPBACK] {
            let mut context = Context::new().put4(IP4, asked).put(PROTOCOL, 6).listener_on(listener);
            assert_eq!(context.run(connect::connect4, &two()), ALLOWED, "{listener} {asked}");
            assert_eq!(context.get4(IP4), listener);
            assert_eq!(BINDS.get(), 1);
        }
    }
    // A wildcard listener is the host's: a guest has none.
    for table in [two(), policy(&[])] {
        let mut context = Context::new().put4(IP4, LOCALHOST).put(PROTOCOL, 6);
        assert_eq!(context.run(connect::connect4, &table), refused(Errno::ECONNREFUSED));
        assert_eq!(context.listener_on(ANY).run(connect::connect4, &table), refused(Errno::ECONNREFUSED));
    }
}

#[test]
fn connect_keeps_an_own_source_and_refuses_foreign_loopbacks() {
    let elsewhere = Ipv4Addr::new(198, 51, 100, 7);
    for (bound, port, asked, outcome, binds) in [
        (ANY, 0, elsewhere, ALLOWED, 1),
        (SECOND, 0, elsewhere, ALLOWED, 0),
        (SECOND, 4000, elsewhere, ALLOWED, 0),
        (ANY, 0, Ipv4Addr::new(127, 0, 0, 2), refused(Errno::ECONNREFUSED), 0),
        (ANY, 0, Ipv4Addr::new(127, 0, 6, 1), refused(Errno::ECONNREFUSED), 0),
        // A datagram socket that was connected to the loopback before, and is free again.
        (LOOPBACK, 0, elsewhere, ALLOWED, 1),
    ] {
        let mut context = Context::new().put4(IP4, asked).put(PROTOCOL, 17).bound_to(bound, port);
        assert_eq!(context.run(connect::connect4, &two()), outcome, "{bound} to {asked}");
        assert_eq!(BINDS.get(), binds, "{bound} to {asked}");
    }
    let own = policy(&["127.0.6.1"]);
    let mut context = Context::new().put4(IP4, Ipv4Addr::new(127, 0, 6, 1)).put(PROTOCOL, 6);
    assert_eq!(context.run(connect::connect4, &own), ALLOWED);
}

#[test]
fn connect_without_a_source_is_refused_unless_the_packet_filter_can_judge() {
    BIND_RESULT.set(u64::MAX);
    let elsewhere = Ipv4Addr::new(198, 51, 100, 7);
    for (bound, port, outcome) in [
        (ANY, 0, refused(Errno::EADDRNOTAVAIL)),
        (ANY, 4000, ALLOWED),
        (LOOPBACK, 4000, refused(Errno::ECONNREFUSED)),
    ] {
        let mut context = Context::new().put4(IP4, elsewhere).put(PROTOCOL, 17).bound_to(bound, port);
        assert_eq!(context.run(connect::connect4, &two()), outcome, "{bound}:{port}");
    }
    BIND_RESULT.set(0);
}

#[test]
fn connect6_handles_mapped_and_native() {
    let both = policy(&["192.0.2.1", "2001:db8::1"]);
    let unreachable = || refused(Errno::ENETUNREACH);
    for (asked, table, outcome, becomes) in [
        ("::ffff:127.0.0.1", &two(), ALLOWED, "::ffff:127.0.5.1"),
        ("::", &two(), ALLOWED, "::ffff:127.0.5.1"),
        ("::ffff:127.0.0.9", &two(), refused(Errno::ECONNREFUSED), "::ffff:127.0.0.9"),
        ("2001:db8::9", &two(), unreachable(), "2001:db8::9"),
        ("::1", &two(), unreachable(), "::1"),
        ("::1", &both, refused(Errno::ECONNREFUSED), "::1"),
        ("2001:db8::9", &both, ALLOWED, "2001:db8::9"),
    ] {
        let mut context = Context::new().put6(IP6, asked).put(PROTOCOL, 6).listener_on(LOOPBACK);
        assert_eq!(context.run(connect::connect6, table), outcome, "{asked}");
        assert_eq!(context.bytes[8..24], Context::new().put6(IP6, becomes).bytes[8..24], "{asked}");
    }
}

#[test]
fn datagrams_leave_with_an_own_source() {
    let elsewhere = Ipv4Addr::new(198, 51, 100, 7);
    for (given, asked, source, destination) in [
        (ANY, elsewhere, FIRST, elsewhere),
        (SECOND, elsewhere, SECOND, elsewhere),
        (OTHER, elsewhere, FIRST, elsewhere),
        (LOOPBACK, elsewhere, FIRST, elsewhere),
        // A server on the loopback answers a client there.
        (LOOPBACK, LOCALHOST, LOOPBACK, LOOPBACK),
        (LOCALHOST, LOCALHOST, LOOPBACK, LOOPBACK),
    ] {
        let mut context = Context::new().put4(IP4, asked).put4(SOURCE, given).put(PROTOCOL, 17);
        assert_eq!(context.run(datagram::sendmsg4, &two()), ALLOWED, "{given} to {asked}");
        assert_eq!((context.get4(SOURCE), context.get4(IP4)), (source, destination), "{given} to {asked}");
    }
    let mut context = Context::new().put4(IP4, LOCALHOST).put(PROTOCOL, 17).listener_on(LOOPBACK);
    assert_eq!(context.run(datagram::sendmsg4, &two()), ALLOWED);
    assert_eq!((context.get4(SOURCE), context.get4(IP4)), (LOOPBACK, LOOPBACK));
    let mut context = Context::new().put4(IP4, Ipv4Addr::new(127, 0, 6, 1)).put(PROTOCOL, 17);
    assert_eq!(context.run(datagram::sendmsg4, &two()), refused(Errno::ECONNREFUSED));
}

/// The kernel asks about a datagram of a connected socket if it says something of its own, and gives no destination.
#[test]
fn connected_sockets_keep_an_own_source() {
    for (given, source) in
        [(SECOND, SECOND), (FIRST, FIRST), (LOOPBACK, LOOPBACK), (LOCALHOST, LOOPBACK), (OTHER, FIRST)]
    {
        let mut context = Context::new().put4(SOURCE, given).put(PROTOCOL, 17);
        assert_eq!(context.run(datagram::sendmsg4, &two()), ALLOWED, "{given}");
        assert_eq!((context.get4(SOURCE), context.get4(IP4)), (source, ANY), "{given}");
    }
    // To 0.0.0.0, where a port says that somebody asked for it: the guest itself, where nobody is.
    let mut context = Context::new().put(24, 53_u32.to_be() >> 16).put(PROTOCOL, 17);
    assert_eq!(context.run(datagram::sendmsg4, &two()), refused(Errno::ECONNREFUSED));
}

/// UDP-Lite has no part in the loopback, and `::` means IPv6 for it.
#[test]
fn udplite_has_no_loopback() {
    let mut context = Context::new().put4(IP4, LOCALHOST).put(PROTOCOL, 136);
    assert_eq!(context.run(bind::bind4, &two()), refused(Errno::EADDRNOTAVAIL));
    let mut context = Context::new().put4(IP4, ANY).put(PROTOCOL, 136);
    assert_eq!((context.run(bind::bind4, &two()), context.get4(IP4)), (ALLOWED_LOW, FIRST));
    let mut context = Context::new().put4(IP4, LOCALHOST).put(PROTOCOL, 136).listener_on(LOOPBACK);
    assert_eq!(context.run(datagram::sendmsg4, &two()), refused(Errno::ECONNREFUSED));
    let mut context = Context::new().put6(IP6, "::").put(PROTOCOL, 136);
    assert_eq!(context.run(bind::bind6, &policy(&["192.0.2.1", "2001:db8::1"])), ALLOWED_LOW);
    assert_eq!(context.bytes[8..24], Context::new().put6(IP6, "2001:db8::1").bytes[8..24]);
}

#[test]
fn ipv6_datagrams_need_an_ipv6_address() {
    const SOURCE6: i16 = 44;
    let both = policy(&["192.0.2.1", "2001:db8::1"]);
    let send = |table: &Table, source, destination| {
        let mut context = Context::new().put6(IP6, destination).put6(SOURCE6, source);
        let outcome = context.run(datagram::sendmsg6, table);
        (outcome, context.get(SOURCE6 + 12))
    };
    assert_eq!(send(&two(), "::", "2001:db8::9").0, refused(Errno::ENETUNREACH));
    assert_eq!(send(&both, "::", "2001:db8::9"), (ALLOWED, 1_u32.to_be()));
    assert_eq!(send(&both, "2001:db8::5", "2001:db8::9"), (ALLOWED, 1_u32.to_be()));
    assert_eq!(send(&both, "::", "::1").0, refused(Errno::ECONNREFUSED));
    // Of a connected socket.
    assert_eq!(send(&both, "2001:db8::5", "::"), (ALLOWED, 1_u32.to_be()));
}

#[test]
fn the_private_loopback_is_never_shown() {
    for (real, shown) in [(LOOPBACK, LOCALHOST), (FIRST, FIRST), (OTHER, OTHER)] {
        let mut context = Context::new().put4(IP4, real);
        assert_eq!(context.run(shown::shown4, &two()), ALLOWED);
        assert_eq!(context.get4(IP4), shown);
    }
    for (real, seen) in [("::ffff:127.0.5.1", "::ffff:127.0.0.1"), ("2001:db8::1", "2001:db8::1")] {
        let mut context = Context::new().put6(IP6, real);
        assert_eq!(context.run(shown::shown6, &two()), ALLOWED);
        assert_eq!(context.bytes[8..24], Context::new().put6(IP6, seen).bytes[8..24], "{real}");
    }
}

#[test]
fn only_protocols_with_checked_addresses_get_sockets() {
    let no_protocol = || refused(Errno::EPROTONOSUPPORT);
    let icmp = Table { raw_icmp: true, ..two() };
    for (table, family, kind, protocol, outcome) in [
        (&two(), 2, 1, 6, ALLOWED),
        (&two(), 10, 1, 6, ALLOWED),
        (&two(), 2, 1, 262, ALLOWED),
        (&two(), 2, 2, 17, ALLOWED),
        (&two(), 2, 2, 136, ALLOWED),
        (&two(), 2, 1, 132, no_protocol()),
        (&two(), 2, 5, 132, no_protocol()),
        (&two(), 2, 6, 33, no_protocol()),
        (&two(), 2, 2, 1, no_protocol()),
        (&two(), 2, 3, 1, refused(Errno::EPERM)),
        (&icmp, 2, 3, 1, ALLOWED),
        (&icmp, 2, 2, 1, ALLOWED),
        (&icmp, 2, 3, 255, refused(Errno::EPERM)),
        (&icmp, 10, 3, 58, refused(Errno::EPERM)),
        (&icmp, 10, 3, 1, refused(Errno::EPERM)),
    ] {
        // `struct bpf_sock`: family, type, protocol.
        let outcome_is = Context::new().put(4, family).put(8, kind).put(12, protocol).run(socket::create, table);
        assert_eq!(outcome_is, outcome, "{family} {kind} {protocol}");
    }
}

/// The programs for old kernels must load too, or the fallback is no fallback. Without privilege only the refusal is
/// seen; the root run of the same tests loads them.
#[test]
fn every_rung_of_the_ladder_passes_the_verifier() {
    let both = policy(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
    for (hook, features) in HOOKS.iter().flat_map(|hook| Features::LADDER.map(|features| (hook, features))) {
        for table in [&both, &two(), &policy(&[]), &policy(&["2001:db8::1"])] {
            let program = (hook.generate)(table, features).unwrap();
            let loaded = vserver_sys::bpf::prog_load(hook.place.prog_type(), hook.place, &program, hook.name);
            let refusal = loaded.err().map(|error| (error.kind(), error.to_string()));
            assert!(
                refusal.as_ref().is_none_or(|(kind, _)| *kind == std::io::ErrorKind::PermissionDenied),
                "{refusal:?}"
            );
        }
    }
}
