//! `bind`: what a guest asks for becomes one of its own addresses, or is refused.

use nix::errno::Errno;
use vserver_sys::bpf::{Alu, AssembleError, Assembler, Cond, Helper, Insn, Label, Reg, Size};

use super::Features;
use super::gather::note_datagram;
use super::parts::{
    LOCALHOST, MAPPED, ONE, UDP, UDPLITE, if_multicast, if_multicast6, if_one_of, if_one_of6, load, refuse, set,
    set6, sock, sock_addr, sort6,
};
use super::wild::{Families, note_wildcard};
use crate::policy::{Localhost, Table};

/// Byte and bit of `skc_ipv6only` in the kernel's `struct sock_common`: after `skc_family` (16, two bytes) and
/// `skc_state` (18) come the bit fields `skc_reuse:4`, `skc_reuseport:1`, `skc_ipv6only:1`. Unchanged since Linux 3.9.
/// Were it ever to move, a wildcard would become the wrong one of the guest's *own* addresses, nothing worse.
const IPV6ONLY_BYTE: i16 = 19;
const IPV6ONLY_BIT: i32 = if cfg!(target_endian = "little") { 1 << 5 } else { 1 << 2 };

/// Before the bind of an IPv4 socket.
pub fn bind4(table: &Table, features: Features) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let (allow, deny) = (asm.label(), asm.label());
    asm.push(Insn::mov64(Reg::R6, Reg::R1)).push(load(Reg::R7, Reg::R6, sock_addr::USER_IP4));
    own_or_replaced(&mut asm, table, sock_addr::USER_IP4, allow, deny);
    verdicts(asm, table, features, allow, deny)
}

/// Before the bind of an IPv6 socket. `::` of a dual-stack socket becomes the guest's IPv4 address, since that is what
/// a program that opens only one socket can least do without; `::` of an IPv6-only socket becomes the guest's IPv6
/// address. A guest without one gets a socket that is bound and never hears anything, as on a network without IPv6:
/// servers that list `[::]:80` besides `0.0.0.0:80` give up otherwise.
pub fn bind6(table: &Table, features: Features) -> Result<Vec<Insn>, AssembleError> {
    const ADDRESS: i16 = sock_addr::USER_IP6;
    let mut asm = Assembler::new();
    let (allow, deny) = (asm.label(), asm.label());
    asm.push(Insn::mov64(Reg::R6, Reg::R1));
    let to = sort6(&mut asm, ADDRESS);

    asm.place(to.mapped);
    own_or_replaced(&mut asm, table, ADDRESS + 12, allow, deny);

    asm.place(to.native);
    if_one_of6(&mut asm, Reg::R6, ADDRESS, &table.own6, allow);
    if table.multicast {
        if_multicast6(&mut asm, Reg::R6, ADDRESS, allow);
    }
    asm.jump(deny);

    asm.place(to.any);
    if let Some(&first6) = table.own6.first() {
        // Born with an IPv6 address, it cannot have another kind any more, and no program sees whether it is IPv6 only.
        let other = asm.label();
        asm.push(load(Reg::R2, Reg::R6, sock_addr::PROTOCOL)).jump_if32(Cond::NotEqual, Reg::R2, UDPLITE, other);
        set6(&mut asm, ADDRESS, first6);
        asm.jump(allow).place(other);
    }
    if features.v6only {
        wildcard_only6(&mut asm, table, allow);
    }
    match table.own6.first() {
        Some(&first6) if table.own4.is_empty() => set6(&mut asm, ADDRESS, first6),
        _ => set6(&mut asm, ADDRESS, [0, 0, MAPPED, table.first4()]),
    }
    note_wildcard(&mut asm, table, Families::Both);
    asm.jump(allow);
    verdicts(asm, table, features, allow, deny)
}

/// After the bind of an IPv4 socket: whatever led there, the address must be the guest's.
pub fn post_bind4(table: &Table, features: Features) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let allow = asm.label();
    asm.push(Insn::mov64(Reg::R6, Reg::R1)).push(load(Reg::R7, Reg::R6, sock::SRC_IP4));
    if_one_of(&mut asm, Reg::R7, &table.bindable4(), allow);
    if table.multicast {
        if_multicast(&mut asm, allow);
    }
    refuse(&mut asm, features, Errno::EADDRNOTAVAIL);
    asm.place(allow);
    note_datagram(&mut asm, table, false);
    asm.exit_with(1);
    asm.finish()
}

