//! The content of a guest's `/dev`: util-vserver's default nodes and the links that every distribution expects.
//!
//! `console`, `pts`, `shm` and `mqueue` are mounts of their own and not listed here.

use std::ops::RangeInclusive;

/// A character device of a guest's `/dev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Name below `/dev`.
    pub name: &'static str,
    /// Major number, `Documentation/admin-guide/devices.txt`.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Why a guest has it.
    pub reason: &'static str,
}

const fn node(name: &'static str, major: u32, minor: u32, reason: &'static str) -> Node {
    Node { name, major, minor, mode: 0o666, reason }
}

/// The nodes that a guest finds, all open to everybody.
pub const NODES: &[Node] = &[
    node("null", 1, 3, "every shell script"),
    node("zero", 1, 5, "dd, old mmap users"),
    node("full", 1, 7, "test suites; it only answers ENOSPC"),
    node("random", 1, 8, "keys; a guest cannot drain the pool since Linux 5.6"),
    node("urandom", 1, 9, "keys"),
    node("tty", 5, 0, "the controlling terminal of the caller and no other"),
];

/// Symbolic links of `/dev`: name and target.
pub const LINKS: &[(&str, &str)] = &[
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Major and minor number of `ptmx`, which a guest opens through its own devpts.
pub const PTMX: (u32, u32) = (5, 2);

/// Major numbers of Unix98 terminals: the slaves of a devpts, with any minor number. A guest's console is one of them.
pub const TERMINAL_MAJORS: RangeInclusive<u32> = 136..=143;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_block_device_memory_or_disk() {
        // Major 1 minors 1, 2, 4 and 11 are mem, kmem, port and kmsg.
        for node in NODES {
            assert!(matches!((node.major, node.minor), (1, 3 | 5 | 7 | 8 | 9) | (5, 0)), "{}", node.name);
            assert!(!node.reason.is_empty());
        }
    }

    #[test]
    fn every_link_stays_inside() {
        for (name, target) in LINKS {
            assert!(!name.contains('/') && !target.contains(".."), "{name}");
        }
    }
}
