//! Addresses that the kernel hands out: the guest never sees that its 127.0.0.1 is another address.

use vserver_sys::bpf::{AssembleError, Assembler, Cond, Insn, Reg};

use super::Features;
use super::parts::{LOCALHOST, MAPPED, load, set, sock_addr};
use crate::policy::Table;

/// For `AF_INET`.
pub fn shown4(table: &Table, _: Features) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    if !table.hide_loopback {
        asm.exit_with(1);
        return asm.finish();
    }
    let done = asm.label();
    asm.push(Insn::mov64(Reg::R6, Reg::R1)).push(load(Reg::R7, Reg::R6, sock_addr::USER_IP4));
    asm.jump_if32(Cond::NotEqual, Reg::R7, table.loopback, done);
    set(&mut asm, sock_addr::USER_IP4, LOCALHOST);
    asm.place(done).exit_with(1);
    asm.finish()
}

/// For `AF_INET6`: `::ffff:` followed by the private loopback.
pub fn shown6(table: &Table, _: Features) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    if !table.hide_loopback {
        asm.exit_with(1);
        return asm.finish();
    }
    let done = asm.label();
    asm.push(Insn::mov64(Reg::R6, Reg::R1));
    for (value, at) in [0, 0, MAPPED, table.loopback].into_iter().zip((sock_addr::USER_IP6..).step_by(4)) {
        asm.push(load(Reg::R7, Reg::R6, at)).jump_if32(Cond::NotEqual, Reg::R7, value, done);
    }
    set(&mut asm, sock_addr::USER_IP6 + 12, LOCALHOST);
    asm.place(done).exit_with(1);
    asm.finish()
}
