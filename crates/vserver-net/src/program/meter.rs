//! Counts what a guest sends and receives, and holds it to its rates: see [`crate::meter`].
//!
//! A bucket is one number, the moment up to which its traffic is paid: it lies at most `depth` in the past, each byte moves it
//! on, and what would move it into the future is dropped. So packets on several processors need no lock: the worst that they
//! do to each other is to pass one packet too many.

use vserver_sys::bpf::{Alu, AssembleError, Assembler, Cond, Helper, Insn, Label, Reg, Size};

use super::Features;
use super::parts::{load, skb};
use super::steer::look_up;
use crate::policy::Table;

/// Which entry of both tables a packet belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ingress = 0,
    Egress = 1,
}

/// `struct { u64 bytes, packets, dropped; }` for each processor.
pub(crate) const COUNTS_LENGTH: u32 = 24;
/// Two buckets, for the average and the peak: `struct { u64 paid, cost, depth; }`, `cost` being nanoseconds for
/// 2^[`SCALE`] bytes, 0 for none, and `depth` in nanoseconds.
pub(crate) const SHAPES_LENGTH: u32 = 48;
pub(crate) const SCALE: u32 = 10;
const BUCKETS: [i16; 2] = [0, 24];
const COST: i16 = 8;
const DEPTH: i16 = 16;

const KEY: i16 = -8;
/// What the packet costs in each bucket.
const COSTS: [i16; 2] = [-16, -24];

const LOOPBACK_DEVICE: u32 = 1;
/// Verdicts of a cgroup's filter of outgoing packets: TCP is told to slow down by the second bit, which drops in the first and
/// passes in the second case; 5.3.
const DROP_AND_TELL: i32 = 2;
const PASS_AND_TELL: i32 = 3;

/// For a guest that is held to no addresses: nothing but this. What stays on the loopback device is left out.
pub(crate) fn only(table: &Table, direction: Direction) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let inside = asm.label();
    asm.push(Insn::mov64(Reg::R6, Reg::R1)).push(load(Reg::R2, Reg::R6, skb::IFINDEX));
    asm.jump_if32(Cond::Equal, Reg::R2, LOOPBACK_DEVICE, inside);
    meter(&mut asm, table, direction);
    asm.place(inside).exit_with(1);
    asm.finish()
}

pub fn only_egress(table: &Table, _: Features) -> Result<Vec<Insn>, AssembleError> {
    only(table, Direction::Egress)
}

pub fn only_ingress(table: &Table, _: Features) -> Result<Vec<Insn>, AssembleError> {
    only(table, Direction::Ingress)
}

/// For the packet at `R6` that may pass; goes on if it does, for whatever comes next to end with 1.
pub(crate) fn meter(asm: &mut Assembler, table: &Table, direction: Direction) {
    let Some(tables) = table.meter else { return };
    let (count, over, end) = (asm.label(), asm.label(), asm.label());
    asm.push(Insn::store_imm(Size::Word, Reg::R10, KEY, direction as i32));
    asm.push(load(Reg::R7, Reg::R6, skb::LENGTH));
    look_up(asm, tables.shapes, KEY);
    asm.jump_if64(Cond::Equal, Reg::R0, 0, count).push(Insn::mov64(Reg::R8, Reg::R0));
    asm.push(Insn::load(Size::Double, Reg::R1, Reg::R8, COST)).jump_if64(Cond::Equal, Reg::R1, 0, count);
    asm.push(Insn::call(Helper::KtimeGetNs)).push(Insn::mov64(Reg::R9, Reg::R0));
    for (bucket, cost) in BUCKETS.into_iter().zip(COSTS) {
        if_room(asm, bucket, cost, over);
    }
    for (bucket, cost) in BUCKETS.into_iter().zip(COSTS) {
        asm.push(Insn::load(Size::Double, Reg::R1, Reg::R10, cost));
        asm.push(Insn::add_atomic(Reg::R8, bucket, Reg::R1));
    }
    if direction == Direction::Egress {
        tell_when_low(asm, count, tables.counts, end);
    }
    asm.place(count);
    add(asm, tables.counts, end);
    asm.jump(end).place(over);
    look_up(asm, tables.counts, KEY);
    let dropped = asm.label();
    asm.jump_if64(Cond::Equal, Reg::R0, 0, dropped).push(Insn::mov64_imm(Reg::R1, 1));
    asm.push(Insn::add_atomic(Reg::R0, 16, Reg::R1)).place(dropped);
    asm.exit_with(if direction == Direction::Egress { DROP_AND_TELL } else { 0 });
    asm.place(end);
}

