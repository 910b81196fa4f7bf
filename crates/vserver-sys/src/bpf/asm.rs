//! A list of instructions whose jumps name labels instead of distances.

use std::error::Error;
use std::fmt;

use super::{Cond, Insn, Reg};

/// A place in a program that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// A program that is being written. The verifier allows forward jumps everywhere, backward ones only where it can
/// prove an end (kernel 5.3); ours only go forward.
#[derive(Debug, Default)]
pub struct Assembler {
    insns: Vec<Insn>,
    /// Where each label stands, once known.
    labels: Vec<Option<usize>>,
    /// Jumps whose distance is still to be filled in.
    jumps: Vec<(usize, Label)>,
}

/// Why a program could not be finished. Both are faults of the generator, not of its input, save for sheer size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssembleError {
    /// A jump goes to a label that was never placed.
    LabelNowhere(Label),
    /// A jump is longer than 32 767 instructions.
    JumpTooLong {
        /// Position of the jump.
        at: usize,
    },
}

impl Assembler {
    /// An empty program.
    pub fn new() -> Self {
        Self::default()
    }

    /// A label to jump to; say where it stands with [`Assembler::place`].
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// `label` stands before the next instruction. Placing it again moves it.
    pub fn place(&mut self, label: Label) -> &mut Self {
        self.labels[label.0] = Some(self.insns.len());
        self
    }

    /// Appends `insn`.
    pub fn push(&mut self, insn: Insn) -> &mut Self {
        self.insns.push(insn);
        self
    }

    /// Jumps to `label`.
    pub fn jump(&mut self, label: Label) -> &mut Self {
        self.push_jump(Insn::jump_always(0), label)
    }

    /// Jumps if all 64 bits of `dst` compare so with the sign-extended `imm`.
    pub fn jump_if64(&mut self, cond: Cond, dst: Reg, imm: i32, label: Label) -> &mut Self {
        self.push_jump(Insn::jump64_imm(cond, dst, imm, 0), label)
    }

    /// Jumps if `dst` compares so with `src`, on 64 bits: the form for pointers into a packet.
    pub fn jump_if_reg(&mut self, cond: Cond, dst: Reg, src: Reg, label: Label) -> &mut Self {
        self.push_jump(Insn::jump64(cond, dst, src, 0), label)
    }

    /// Jumps if the low 32 bits of `dst` compare so with `imm` (kernel 5.1).
    pub fn jump_if32(&mut self, cond: Cond, dst: Reg, imm: u32, label: Label) -> &mut Self {
        self.push_jump(Insn::jump32_imm(cond, dst, imm, 0), label)
    }

    /// `return verdict`.
    pub fn exit_with(&mut self, verdict: i32) -> &mut Self {
        self.push(Insn::mov64_imm(Reg::R0, verdict)).push(Insn::exit())
    }

    /// The finished program.
    ///
    /// # Errors
    /// See [`AssembleError`].
    pub fn finish(mut self) -> Result<Vec<Insn>, AssembleError> {
        for &(at, label) in &self.jumps {
            let target = self.labels.get(label.0).copied().flatten().ok_or(AssembleError::LabelNowhere(label))?;
            // Distances count from the instruction after the jump.
            let distance = target as i64 - (at as i64 + 1);
            let distance = i16::try_from(distance).map_err(|_| AssembleError::JumpTooLong { at })?;
            self.insns[at] = self.insns[at].with_offset(distance);
        }
        Ok(self.insns)
    }

    fn push_jump(&mut self, insn: Insn, label: Label) -> &mut Self {
        self.jumps.push((self.insns.len(), label));
        self.push(insn)
    }
}

impl fmt::Display for AssembleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LabelNowhere(label) => write!(f, "a jump goes to label {}, which stands nowhere", label.0),
            Self::JumpTooLong { at } => write!(f, "the jump at instruction {at} is longer than 32767"),
        }
    }
}

impl Error for AssembleError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_from_the_next_instruction() {
        let mut asm = Assembler::new();
        let (end, next) = (asm.label(), asm.label());
        asm.jump_if32(Cond::Equal, Reg::R1, 1, end).jump(next).place(next).exit_with(0).place(end).exit_with(1);
        let insns = asm.finish().unwrap();
        assert_eq!(insns[0], Insn::jump32_imm(Cond::Equal, Reg::R1, 1, 3));
        assert_eq!(insns[1], Insn::jump_always(0));
        assert_eq!(insns.len(), 6);
    }

    #[test]
    fn a_label_that_stands_nowhere_and_a_long_jump_are_named() {
        let mut asm = Assembler::new();
        let label = asm.label();
        asm.jump(label);
        assert_eq!(asm.finish(), Err(AssembleError::LabelNowhere(label)));

        let mut asm = Assembler::new();
        let label = asm.label();
        asm.jump(label);
        for _ in 0..20_000 {
            asm.exit_with(0);
        }
        asm.place(label);
        assert_eq!(asm.finish(), Err(AssembleError::JumpTooLong { at: 0 }));
    }
}
