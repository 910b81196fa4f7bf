//! What comes for those addresses of a guest that its wildcard sockets are not bound to: see [`crate::steering`].

use vserver_sys::bpf::{Alu, AssembleError, Assembler, Cond, Helper, Insn, Label, Reg, Size};

use super::Features;
use super::parts::{MAPPED, TCP, UDP, load, sock_ops};
use super::wild::{FOUR, NOTED_FAMILIES, NOTED_PORT, SIX, noted};
use crate::policy::Table;

/// A key of the table: an IPv6 address (IPv4 as `::ffff:a.b.c.d`), a port in host order, a protocol.
pub(crate) const KEY_LENGTH: u32 = 24;
/// Where a key is built, relative to the frame pointer.
pub(super) const KEY: i16 = -24;
pub(super) const PORT: i16 = KEY + 16;
pub(super) const PROTOCOL: i16 = KEY + 20;
/// Where a cookie is kept.
pub(super) const COOKIE: i16 = -40;

pub(super) const AF_INET: u32 = 2;
/// `BPF_SOCK_OPS_TCP_LISTEN_CB`; 4.18.
const LISTEN: u32 = 11;
/// `BPF_ANY` and `BPF_NOEXIST`.
pub(super) const REPLACE: i32 = 0;
pub(super) const KEEP: i32 = 1;

/// `struct bpf_sk_lookup`: a packet that belongs to no connection.
mod lookup {
    pub const FAMILY: i16 = 8;
    pub const PROTOCOL: i16 = 12;
    pub const LOCAL_IP4: i16 = 40;
    pub const LOCAL_IP6: i16 = 44;
    pub const LOCAL_PORT: i16 = 60;
}

/// For the whole network namespace: a socket in the table gets the connection. Everything else is as without it.
pub(crate) fn steer(sockets: i32) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let (pass, ours, known) = (asm.label(), asm.label(), asm.label());
    asm.push(Insn::mov64(Reg::R6, Reg::R1)).push(load(Reg::R2, Reg::R6, lookup::PROTOCOL));
    asm.jump_if32(Cond::Equal, Reg::R2, TCP, ours).jump_if32(Cond::NotEqual, Reg::R2, UDP, pass);
    asm.place(ours).push(Insn::store(Size::Word, Reg::R10, PROTOCOL, Reg::R2));
    asm.push(load(Reg::R2, Reg::R6, lookup::FAMILY));
    key(&mut asm, (lookup::LOCAL_IP4, lookup::LOCAL_IP6, lookup::LOCAL_PORT));
    look_up(&mut asm, sockets, KEY);
    asm.jump_if64(Cond::NotEqual, Reg::R0, 0, known).jump(pass);
    asm.place(known).push(Insn::mov64(Reg::R7, Reg::R0));
    // A choice that somebody else's program has made stands, and a socket of the wrong family is refused.
    asm.push(Insn::mov64(Reg::R1, Reg::R6)).push(Insn::mov64(Reg::R2, Reg::R7));
    asm.push(Insn::mov64_imm(Reg::R3, 0)).push(Insn::call(Helper::SkAssign));
    asm.push(Insn::mov64(Reg::R1, Reg::R7)).push(Insn::call(Helper::SkRelease));
    asm.place(pass).exit_with(1);
    asm.finish()
}

/// In a guest: a socket that begins to listen is entered for its own address, in place of what was there, or, if it is
/// bound to a wildcard, for all of the guest's that nobody has yet. More exactly bound sockets so have precedence.
pub fn listen(table: &Table, _: Features) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let other = asm.label();
    let (Some(tables), Some(wildcards)) = (table.steering, table.wildcards) else {
        asm.exit_with(1);
        return asm.finish();
    };
    asm.push(Insn::mov64(Reg::R6, Reg::R1)).push(load(Reg::R2, Reg::R6, sock_ops::OP));
    asm.jump_if32(Cond::NotEqual, Reg::R2, LISTEN, other);
    asm.push(Insn::load(Size::Double, Reg::R2, Reg::R6, sock_ops::SK)).jump_if64(Cond::Equal, Reg::R2, 0, other);
    noted(&mut asm, wildcards);
    asm.push(Insn::mov64(Reg::R7, Reg::R0));
    asm.push(Insn::store_imm(Size::Word, Reg::R10, PROTOCOL, TCP as i32));
    asm.push(load(Reg::R2, Reg::R6, sock_ops::FAMILY));
    key(&mut asm, (sock_ops::LOCAL_IP4, sock_ops::LOCAL_IP6, sock_ops::LOCAL_PORT));
    let (wildcard, own_port, only6) = (asm.label(), asm.label(), asm.label());
    asm.jump_if64(Cond::NotEqual, Reg::R7, 0, wildcard);
    enter(&mut asm, tables.sockets, REPLACE);
    asm.jump(other);

    asm.place(wildcard).push(load(Reg::R3, Reg::R7, NOTED_PORT)).jump_if64(Cond::Equal, Reg::R3, 0, own_port);
    asm.push(Insn::store(Size::Word, Reg::R10, PORT, Reg::R3)).place(own_port);
    asm.push(load(Reg::R7, Reg::R7, NOTED_FAMILIES));
    asm.push(Insn::mov64(Reg::R2, Reg::R7)).push(Insn::alu64_imm(Alu::And, Reg::R2, FOUR));
    asm.jump_if64(Cond::Equal, Reg::R2, 0, only6);
    for &ip in &table.own4 {
        enter_for(&mut asm, tables.sockets, [0, 0, MAPPED, ip]);
    }
    asm.place(only6).push(Insn::mov64(Reg::R2, Reg::R7)).push(Insn::alu64_imm(Alu::And, Reg::R2, SIX));
    asm.jump_if64(Cond::Equal, Reg::R2, 0, other);
    for &ip in &table.own6 {
        enter_for(&mut asm, tables.sockets, ip);
    }
    // What other questions of this kind take for "no answer".
    asm.place(other).push(Insn::mov32_imm(Reg::R2, u32::MAX));
    asm.push(Insn::store(Size::Word, Reg::R6, sock_ops::REPLY, Reg::R2)).exit_with(1);
    asm.finish()
}

