//! Offsets of the contexts, and the few sequences that several programs share.

use std::net::Ipv4Addr;

use nix::errno::Errno;
use vserver_sys::bpf::{Alu, Assembler, Cond, Helper, Insn, Label, Reg, Size};

use super::Features;
use crate::policy::word;

/// `struct bpf_sock_addr`: the address given by or to a program.
pub mod sock_addr {
    pub const USER_IP4: i16 = 4;
    pub const USER_IP6: i16 = 8;
    pub const USER_PORT: i16 = 24;
    pub const PROTOCOL: i16 = 36;
    pub const MSG_SRC_IP4: i16 = 40;
    pub const MSG_SRC_IP6: i16 = 44;
    /// Kernel 5.3.
    pub const SK: i16 = 64;
}

/// `struct bpf_sock`: a socket.
pub mod sock {
    pub const FAMILY: i16 = 4;
    pub const TYPE: i16 = 8;
    pub const PROTOCOL: i16 = 12;
    pub const SRC_IP4: i16 = 24;
    pub const SRC_IP6: i16 = 28;
    /// Local port in host order, 0 while there is none.
    pub const SRC_PORT: i16 = 44;
}

/// `struct __sk_buff`: a packet; its data begins with the IP header.
pub mod skb {
    /// Of the packet with its IP header.
    pub const LENGTH: i16 = 0;
    /// EtherType in network order.
    pub const PROTOCOL: i16 = 16;
    /// Number of the device.
    pub const IFINDEX: i16 = 40;
    pub const DATA: i16 = 76;
    pub const DATA_END: i16 = 80;
    /// How many packets it is on the wire, 0 for one; 5.1.
    pub const SEGMENTS: i16 = 164;
}

/// `struct bpf_sock_ops`: a step in the life of a TCP socket.
pub mod sock_ops {
    pub const OP: i16 = 0;
    pub const REPLY: i16 = 4;
    pub const FAMILY: i16 = 20;
    pub const LOCAL_IP4: i16 = 28;
    pub const LOCAL_IP6: i16 = 48;
    /// In host order.
    pub const LOCAL_PORT: i16 = 68;
    /// Kernel 5.3.
    pub const SK: i16 = 184;
}

pub const TCP: u32 = 6;
pub const UDP: u32 = 17;
pub const UDPLITE: u32 = 136;

/// 127.0.0.1 as the guest says it.
pub const LOCALHOST: u32 = word(Ipv4Addr::LOCALHOST);
/// Third word of `::ffff:a.b.c.d`.
pub const MAPPED: u32 = 0xffff_u32.to_be();
/// Last word of `::1`.
pub const ONE: u32 = 1_u32.to_be();
const LOOPBACK_MASK: u32 = word(Ipv4Addr::new(255, 0, 0, 0));
const LOOPBACK_NET: u32 = word(Ipv4Addr::new(127, 0, 0, 0));
const MULTICAST_MASK: u32 = word(Ipv4Addr::new(240, 0, 0, 0));
const MULTICAST_NET: u32 = word(Ipv4Addr::new(224, 0, 0, 0));
/// First octet of every IPv6 multicast address, in the first word as a program sees it.
const MULTICAST6: u32 = 0xff00_0000_u32.to_be();

/// `reg = *(u32 *)(base + offset)`
pub const fn load(reg: Reg, base: Reg, offset: i16) -> Insn {
    Insn::load(Size::Word, reg, base, offset)
}

/// `*(u32 *)(R6 + offset) = value`, through a register as contexts want it. Clobbers `R2`.
pub fn set(asm: &mut Assembler, offset: i16, value: u32) {
    asm.push(Insn::mov32_imm(Reg::R2, value)).push(Insn::store(Size::Word, Reg::R6, offset, Reg::R2));
}

/// Writes a whole IPv6 address into the context. Clobbers `R2`.
pub fn set6(asm: &mut Assembler, offset: i16, address: [u32; 4]) {
    for (value, at) in address.into_iter().zip((offset..).step_by(4)) {
        set(asm, at, value);
    }
}

