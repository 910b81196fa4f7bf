//! Frames of a guest with a stack of its own, seen where they leave it. What it may not say about itself does not get out:
//! another Ethernet address, another IPv4 or IPv6 address, also in ARP and neighbour discovery; nor may it play the router
//! or the DHCP server of its neighbours.
//!
//! Everything is copied out of the packet with `bpf_skb_load_bytes`: it fails where a frame ends early, which is a refusal,
//! and finds bytes wherever the sender had them put. Registers: `R6` the context, `R7` how far into the frame we are, `R8`
//! the type of what begins there, `R9` as each part says.
//!
//! Sources: RFC 826, 5227 (ARP), 4861, 4862 (neighbours), 6105, 7113 (routers behind extension headers).

use vserver_sys::bpf::{Alu, AssembleError, Assembler, Cond, Helper, Insn, Label, Reg, Size};

use super::parts::{if_one_of, if_one_of6, load};
use crate::guard::Table;

/// `TC_ACT_UNSPEC`: as if this filter were not there; others may follow. `include/uapi/linux/pkt_cls.h`.
const PASS: i32 = -1;
/// `TC_ACT_SHOT`.
const DROP: i32 = 2;

/// `vlan_present` of `struct __sk_buff`: a tag that the kernel has taken out of the frame.
const VLAN_PRESENT: i16 = 20;

const fn wire(value: u16) -> u32 {
    value.to_be() as u32
}

const ETH_P_IP: u32 = wire(0x0800);
const ETH_P_ARP: u32 = wire(0x0806);
const ETH_P_IPV6: u32 = wire(0x86dd);
const ETH_P_8021Q: u32 = wire(0x8100);
const ETH_P_8021AD: u32 = wire(0x88a8);
const ETHERNET: i32 = 14;
const TAG: i32 = 4;

const ICMP: u32 = 1;
const IGMP: u32 = 2;
const UDP: u32 = 17;
const ICMP6: u32 = 58;
/// Extension headers with a length of their own: hop by hop, routing, destination.
const LONG_HEADERS: [u32; 3] = [0, 43, 60];
const FRAGMENT: u32 = 44;
/// More in one packet than anybody sends.
const MOST_HEADERS: usize = 4;

const DHCP_SERVER: u32 = wire(67);
const DHCP_CLIENT: u32 = wire(68);
const DHCP6_CLIENT: u32 = wire(546);

const REDIRECT4: u32 = 5;
/// RFC 1256.
const ROUTER_ADVERTISEMENT4: u32 = 9;
const LISTENER_QUERY4: u32 = 0x11;

const LISTENER_QUERY: u32 = 130;
const LISTENER_REPORT: u32 = 131;
const LISTENER_DONE: u32 = 132;
const LISTENER_REPORT_2: u32 = 143;
const ROUTER_ADVERTISEMENT: u32 = 134;
const NEIGHBOUR_SOLICITATION: u32 = 135;
const NEIGHBOUR_ADVERTISEMENT: u32 = 136;
const REDIRECT: u32 = 137;

/// Where things are copied to, below `R10`. The Ethernet header lies so that its source can be read as a word.
const FRAME: i16 = -66;
const HEADER: i16 = -48;
/// A few bytes more than the header.
const EXTRA: i16 = -8;

/// Where a frame's way ends.
#[derive(Clone, Copy)]
struct Ends {
    pass: Label,
    drop: Label,
}

/// All frames go on to the device `to`, as if they had been sent there.
pub fn onward(to: u32) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    send_to(&mut asm, to);
    asm.finish()
}

/// Frames that the guest sends.
pub fn frames(table: &Table) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let ends = Ends { pass: asm.label(), drop: asm.label() };
    let (arp, ip4, ip6) = (asm.label(), asm.label(), asm.label());
    ethernet(&mut asm, table, ends);
    asm.jump_if32(Cond::Equal, Reg::R8, ETH_P_IP, ip4);
    asm.jump_if32(Cond::Equal, Reg::R8, ETH_P_IPV6, ip6);
    // What is none of these is a protocol of switches, or hides something.
    asm.jump_if32(Cond::NotEqual, Reg::R8, ETH_P_ARP, ends.drop);
    asm.place(arp);
    address_resolution(&mut asm, table, ends);
    asm.place(ip4);
    internet4(&mut asm, table, ends);
    asm.place(ip6);
    internet6(&mut asm, table, ends);
    asm.place(ends.pass);
    match table.onward {
        Some(to) => send_to(&mut asm, to),
        None => {
            asm.exit_with(PASS);
        }
    }
    asm.place(ends.drop).exit_with(DROP);
    asm.finish()
}

