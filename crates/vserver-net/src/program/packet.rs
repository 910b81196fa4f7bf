//! Packets of the guest's sockets. What the other programs prevent politely is dropped here whatever way it took:
//! `listen` without `bind`, forged sources, header-included raw sockets, source routes, the host's loopback.

use vserver_sys::bpf::{Alu, AssembleError, Assembler, Cond, Insn, Label, Reg, Size};

use super::Features;
use super::answer::remember;
use super::parts::{ONE, TCP, if_loopback_net, if_multicast, if_multicast6, if_one_of, if_one_of6, load, skb};
use crate::policy::Table;

const ETH_P_IP: u32 = 0x0800_u16.to_be() as u32;
const ETH_P_IPV6: u32 = 0x86dd_u16.to_be() as u32;

const IP4_LENGTH: i32 = 20;
const IP4_SOURCE: i16 = 12;
const IP4_DESTINATION: i16 = 16;
const IP4_PROTOCOL: i16 = 9;
const TCP_FLAGS: i16 = 13;
const TCP_SYN: i32 = 0x02;
const TCP_ACK: i32 = 0x10;
const IP6_LENGTH: i32 = 40;
const IP6_SOURCE: i16 = 8;
const IP6_DESTINATION: i16 = 24;

/// Outgoing: the source is the guest's, and the destination is no loopback but the guest's. Answers over TCP are
/// excepted: a guest in 127.0.0.0/8 is called by the host from 127.0.0.1.
pub fn egress(table: &Table, _: Features) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let (ip6, pass, drop) = head(&mut asm);

    let own_source = asm.label();
    header(&mut asm, IP4_LENGTH, drop);
    asm.push(load(Reg::R7, Reg::R8, IP4_SOURCE));
    if_one_of(&mut asm, Reg::R7, &table.local4(), own_source);
    asm.jump(drop);
    asm.place(own_source).push(load(Reg::R7, Reg::R8, IP4_DESTINATION));
    if_one_of(&mut asm, Reg::R7, &table.local4(), pass);
    let loopback = asm.label();
    if_loopback_net(&mut asm, loopback);
    asm.jump(pass).place(loopback);
    if_not_tcp_answer(&mut asm, drop);
    asm.jump(pass);

    asm.place(ip6);
    if !table.own6.is_empty() {
        let own_source = asm.label();
        header(&mut asm, IP6_LENGTH, drop);
        if_one_of6(&mut asm, Reg::R8, IP6_SOURCE, &table.own6, own_source);
        asm.jump(drop);
        asm.place(own_source);
        if_one_of6(&mut asm, Reg::R8, IP6_DESTINATION, &[[0, 0, 0, ONE]], drop);
        asm.jump(pass);
    }
    verdicts(asm, pass, drop)
}

/// Incoming: the destination is the guest's.
pub fn ingress(table: &Table, _: Features) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let (ip6, pass, drop) = head(&mut asm);

    header(&mut asm, IP4_LENGTH, drop);
    asm.push(load(Reg::R7, Reg::R8, IP4_DESTINATION));
    let own = asm.label();
    if_one_of(&mut asm, Reg::R7, &table.bindable4(), own);
    if table.multicast {
        if_multicast(&mut asm, pass);
    }
    asm.jump(drop).place(own);
    remember(&mut asm, table, false);
    asm.jump(pass);

    asm.place(ip6);
    if !table.own6.is_empty() {
        header(&mut asm, IP6_LENGTH, drop);
        asm.push(Insn::mov64(Reg::R9, Reg::R3));
        let own = asm.label();
        if_one_of6(&mut asm, Reg::R8, IP6_DESTINATION, &table.own6, own);
        if table.multicast {
            if_multicast6(&mut asm, Reg::R8, IP6_DESTINATION, pass);
        }
        asm.jump(drop).place(own).push(Insn::mov64(Reg::R3, Reg::R9));
        remember(&mut asm, table, true);
        asm.jump(pass);
    }
    verdicts(asm, pass, drop)
}

/// Tells IPv4, which goes on, from IPv6. It asks the kernel what it is, not the version in the header, which the sender
/// of a raw packet writes.
fn head(asm: &mut Assembler) -> (Label, Label, Label) {
    let (ip6, pass, drop) = (asm.label(), asm.label(), asm.label());
    asm.push(Insn::mov64(Reg::R6, Reg::R1)).push(load(Reg::R2, Reg::R6, skb::PROTOCOL));
    asm.jump_if32(Cond::Equal, Reg::R2, ETH_P_IPV6, ip6).jump_if32(Cond::NotEqual, Reg::R2, ETH_P_IP, drop);
    (ip6, pass, drop)
}

/// `R8` = the header, at least `length` bytes of it, else to `drop`.
fn header(asm: &mut Assembler, length: i32, drop: Label) {
    asm.push(Insn::load(Size::Word, Reg::R8, Reg::R6, skb::DATA));
    asm.push(Insn::load(Size::Word, Reg::R3, Reg::R6, skb::DATA_END));
    asm.push(Insn::mov64(Reg::R2, Reg::R8)).push(Insn::alu64_imm(Alu::Add, Reg::R2, length));
    asm.jump_if_reg(Cond::Greater, Reg::R2, Reg::R3, drop);
}

/// Goes to `drop` unless the IPv4 packet at `R8` belongs to a TCP connection that the other side began. `R3` is the end
/// of the packet; clobbers `R2` and `R8`.
fn if_not_tcp_answer(asm: &mut Assembler, drop: Label) {
    asm.push(Insn::load(Size::Byte, Reg::R2, Reg::R8, IP4_PROTOCOL)).jump_if32(Cond::NotEqual, Reg::R2, TCP, drop);
    // The low half of the first byte is the length of the header in words.
    asm.push(Insn::load(Size::Byte, Reg::R2, Reg::R8, 0)).push(Insn::alu64_imm(Alu::And, Reg::R2, 0x0f));
    asm.push(Insn::alu64_imm(Alu::ShiftLeft, Reg::R2, 2)).push(Insn::alu64(Alu::Add, Reg::R8, Reg::R2));
    asm.push(Insn::mov64(Reg::R2, Reg::R8)).push(Insn::alu64_imm(Alu::Add, Reg::R2, i32::from(TCP_FLAGS) + 1));
    asm.jump_if_reg(Cond::Greater, Reg::R2, Reg::R3, drop);
    asm.push(Insn::load(Size::Byte, Reg::R2, Reg::R8, TCP_FLAGS));
    asm.push(Insn::alu64_imm(Alu::And, Reg::R2, TCP_SYN | TCP_ACK));
    asm.jump_if64(Cond::Equal, Reg::R2, TCP_SYN, drop);
}

fn verdicts(mut asm: Assembler, pass: Label, drop: Label) -> Result<Vec<Insn>, AssembleError> {
    asm.place(drop).exit_with(0);
    asm.place(pass).exit_with(1);
    asm.finish()
}