/// Ends the program with a refusal that the caller sees as `errno`, or as EPERM where the kernel cannot say it.
pub fn refuse(asm: &mut Assembler, features: Features, errno: Errno) {
    if features.errno {
        asm.push(Insn::mov64_imm(Reg::R1, -(errno as i32))).push(Insn::call(Helper::SetRetval));
    }
    asm.exit_with(0);
}

/// Jumps to `found` if `reg` is one of `addresses`.
pub fn if_one_of(asm: &mut Assembler, reg: Reg, addresses: &[u32], found: Label) {
    for &address in addresses {
        asm.jump_if32(Cond::Equal, reg, address, found);
    }
}

/// Jumps to `found` if the four words at `base + offset` are one of `addresses`. Clobbers `R2`–`R5`.
pub fn if_one_of6(asm: &mut Assembler, base: Reg, offset: i16, addresses: &[[u32; 4]], found: Label) {
    let registers = [Reg::R2, Reg::R3, Reg::R4, Reg::R5];
    for (reg, at) in registers.into_iter().zip((offset..).step_by(4)) {
        asm.push(load(reg, base, at));
    }
    for address in addresses {
        let next = asm.label();
        for (reg, value) in registers.into_iter().zip(*address) {
            asm.jump_if32(Cond::NotEqual, reg, value, next);
        }
        asm.jump(found).place(next);
    }
}

/// Jumps to `found` if `R7` lies in 127.0.0.0/8. Clobbers `R2`.
pub fn if_loopback_net(asm: &mut Assembler, found: Label) {
    asm.push(Insn::mov64(Reg::R2, Reg::R7)).push(Insn::alu32_imm(Alu::And, Reg::R2, LOOPBACK_MASK));
    asm.jump_if32(Cond::Equal, Reg::R2, LOOPBACK_NET, found);
}

/// Jumps to `found` if `R7` is a multicast address (224.0.0.0/4). Clobbers `R2`.
pub fn if_multicast(asm: &mut Assembler, found: Label) {
    asm.push(Insn::mov64(Reg::R2, Reg::R7)).push(Insn::alu32_imm(Alu::And, Reg::R2, MULTICAST_MASK));
    asm.jump_if32(Cond::Equal, Reg::R2, MULTICAST_NET, found);
}

/// Jumps to `found` if the IPv6 address at `base + offset` is a multicast address (ff00::/8). Clobbers `R2`.
pub fn if_multicast6(asm: &mut Assembler, base: Reg, offset: i16, found: Label) {
    asm.push(load(Reg::R2, base, offset)).push(Insn::alu32_imm(Alu::And, Reg::R2, MULTICAST6));
    asm.jump_if32(Cond::Equal, Reg::R2, MULTICAST6, found);
}

/// Where [`sort6`] goes.
pub struct Sorted6 {
    /// `::ffff:a.b.c.d`; `R7` holds the IPv4 address.
    pub mapped: Label,
    /// `::`
    pub any: Label,
    /// Everything else.
    pub native: Label,
}

/// Looks at the IPv6 address in the context and jumps. Leaves its last word in `R7`; clobbers `R2`.
pub fn sort6(asm: &mut Assembler, offset: i16) -> Sorted6 {
    let to = Sorted6 { mapped: asm.label(), any: asm.label(), native: asm.label() };
    asm.push(load(Reg::R7, Reg::R6, offset + 12));
    asm.push(load(Reg::R2, Reg::R6, offset)).jump_if32(Cond::NotEqual, Reg::R2, 0, to.native);
    asm.push(load(Reg::R2, Reg::R6, offset + 4)).jump_if32(Cond::NotEqual, Reg::R2, 0, to.native);
    asm.push(load(Reg::R2, Reg::R6, offset + 8)).jump_if32(Cond::Equal, Reg::R2, MAPPED, to.mapped);
    asm.jump_if32(Cond::NotEqual, Reg::R2, 0, to.native);
    asm.jump_if32(Cond::NotEqual, Reg::R7, 0, to.native);
    asm.jump(to.any);
    to
}
