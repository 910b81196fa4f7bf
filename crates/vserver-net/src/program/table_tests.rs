//! The programs that look into tables, in a virtual machine of user space: which sockets hear what, from where datagrams are
//! answered, and what passes at which rate. The tables are those of this file; the kernel's helpers are played by it.

mod metering;
mod wildcards;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::net::Ipv4Addr;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use rbpf::EbpfVmRaw;
use vserver_sys::bpf::{Assembler, Insn, Reg, Size};

use super::parts::{MAPPED, TCP, UDP};
use super::wild::{FOUR, SIX};
use super::*;
use crate::policy::{word, words};
use crate::steering::{Datagrams, Tables};

const SOCKETS: i32 = 101;
const WILDCARDS: i32 = 102;
const BOUND: i32 = 103;
const ANSWERS: i32 = 104;
const BELL: i32 = 105;
const COUNTS: i32 = 106;
const SHAPES: i32 = 107;
/// Lengths of keys and values, by table.
const LENGTHS: [(i32, usize, usize); 6] =
    [(SOCKETS, 24, 8), (WILDCARDS, 8, 8), (BOUND, 8, 32), (ANSWERS, 32, 16), (COUNTS, 4, 24), (SHAPES, 4, 48)];

const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const OVER_SIX: &str = "2001:db8::1";
/// The socket in question.
const OWN: u64 = 7;
const FULL: Features = Features { errno: true, low_ports: true, v6only: true };