/// All frames: nothing comes from this device, nothing goes to it.
pub fn nothing() -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    asm.exit_with(DROP);
    asm.finish()
}

/// Ends the program: the verdict is that of the helper, `TC_ACT_REDIRECT`.
fn send_to(asm: &mut Assembler, to: u32) {
    asm.push(Insn::mov32_imm(Reg::R1, to)).push(Insn::mov64_imm(Reg::R2, 0));
    asm.push(Insn::call(Helper::Redirect)).push(Insn::exit());
}

/// `R7` = where the packet begins, `R8` = its type. One tag is looked through, two are not.
fn ethernet(asm: &mut Assembler, table: &Table, ends: Ends) {
    let (tagged, bare) = (asm.label(), asm.label());
    asm.push(Insn::mov64(Reg::R6, Reg::R1)).push(Insn::mov64_imm(Reg::R7, 0));
    copy(asm, 0, FRAME, ETHERNET, ends.drop);
    if_not_mac(asm, FRAME + 6, table, ends.drop);
    asm.push(Insn::load(Size::Half, Reg::R8, Reg::R10, FRAME + 12)).push(Insn::mov64_imm(Reg::R7, ETHERNET));
    if_one_of(asm, Reg::R8, &[ETH_P_8021Q, ETH_P_8021AD], tagged);
    asm.jump(bare).place(tagged);
    asm.push(load(Reg::R2, Reg::R6, VLAN_PRESENT)).jump_if32(Cond::NotEqual, Reg::R2, 0, ends.drop);
    copy(asm, 2, EXTRA, 2, ends.drop);
    asm.push(Insn::load(Size::Half, Reg::R8, Reg::R10, EXTRA)).push(Insn::mov64_imm(Reg::R7, ETHERNET + TAG));
    asm.place(bare);
}

/// The sender says who it is; with no address yet it may ask for its own.
fn address_resolution(asm: &mut Assembler, table: &Table, ends: Ends) {
    const ETHERNET_AND_IP: u32 = u32::from_ne_bytes([0, 1, 8, 0]);
    const LENGTHS: u32 = u16::from_ne_bytes([6, 4]) as u32;
    copy(asm, 0, HEADER, 28, ends.drop);
    asm.push(load(Reg::R2, Reg::R10, HEADER)).jump_if32(Cond::NotEqual, Reg::R2, ETHERNET_AND_IP, ends.drop);
    asm.push(Insn::load(Size::Half, Reg::R2, Reg::R10, HEADER + 4));
    asm.jump_if32(Cond::NotEqual, Reg::R2, LENGTHS, ends.drop);
    if_not_mac(asm, HEADER + 8, table, ends.drop);
    if let Some(own) = &table.own4 {
        // It lies on no word.
        copy(asm, 14, EXTRA, 4, ends.drop);
        asm.push(load(Reg::R9, Reg::R10, EXTRA));
        if_one_of(asm, Reg::R9, own, ends.pass);
        asm.jump_if32(Cond::NotEqual, Reg::R9, 0, ends.drop);
        asm.push(load(Reg::R9, Reg::R10, HEADER + 24));
        if_one_of(asm, Reg::R9, own, ends.pass);
    }
    // The verifier wants no instruction that nobody reaches.
    asm.jump(if table.own4.is_some() { ends.drop } else { ends.pass });
}

