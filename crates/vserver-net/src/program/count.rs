//! Counts the sockets of a guest at `socket` and at their end, and refuses one above its limit.
//!
//! What `accept` gives out was asked about nowhere, but its end is told like any other. So a socket is entered in a table by
//! its cookie when it is counted, and counts back only if it is found there.

use nix::errno::Errno;
use vserver_sys::bpf::{Alu, AssembleError, Assembler, Cond, Helper, Insn, Label, Reg, Size};

use super::Features;
use super::parts::refuse;
use super::steer::{argument, look_up};

/// The first table has two values of three words. One is only read here, so that it can be changed at any moment: its first
/// word is the limit.
pub(crate) const SETTING: u32 = 0;
/// The other is only written here.
pub(crate) const FIGURES: u32 = 1;
pub(crate) const LENGTH: u32 = 24;
pub(crate) const NOW: i16 = 0;
pub(crate) const MOST: i16 = 8;
pub(crate) const REFUSED: i16 = 16;

/// On the stack: the cookie, and a key of the first table, which is also the value in the second.
const COOKIE: i16 = -8;
const KEY: i16 = -16;

const NEW_ONLY: i32 = 1;

/// The tables by their descriptors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tables {
    pub count: i32,
    pub cookies: i32,
}

/// May one more socket be? With `after_others` one that another program has refused already is not counted: nobody will
/// tell of its end.
pub(crate) fn create(tables: Tables, after_others: bool, features: Features) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let (done, over) = (asm.label(), asm.label());
    asm.push(Insn::mov64(Reg::R6, Reg::R1));
    if after_others {
        asm.push(Insn::call(Helper::GetRetval)).jump_if64(Cond::NotEqual, Reg::R0, 0, done);
    }
    cookie(&mut asm);
    value(&mut asm, tables, SETTING, done);
    asm.push(Insn::load(Size::Double, Reg::R9, Reg::R0, 0));
    value(&mut asm, tables, FIGURES, done);
    asm.push(Insn::mov64(Reg::R7, Reg::R0));
    asm.push(Insn::mov64_imm(Reg::R8, 1)).push(Insn::fetch_add(Reg::R7, NOW, Reg::R8));
    asm.jump_if_reg(Cond::GreaterOrEqual, Reg::R8, Reg::R9, over);
    argument(&mut asm, Reg::R1, tables.cookies, COOKIE, Reg::R2);
    asm.push(Insn::mov64(Reg::R3, Reg::R10)).push(Insn::alu64_imm(Alu::Add, Reg::R3, i32::from(KEY)));
    asm.push(Insn::mov64_imm(Reg::R4, NEW_ONLY)).push(Insn::call(Helper::MapUpdate));
    asm.jump_if64(Cond::NotEqual, Reg::R0, 0, over);
    // Two at once may leave the lower number: it is there to be looked at.
    asm.push(Insn::alu64_imm(Alu::Add, Reg::R8, 1)).push(Insn::load(Size::Double, Reg::R2, Reg::R7, MOST));
    asm.jump_if_reg(Cond::GreaterOrEqual, Reg::R2, Reg::R8, done);
    asm.push(Insn::store(Size::Double, Reg::R7, MOST, Reg::R8));
    asm.place(done).exit_with(1);

    asm.place(over).push(Insn::mov64_imm(Reg::R1, -1)).push(Insn::add_atomic(Reg::R7, NOW, Reg::R1));
    asm.push(Insn::mov64_imm(Reg::R1, 1)).push(Insn::add_atomic(Reg::R7, REFUSED, Reg::R1));
    // What socket(2) says of a whole system without a free one.
    refuse(&mut asm, features, Errno::ENFILE);
    asm.finish()
}

/// Its end.
pub(crate) fn release(tables: Tables) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let done = asm.label();
    asm.push(Insn::mov64(Reg::R6, Reg::R1));
    cookie(&mut asm);
    argument(&mut asm, Reg::R1, tables.cookies, COOKIE, Reg::R2);
    asm.push(Insn::call(Helper::MapDelete)).jump_if64(Cond::NotEqual, Reg::R0, 0, done);
    value(&mut asm, tables, FIGURES, done);
    asm.push(Insn::mov64_imm(Reg::R1, -1)).push(Insn::add_atomic(Reg::R0, NOW, Reg::R1));
    asm.place(done).exit_with(1);
    asm.finish()
}

/// The number of the socket at `R6` comes to its place on the stack.
fn cookie(asm: &mut Assembler) {
    asm.push(Insn::mov64(Reg::R1, Reg::R6)).push(Insn::call(Helper::SocketCookie));
    asm.push(Insn::store(Size::Double, Reg::R10, COOKIE, Reg::R0));
}

/// Where a value of the first table is, in `R0`; goes to `none` if there is none, which does not happen.
fn value(asm: &mut Assembler, tables: Tables, which: u32, none: Label) {
    asm.push(Insn::store_imm(Size::Double, Reg::R10, KEY, which as i32));
    look_up(asm, tables.count, KEY);
    asm.jump_if64(Cond::Equal, Reg::R0, 0, none);
}