/// After the bind of an IPv6 socket.
pub fn post_bind6(table: &Table, features: Features) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let allow = asm.label();
    asm.push(Insn::mov64(Reg::R6, Reg::R1));
    let mut allowed = table.own6.clone();
    allowed.extend(table.bindable4().into_iter().map(|ip| [0, 0, MAPPED, ip]));
    if table.own6.is_empty() {
        // The deaf socket of `bind6`.
        allowed.push([0, 0, 0, ONE]);
    }
    if table.multicast {
        if_multicast6(&mut asm, Reg::R6, sock::SRC_IP6, allow);
    }
    if_one_of6(&mut asm, Reg::R6, sock::SRC_IP6, &allowed, allow);
    refuse(&mut asm, features, Errno::EADDRNOTAVAIL);
    asm.place(allow);
    note_datagram(&mut asm, table, true);
    asm.exit_with(1);
    asm.finish()
}

/// The decision on the IPv4 address in `R7`, which stands in the context at `offset`.
fn own_or_replaced(asm: &mut Assembler, table: &Table, offset: i16, allow: Label, deny: Label) {
    let (not_any, not_localhost) = (asm.label(), asm.label());
    asm.jump_if32(Cond::NotEqual, Reg::R7, 0, not_any);
    set(asm, offset, table.first4());
    note_wildcard(asm, table, Families::Four);
    asm.jump(allow);

    asm.place(not_any);
    if table.localhost == Localhost::Private {
        asm.jump_if32(Cond::NotEqual, Reg::R7, LOCALHOST, not_localhost);
        // See `packet.rs`: it would hear nothing.
        asm.push(load(Reg::R2, Reg::R6, sock_addr::PROTOCOL)).jump_if32(Cond::Equal, Reg::R2, UDPLITE, deny);
        set(asm, offset, table.loopback);
        asm.jump(allow);
    }

    asm.place(not_localhost);
    if_one_of(asm, Reg::R7, &table.bindable4(), allow);
    if table.multicast {
        if_multicast(asm, allow);
    }
    asm.jump(deny);
}

/// Goes on if the socket is dual-stack; one with `IPV6_V6ONLY` gets its address here and is allowed. A socket that is
/// neither TCP nor UDP counts as dual-stack.
fn wildcard_only6(asm: &mut Assembler, table: &Table, allow: Label) {
    let (udp, have, dual) = (asm.label(), asm.label(), asm.label());
    asm.push(load(Reg::R2, Reg::R6, sock_addr::PROTOCOL));
    asm.push(Insn::load(Size::Double, Reg::R1, Reg::R6, sock_addr::SK));
    asm.jump_if32(Cond::Equal, Reg::R2, UDP, udp);
    asm.push(Insn::call(Helper::SkcToTcp6Sock)).jump(have);
    asm.place(udp).push(Insn::call(Helper::SkcToUdp6Sock));
    asm.place(have).jump_if64(Cond::Equal, Reg::R0, 0, dual);
    asm.push(Insn::load(Size::Byte, Reg::R2, Reg::R0, IPV6ONLY_BYTE));
    asm.push(Insn::alu64_imm(Alu::And, Reg::R2, IPV6ONLY_BIT)).jump_if64(Cond::Equal, Reg::R2, 0, dual);
    if let Some(&first6) = table.own6.first() {
        set6(asm, sock_addr::USER_IP6, first6);
        note_wildcard(asm, table, Families::Six);
    } else {
        note_wildcard(asm, table, Families::Later);
        // Any free port: the one asked for would collide with the next guest that does the same.
        set6(asm, sock_addr::USER_IP6, [0, 0, 0, ONE]);
        set(asm, sock_addr::USER_PORT, 0);
    }
    asm.jump(allow);
    asm.place(dual);
}

fn verdicts(
    mut asm: Assembler,
    table: &Table,
    features: Features,
    allow: Label,
    deny: Label,
) -> Result<Vec<Insn>, AssembleError> {
    asm.place(deny);
    refuse(&mut asm, features, Errno::EADDRNOTAVAIL);
    // Bit 0 allows, bit 1 skips the question for CAP_NET_BIND_SERVICE.
    asm.place(allow).exit_with(if table.low_ports && features.low_ports { 3 } else { 1 });
    asm.finish()
}
