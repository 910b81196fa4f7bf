//! A server for datagrams that hears several addresses with one socket answers from the one that it was asked at, also if
//! it does not say so with `IP_PKTINFO`: what arrives for a wildcard socket is remembered by its sender.

use vserver_sys::bpf::{Alu, Assembler, Cond, Helper, Insn, Label, Reg, Size};

use super::parts::{UDP, load, sock_addr};
use super::steer::{REPLACE, argument, keep4, keep6, look_up};
use crate::policy::Table;
use crate::steering::Datagrams;

/// Who asked whom: the cookie of the socket, address and port of the sender.
pub(crate) const ASKER_LENGTH: u32 = 32;
/// The address that was asked; IPv4 as `::ffff:a.b.c.d`.
pub(crate) const ASKED_LENGTH: u32 = 16;

const ASKER: i16 = -32;
const SENDER: i16 = ASKER + 8;
const PORT: i16 = ASKER + 24;
const ASKED: i16 = ASKER - 16;

const IP4_PROTOCOL: i16 = 9;
const IP4_SOURCE: i16 = 12;
const IP4_DESTINATION: i16 = 16;
const IP6_PROTOCOL: i16 = 6;
const IP6_SOURCE: i16 = 8;
const IP6_DESTINATION: i16 = 24;
const IP6_LENGTH: i32 = 40;

/// Remembers an arriving packet whose IP header is at `R8`, if a wildcard socket of the guest hears it. `R6` is the
/// context, a packet; `R3` the packet's end. Keeps `R6` and `R7`.
pub fn remember(asm: &mut Assembler, table: &Table, six: bool) {
    let Some(datagrams) = table.steering.and_then(|tables| tables.datagrams) else { return };
    let other = asm.label();
    asm.push(Insn::mov64(Reg::R9, Reg::R3));
    let protocol = if six { IP6_PROTOCOL } else { IP4_PROTOCOL };
    asm.push(Insn::load(Size::Byte, Reg::R2, Reg::R8, protocol)).jump_if32(Cond::NotEqual, Reg::R2, UDP, other);
    if_no_wildcard(asm, datagrams, other);
    if six {
        keep6(asm, SENDER, (Reg::R8, IP6_SOURCE));
        keep6(asm, ASKED, (Reg::R8, IP6_DESTINATION));
        asm.push(Insn::alu64_imm(Alu::Add, Reg::R8, IP6_LENGTH));
    } else {
        keep4(asm, SENDER, (Reg::R8, IP4_SOURCE));
        keep4(asm, ASKED, (Reg::R8, IP4_DESTINATION));
        // The low half of the first byte is the length of the header in words.
        asm.push(Insn::load(Size::Byte, Reg::R2, Reg::R8, 0)).push(Insn::alu64_imm(Alu::And, Reg::R2, 0x0f));
        asm.push(Insn::alu64_imm(Alu::ShiftLeft, Reg::R2, 2)).push(Insn::alu64(Alu::Add, Reg::R8, Reg::R2));
    }
    asm.push(Insn::mov64(Reg::R2, Reg::R8)).push(Insn::alu64_imm(Alu::Add, Reg::R2, 2));
    asm.jump_if_reg(Cond::Greater, Reg::R2, Reg::R9, other);
    asm.push(Insn::load(Size::Half, Reg::R2, Reg::R8, 0)).push(Insn::store(Size::Double, Reg::R10, PORT, Reg::R2));
    argument(asm, Reg::R1, datagrams.answers, ASKER, Reg::R2);
    asm.push(Insn::mov64(Reg::R3, Reg::R10)).push(Insn::alu64_imm(Alu::Add, Reg::R3, i32::from(ASKED)));
    asm.push(Insn::mov64_imm(Reg::R4, REPLACE)).push(Insn::call(Helper::MapUpdate));
    asm.place(other);
}

/// Before a datagram leaves: if the addressee has asked at an address of the guest, that becomes the source, and the
/// program goes on at `chosen`. `R6` is the context, an address. Clobbers `R0`–`R5`.
pub fn recall(asm: &mut Assembler, table: &Table, six: bool, chosen: Label) {
    let Some(datagrams) = table.steering.and_then(|tables| tables.datagrams) else { return };
    let nobody = asm.label();
    if_no_wildcard(asm, datagrams, nobody);
    if six {
        keep6(asm, SENDER, (Reg::R6, sock_addr::USER_IP6));
    } else {
        keep4(asm, SENDER, (Reg::R6, sock_addr::USER_IP4));
    }
    asm.push(load(Reg::R2, Reg::R6, sock_addr::USER_PORT)).push(Insn::alu64_imm(Alu::And, Reg::R2, 0xffff));
    asm.push(Insn::store(Size::Double, Reg::R10, PORT, Reg::R2));
    look_up(asm, datagrams.answers, ASKER);
    asm.jump_if64(Cond::Equal, Reg::R0, 0, nobody);
    let (words, source) = if six { (0..16, sock_addr::MSG_SRC_IP6) } else { (12..16, sock_addr::MSG_SRC_IP4) };
    for (from, to) in words.step_by(4).zip((source..).step_by(4)) {
        asm.push(load(Reg::R2, Reg::R0, from)).push(Insn::store(Size::Word, Reg::R6, to, Reg::R2));
    }
    asm.jump(chosen).place(nobody);
}

/// Leaves the cookie of the socket of the context at `R6` on the stack; goes to `other` unless it is bound to a wildcard.
fn if_no_wildcard(asm: &mut Assembler, datagrams: Datagrams, other: Label) {
    asm.push(Insn::mov64(Reg::R1, Reg::R6)).push(Insn::call(Helper::SocketCookie));
    asm.push(Insn::store(Size::Double, Reg::R10, ASKER, Reg::R0));
    look_up(asm, datagrams.bound, ASKER);
    asm.jump_if64(Cond::Equal, Reg::R0, 0, other);
    asm.push(load(Reg::R2, Reg::R0, 0)).jump_if64(Cond::Equal, Reg::R2, 0, other);
}
