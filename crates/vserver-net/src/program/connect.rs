//! `connect`: the source is one of the guest's addresses, and 127.0.0.1 is the guest itself.

use nix::errno::Errno;
use vserver_sys::bpf::{Alu, AssembleError, Assembler, Cond, Helper, Insn, Label, Reg, Size};

use super::Features;
use super::parts::{
    LOCALHOST, MAPPED, ONE, UDP, UDPLITE, if_loopback_net, if_one_of, if_one_of6, load, refuse, set, sock, sock_addr,
    sort6,
};
use crate::policy::{Localhost, Table};

const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;
/// Where a `sockaddr` is built, relative to the frame pointer.
const SOCKADDR: i16 = -32;
/// Where a `bpf_sock_tuple` is built.
const TUPLE: i16 = -48;

/// `connect` of an IPv4 socket, and of an IPv6 datagram socket that is given an IPv4 address.
pub fn connect4(table: &Table, features: Features) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    asm.push(Insn::mov64(Reg::R6, Reg::R1)).push(load(Reg::R7, Reg::R6, sock_addr::USER_IP4));
    to_ipv4(&mut asm, table, features, sock_addr::USER_IP4);
    asm.finish()
}

/// `connect` of an IPv6 socket.
pub fn connect6(table: &Table, features: Features) -> Result<Vec<Insn>, AssembleError> {
    const ADDRESS: i16 = sock_addr::USER_IP6;
    let mut asm = Assembler::new();
    asm.push(Insn::mov64(Reg::R6, Reg::R1));
    let to = sort6(&mut asm, ADDRESS);

    // `::` means "this host" to connect: over IPv4, where the guest has a loopback of its own.
    asm.place(to.any);
    set(&mut asm, ADDRESS + 8, MAPPED);
    asm.place(to.mapped);
    to_ipv4(&mut asm, table, features, ADDRESS + 12);

    asm.place(to.native);
    match table.own6.first() {
        Some(&first6) => to_ipv6(&mut asm, features, first6),
        None => refuse(&mut asm, features, Errno::ENETUNREACH),
    }
    asm.finish()
}

/// Rewrites the destination in `R7`, which stands in the context at `offset`, if it means the guest's own loopback.
/// Ends with `R9` as the source to use; goes to `refused` for a foreign loopback address. The address that the socket
/// is bound to stands at `bound`.
///
/// 127.0.0.1 is the private loopback if a socket is bound to exactly it, else the guest's first address if one is bound
/// to exactly that (a wildcard bind has become it, so `curl localhost` finds the server), else nobody. Without these
/// questions a listener of the *host* on 0.0.0.0 would answer, and take the guest for a local client.
pub(super) fn redirect(asm: &mut Assembler, table: &Table, offset: i16, bound: (Reg, i16), refused: Label) {
    let (local, here, source, shared) = (asm.label(), asm.label(), asm.label(), asm.label());
    asm.push(Insn::mov32_imm(Reg::R9, table.first4()));
    if_one_of(asm, Reg::R7, &[0, table.loopback], local);
    match table.localhost {
        Localhost::Private => if_one_of(asm, Reg::R7, &[LOCALHOST], local),
        Localhost::Shared => if_one_of(asm, Reg::R7, &[LOCALHOST], shared),
        Localhost::Refused => {}
    }
    if_one_of(asm, Reg::R7, &table.own4, source);
    if_loopback_net(asm, refused);
    asm.jump(source);

    asm.place(local).push(load(Reg::R2, Reg::R6, sock_addr::PROTOCOL));
    // Nobody can look for these, so whether the guest or the host would answer is not known.
    asm.jump_if32(Cond::Equal, Reg::R2, UDPLITE, refused);
    if_answering(asm, table, bound, here);
    if_somebody_at(asm, table.loopback, here);
    if !table.own4.is_empty() {
        let first = asm.label();
        if_somebody_at(asm, table.first4(), first);
        asm.jump(refused).place(first);
        set(asm, offset, table.first4());
        asm.jump(source);
    } else {
        asm.jump(refused);
    }

    asm.place(here);
    set(asm, offset, table.loopback);
    asm.push(Insn::mov32_imm(Reg::R9, table.loopback));
    if table.localhost == Localhost::Shared {
        asm.jump(source).place(shared);
        asm.push(Insn::mov32_imm(Reg::R9, LOCALHOST));
    }
    asm.place(source);
}

