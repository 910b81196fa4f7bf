//! The rows of the threat model that touch what is written so far, each test named by its row.
//!
//! One file per group of rows, each with `pub fn tests() -> Vec<Trial>`; a row's test is named
//! `security::e01_double_chroot`, so that `cargo xtask test e01` finds it.

pub mod bench;
mod entry;
mod escape;
mod kernel;

use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    [escape::tests(), kernel::tests(), entry::tests()].into_iter().flatten().collect()
}
