//! Packets of the guest's sockets. What the other programs prevent politely is dropped here whatever way it took:
//! `listen` without `bind`, forged sources, header-included raw sockets, source routes, the host's loopback, ICMP that is no
//! ping.

use vserver_sys::bpf::{Alu, AssembleError, Assembler, Cond, Insn, Label, Reg, Size};

use super::Features;
use super::answer::remember;
use super::meter::{Direction, meter};
use super::parts::{
    ONE, TCP, UDPLITE, if_loopback_net, if_multicast, if_multicast6, if_one_of, if_one_of6, load, skb,
};
use crate::policy::Table;

const ETH_P_IP: u32 = 0x0800_u16.to_be() as u32;
const ETH_P_IPV6: u32 = 0x86dd_u16.to_be() as u32;

const IP4_LENGTH: i32 = 20;
const IP4_SOURCE: i16 = 12;
const IP4_DESTINATION: i16 = 16;
const IP4_PROTOCOL: i16 = 9;
const ICMP: u32 = 1;
const ECHO: u32 = 8;
const ICMPV6: u32 = 58;
const ECHO6: u32 = 128;
const ROUTING: u32 = 43;
const TCP_FLAGS: i16 = 13;
const TCP_SYN: i32 = 0x02;
const TCP_ACK: i32 = 0x10;
const IP6_LENGTH: i32 = 40;
const IP6_NEXT: i16 = 6;
const IP6_SOURCE: i16 = 8;
const IP6_DESTINATION: i16 = 24;

/// Outgoing: the source is the guest's, and the destination is no loopback but the guest's. Answers over TCP are
/// excepted: a guest in 127.0.0.0/8 is called by the host from 127.0.0.1. UDP-Lite has no part in the loopback, as no program
/// is asked at its `connect`: a server of the host's on the wildcard would take the guest for a local client.
pub fn egress(table: &Table, _: Features) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let (ip6, pass, drop) = head(&mut asm);
    let inside = asm.label();

    let (own_source, private) = (asm.label(), asm.label());
    header(&mut asm, IP4_LENGTH, drop);
    asm.push(load(Reg::R7, Reg::R8, IP4_SOURCE));
    if_one_of(&mut asm, Reg::R7, &local_but_private(table), own_source);
    asm.jump_if32(Cond::NotEqual, Reg::R7, table.loopback, drop);
    if_udplite(&mut asm, drop);
    asm.place(own_source);
    if_icmp_but_no_echo(&mut asm, drop);
    asm.push(load(Reg::R7, Reg::R8, IP4_DESTINATION));
    if_one_of(&mut asm, Reg::R7, &local_but_private(table), inside);
    asm.jump_if32(Cond::Equal, Reg::R7, table.loopback, private);
    let loopback = asm.label();
    if_loopback_net(&mut asm, loopback);
    asm.jump(pass).place(loopback);
    if_not_tcp_answer(&mut asm, drop);
    asm.jump(pass).place(private);
    if_udplite(&mut asm, drop);
    asm.jump(inside);

    asm.place(ip6);
    if !table.own6.is_empty() {
        let own_source = asm.label();
        header(&mut asm, IP6_LENGTH, drop);
        if_one_of6(&mut asm, Reg::R8, IP6_SOURCE, &table.own6, own_source);
        asm.jump(drop);
        asm.place(own_source);
        if_icmp6_but_no_echo(&mut asm, drop);
        if_one_of6(&mut asm, Reg::R8, IP6_DESTINATION, &[[0, 0, 0, ONE]], drop);
        if_one_of6(&mut asm, Reg::R8, IP6_DESTINATION, &table.own6, inside);
        asm.jump(pass);
    }
    verdicts(asm, table, Direction::Egress, (pass, inside, drop))
}