/// Brings the bucket at `R8` up to date, leaves the price of `R7` bytes at `cost` of the stack, goes to `over` if the bucket
/// does not hold it. `R9` is now. Clobbers `R1`–`R4`.
fn if_room(asm: &mut Assembler, bucket: i16, cost: i16, over: Label) {
    let (young, paid, none) = (asm.label(), asm.label(), asm.label());
    asm.push(Insn::load(Size::Double, Reg::R1, Reg::R8, bucket + COST));
    asm.push(Insn::alu64(Alu::Multiply, Reg::R1, Reg::R7));
    asm.push(Insn::alu64_imm(Alu::ShiftRight, Reg::R1, SCALE as i32));
    asm.push(Insn::store(Size::Double, Reg::R10, cost, Reg::R1)).jump_if64(Cond::Equal, Reg::R1, 0, none);
    asm.push(Insn::load(Size::Double, Reg::R2, Reg::R8, bucket));
    asm.push(Insn::load(Size::Double, Reg::R4, Reg::R8, bucket + DEPTH));
    // Before the host has been up for as long as that, the bucket is as full as it can be.
    asm.push(Insn::mov64_imm(Reg::R3, 0)).jump_if_reg(Cond::Greater, Reg::R4, Reg::R9, young);
    asm.push(Insn::mov64(Reg::R3, Reg::R9)).push(Insn::alu64(Alu::Sub, Reg::R3, Reg::R4)).place(young);
    asm.jump_if_reg(Cond::GreaterOrEqual, Reg::R2, Reg::R3, paid);
    asm.push(Insn::store(Size::Double, Reg::R8, bucket, Reg::R3)).push(Insn::mov64(Reg::R2, Reg::R3)).place(paid);
    asm.push(Insn::alu64(Alu::Add, Reg::R2, Reg::R1)).jump_if_reg(Cond::Greater, Reg::R2, Reg::R9, over);
    asm.place(none);
}

/// A sender that is told when three quarters are used loses less than one that runs into the end.
fn tell_when_low(asm: &mut Assembler, enough: Label, counts: i32, end: Label) {
    asm.push(Insn::load(Size::Double, Reg::R2, Reg::R8, 0)).push(Insn::mov64(Reg::R3, Reg::R9));
    asm.jump_if_reg(Cond::Greater, Reg::R2, Reg::R9, enough).push(Insn::alu64(Alu::Sub, Reg::R3, Reg::R2));
    asm.push(Insn::load(Size::Double, Reg::R4, Reg::R8, DEPTH)).push(Insn::alu64_imm(Alu::ShiftRight, Reg::R4, 2));
    asm.jump_if_reg(Cond::GreaterOrEqual, Reg::R3, Reg::R4, enough);
    add(asm, counts, end);
    asm.exit_with(PASS_AND_TELL);
}

/// Adds the packet; goes to `none` if there is no table. A large packet that a device is going to cut, or has put together,
/// counts as its parts.
fn add(asm: &mut Assembler, counts: i32, none: Label) {
    let whole = asm.label();
    look_up(asm, counts, KEY);
    asm.jump_if64(Cond::Equal, Reg::R0, 0, none);
    asm.push(Insn::add_atomic(Reg::R0, 0, Reg::R7)).push(load(Reg::R1, Reg::R6, skb::SEGMENTS));
    asm.jump_if64(Cond::NotEqual, Reg::R1, 0, whole).push(Insn::mov64_imm(Reg::R1, 1)).place(whole);
    asm.push(Insn::add_atomic(Reg::R0, 8, Reg::R1));
}
