//! The device policy as a program at `BPF_CGROUP_DEVICE`. See `struct bpf_cgroup_dev_ctx` in `include/uapi/linux/bpf.h`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use vserver_sys::bpf::{self, Alu, Assembler, AttachFlags, AttachType, Cond, Insn, ProgType, Reg, Size};

use crate::devices::{Access, DeviceKind, DevicePolicy, DeviceRule};

/// Offsets in the context: `access << 16 | kind`, major, minor.
const WHAT: i16 = 0;
const MAJOR: i16 = 4;
const MINOR: i16 = 8;
/// `BPF_DEVCG_DEV_BLOCK`, `BPF_DEVCG_DEV_CHAR`.
const BLOCK: u32 = 1;
const CHAR: u32 = 2;
/// `BPF_DEVCG_ACC_MKNOD`, `…_READ`, `…_WRITE`.
const MKNOD: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;

/// A device policy that the kernel has checked and compiled, for the v2 hierarchy.
#[derive(Debug)]
pub struct DeviceProgram {
    policy: DevicePolicy,
    program: OwnedFd,
}

impl DeviceProgram {
    /// Loads it. Needs `CAP_BPF` and `CAP_NET_ADMIN` (before 5.8: `CAP_SYS_ADMIN`) in the initial user namespace.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn load(policy: &DevicePolicy) -> io::Result<Self> {
        let instructions = assemble(policy)?;
        let program = bpf::prog_load(ProgType::CgroupDevice, AttachType::Device, &instructions, "vserver_devices")?;
        Ok(Self { policy: policy.clone(), program })
    }

    /// What it allows.
    pub(crate) fn policy(&self) -> &DevicePolicy {
        &self.policy
    }

    /// Attaches it to the cgroup directory `dir` and then detaches what was there: in between, both must allow a device.
    /// A cgroup below may add a program of its own, which can only refuse more.
    pub(crate) fn attach(&self, dir: &OwnedFd) -> io::Result<()> {
        let before = bpf::prog_query(dir.as_fd(), AttachType::Device)?;
        bpf::prog_attach(dir.as_fd(), self.program.as_fd(), AttachType::Device, AttachFlags::Multi)?;
        for id in before {
            let old = bpf::prog_by_id(id)?;
            bpf::prog_detach(dir.as_fd(), old.as_fd(), AttachType::Device)?;
        }
        // Read back: a program that is not there would leave every device open.
        match bpf::prog_query(dir.as_fd(), AttachType::Device)?.len() {
            1 => Ok(()),
            count => Err(io::Error::other(format!("{count} device programs are attached instead of one"))),
        }
    }
}

/// Compares with each rule of the kind in turn; the first that fits and grants all that is asked for allows. By kind
/// first, because the time of the kernel's check grows with the number of branches.
fn assemble(policy: &DevicePolicy) -> io::Result<Vec<Insn>> {
    let mut asm = Assembler::new();
    asm.push(Insn::load(Size::Word, Reg::R2, Reg::R1, WHAT))
        .push(Insn::load(Size::Word, Reg::R4, Reg::R1, MAJOR))
        .push(Insn::load(Size::Word, Reg::R5, Reg::R1, MINOR))
        .push(Insn::mov64(Reg::R3, Reg::R2))
        .push(Insn::alu64_imm(Alu::ShiftRight, Reg::R3, 16))
        .push(Insn::alu64_imm(Alu::And, Reg::R2, 0xffff));
    for (kind, number) in [(DeviceKind::Char, CHAR), (DeviceKind::Block, BLOCK)] {
        let rules: Vec<_> = policy.allow.iter().filter(|rule| rule.kind == kind).collect();
        if rules.is_empty() {
            continue;
        }
        let other = asm.label();
        asm.jump_if32(Cond::NotEqual, Reg::R2, number, other);
        for rule in rules {
            compare(&mut asm, rule);
        }
        asm.exit_with(0).place(other);
    }
    asm.exit_with(0);
    asm.finish().map_err(io::Error::other)
}

fn compare(asm: &mut Assembler, rule: &DeviceRule) {
    let next = asm.label();
    if let Some(major) = rule.major {
        asm.jump_if32(Cond::NotEqual, Reg::R4, major, next);
    }
    if let Some(minor) = rule.minor {
        asm.jump_if32(Cond::NotEqual, Reg::R5, minor, next);
    }
    asm.jump_if32(Cond::AnyBit, Reg::R3, !granted(rule.access), next).exit_with(1).place(next);
}

fn granted(access: Access) -> u32 {
    let bits = [(Access::MAKE, MKNOD), (Access::READ, READ), (Access::WRITE, WRITE)];
    bits.iter().filter(|(a, _)| access.contains(*a)).map(|(_, bit)| bit).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_allowed_is_six_loads_and_a_refusal() {
        let program = assemble(&DevicePolicy { allow: Vec::new() }).unwrap();
        assert_eq!(program.len(), 8);
        assert_eq!(program[6], Insn::mov64_imm(Reg::R0, 0));
    }

    #[test]
    fn letters_have_the_kernels_bits() {
        assert_eq!(granted(Access::USE), READ | WRITE);
        assert_eq!(granted(Access::ALL), 7);
    }
}