/// Goes to `here` if this is a datagram socket that is itself bound to the loopback: a server that answers a client,
/// and clients are rarely bound to an address that [`if_somebody_at`] would find.
fn if_answering(asm: &mut Assembler, table: &Table, bound: (Reg, i16), here: Label) {
    let other = asm.label();
    asm.push(load(Reg::R2, Reg::R6, sock_addr::PROTOCOL)).jump_if32(Cond::NotEqual, Reg::R2, UDP, other);
    asm.push(load(Reg::R2, bound.0, bound.1)).jump_if32(Cond::Equal, Reg::R2, table.loopback, here);
    asm.place(other);
}

/// Goes to `found` if a socket is bound to exactly `address` at the port in question. Clobbers `R1`–`R5` and `R7`.
fn if_somebody_at(asm: &mut Assembler, address: u32, found: Label) {
    let (tcp, answer, nobody) = (asm.label(), asm.label(), asm.label());
    for at in [TUPLE, TUPLE + 4] {
        asm.push(Insn::mov32_imm(Reg::R2, address)).push(Insn::store(Size::Word, Reg::R10, at, Reg::R2));
    }
    asm.push(load(Reg::R2, Reg::R6, sock_addr::USER_PORT));
    asm.push(Insn::store_imm(Size::Half, Reg::R10, TUPLE + 8, 0));
    asm.push(Insn::store(Size::Half, Reg::R10, TUPLE + 10, Reg::R2));

    asm.push(load(Reg::R7, Reg::R6, sock_addr::PROTOCOL));
    asm.push(Insn::mov64(Reg::R1, Reg::R6)).push(Insn::mov64(Reg::R2, Reg::R10));
    asm.push(Insn::alu64_imm(Alu::Add, Reg::R2, i32::from(TUPLE)));
    // Twelve bytes make it a question about IPv4; the name space is that of the socket (-1).
    asm.push(Insn::mov64_imm(Reg::R3, 12)).push(Insn::mov64_imm(Reg::R4, -1)).push(Insn::mov64_imm(Reg::R5, 0));
    asm.jump_if32(Cond::NotEqual, Reg::R7, UDP, tcp);
    asm.push(Insn::call(Helper::SkLookupUdp)).jump(answer);
    asm.place(tcp).push(Insn::call(Helper::SkLookupTcp));

    asm.place(answer).jump_if64(Cond::Equal, Reg::R0, 0, nobody);
    asm.push(load(Reg::R7, Reg::R0, sock::SRC_IP4));
    asm.push(Insn::mov64(Reg::R1, Reg::R0)).push(Insn::call(Helper::SkRelease));
    asm.jump_if32(Cond::Equal, Reg::R7, address, found);
    asm.place(nobody);
}

/// Destination is IPv4: `R7`, at `offset` of the context. Ends the program.
fn to_ipv4(asm: &mut Assembler, table: &Table, features: Features, offset: i16) {
    let (allow, refused, choose) = (asm.label(), asm.label(), asm.label());
    asm.push(Insn::load(Size::Double, Reg::R8, Reg::R6, sock_addr::SK));
    redirect(asm, table, offset, (Reg::R8, sock::SRC_IP4), refused);

    // Bound already? The loopback is a source for the loopback only: elsewhere it would make the guest look local.
    asm.push(load(Reg::R1, Reg::R8, sock::SRC_IP4)).jump_if32(Cond::Equal, Reg::R1, 0, choose);
    asm.jump_if32(Cond::NotEqual, Reg::R1, table.loopback, allow);
    asm.jump_if32(Cond::Equal, Reg::R9, table.loopback, allow);

    asm.place(choose);
    let length = if offset == sock_addr::USER_IP4 { sockaddr_in(asm) } else { sockaddr_in6_mapped(asm) };
    call_bind(asm, length);
    asm.jump_if64(Cond::Equal, Reg::R0, 0, allow);
    asm.push(load(Reg::R1, Reg::R8, sock::SRC_IP4)).jump_if32(Cond::Equal, Reg::R1, table.loopback, refused);
    // A datagram socket that has sent before has a port and no address, and cannot be bound any more. The kernel
    // chooses then, and the packet filter judges the choice.
    asm.push(load(Reg::R1, Reg::R8, sock::SRC_PORT)).jump_if32(Cond::NotEqual, Reg::R1, 0, allow);
    refuse(asm, features, Errno::EADDRNOTAVAIL);
    asm.place(refused);
    refuse(asm, features, Errno::ECONNREFUSED);
    asm.place(allow).exit_with(1);
}