/// Incoming: the destination is the guest's.
pub fn ingress(table: &Table, _: Features) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let (ip6, pass, drop) = head(&mut asm);
    let inside = asm.label();

    header(&mut asm, IP4_LENGTH, drop);
    asm.push(load(Reg::R7, Reg::R8, IP4_DESTINATION));
    let own = asm.label();
    if_one_of(&mut asm, Reg::R7, &table.bindable4(), own);
    if table.multicast {
        if_multicast(&mut asm, pass);
    }
    asm.jump(drop).place(own).push(load(Reg::R7, Reg::R8, IP4_SOURCE));
    remember(&mut asm, table, false);
    if_one_of(&mut asm, Reg::R7, &table.local4(), inside);
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
        header(&mut asm, IP6_LENGTH, drop);
        if_one_of6(&mut asm, Reg::R8, IP6_SOURCE, &table.own6, inside);
        asm.jump(pass);
    }
    verdicts(asm, table, Direction::Ingress, (pass, inside, drop))
}

/// What may stand as a source or destination of the guest's own, without its private loopback.
fn local_but_private(table: &Table) -> Vec<u32> {
    table.local4().into_iter().filter(|address| *address != table.loopback).collect()
}

/// Goes to `drop` if the IPv4 packet at `R8` is UDP-Lite. Clobbers `R2`.
fn if_udplite(asm: &mut Assembler, drop: Label) {
    asm.push(Insn::load(Size::Byte, Reg::R2, Reg::R8, IP4_PROTOCOL)).jump_if32(Cond::Equal, Reg::R2, UDPLITE, drop);
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

/// Goes to `drop` if the IPv4 packet at `R8` is ICMP and no echo request: what ping sends. The kernel's own errors and answers
/// are no packets of the guest's sockets. `R3` is the end of the packet; clobbers `R2` and `R4`.
fn if_icmp_but_no_echo(asm: &mut Assembler, drop: Label) {
    let fine = asm.label();
    asm.push(Insn::load(Size::Byte, Reg::R2, Reg::R8, IP4_PROTOCOL)).jump_if32(Cond::NotEqual, Reg::R2, ICMP, fine);
    asm.push(Insn::load(Size::Byte, Reg::R2, Reg::R8, 0)).push(Insn::alu64_imm(Alu::And, Reg::R2, 0x0f));
    asm.push(Insn::alu64_imm(Alu::ShiftLeft, Reg::R2, 2)).push(Insn::mov64(Reg::R4, Reg::R8));
    asm.push(Insn::alu64(Alu::Add, Reg::R4, Reg::R2));
    asm.push(Insn::mov64(Reg::R2, Reg::R4)).push(Insn::alu64_imm(Alu::Add, Reg::R2, 1));
    asm.jump_if_reg(Cond::Greater, Reg::R2, Reg::R3, drop);
    asm.push(Insn::load(Size::Byte, Reg::R2, Reg::R4, 0)).jump_if32(Cond::NotEqual, Reg::R2, ECHO, drop);
    asm.place(fine);
}

/// The same of the IPv6 packet; clobbers `R3`, too. A routing header, the one that needs no privilege, would hide what follows it.
fn if_icmp6_but_no_echo(asm: &mut Assembler, drop: Label) {
    let fine = asm.label();
    asm.push(Insn::load(Size::Byte, Reg::R2, Reg::R8, IP6_NEXT)).jump_if32(Cond::Equal, Reg::R2, ROUTING, drop);
    asm.jump_if32(Cond::NotEqual, Reg::R2, ICMPV6, fine);
    asm.push(Insn::load(Size::Word, Reg::R3, Reg::R6, skb::DATA_END));
    asm.push(Insn::mov64(Reg::R2, Reg::R8)).push(Insn::alu64_imm(Alu::Add, Reg::R2, IP6_LENGTH + 1));
    asm.jump_if_reg(Cond::Greater, Reg::R2, Reg::R3, drop);
    asm.push(Insn::load(Size::Byte, Reg::R2, Reg::R8, IP6_LENGTH as i16));
    asm.jump_if32(Cond::NotEqual, Reg::R2, ECHO6, drop).place(fine);
}

/// What a guest says to itself is `inside`: it is neither counted nor slowed down.
fn verdicts(
    mut asm: Assembler,
    table: &Table,
    direction: Direction,
    (pass, inside, drop): (Label, Label, Label),
) -> Result<Vec<Insn>, AssembleError> {
    asm.place(drop).exit_with(0);
    asm.place(pass);
    meter(&mut asm, table, direction);
    asm.place(inside).exit_with(1);
    asm.finish()
}
