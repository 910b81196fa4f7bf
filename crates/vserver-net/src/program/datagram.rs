//! Datagrams sent without `connect`: each has its own destination, and may name its own source (`IP_PKTINFO`).

use nix::errno::Errno;
use vserver_sys::bpf::{Alu, AssembleError, Assembler, Cond, Insn, Label, Reg, Size};

use super::Features;
use super::answer::recall;
use super::connect::redirect;
use super::parts::{LOCALHOST, ONE, if_one_of, if_one_of6, load, refuse, set6, sock_addr};
use crate::policy::{Localhost, Table};

/// Where the source that the caller gave is kept on the stack.
const GIVEN: i16 = -8;

/// IPv4, also from an IPv6 socket to `::ffff:a.b.c.d`. A foreign source becomes the guest's instead of being refused:
/// servers echo the address of a broadcast, for which the kernel suggests the host's address.
pub fn sendmsg4(table: &Table, features: Features) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let (allow, refused, given) = (asm.label(), asm.label(), asm.label());
    asm.push(Insn::mov64(Reg::R6, Reg::R1)).push(load(Reg::R7, Reg::R6, sock_addr::USER_IP4));
    asm.push(load(Reg::R8, Reg::R6, sock_addr::MSG_SRC_IP4));
    if table.localhost == Localhost::Private {
        asm.jump_if32(Cond::NotEqual, Reg::R8, LOCALHOST, given);
        asm.push(Insn::mov32_imm(Reg::R8, table.loopback));
    }
    asm.place(given);
    let (elsewhere, kept) = (asm.label(), asm.label());
    asm.jump_if32(Cond::NotEqual, Reg::R7, 0, elsewhere);
    if_connected(&mut asm, kept, elsewhere);
    asm.place(kept).push(Insn::mov32_imm(Reg::R9, table.first4()));
    asm.push(Insn::store(Size::Word, Reg::R6, sock_addr::MSG_SRC_IP4, Reg::R8));
    if_one_of(&mut asm, Reg::R8, &table.local4(), allow);
    asm.push(Insn::store(Size::Word, Reg::R6, sock_addr::MSG_SRC_IP4, Reg::R9)).jump(allow);

    asm.place(elsewhere).push(Insn::store(Size::Word, Reg::R10, GIVEN, Reg::R8));
    redirect(&mut asm, table, sock_addr::USER_IP4, (Reg::R10, GIVEN), refused);

    // The first is what a wildcard became, so it does not say that somebody has chosen.
    if_one_of(&mut asm, Reg::R8, table.own4.get(1..).unwrap_or_default(), allow);
    recall(&mut asm, table, false, allow);
    if_one_of(&mut asm, Reg::R8, table.own4.get(..1).unwrap_or_default(), allow);
    // Nothing given, or the loopback, or a foreign address: the right one for this destination.
    asm.push(Insn::store(Size::Word, Reg::R6, sock_addr::MSG_SRC_IP4, Reg::R9));
    asm.jump(allow);

    asm.place(refused);
    refuse(&mut asm, features, Errno::ECONNREFUSED);
    asm.place(allow).exit_with(1);
    asm.finish()
}

/// Native IPv6. (`::ffff:a.b.c.d` comes to [`sendmsg4`]; a program may not turn one into the other here.)
pub fn sendmsg6(table: &Table, features: Features) -> Result<Vec<Insn>, AssembleError> {
    let mut asm = Assembler::new();
    let Some(&first6) = table.own6.first() else {
        refuse(&mut asm, features, Errno::ENETUNREACH);
        return asm.finish();
    };
    let (allow, refused, nowhere, kept, elsewhere) =
        (asm.label(), asm.label(), asm.label(), asm.label(), asm.label());
    asm.push(Insn::mov64(Reg::R6, Reg::R1));
    if_one_of6(&mut asm, Reg::R6, sock_addr::USER_IP6, &[[0, 0, 0, ONE]], refused);
    if_one_of6(&mut asm, Reg::R6, sock_addr::USER_IP6, &[[0; 4]], nowhere);
    asm.jump(elsewhere).place(nowhere);
    if_connected(&mut asm, kept, refused);
    asm.place(kept);
    if_one_of6(&mut asm, Reg::R6, sock_addr::MSG_SRC_IP6, &table.own6, allow);
    set6(&mut asm, sock_addr::MSG_SRC_IP6, first6);
    asm.jump(allow).place(elsewhere);
    if_one_of6(&mut asm, Reg::R6, sock_addr::MSG_SRC_IP6, &table.own6[1..], allow);
    // The first is what a wildcard became, as for IPv4.
    recall(&mut asm, table, true, allow);
    set6(&mut asm, sock_addr::MSG_SRC_IP6, first6);
    asm.jump(allow);

    asm.place(refused);
    refuse(&mut asm, features, Errno::ECONNREFUSED);
    asm.place(allow).exit_with(1);
    asm.finish()
}

/// Where no address is given: a connected socket comes here, too, if the datagram says something of its own (`IP_TOS`,
/// `IP_PKTINFO`), and then without even a port. Its destination was judged when it connected, so only the source matters.
fn if_connected(asm: &mut Assembler, connected: Label, other: Label) {
    asm.push(load(Reg::R2, Reg::R6, sock_addr::USER_PORT)).push(Insn::alu64_imm(Alu::And, Reg::R2, 0xffff));
    asm.jump_if64(Cond::Equal, Reg::R2, 0, connected).jump(other);
}
