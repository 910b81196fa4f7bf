//! What was bound to a wildcard, noted at the socket itself: its address shows only what the wildcard became. Noted for every
//! guest, whatever it has for addresses at the moment: more may come while it runs.

use vserver_sys::bpf::{Alu, Assembler, Cond, Helper, Insn, Reg, Size};

use super::parts::{TCP, UDP, load, sock_addr};
use crate::policy::Table;

/// A note: the families of which the socket hears all addresses, and the port to hear them at, in host order; 0 is its own.
pub(crate) const NOTED_FAMILIES: i16 = 0;
pub(crate) const NOTED_PORT: i16 = 4;
/// Bits of the families.
pub(crate) const FOUR: i32 = 1;
pub(crate) const SIX: i32 = 2;

/// `BPF_SK_STORAGE_GET_F_CREATE`
const CREATE: i32 = 1;

/// Which addresses a wildcard stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Families {
    Four,
    Six,
    Both,
    /// IPv6, of which the guest has none yet. The port that the program asks for stands in the context, and the socket is
    /// going to have another.
    Later,
}

/// In `bind`, where a wildcard is replaced: notes that it was one. `R6` is the context; clobbers `R0`–`R5`.
pub fn note_wildcard(asm: &mut Assembler, table: &Table, families: Families) {
    let Some(wildcards) = table.wildcards else { return };
    let (known, other) = (asm.label(), asm.label());
    asm.push(load(Reg::R2, Reg::R6, sock_addr::PROTOCOL)).jump_if32(Cond::Equal, Reg::R2, TCP, known);
    asm.jump_if32(Cond::NotEqual, Reg::R2, UDP, other).place(known);
    asm.push(Insn::load(Size::Double, Reg::R2, Reg::R6, sock_addr::SK));
    storage(asm, wildcards, CREATE);
    asm.jump_if64(Cond::Equal, Reg::R0, 0, other);
    let bits = match families {
        Families::Four => FOUR,
        Families::Six | Families::Later => SIX,
        Families::Both => FOUR | SIX,
    };
    asm.push(Insn::store_imm(Size::Word, Reg::R0, NOTED_FAMILIES, bits));
    if families == Families::Later {
        asm.push(load(Reg::R2, Reg::R6, sock_addr::USER_PORT)).push(Insn::alu64_imm(Alu::And, Reg::R2, 0xffff));
        if cfg!(target_endian = "little") {
            asm.push(Insn::mov64(Reg::R3, Reg::R2)).push(Insn::alu64_imm(Alu::ShiftRight, Reg::R3, 8));
            asm.push(Insn::alu64_imm(Alu::And, Reg::R2, 0xff)).push(Insn::alu64_imm(Alu::ShiftLeft, Reg::R2, 8));
            asm.push(Insn::alu64(Alu::Or, Reg::R2, Reg::R3));
        }
        asm.push(Insn::store(Size::Word, Reg::R0, NOTED_PORT, Reg::R2));
    } else {
        asm.push(Insn::store_imm(Size::Word, Reg::R0, NOTED_PORT, 0));
    }
    asm.place(other);
}

/// `R0` = the note of the socket in `R2`, or null. Clobbers `R1`–`R5`.
pub fn noted(asm: &mut Assembler, wildcards: i32) {
    storage(asm, wildcards, 0);
}

fn storage(asm: &mut Assembler, wildcards: i32, flags: i32) {
    for insn in Insn::load_map(Reg::R1, wildcards) {
        asm.push(insn);
    }
    asm.push(Insn::mov64_imm(Reg::R3, 0))
        .push(Insn::mov64_imm(Reg::R4, flags))
        .push(Insn::call(Helper::SkStorageGet));
}
