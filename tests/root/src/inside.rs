//! What this program does inside a guest: it is static, so a test copies it there.

use std::process::ExitCode;

/// First argument: map and touch so many bytes.
pub const ALLOCATE: &str = "--allocate";

/// Allocates and touches; says the kernel's own words on failure.
pub fn allocate(bytes: &str) -> ExitCode {
    let bytes: usize = bytes.parse().unwrap();
    let mut memory: Vec<u8> = Vec::new();
    if memory.try_reserve_exact(bytes).is_err() {
        eprintln!("{}", std::io::Error::last_os_error());
        return ExitCode::FAILURE;
    }
    memory.resize(bytes, 1);
    println!("allocated {}", memory.iter().rev().step_by(4096).count() * 4096);
    ExitCode::SUCCESS
}
