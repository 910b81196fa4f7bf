//! One instruction of BPF and the constructors for those that our programs use.

/// A register. `R0` is the result, `R1`–`R5` are arguments and do not survive a call, `R6`–`R9` do, `R10` is the
/// frame pointer (read only; 512 bytes of stack lie below it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Reg {
    R0 = 0,
    R1 = 1,
    R2 = 2,
    R3 = 3,
    R4 = 4,
    R5 = 5,
    R6 = 6,
    R7 = 7,
    R8 = 8,
    R9 = 9,
    R10 = 10,
}

/// Width of a load or a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 1 byte.
    Byte = 0x10,
    /// 2 bytes.
    Half = 0x08,
    /// 4 bytes.
    Word = 0x00,
    /// 8 bytes.
    Double = 0x18,
}

/// An arithmetic operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alu {
    /// `dst += src`
    Add = 0x00,
    /// `dst -= src`
    Sub = 0x10,
    /// `dst *= src`
    Multiply = 0x20,
    /// `dst |= src`
    Or = 0x40,
    /// `dst &= src`
    And = 0x50,
    /// `dst <<= src`
    ShiftLeft = 0x60,
    /// `dst >>= src`, zeros come in
    ShiftRight = 0x70,
    /// `dst ^= src`
    Xor = 0xa0,
    /// `dst = src`
    Mov = 0xb0,
}

/// The condition of a jump; all comparisons are unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cond {
    /// `dst == src`
    Equal = 0x10,
    /// `dst > src`
    Greater = 0x20,
    /// `dst >= src`
    GreaterOrEqual = 0x30,
    /// `dst & src != 0`
    AnyBit = 0x40,
    /// `dst != src`
    NotEqual = 0x50,
    /// `dst < src` (kernel 4.14)
    Less = 0xa0,
    /// `dst <= src` (kernel 4.14)
    LessOrEqual = 0xb0,
}

const LOAD: u8 = 0x01;
const STORE_IMM: u8 = 0x02;
const STORE: u8 = 0x03;
const ALU32: u8 = 0x04;
const JMP: u8 = 0x05;
const JMP32: u8 = 0x06;
const ALU64: u8 = 0x07;
const MEMORY: u8 = 0x60;
const FROM_REGISTER: u8 = 0x08;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;

/// One instruction, laid out as the kernel's `struct bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Insn {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

const _: () = assert!(size_of::<Insn>() == 8);

impl Insn {
    /// `dst <op>= imm` on 64 bits; `imm` is sign-extended.
    pub const fn alu64_imm(op: Alu, dst: Reg, imm: i32) -> Self {
        Self::new(ALU64 | op as u8, dst, Reg::R0, 0, imm)
    }

    /// `dst <op>= src` on 64 bits.
    pub const fn alu64(op: Alu, dst: Reg, src: Reg) -> Self {
        Self::new(ALU64 | op as u8 | FROM_REGISTER, dst, src, 0, 0)
    }

    /// `dst <op>= imm` on the low 32 bits; the high 32 become zero.
    pub const fn alu32_imm(op: Alu, dst: Reg, imm: u32) -> Self {
        Self::new(ALU32 | op as u8, dst, Reg::R0, 0, imm.cast_signed())
    }

    /// `dst <op>= src` on the low 32 bits; the high 32 become zero.
    pub const fn alu32(op: Alu, dst: Reg, src: Reg) -> Self {
        Self::new(ALU32 | op as u8 | FROM_REGISTER, dst, src, 0, 0)
    }

    /// `dst = imm`, sign-extended to 64 bits.
    pub const fn mov64_imm(dst: Reg, imm: i32) -> Self {
        Self::alu64_imm(Alu::Mov, dst, imm)
    }

    /// `dst = src`.
    pub const fn mov64(dst: Reg, src: Reg) -> Self {
        Self::alu64(Alu::Mov, dst, src)
    }

    /// `dst = imm`, zero-extended: the way to load an address or a mask.
    pub const fn mov32_imm(dst: Reg, imm: u32) -> Self {
        Self::alu32_imm(Alu::Mov, dst, imm)
    }

    /// `dst = *(size *)(src + offset)`, zero-extended.
    pub const fn load(size: Size, dst: Reg, src: Reg, offset: i16) -> Self {
        Self::new(LOAD | MEMORY | size as u8, dst, src, offset, 0)
    }

    /// `*(size *)(dst + offset) = src`.
    pub const fn store(size: Size, dst: Reg, offset: i16, src: Reg) -> Self {
        Self::new(STORE | MEMORY | size as u8, dst, src, offset, 0)
    }