/// `R9` = 1 for a packet without a source, which only asks for one.
fn internet4(asm: &mut Assembler, table: &Table, ends: Ends) {
    let (known, asking) = (asm.label(), asm.label());
    copy(asm, 0, HEADER, 20, ends.drop);
    asm.push(load(Reg::R2, Reg::R10, HEADER + 12)).push(Insn::mov64_imm(Reg::R9, 0));
    match &table.own4 {
        Some(own) => {
            if_one_of(asm, Reg::R2, own, known);
            asm.jump_if32(Cond::NotEqual, Reg::R2, 0, ends.drop);
        }
        None => {
            asm.jump_if32(Cond::NotEqual, Reg::R2, 0, known);
        }
    }
    asm.push(Insn::mov64_imm(Reg::R9, 1)).place(known);
    let other = if_not_asking(asm, ends);
    let (looked_at, udp) = (asm.label(), asm.label());
    asm.push(Insn::load(Size::Byte, Reg::R8, Reg::R10, HEADER + 9));
    if_one_of(asm, Reg::R8, &[UDP, ICMP, IGMP], looked_at);
    asm.jump(other).place(looked_at);
    // Only the first fragment has ports or a type: 13 bits say which one it is.
    asm.push(Insn::load(Size::Half, Reg::R2, Reg::R10, HEADER + 6));
    asm.push(Insn::alu32_imm(Alu::And, Reg::R2, wire(0x1fff))).jump_if32(Cond::NotEqual, Reg::R2, 0, other);
    // The low half of the first byte is the length of the header in words.
    asm.push(Insn::load(Size::Byte, Reg::R2, Reg::R10, HEADER)).push(Insn::alu64_imm(Alu::And, Reg::R2, 0x0f));
    asm.push(Insn::alu64_imm(Alu::ShiftLeft, Reg::R2, 2)).jump_if32(Cond::Less, Reg::R2, 20, ends.drop);
    asm.push(Insn::alu64(Alu::Add, Reg::R7, Reg::R2));
    copy(asm, 0, EXTRA, 4, ends.drop);
    asm.jump_if32(Cond::Equal, Reg::R8, UDP, udp);
    control4(asm, other, ends);
    asm.place(udp).push(Insn::load(Size::Half, Reg::R2, Reg::R10, EXTRA + 2));
    // To a client of DHCP speaks its server.
    asm.jump_if32(Cond::Equal, Reg::R2, DHCP_CLIENT, ends.drop);
    asm.jump_if32(Cond::NotEqual, Reg::R9, 0, asking).jump(ends.pass);
    asm.place(asking).jump_if32(Cond::NotEqual, Reg::R2, DHCP_SERVER, ends.drop);
    asm.push(Insn::load(Size::Half, Reg::R2, Reg::R10, EXTRA));
    asm.jump_if32(Cond::NotEqual, Reg::R2, DHCP_CLIENT, ends.drop).jump(ends.pass);
}

/// Routers again: with `R8` the protocol, and its type in what was copied last.
fn control4(asm: &mut Assembler, other: Label, ends: Ends) {
    let groups = asm.label();
    asm.push(Insn::load(Size::Byte, Reg::R2, Reg::R10, EXTRA)).jump_if32(Cond::Equal, Reg::R8, IGMP, groups);
    if_one_of(asm, Reg::R2, &[REDIRECT4, ROUTER_ADVERTISEMENT4], ends.drop);
    asm.jump(other).place(groups).jump_if32(Cond::Equal, Reg::R2, LISTENER_QUERY4, ends.drop).jump(other);
}

/// A place to jump to: dropped without a source (`R9`), passed with one.
fn if_not_asking(asm: &mut Assembler, ends: Ends) -> Label {
    let (other, on) = (asm.label(), asm.label());
    asm.jump(on).place(other).jump_if32(Cond::NotEqual, Reg::R9, 0, ends.drop).jump(ends.pass);
    asm.place(on);
    other
}

/// `R9` = 1 for a packet without a source, which looks whether its address is free.
fn internet6(asm: &mut Assembler, table: &Table, ends: Ends) {
    let (known, asking, upper) = (asm.label(), asm.label(), asm.label());
    copy(asm, 0, HEADER, 40, ends.drop);
    asm.push(Insn::mov64_imm(Reg::R9, 1));
    if_one_of6(asm, Reg::R10, HEADER + 8, &[[0; 4]], asking);
    asm.push(Insn::mov64_imm(Reg::R9, 0));
    if let Some(own) = &table.own6 {
        if_one_of6(asm, Reg::R10, HEADER + 8, own, known);
        asm.jump(ends.drop);
    }
    asm.place(known).place(asking);
    let other = if_not_asking(asm, ends);
    asm.push(Insn::load(Size::Byte, Reg::R8, Reg::R10, HEADER + 6)).push(Insn::alu64_imm(Alu::Add, Reg::R7, 40));
    for _ in 0..MOST_HEADERS {
        extension(asm, upper, other, ends);
    }
    asm.place(upper);
    if_one_of(asm, Reg::R8, &LONG_HEADERS, ends.drop);
    asm.jump_if32(Cond::Equal, Reg::R8, FRAGMENT, ends.drop);
    let control = asm.label();
    asm.jump_if32(Cond::Equal, Reg::R8, ICMP6, control).jump_if32(Cond::NotEqual, Reg::R8, UDP, other);
    copy(asm, 0, EXTRA, 4, ends.drop);
    asm.push(Insn::load(Size::Half, Reg::R2, Reg::R10, EXTRA + 2));
    asm.jump_if32(Cond::Equal, Reg::R2, DHCP6_CLIENT, ends.drop).jump(other);
    asm.place(control);
    control6(asm, table, other, ends);
}

