//! Datagram sockets that are bound to a wildcard: see [`crate::steering`]. `bind` notes them and rings; the keeper, which
//! hears it, runs a program over all datagram sockets, and that enters those in the table that were noted.

use vserver_sys::bpf::{Alu, AssembleError, Assembler, Cond, Helper, Insn, Reg, Size};

use super::parts::{MAPPED, UDP, load, sock};
use super::steer::{COOKIE, KEEP, KEY, KEY_LENGTH, PORT, PROTOCOL, REPLACE, argument, keep4, keep6, key_of, look_up};
use super::wild::{FOUR, NOTED_FAMILIES, SIX, noted};
use crate::policy::Table;

/// What is noted of a socket: the families for which it was bound to a wildcard (`wild.rs`), or 0; then the key of its own
/// address.
pub(crate) const NOTE_LENGTH: u32 = 8 + KEY_LENGTH;
/// Where a note is built, relative to the frame pointer: its key is that of `steer.rs`.
const NOTE: i16 = KEY - 8;
/// Where the parts of a key stand in a note.
const NOTED: i16 = 8;

/// `BPF_RB_FORCE_WAKEUP`
const WAKE: i32 = 2;
/// Where the context of the iterator holds the socket.
const SOCKET: i16 = 8;

/// After a bind of the family `six`, where it is allowed: notes a datagram socket. `R6` is the context, `struct bpf_sock`;
/// clobbers `R0`–`R5`.
pub fn note_datagram(asm: &mut Assembler, table: &Table, six: bool) {
    let datagrams = table.steering.and_then(|tables| tables.datagrams);
    let (Some(wildcards), Some(datagrams)) = (table.wildcards, datagrams) else { return };
    let (exact, other) = (asm.label(), asm.label());
    asm.push(load(Reg::R2, Reg::R6, sock::PROTOCOL)).jump_if32(Cond::NotEqual, Reg::R2, UDP, other);
    asm.push(Insn::mov64(Reg::R2, Reg::R6));
    noted(asm, wildcards);
    asm.push(Insn::store_imm(Size::Double, Reg::R10, NOTE, 0)).jump_if64(Cond::Equal, Reg::R0, 0, exact);
    asm.push(load(Reg::R2, Reg::R0, NOTED_FAMILIES)).push(Insn::store(Size::Word, Reg::R10, NOTE, Reg::R2));
    asm.place(exact).push(Insn::mov64(Reg::R1, Reg::R6)).push(Insn::call(Helper::SocketCookie));
    asm.push(Insn::store(Size::Double, Reg::R10, COOKIE, Reg::R0));
    if six {
        keep6(asm, KEY, (Reg::R6, sock::SRC_IP6));
    } else {
        keep4(asm, KEY, (Reg::R6, sock::SRC_IP4));
    }
    asm.push(load(Reg::R3, Reg::R6, sock::SRC_PORT)).push(Insn::store(Size::Word, Reg::R10, PORT, Reg::R3));
    asm.push(Insn::store_imm(Size::Word, Reg::R10, PROTOCOL, UDP as i32));
    argument(asm, Reg::R1, datagrams.bound, COOKIE, Reg::R2);
    asm.push(Insn::mov64(Reg::R3, Reg::R10)).push(Insn::alu64_imm(Alu::Add, Reg::R3, i32::from(NOTE)));
    asm.push(Insn::mov64_imm(Reg::R4, REPLACE)).push(Insn::call(Helper::MapUpdate));
    argument(asm, Reg::R1, datagrams.bell, COOKIE, Reg::R2);
    asm.push(Insn::mov64_imm(Reg::R3, 8))
        .push(Insn::mov64_imm(Reg::R4, WAKE))
        .push(Insn::call(Helper::RingbufOutput));
    asm.place(other);
}

/// Over all datagram sockets of a network namespace: enters those that were noted, as `steer::listen` does for listeners.
pub(crate) fn gather(table: &Table, sockets: i32, bound: i32) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let (done, wildcard, only6) = (asm.label(), asm.label(), asm.label());
    asm.push(Insn::load(Size::Double, Reg::R6, Reg::R1, SOCKET)).jump_if64(Cond::Equal, Reg::R6, 0, done);
    asm.push(Insn::mov64(Reg::R1, Reg::R6)).push(Insn::call(Helper::SocketCookie));
    asm.push(Insn::store(Size::Double, Reg::R10, COOKIE, Reg::R0));
    look_up(&mut asm, bound, COOKIE);
    asm.jump_if64(Cond::Equal, Reg::R0, 0, done).push(Insn::mov64(Reg::R7, Reg::R0));
    for word in (0..KEY_LENGTH as i16).step_by(4) {
        asm.push(load(Reg::R2, Reg::R7, NOTED + word)).push(Insn::store(Size::Word, Reg::R10, KEY + word, Reg::R2));
    }
    asm.push(load(Reg::R7, Reg::R7, 0)).jump_if64(Cond::NotEqual, Reg::R7, 0, wildcard);
    enter(&mut asm, sockets, REPLACE);
    asm.jump(done).place(wildcard);
    asm.push(Insn::mov64(Reg::R2, Reg::R7)).push(Insn::alu64_imm(Alu::And, Reg::R2, FOUR));
    asm.jump_if64(Cond::Equal, Reg::R2, 0, only6);
    for &ip in &table.own4 {
        key_of(&mut asm, [0, 0, MAPPED, ip]);
        enter(&mut asm, sockets, KEEP);
    }
    asm.place(only6).push(Insn::mov64(Reg::R2, Reg::R7)).push(Insn::alu64_imm(Alu::And, Reg::R2, SIX));
    asm.jump_if64(Cond::Equal, Reg::R2, 0, done);
    for &ip in &table.own6 {
        key_of(&mut asm, ip);
        enter(&mut asm, sockets, KEEP);
    }
    asm.place(done).exit_with(0);
    asm.finish()
}

/// Enters the socket in `R6` by the key on the stack.
fn enter(asm: &mut Assembler, sockets: i32, flags: i32) {
    argument(asm, Reg::R1, sockets, KEY, Reg::R2);
    asm.push(Insn::mov64(Reg::R3, Reg::R6)).push(Insn::mov64_imm(Reg::R4, flags)).push(Insn::call(Helper::MapUpdate));
}