    /// `*(u64 *)(dst + offset) += src`, atomically.
    pub const fn add_atomic(dst: Reg, offset: i16, src: Reg) -> Self {
        const ATOMIC: u8 = 0xc0;
        Self::new(STORE | ATOMIC | Size::Double as u8, dst, src, offset, 0)
    }

    /// `src = *(u64 *)(dst + offset)` and `*(u64 *)(dst + offset) += src` in one; 5.12.
    pub const fn fetch_add(dst: Reg, offset: i16, src: Reg) -> Self {
        const ATOMIC: u8 = 0xc0;
        const FETCH: i32 = 1;
        Self::new(STORE | ATOMIC | Size::Double as u8, dst, src, offset, FETCH)
    }

    /// `*(size *)(dst + offset) = imm`. Refused by the verifier for most context fields: store a register there.
    pub const fn store_imm(size: Size, dst: Reg, offset: i16, imm: i32) -> Self {
        Self::new(STORE_IMM | MEMORY | size as u8, dst, Reg::R0, offset, imm)
    }

    /// `dst = map`, by its descriptor: two instructions, of which the second is only room.
    pub const fn load_map(dst: Reg, map: std::os::fd::RawFd) -> [Self; 2] {
        const LOAD_DOUBLE_IMM: u8 = 0x18;
        const PSEUDO_MAP_FD: Reg = Reg::R1;
        let first = Self::new(LOAD_DOUBLE_IMM, dst, PSEUDO_MAP_FD, 0, map);
        [first, Self { code: 0, registers: 0, offset: 0, immediate: 0 }]
    }

    /// A call of helper number `helper` with `R1`–`R5`; the answer is in `R0`.
    pub const fn call(helper: super::Helper) -> Self {
        Self::new(JMP | CALL, Reg::R0, Reg::R0, 0, helper as i32)
    }

    /// The end; `R0` is the verdict.
    pub const fn exit() -> Self {
        Self::new(JMP | EXIT, Reg::R0, Reg::R0, 0, 0)
    }

    /// The eight bytes that the kernel reads.
    pub const fn to_bytes(self) -> [u8; 8] {
        let [o0, o1] = self.offset.to_ne_bytes();
        let [i0, i1, i2, i3] = self.immediate.to_ne_bytes();
        [self.code, self.registers, o0, o1, i0, i1, i2, i3]
    }

    pub(super) const fn jump_always(offset: i16) -> Self {
        Self::new(JMP, Reg::R0, Reg::R0, offset, 0)
    }

    pub(super) const fn jump64_imm(cond: Cond, dst: Reg, imm: i32, offset: i16) -> Self {
        Self::new(JMP | cond as u8, dst, Reg::R0, offset, imm)
    }

    pub(super) const fn jump64(cond: Cond, dst: Reg, src: Reg, offset: i16) -> Self {
        Self::new(JMP | cond as u8 | FROM_REGISTER, dst, src, offset, 0)
    }

    pub(super) const fn jump32_imm(cond: Cond, dst: Reg, imm: u32, offset: i16) -> Self {
        Self::new(JMP32 | cond as u8, dst, Reg::R0, offset, imm.cast_signed())
    }

    pub(super) const fn with_offset(mut self, offset: i16) -> Self {
        self.offset = offset;
        self
    }

    const fn new(code: u8, dst: Reg, src: Reg, offset: i16, immediate: i32) -> Self {
        // `dst_reg:4, src_reg:4` is a C bit field, whose order follows the byte order of the machine.
        let registers =
            if cfg!(target_endian = "little") { src as u8 * 16 + dst as u8 } else { dst as u8 * 16 + src as u8 };
        Self { code, registers, offset, immediate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn encodings_are_those_of_the_kernel_documentation() {
        assert_eq!(Insn::mov64_imm(Reg::R0, 1).to_bytes(), [0xb7, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(Insn::mov64(Reg::R6, Reg::R1).to_bytes(), [0xbf, 0x16, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Insn::mov32_imm(Reg::R2, 0xffff_ffff).to_bytes(), [0xb4, 2, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(Insn::load(Size::Word, Reg::R3, Reg::R1, 4).to_bytes(), [0x61, 0x13, 4, 0, 0, 0, 0, 0]);
        assert_eq!(Insn::store(Size::Double, Reg::R10, -8, Reg::R4).to_bytes(), [0x7b, 0x4a, 0xf8, 0xff, 0, 0, 0, 0]);
        assert_eq!(Insn::exit().to_bytes(), [0x95, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Insn::call(super::super::Helper::Bind).to_bytes(), [0x85, 0, 0, 0, 64, 0, 0, 0]);
        assert_eq!(Insn::jump32_imm(Cond::Equal, Reg::R2, 7, 3).to_bytes(), [0x16, 2, 3, 0, 7, 0, 0, 0]);
    }
}