/// Builds a key from a context at `R6` whose address family is in `R2`.
fn key(asm: &mut Assembler, (ip4, ip6, port): (i16, i16, i16)) {
    let (six, done): (Label, Label) = (asm.label(), asm.label());
    asm.push(load(Reg::R3, Reg::R6, port)).push(Insn::store(Size::Word, Reg::R10, PORT, Reg::R3));
    asm.jump_if32(Cond::NotEqual, Reg::R2, AF_INET, six);
    keep4(asm, KEY, (Reg::R6, ip4));
    asm.jump(done).place(six);
    keep6(asm, KEY, (Reg::R6, ip6));
    asm.place(done);
}

/// Puts the IPv4 address that stands at `from` on the stack, as `::ffff:a.b.c.d`. Clobbers `R3`.
pub(super) fn keep4(asm: &mut Assembler, to: i16, from: (Reg, i16)) {
    asm.push(Insn::store_imm(Size::Word, Reg::R10, to, 0)).push(Insn::store_imm(Size::Word, Reg::R10, to + 4, 0));
    asm.push(Insn::mov32_imm(Reg::R3, MAPPED)).push(Insn::store(Size::Word, Reg::R10, to + 8, Reg::R3));
    asm.push(load(Reg::R3, from.0, from.1)).push(Insn::store(Size::Word, Reg::R10, to + 12, Reg::R3));
}

/// Puts the IPv6 address that stands at `from` on the stack. Clobbers `R3`.
pub(super) fn keep6(asm: &mut Assembler, to: i16, from: (Reg, i16)) {
    for word in (0..16).step_by(4) {
        asm.push(load(Reg::R3, from.0, from.1 + word)).push(Insn::store(Size::Word, Reg::R10, to + word, Reg::R3));
    }
}

/// `R0` = what a table has for the key at `key` of the stack.
pub(super) fn look_up(asm: &mut Assembler, map: i32, key: i16) {
    argument(asm, Reg::R1, map, key, Reg::R2);
    asm.push(Insn::call(Helper::MapLookup));
}

/// Enters the socket of the context at `R6` for an address; the port stands in the key.
fn enter_for(asm: &mut Assembler, map: i32, address: [u32; 4]) {
    key_of(asm, address);
    enter(asm, map, KEEP);
}

/// Puts `address` into the key. Clobbers `R2`.
pub(super) fn key_of(asm: &mut Assembler, address: [u32; 4]) {
    for (value, at) in address.into_iter().zip((KEY..).step_by(4)) {
        asm.push(Insn::mov32_imm(Reg::R2, value)).push(Insn::store(Size::Word, Reg::R10, at, Reg::R2));
    }
}

fn enter(asm: &mut Assembler, map: i32, flags: i32) {
    argument(asm, Reg::R2, map, KEY, Reg::R3);
    asm.push(Insn::mov64(Reg::R1, Reg::R6)).push(Insn::mov64_imm(Reg::R4, flags));
    asm.push(Insn::call(Helper::SockHashUpdate));
}

/// A map and the address of a key on the stack, in two registers.
pub(super) fn argument(asm: &mut Assembler, to: Reg, map: i32, key: i16, pointer: Reg) {
    for insn in Insn::load_map(to, map) {
        asm.push(insn);
    }
    asm.push(Insn::mov64(pointer, Reg::R10));
    asm.push(Insn::alu64_imm(Alu::Add, pointer, i32::from(key)));
}
