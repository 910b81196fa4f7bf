//! The device policy as a program at `BPF_CGROUP_DEVICE`. See `struct bpf_cgroup_dev_ctx` in `include/uapi/linux/bpf.h`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use vserver_sys::bpf::{self, Alu, Assembler, AttachFlags, AttachType, Cond, Insn, Label, ProgType, Reg, Size};

use crate::devices::{Access, DeviceKind, DevicePolicy, DeviceRule};

/// Offsets in the context: `access << 16 | kind`, major, minor.
const WHAT: i16 = 0;
const MAJOR: i16 = 4;
const MINOR: i16 = 8;
/// `MINORBITS`: both numbers fit into one word. See `include/linux/kdev_t.h`.
const MINOR_BITS: u32 = 20;
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

/// By kind, and by what is granted, which most rules have in common; then each rule is one comparison, with the whole number
/// or with its upper part. The time of the kernel's check grows with the number of branches, and with what it learns by
/// each: so few of them, which all go to the same place.
fn assemble(policy: &DevicePolicy) -> io::Result<Vec<Insn>> {
    let mut asm = Assembler::new();
    let allow = asm.label();
    asm.push(Insn::load(Size::Word, Reg::R2, Reg::R1, WHAT))
        .push(Insn::load(Size::Word, Reg::R4, Reg::R1, MAJOR))
        .push(Insn::load(Size::Word, Reg::R5, Reg::R1, MINOR))
        .push(Insn::mov64(Reg::R0, Reg::R4))
        .push(Insn::alu64_imm(Alu::ShiftLeft, Reg::R0, MINOR_BITS as i32))
        .push(Insn::alu64(Alu::Or, Reg::R5, Reg::R0))
        .push(Insn::mov64(Reg::R3, Reg::R2))
        .push(Insn::alu64_imm(Alu::ShiftRight, Reg::R3, 16))
        .push(Insn::alu64_imm(Alu::And, Reg::R2, 0xffff));
    let possible: Vec<_> = policy.allow.iter().filter(|rule| is_possible(rule)).collect();
    for (kind, number) in [(DeviceKind::Char, CHAR), (DeviceKind::Block, BLOCK)] {
        let rules: Vec<_> = possible.iter().filter(|rule| rule.kind == kind).collect();
        if rules.is_empty() {
            continue;
        }
        let other = asm.label();
        asm.jump_if32(Cond::NotEqual, Reg::R2, number, other);
        for group in rules.chunk_by(|one, next| one.access == next.access) {
            let next = asm.label();
            asm.jump_if32(Cond::AnyBit, Reg::R3, !granted(group[0].access), next);
            group.iter().for_each(|rule| compare(&mut asm, rule, allow));
            asm.place(next);
        }
        asm.exit_with(0).place(other);
    }
    asm.exit_with(0);
    // The kernel refuses a program with an instruction that nothing leads to.
    if !possible.is_empty() {
        asm.place(allow).exit_with(1);
    }
    asm.finish().map_err(io::Error::other)
}

/// Whether there can be a device with these numbers.
fn is_possible(rule: &DeviceRule) -> bool {
    rule.major.is_none_or(|major| major >> (32 - MINOR_BITS) == 0)
        && rule.minor.is_none_or(|minor| minor >> MINOR_BITS == 0)
}

/// Goes to `allow` if the device is of the rule: `R4` is its major number, `R5` both numbers in one.
fn compare(asm: &mut Assembler, rule: &DeviceRule, allow: Label) {
    match (rule.major, rule.minor) {
        (Some(major), Some(minor)) => asm.jump_if32(Cond::Equal, Reg::R5, major << MINOR_BITS | minor, allow),
        (Some(major), None) => asm.jump_if32(Cond::Equal, Reg::R4, major, allow),
        (None, Some(minor)) => {
            asm.push(Insn::mov64(Reg::R0, Reg::R5)).push(Insn::alu32_imm(Alu::And, Reg::R0, (1 << MINOR_BITS) - 1));
            asm.jump_if32(Cond::Equal, Reg::R0, minor, allow)
        }
        // Always, but not as a jump that nothing after it is reached by.
        (None, None) => asm.jump_if32(Cond::GreaterOrEqual, Reg::R4, 0, allow),
    };
}

fn granted(access: Access) -> u32 {
    let bits = [(Access::MAKE, MKNOD), (Access::READ, READ), (Access::WRITE, WRITE)];
    bits.iter().filter(|(a, _)| access.contains(*a)).map(|(_, bit)| bit).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program says of a device.
    fn verdict(policy: &DevicePolicy, (kind, access): (u32, u32), major: u32, minor: u32) -> u64 {
        let code: Vec<u8> = assemble(policy).unwrap().into_iter().flat_map(Insn::to_bytes).collect();
        let vm = rbpf::EbpfVmRaw::new(Some(&code)).unwrap();
        let mut context: Vec<u8> =
            [access << 16 | kind, major, minor].into_iter().flat_map(u32::to_ne_bytes).collect();
        vm.execute_program(&mut context).unwrap()
    }

    #[test]
    fn says_what_the_rules_say() {
        let rule = |kind, major, minor, access| DeviceRule { kind, major, minor, access, reason: "a test" };
        let policies = [
            DevicePolicy { allow: Vec::new() },
            DevicePolicy::default(),
            DevicePolicy::default().with(DeviceRule::FUSE).with(rule(DeviceKind::Block, Some(7), None, Access::READ)),
            DevicePolicy { allow: vec![rule(DeviceKind::Char, None, Some(3), Access::ALL)] },
            DevicePolicy {
                allow: vec![
                    rule(DeviceKind::Block, None, None, Access::READ),
                    rule(DeviceKind::Block, Some(8), Some(1), Access::ALL),
                    rule(DeviceKind::Char, Some(1), Some(1 << 20), Access::ALL),
                    rule(DeviceKind::Char, Some(1 << 12), Some(0), Access::ALL),
                ],
            },
        ];
        let numbers = [0, 1, 3, 5, 7, 8, 10, 136, 143, 144, 229, 4095];
        for policy in &policies {
            for (kind, number) in [(DeviceKind::Char, CHAR), (DeviceKind::Block, BLOCK)] {
                for (asked, major, minor) in numbers.iter().flat_map(|major| {
                    numbers
                        .iter()
                        .chain(&[(1 << 20) - 1])
                        .flat_map(move |minor| (0..8).map(move |a| (a, *major, *minor)))
                }) {
                    let fits = |rule: &DeviceRule| {
                        rule.kind == kind
                            && rule.major.is_none_or(|own| own == major)
                            && rule.minor.is_none_or(|own| own == minor)
                            && asked & !granted(rule.access) == 0
                    };
                    let expected = u64::from(policy.allow.iter().any(fits));
                    let found = verdict(policy, (number, asked), major, minor);
                    assert_eq!(found, expected, "{kind:?} {major}:{minor} {asked} of {policy:?}");
                }
            }
        }
    }

    #[test]
    fn letters_have_the_kernels_bits() {
        assert_eq!(granted(Access::USE), READ | WRITE);
        assert_eq!(granted(Access::ALL), 7);
    }
}
