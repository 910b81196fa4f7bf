//! Memory of a long-lived small process.

use std::io;

use crate::check;

/// Unmaps the program's own code from this process's page tables; what is executed from here on is mapped again at its
/// next use, in the kernel's blocks of 64 KiB. A program that has done with its start-up code keeps only its loop.
///
/// The pages themselves stay with the file. madvise(2), `MADV_DONTNEED` on a read-only file mapping.
pub fn forget_startup_code() -> io::Result<()> {
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        let mut fields = line.split_whitespace();
        let (Some(range), Some("r-xp"), Some(inode)) = (fields.next(), fields.next(), fields.nth(2)) else {
            continue;
        };
        let Some((start, end)) = range.split_once('-').filter(|_| inode != "0") else {
            continue;
        };
        let number = |text| usize::from_str_radix(text, 16).map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
        let (start, end) = (number(start)?, number(end)?);
        // SAFETY: the range is a mapping of this process that is backed by a file and neither writable nor relocated
        // (executable), so every page of it comes back with the same content when it is touched again.
        check(unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) }.into())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_program_goes_on() {
        super::forget_startup_code().unwrap();
    }
}