/// Steps over one extension header; to `upper` if there is none, to `other` if what follows is in another fragment.
fn extension(asm: &mut Assembler, upper: Label, other: Label, ends: Ends) {
    let (long, next) = (asm.label(), asm.label());
    if_one_of(asm, Reg::R8, &LONG_HEADERS, long);
    asm.jump_if32(Cond::NotEqual, Reg::R8, FRAGMENT, upper);
    copy(asm, 0, EXTRA, 8, ends.drop);
    asm.push(Insn::load(Size::Byte, Reg::R8, Reg::R10, EXTRA)).push(Insn::alu64_imm(Alu::Add, Reg::R7, 8));
    asm.push(Insn::load(Size::Half, Reg::R2, Reg::R10, EXTRA + 2));
    asm.push(Insn::alu32_imm(Alu::And, Reg::R2, wire(0xfff8))).jump_if32(Cond::NotEqual, Reg::R2, 0, other);
    asm.jump(next).place(long);
    copy(asm, 0, EXTRA, 2, ends.drop);
    asm.push(Insn::load(Size::Byte, Reg::R8, Reg::R10, EXTRA));
    // The length counts eight bytes each, without the first eight.
    asm.push(Insn::load(Size::Byte, Reg::R2, Reg::R10, EXTRA + 1)).push(Insn::alu64_imm(Alu::Add, Reg::R2, 1));
    asm.push(Insn::alu64_imm(Alu::ShiftLeft, Reg::R2, 3)).push(Insn::alu64(Alu::Add, Reg::R7, Reg::R2));
    asm.place(next);
}

/// Routers and neighbours.
fn control6(asm: &mut Assembler, table: &Table, other: Label, ends: Ends) {
    let (target, solicitation) = (asm.label(), asm.label());
    copy(asm, 0, EXTRA, 1, ends.drop);
    asm.push(Insn::load(Size::Byte, Reg::R8, Reg::R10, EXTRA));
    if_one_of(asm, Reg::R8, &[ROUTER_ADVERTISEMENT, REDIRECT, LISTENER_QUERY], ends.drop);
    if_one_of(asm, Reg::R8, &[LISTENER_REPORT, LISTENER_DONE, LISTENER_REPORT_2], ends.pass);
    asm.jump_if32(Cond::Equal, Reg::R8, NEIGHBOUR_SOLICITATION, solicitation);
    asm.jump_if32(Cond::NotEqual, Reg::R8, NEIGHBOUR_ADVERTISEMENT, other);
    asm.jump_if32(Cond::NotEqual, Reg::R9, 0, ends.drop).jump(target);
    // Whoever has an address may look for anybody; without one, for its own.
    asm.place(solicitation).jump_if32(Cond::Equal, Reg::R9, 0, ends.pass).place(target);
    if let Some(own) = &table.own6 {
        copy(asm, 8, HEADER, 16, ends.drop);
        if_one_of6(asm, Reg::R10, HEADER, own, ends.pass);
    }
    asm.jump(if table.own6.is_some() { ends.drop } else { ends.pass });
}

/// Copies `length` bytes at `R7 + from` to `to` below `R10`; to `drop` if they are not there. Clobbers `R0`–`R5`.
fn copy(asm: &mut Assembler, from: i32, to: i16, length: i32, drop: Label) {
    asm.push(Insn::mov64(Reg::R1, Reg::R6)).push(Insn::mov64(Reg::R2, Reg::R7));
    asm.push(Insn::alu64_imm(Alu::Add, Reg::R2, from));
    asm.push(Insn::mov64(Reg::R3, Reg::R10)).push(Insn::alu64_imm(Alu::Add, Reg::R3, i32::from(to)));
    asm.push(Insn::mov64_imm(Reg::R4, length)).push(Insn::call(Helper::SkbLoadBytes));
    asm.jump_if64(Cond::NotEqual, Reg::R0, 0, drop);
}

/// To `drop` unless the guest's Ethernet address is at `at`. Clobbers `R2`.
fn if_not_mac(asm: &mut Assembler, at: i16, table: &Table, drop: Label) {
    let [a, b, c, d, e, f] = table.mac;
    asm.push(load(Reg::R2, Reg::R10, at)).jump_if32(Cond::NotEqual, Reg::R2, u32::from_ne_bytes([a, b, c, d]), drop);
    asm.push(Insn::load(Size::Half, Reg::R2, Reg::R10, at + 4));
    asm.jump_if32(Cond::NotEqual, Reg::R2, u32::from(u16::from_ne_bytes([e, f])), drop);
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
