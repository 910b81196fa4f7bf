//! The first filter of a stack: which calls there are at all.
//!
//! The general compiler spends five instructions on each of some 330 calls. The kernel runs a new filter over every
//! number once, to remember which calls need no filter at all (`seccomp_cache_prepare()`, Linux 5.11), which made the
//! installation take 0.7 ms of every command in a guest. As ranges it is a tenth of that.

use std::ops::RangeInclusive;

use vserver_sys::seccomp::SockFilter;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const IF_ABOVE: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
/// Where the call's number stands in `struct seccomp_data`.
const NUMBER: u32 = 0;

/// Instructions that let the calls of `numbers` (ascending) pass and answer `refusal` to all others.
pub(super) fn only(numbers: impl Iterator<Item = u32>, refusal: u32) -> Vec<SockFilter> {
    let mut instructions = vec![SockFilter { code: LOAD, jt: 0, jf: 0, k: NUMBER }];
    for range in ranges(numbers) {
        instructions.extend([
            // Above this range: on to the next one, three instructions ahead.
            SockFilter { code: IF_ABOVE, jt: 3, jf: 0, k: *range.end() },
            // Not above, and below: between two ranges.
            SockFilter { code: IF_AT_LEAST, jt: 0, jf: 1, k: *range.start() },
            SockFilter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
            SockFilter { code: RETURN, jt: 0, jf: 0, k: refusal },
        ]);
    }
    instructions.push(SockFilter { code: RETURN, jt: 0, jf: 0, k: refusal });
    instructions
}

/// Runs of consecutive numbers.
fn ranges(numbers: impl Iterator<Item = u32>) -> Vec<RangeInclusive<u32>> {
    let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(last) if last.end() + 1 == number => *last = *last.start()..=number,
            _ => ranges.push(number..=number),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found() {
        assert_eq!(ranges([0, 1, 2, 4, 7, 8].into_iter()), [0..=2, 4..=4, 7..=8]);
        assert!(ranges(std::iter::empty()).is_empty());
    }
}
