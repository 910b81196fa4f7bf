//! What `bind` notes of a wildcard.

use super::*;

/// `bind` of a wildcard, and what is noted then: families and port.
fn binds(table: &Table, protocol: u32, six: bool) -> Option<(u32, u32)> {
    fresh(&[]);
    let mut context = vec![0; 72];
    context[24..26].copy_from_slice(&443_u16.to_be_bytes());
    put(&mut context, 36, &[protocol]);
    put(&mut context, 64, &[1]);
    // That the socket is IPv6 only, no helper says here.
    let dual = Features { v6only: false, ..FULL };
    let program = if six { bind::bind6(table, dual) } else { bind::bind4(table, dual) };
    assert_eq!(run(&program.unwrap(), &mut context, &[]) & 1, 1);
    WORLD.with_borrow(|world| {
        let word = |at: usize| u32::from_ne_bytes(world.note[at..at + 4].try_into().unwrap());
        world.noted.then(|| (word(0), word(4)))
    })
}

#[test]
fn wildcards_are_noted_also_where_there_is_one_address() {
    let one = Table { steering: None, ..table(&["192.0.2.1"]) };
    for table in [both(), one] {
        assert_eq!([TCP, UDP].map(|protocol| binds(&table, protocol, false)), [Some((1, 0)); 2]);
        assert_eq!([136, 1].map(|protocol| binds(&table, protocol, false)), [None; 2]);
        assert_eq!(binds(&table, TCP, true), Some((3, 0)));
    }
    assert_eq!(binds(&Table { wildcards: None, ..both() }, TCP, false), None);
}

/// `[::]:443` for IPv6 only, in a guest that has no IPv6 address yet.
#[test]
fn the_port_that_was_asked_for_is_noted() {
    fresh(&[]);
    let mut asm = Assembler::new();
    asm.push(Insn::mov64(Reg::R6, Reg::R1));
    wild::note_wildcard(&mut asm, &both(), wild::Families::Later);
    asm.exit_with(1);
    let mut context = vec![0; 72];
    context[24..26].copy_from_slice(&443_u16.to_be_bytes());
    put(&mut context, 36, &[TCP]);
    put(&mut context, 64, &[1]);
    run(&asm.finish().unwrap(), &mut context, &[]);
    assert_eq!(WORLD.with_borrow(|world| world.note.to_vec()), note(SIX, 443));
}