/// Destination is native IPv6. Ends the program.
fn to_ipv6(asm: &mut Assembler, features: Features, first6: [u32; 4]) {
    let (allow, refused) = (asm.label(), asm.label());
    // `::1` belongs to the host; the guest's loopback is IPv4.
    if_one_of6(asm, Reg::R6, sock_addr::USER_IP6, &[[0, 0, 0, ONE]], refused);
    asm.push(Insn::load(Size::Double, Reg::R8, Reg::R6, sock_addr::SK));
    for word in 0..4 {
        asm.push(load(Reg::R1, Reg::R8, sock::SRC_IP6 + 4 * word)).jump_if32(Cond::NotEqual, Reg::R1, 0, allow);
    }
    sockaddr_in6(asm);
    for (value, at) in first6.into_iter().zip((SOCKADDR + 8..).step_by(4)) {
        asm.push(Insn::mov32_imm(Reg::R2, value)).push(Insn::store(Size::Word, Reg::R10, at, Reg::R2));
    }
    call_bind(asm, 28);
    asm.jump_if64(Cond::Equal, Reg::R0, 0, allow);
    asm.push(load(Reg::R1, Reg::R8, sock::SRC_PORT)).jump_if32(Cond::NotEqual, Reg::R1, 0, allow);
    refuse(asm, features, Errno::EADDRNOTAVAIL);
    asm.place(refused);
    refuse(asm, features, Errno::ECONNREFUSED);
    asm.place(allow).exit_with(1);
}

/// `struct sockaddr_in` with the address in `R9`, port 0; returns its length.
fn sockaddr_in(asm: &mut Assembler) -> i32 {
    asm.push(Insn::store_imm(Size::Double, Reg::R10, SOCKADDR, 0));
    asm.push(Insn::store_imm(Size::Double, Reg::R10, SOCKADDR + 8, 0));
    asm.push(Insn::store_imm(Size::Half, Reg::R10, SOCKADDR, AF_INET));
    asm.push(Insn::store(Size::Word, Reg::R10, SOCKADDR + 4, Reg::R9));
    16
}

/// `struct sockaddr_in6` with `::ffff:` and the address in `R9`; returns its length.
fn sockaddr_in6_mapped(asm: &mut Assembler) -> i32 {
    sockaddr_in6(asm);
    asm.push(Insn::mov32_imm(Reg::R2, MAPPED)).push(Insn::store(Size::Word, Reg::R10, SOCKADDR + 16, Reg::R2));
    asm.push(Insn::store(Size::Word, Reg::R10, SOCKADDR + 20, Reg::R9));
    28
}

fn sockaddr_in6(asm: &mut Assembler) {
    for at in (SOCKADDR..0).step_by(8) {
        asm.push(Insn::store_imm(Size::Double, Reg::R10, at, 0));
    }
    asm.push(Insn::store_imm(Size::Half, Reg::R10, SOCKADDR, AF_INET6));
}

/// `R0 = bpf_bind(ctx, sockaddr, length)`; with port 0 it takes no port yet.
fn call_bind(asm: &mut Assembler, length: i32) {
    asm.push(Insn::mov64(Reg::R1, Reg::R6)).push(Insn::mov64(Reg::R2, Reg::R10));
    asm.push(Insn::alu64_imm(Alu::Add, Reg::R2, i32::from(SOCKADDR)));
    asm.push(Insn::mov64_imm(Reg::R3, length)).push(Insn::call(Helper::Bind));
}
