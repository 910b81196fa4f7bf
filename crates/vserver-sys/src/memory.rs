//! Memory of a long-lived small process.

use std::io;

use crate::check;

/// Unmaps the program's own code, and the constants before it, from this process's page tables; what is needed from here on
/// is mapped again at its next use, in the kernel's blocks of 64 KiB. A program that has done with its start-up code keeps
/// only its loop. That is the last thing that is done here: whatever followed would be mapped again.
///
/// The pages themselves stay with the file. madvise(2), `MADV_DONTNEED` on a read-only file mapping.
pub fn forget_startup_code() -> io::Result<()> {
    for (start, end) in code_and_constants(&std::fs::read_to_string("/proc/self/maps")?)? {
        // SAFETY: the range is a mapping of this process that is backed by a file and neither writable nor relocated
        // (executable, or read-only from the beginning of the file on, where a linker that refuses text relocations puts
        // none), so every page of it comes back with the same content when it is touched again. An empty range is none.
        check(unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) }.into())?;
    }
    Ok(())
}

/// The executable mapping of a file, behind the read-only one that begins with the file and reaches up to it.
fn code_and_constants(maps: &str) -> io::Result<[(usize, usize); 2]> {
    let number = |text| usize::from_str_radix(text, 16).map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
    let (mut found, mut before) = ([(0, 0); 2], (0, 0));
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (Some(range), Some(rights), Some(offset)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let Some((start, end)) = range.split_once('-').filter(|_| fields.nth(1).is_some_and(|inode| inode != "0"))
        else {
            continue;
        };
        let range = (number(start)?, number(end)?);
        match rights {
            "r--p" if number(offset)? == 0 => before = range,
            "r-xp" => {
                found = [if before.1 == range.0 { before } else { (0, 0) }, range];
                break;
            }
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_what_lies_before_it() {
        let maps = "7f00-7f01 r-xp 0000 00:00 0 [vdso]\n\
                    8000-9000 r--p 00000000 00:01 7 /memfd:a (deleted)\n\
                    9000-b000 r-xp 00001000 00:01 7 /memfd:a (deleted)\n\
                    b000-c000 r--p 00003000 00:01 7 /memfd:a (deleted)\n";
        assert_eq!(code_and_constants(maps).unwrap(), [(0x8000, 0x9000), (0x9000, 0xb000)]);
        // What is relocated is never forgotten, whatever it lies beside.
        let relocated = maps.replace("8000-9000 r--p 00000000", "8000-9000 r--p 00001000");
        assert_eq!(code_and_constants(&relocated).unwrap(), [(0, 0), (0x9000, 0xb000)]);
        let apart = maps.replace("8000-9000", "8000-8800");
        assert_eq!(code_and_constants(&apart).unwrap(), [(0, 0), (0x9000, 0xb000)]);
    }

    #[test]
    fn the_program_goes_on() {
        forget_startup_code().unwrap();
    }
}