#[derive(Default)]
struct World {
    tables: BTreeMap<(u64, Vec<u8>), Box<[u8]>>,
    /// What is noted of a socket for the first time is noted here: the machine asks beforehand what may be touched.
    note: Box<[u8; 8]>,
    noted: bool,
    now: u64,
    rings: u32,
    assigned: Option<u64>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

/// Bytes that a program points to: the kernel reads its own memory, this process does by its own number.
fn bytes_at(address: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let there = RemoteIoVec { base: address as usize, len: length };
    let read = process_vm_readv(Pid::this(), &mut [IoSliceMut::new(&mut bytes)], &[there]).unwrap();
    assert_eq!(read, length);
    bytes
}

fn entry(map: u64, key: u64) -> (u64, Vec<u8>) {
    let (_, length, _) = LENGTHS.into_iter().find(|(own, ..)| *own as u64 == map).expect("a table of ours");
    (map, bytes_at(key, length))
}

fn map_lookup(map: u64, key: u64, _: u64, _: u64, _: u64) -> u64 {
    let key = entry(map, key);
    WORLD.with_borrow(|world| world.tables.get(&key).map_or(0, |value| value.as_ptr().expose_provenance() as u64))
}

fn map_update(map: u64, key: u64, value: u64, flags: u64, _: u64) -> u64 {
    let key = entry(map, key);
    let (_, _, length) = LENGTHS.into_iter().find(|(own, ..)| *own as u64 == map).unwrap();
    // A table of sockets takes the socket itself.
    let value = if map == SOCKETS as u64 { value.to_ne_bytes().to_vec() } else { bytes_at(value, length) };
    WORLD.with_borrow_mut(|world| match world.tables.contains_key(&key) && flags == 1 {
        true => u64::MAX,
        false => {
            world.tables.insert(key, value.into());
            0
        }
    })
}

fn sk_storage_get(map: u64, socket: u64, value: u64, flags: u64, _: u64) -> u64 {
    assert!(map == WILDCARDS as u64 && value == 0 && (socket != 0));
    WORLD.with_borrow_mut(|world| match world.tables.get(&(map, OWN.to_ne_bytes().to_vec())) {
        Some(note) => note.as_ptr().expose_provenance() as u64,
        None if flags == 0 => 0,
        None => {
            world.noted = true;
            world.note.as_ptr().expose_provenance() as u64
        }
    })
}

fn sock_hash_update(_: u64, map: u64, key: u64, flags: u64, _: u64) -> u64 {
    map_update(map, key, OWN, flags, 0)
}

fn cookie(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    OWN
}

fn assign(_: u64, socket: u64, flags: u64, _: u64, _: u64) -> u64 {
    assert_eq!(flags, 0, "a choice of others stands");
    WORLD.with_borrow_mut(|world| world.assigned = Some(u64::from_ne_bytes(bytes_at(socket, 8).try_into().unwrap())));
    0
}

fn release(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    0
}

fn ring(map: u64, _: u64, length: u64, _: u64, _: u64) -> u64 {
    assert_eq!((map, length), (BELL as u64, 8));
    WORLD.with_borrow_mut(|world| world.rings += 1);
    0
}

fn now(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    WORLD.with_borrow(|world| world.now)
}

/// What this machine cannot execute, written out: an addition to memory, with R5 in between, which is free there. Jumps over it
/// become longer.
fn written_out(program: &[Insn]) -> Vec<u8> {
    let old: Vec<[u8; 8]> = program.iter().map(|insn| insn.to_bytes()).collect();
    const ADD_ATOMIC: u8 = 0xdb;
    let width = |insn: &[u8; 8]| if insn[0] == ADD_ATOMIC { 3 } else { 1 };
    let mut starts = vec![0_i32];
    for insn in &old {
        starts.push(starts.last().unwrap() + width(insn));
    }
    let mut code = Vec::new();
    let mut second_half = false;
    for (at, insn) in old.iter().enumerate() {
        let [opcode, registers, low, high, ..] = *insn;
        let (class, offset) = (opcode & 7, i16::from_le_bytes([low, high]));
        let jumps = !second_half && (class == 5 || class == 6) && ![0x85, 0x95].contains(&opcode);
        second_half = opcode == 0x18;
        if opcode == ADD_ATOMIC {
            let (to, from) = (registers & 0x0f, registers >> 4);
            code.push([0x79, 5 | to << 4, low, high, 0, 0, 0, 0]);
            code.push([0x0f, 5 | from << 4, 0, 0, 0, 0, 0, 0]);
            code.push([0x7b, to | 5 << 4, low, high, 0, 0, 0, 0]);
        } else if jumps {
            let target = (at as i32 + 1 + i32::from(offset)) as usize;
            let [low, high] = ((starts[target] - starts[at] - 1) as i16).to_le_bytes();
            let mut longer = *insn;
            (longer[2], longer[3]) = (low, high);
            code.push(longer);
        } else {
            code.push(*insn);
        }
    }
    code.concat()
}

/// Runs it over `context`, which may point to `more`.
fn run(program: &[Insn], context: &mut [u8], more: &[&[u8]]) -> u64 {
    let code = written_out(program);
    let mut vm = EbpfVmRaw::new(Some(&code)).unwrap();
    let helpers: [(u32, rbpf::ebpf::Helper); 9] = [
        (1, map_lookup),
        (2, map_update),
        (5, now),
        (46, cookie),
        (70, sock_hash_update),
        (86, release),
        (107, sk_storage_get),
        (124, assign),
        (130, ring),
    ];
    for (number, helper) in helpers {
        vm.register_helper(number, helper).unwrap();
    }
    WORLD.with_borrow(|world| {
        for lent in more.iter().copied().chain(world.tables.values().map(|value| &**value)).chain([&world.note[..]]) {
            let start = lent.as_ptr().expose_provenance() as u64;
            vm.register_allowed_memory(start..start + lent.len() as u64);
        }
    });
    vm.execute_program(context).unwrap()
}

fn table(addresses: &[&str]) -> Table {
    let datagrams = Some(Datagrams { bound: BOUND, answers: ANSWERS, bell: BELL });
    let mut table = Table {
        loopback: word(Ipv4Addr::new(127, 0, 5, 1)),
        wildcards: Some(WILDCARDS),
        steering: Some(Tables { sockets: SOCKETS, datagrams }),
        ..Table::default()
    };
    for address in addresses {
        match address.parse().unwrap() {
            std::net::IpAddr::V4(ip) => table.own4.push(word(ip)),
            std::net::IpAddr::V6(ip) => table.own6.push(words(ip)),
        }
    }
    table
}

fn both() -> Table {
    table(&["192.0.2.1", "192.0.2.2", OVER_SIX])
}

fn fresh(entries: &[(i32, Vec<u8>, Vec<u8>)]) {
    let tables = entries.iter().map(|(map, key, value)| ((*map as u64, key.clone()), value.clone().into())).collect();
    WORLD.set(World { tables, ..World::default() });
}

/// A note, as it is kept and as `bind` makes it.
fn note(families: i32, port: u32) -> Vec<u8> {
    bytes(&[families.cast_unsigned(), port])
}

fn wildcard(families: i32) -> (i32, Vec<u8>, Vec<u8>) {
    (WILDCARDS, OWN.to_ne_bytes().to_vec(), note(families, 0))
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn mapped(ip: Ipv4Addr) -> [u32; 4] {
    [0, 0, MAPPED, word(ip)]
}

fn key(address: [u32; 4], port: u32, protocol: u32) -> Vec<u8> {
    bytes(&[&address[..], &[port, protocol]].concat())
}

/// Who is entered for an address and port.
fn hearer(address: [u32; 4], port: u32, protocol: u32) -> Option<u64> {
    let key = (SOCKETS as u64, key(address, port, protocol));
    WORLD.with_borrow(|world| world.tables.get(&key).map(|socket| u64::from_ne_bytes((**socket).try_into().unwrap())))
}

fn entries(map: i32) -> usize {
    WORLD.with_borrow(|world| world.tables.keys().filter(|(own, _)| *own == map as u64).count())
}

fn put(context: &mut [u8], offset: i16, value: &[u32]) {
    let value = bytes(value);
    context[offset as usize..][..value.len()].copy_from_slice(&value);
}

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const PORT: u32 = 8080;

/// `listen` of a socket of a family, bound to an address.
fn listens(table: &Table, family: u32, address: [u32; 4], op: u32) -> u32 {
    let mut context = vec![0; 192];
    put(&mut context, 0, &[op]);
    put(&mut context, 20, &[family]);
    put(&mut context, 28, &[address[3]]);
    put(&mut context, 48, &address);
    put(&mut context, 68, &[PORT]);
    put(&mut context, 184, &[1]);
    assert_eq!(run(&steer::listen(table, FULL).unwrap(), &mut context, &[]), 1);
    u32::from_ne_bytes(context[4..8].try_into().unwrap())
}

const LISTEN: u32 = 11;

#[test]
fn a_wildcard_listener_is_entered_for_what_is_free() {
    let six = words(OVER_SIX.parse().unwrap());
    for (family, address, families, expected) in [
        (AF_INET, mapped(FIRST), FOUR, [true, true, false]),
        (AF_INET6, mapped(FIRST), FOUR | SIX, [true, true, true]),
        (AF_INET6, six, SIX, [false, false, true]),
        // Bound when the guest had no IPv4 address yet.
        (AF_INET6, six, FOUR | SIX, [true, true, true]),
    ] {
        fresh(&[wildcard(families)]);
        assert_eq!(listens(&both(), family, address, LISTEN), u32::MAX);
        let heard = [mapped(FIRST), mapped(SECOND), six].map(|ip| hearer(ip, PORT, TCP) == Some(OWN));
        assert_eq!(heard, expected, "{family} {address:?} {families}");
    }
    // Bound when it had no IPv6 address yet, and so at another port.
    fresh(&[(WILDCARDS, OWN.to_ne_bytes().to_vec(), note(SIX, 80))]);
    listens(&both(), AF_INET6, [0, 0, 0, 1_u32.to_be()], LISTEN);
    assert_eq!([80, PORT].map(|port| hearer(six, port, TCP)), [Some(OWN), None]);
    // Somebody asked for the second one before.
    fresh(&[wildcard(FOUR), (SOCKETS, key(mapped(SECOND), PORT, TCP), 99_u64.to_ne_bytes().to_vec())]);
    listens(&both(), AF_INET, mapped(FIRST), LISTEN);
    assert_eq!([FIRST, SECOND].map(|ip| hearer(mapped(ip), PORT, TCP)), [Some(OWN), Some(99)]);
}

#[test]
fn a_listener_at_one_address_takes_its_place() {
    fresh(&[(SOCKETS, key(mapped(SECOND), PORT, TCP), 99_u64.to_ne_bytes().to_vec())]);
    listens(&both(), AF_INET, mapped(SECOND), LISTEN);
    assert_eq!(hearer(mapped(SECOND), PORT, TCP), Some(OWN));
    assert_eq!(entries(SOCKETS), 1);
    // Other steps in the life of a socket say nothing.
    fresh(&[wildcard(FOUR)]);
    assert_eq!(listens(&both(), AF_INET, mapped(FIRST), 5), u32::MAX);
    assert_eq!(entries(SOCKETS), 0);
}

#[test]
fn a_packet_goes_to_whoever_is_entered() {
    let six = words(OVER_SIX.parse().unwrap());
    let program = steer::steer(SOCKETS).unwrap();
    for (protocol, family, address, port, found) in [
        (TCP, AF_INET, mapped(SECOND), PORT, true),
        (UDP, AF_INET, mapped(SECOND), PORT, false),
        (TCP, AF_INET, mapped(FIRST), PORT, false),
        (TCP, AF_INET, mapped(SECOND), PORT + 1, false),
        (UDP, AF_INET6, six, 53, true),
        (132, AF_INET, mapped(SECOND), PORT, false),
    ] {
        fresh(&[
            (SOCKETS, key(mapped(SECOND), PORT, TCP), 42_u64.to_ne_bytes().to_vec()),
            (SOCKETS, key(six, 53, UDP), 42_u64.to_ne_bytes().to_vec()),
        ]);
        let mut context = vec![0; 72];
        put(&mut context, 8, &[family, protocol]);
        put(&mut context, 40, &[address[3]]);
        put(&mut context, 44, &address);
        put(&mut context, 60, &[port]);
        assert_eq!(run(&program, &mut context, &[]), 1, "it never drops");
        assert_eq!(WORLD.with_borrow(|world| world.assigned), found.then_some(42), "{protocol} {address:?} {port}");
    }
}

/// After `bind`: whether something was noted, for which families, and whether the keeper was woken.
fn bound(protocol: u32, six: bool, wild: i32) -> (Option<u32>, u32) {
    let entries = if wild == 0 { Vec::new() } else { vec![wildcard(wild)] };
    fresh(&entries);
    let mut context = vec![0; 80];
    put(&mut context, 12, &[protocol]);
    put(&mut context, 24, &[word(FIRST)]);
    put(&mut context, 28, &if six { words(OVER_SIX.parse().unwrap()) } else { mapped(FIRST) });
    put(&mut context, 44, &[53]);
    let program = if six { bind::post_bind6(&both(), FULL) } else { bind::post_bind4(&both(), FULL) };
    assert_eq!(run(&program.unwrap(), &mut context, &[]), 1);
    WORLD.with_borrow(|world| {
        let note = world.tables.get(&(BOUND as u64, OWN.to_ne_bytes().to_vec()));
        (note.map(|note| u32::from_ne_bytes(note[..4].try_into().unwrap())), world.rings)
    })
}

#[test]
fn datagram_sockets_are_noted_and_the_keeper_is_woken() {
    assert_eq!(bound(TCP, false, FOUR), (None, 0));
    assert_eq!(bound(UDP, false, FOUR), (Some(1), 1));
    assert_eq!(bound(UDP, true, FOUR | SIX), (Some(3), 1));
    assert_eq!(bound(UDP, false, 0), (Some(0), 1));
}

#[test]
fn the_keeper_enters_what_was_noted() {
    let six = words(OVER_SIX.parse().unwrap());
    let program = gather::gather(&both(), SOCKETS, BOUND).unwrap();
    let note = |family: u32, address: [u32; 4]| {
        let value = [bytes(&[family, 0]), key(address, 53, UDP)].concat();
        (BOUND, OWN.to_ne_bytes().to_vec(), value)
    };
    for (family, address, expected) in [
        (1, mapped(FIRST), [true, true, false]),
        (3, mapped(FIRST), [true, true, true]),
        (2, six, [false, false, true]),
        (3, six, [true, true, true]),
        (0, mapped(SECOND), [false, true, false]),
    ] {
        fresh(&[note(family, address)]);
        let socket = [0_u8; 8];
        let mut context = vec![0; 16];
        context[8..].copy_from_slice(&(socket.as_ptr().expose_provenance() as u64).to_ne_bytes());
        assert_eq!(run(&program, &mut context, &[&socket]), 0);
        let heard = [mapped(FIRST), mapped(SECOND), six].map(|ip| hearer(ip, 53, UDP).is_some());
        assert_eq!(heard, expected, "{family} {address:?}");
    }
    // One that nobody noted, and the end of the list.
    fresh(&[]);
    for socket in [8_u64, 0] {
        let mut context = vec![0; 16];
        context[8..].copy_from_slice(&socket.to_ne_bytes());
        assert_eq!((run(&program, &mut context, &[]), entries(SOCKETS)), (0, 0));
    }
}

/// A datagram to `asked` arrives at a wildcard socket; its header is `header` words of four bytes long.
fn arrives(asked: Ipv4Addr, protocol: u8, words: u8, cut: usize) -> usize {
    let mut packet = vec![0_u8; usize::from(words) * 4 + 8];
    (packet[0], packet[9]) = (0x40 | words, protocol);
    packet[12..16].copy_from_slice(&ELSEWHERE.octets());
    packet[16..20].copy_from_slice(&asked.octets());
    let ports = usize::from(words) * 4;
    packet[ports..ports + 2].copy_from_slice(&5353_u16.to_be_bytes());
    packet.truncate(packet.len() - cut);
    let start = packet.as_ptr().expose_provenance() as u64;
    let mut context = [start.to_ne_bytes(), (start + packet.len() as u64).to_ne_bytes()].concat();
    let mut asm = Assembler::new();
    asm.push(Insn::mov64(Reg::R6, Reg::R1)).push(Insn::load(Size::Double, Reg::R8, Reg::R1, 0));
    asm.push(Insn::load(Size::Double, Reg::R3, Reg::R1, 8));
    answer::remember(&mut asm, &both(), false);
    asm.exit_with(1);
    assert_eq!(run(&asm.finish().unwrap(), &mut context, &[&packet]), 1);
    entries(ANSWERS)
}

/// The source of a datagram to ELSEWHERE.
fn answers_from(port: u16) -> Ipv4Addr {
    let mut context = vec![0; 72];
    put(&mut context, 4, &[word(ELSEWHERE)]);
    context[24..26].copy_from_slice(&port.to_be_bytes());
    put(&mut context, 36, &[UDP]);
    put(&mut context, 40, &[word(FIRST)]);
    assert_eq!(run(&datagram::sendmsg4(&both(), FULL).unwrap(), &mut context, &[]), 1);
    Ipv4Addr::from(<[u8; 4]>::try_from(&context[40..44]).unwrap())
}

#[test]
fn an_answer_leaves_from_where_was_asked() {
    let noted = |family: u32| {
        let value = [bytes(&[family, 0]), key(mapped(FIRST), 53, UDP)].concat();
        (BOUND, OWN.to_ne_bytes().to_vec(), value)
    };
    for words in [5, 6, 15] {
        fresh(&[noted(AF_INET)]);
        assert_eq!(arrives(SECOND, UDP as u8, words, 0), 1);
        assert_eq!([5353, 5354].map(answers_from), [SECOND, FIRST], "another port asked nothing");
    }
    // Asked anew, at another address.
    assert_eq!(arrives(FIRST, UDP as u8, 5, 0), 1);
    assert_eq!(answers_from(5353), FIRST);
    // A socket that is bound to one address, other protocols, and packets that end before their ports.
    for (note, protocol, cut) in [(noted(0), UDP as u8, 0), (noted(AF_INET), 6, 0), (noted(AF_INET), UDP as u8, 7)] {
        fresh(&[note]);
        assert_eq!(arrives(SECOND, protocol, 5, cut), 0);
        assert_eq!(answers_from(5353), FIRST);
    }
}

/// Where the kernel's own reading of these programs is not needed, the writing out must be right.
#[test]
fn jumps_over_what_was_written_out_still_meet() {
    let mut asm = Assembler::new();
    let end = asm.label();
    asm.push(Insn::mov64_imm(Reg::R2, 5)).push(Insn::mov64_imm(Reg::R0, 1));
    asm.jump_if64(vserver_sys::bpf::Cond::Equal, Reg::R2, 5, end);
    asm.push(Insn::add_atomic(Reg::R1, 0, Reg::R2)).push(Insn::mov64_imm(Reg::R0, 9)).place(end);
    asm.push(Insn::add_atomic(Reg::R1, 0, Reg::R2)).push(Insn::exit());
    let mut context = 2_u64.to_ne_bytes().to_vec();
    assert_eq!(run(&asm.finish().unwrap(), &mut context, &[]), 1);
    assert_eq!(context, 7_u64.to_ne_bytes());
}
