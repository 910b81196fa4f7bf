//! One filter out of the answers to all calls.
//!
//! The kernel runs every installed filter for a call with arguments to look at, and `socket`, which a server makes for each
//! connection, is one. So there is one filter, and it finds a call's answer by halving the numbers: seven comparisons.
//! For all other calls the kernel remembers that they need no filter (`seccomp_cache_prepare()`, Linux 5.11), for
//! which it runs a new one over every number once: a chain of comparisons made that 0.7 ms of every command in a guest.

use std::collections::BTreeMap;

use vserver_sys::seccomp::SockFilter;

pub(super) const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
pub(super) const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
/// Where the call's number stands in `struct seccomp_data`.
pub(super) const NUMBER: u32 = 0;

/// What is done from a number on, up to the next one that has something of its own.
struct Leaf {
    from: u32,
    /// Ends with an answer.
    code: Vec<SockFilter>,
}

/// Instructions that do for each number what `known` has for it (each ends with an answer), and answer `unknown` to all others.
pub(super) fn choose(known: BTreeMap<u32, Vec<SockFilter>>, unknown: u32) -> Vec<SockFilter> {
    let mut instructions = vec![SockFilter { code: LOAD, jt: 0, jf: 0, k: NUMBER }];
    instructions.extend(halve(&leaves(known, unknown)));
    instructions
}

/// An instruction that ends a filter.
pub(super) const fn answer(k: u32) -> SockFilter {
    SockFilter { code: RETURN, jt: 0, jf: 0, k }
}

/// Neighbours that are treated alike are one.
fn leaves(known: BTreeMap<u32, Vec<SockFilter>>, unknown: u32) -> Vec<Leaf> {
    let mut leaves: Vec<Leaf> = Vec::new();
    let mut add = |from, code: Vec<SockFilter>| {
        if leaves.last().is_none_or(|last| last.code != code) {
            leaves.push(Leaf { from, code });
        }
    };
    let mut next = 0;
    for (number, code) in known {
        if number > next {
            add(next, vec![answer(unknown)]);
        }
        add(number, code);
        next = number.saturating_add(1);
    }
    add(next, vec![answer(unknown)]);
    leaves
}

fn halve(leaves: &[Leaf]) -> Vec<SockFilter> {
    match leaves {
        [] => Vec::new(),
        [only] => only.code.clone(),
        several => {
            let (low, high) = several.split_at(several.len() / 2);
            let (from, low, high) = (high.first().map_or(0, |leaf| leaf.from), halve(low), halve(high));
            // A conditional jump reaches 255 instructions, the other one all of them.
            let mut both = vec![
                SockFilter { code: IF_AT_LEAST, jt: 0, jf: 1, k: from },
                SockFilter { code: JUMP, jt: 0, jf: 0, k: low.len() as u32 },
            ];
            both.extend(low);
            both.extend(high);
            both
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_are_alike_are_one() {
        let known = [(0, 1), (1, 1), (2, 1), (4, 1), (5, 7), (7, 2), (8, 2)];
        let known = known.into_iter().map(|(number, k)| (number, vec![answer(k)])).collect();
        let found: Vec<_> = leaves(known, 9).into_iter().map(|leaf| (leaf.from, leaf.code[0].k)).collect();
        assert_eq!(found, [(0, 1), (3, 9), (4, 1), (5, 7), (6, 9), (7, 2), (9, 9)]);
        assert_eq!(choose(BTreeMap::new(), 9), [SockFilter { code: LOAD, jt: 0, jf: 0, k: NUMBER }, answer(9)]);
    }
}
