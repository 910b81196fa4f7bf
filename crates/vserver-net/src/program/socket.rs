//! `socket(AF_INET or AF_INET6)`: only protocols whose addresses the other programs see.
//!
//! SCTP, DCCP and raw sockets have binds of their own that no program is asked about, so they are not given out.
//! `AF_PACKET` never comes here: it needs `CAP_NET_RAW`, which a guest on the host's stack does not have.

use nix::errno::Errno;
use vserver_sys::bpf::{AssembleError, Assembler, Cond, Insn, Label, Reg};

use super::Features;
use super::parts::{TCP, UDP, UDPLITE, load, refuse, sock};
use crate::policy::Table;

const STREAM: u32 = 1;
const DGRAM: u32 = 2;
const RAW: u32 = 3;
const INET6: u32 = 10;

const ICMP: u32 = 1;
const ICMPV6: u32 = 58;
const MPTCP: u32 = 262;

/// May this socket exist?
pub fn create(table: &Table, features: Features) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let (allow, raw, dgram, protocol) = (asm.label(), asm.label(), asm.label(), asm.label());
    asm.push(load(Reg::R2, Reg::R1, sock::TYPE)).push(load(Reg::R3, Reg::R1, sock::PROTOCOL));
    asm.push(load(Reg::R4, Reg::R1, sock::FAMILY));
    asm.jump_if32(Cond::Equal, Reg::R2, RAW, raw).jump_if32(Cond::Equal, Reg::R2, DGRAM, dgram);
    asm.jump_if32(Cond::NotEqual, Reg::R2, STREAM, protocol);
    asm.jump_if32(Cond::Equal, Reg::R3, TCP, allow).jump_if32(Cond::Equal, Reg::R3, MPTCP, allow);
    asm.jump(protocol);

    asm.place(dgram).jump_if32(Cond::Equal, Reg::R3, UDP, allow).jump_if32(Cond::Equal, Reg::R3, UDPLITE, allow);
    if_icmp(&mut asm, table, allow);
    asm.place(protocol);
    refuse(&mut asm, features, Errno::EPROTONOSUPPORT);

    asm.place(raw);
    if_icmp(&mut asm, table, allow);
    refuse(&mut asm, features, Errno::EPERM);
    asm.place(allow).exit_with(1);
    asm.finish()
}

fn if_icmp(asm: &mut Assembler, table: &Table, allow: Label) {
    if !table.raw_icmp {
        return;
    }
    let (v6, neither) = (asm.label(), asm.label());
    asm.jump_if32(Cond::Equal, Reg::R4, INET6, v6);
    asm.jump_if32(Cond::Equal, Reg::R3, ICMP, allow).jump(neither).place(v6);
    if !table.own6.is_empty() {
        asm.jump_if32(Cond::Equal, Reg::R3, ICMPV6, allow);
    }
    asm.place(neither);
}
