//! The data of a file, with its holes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use crate::Error;
use crate::place::failed;
use crate::stream::{Entry, Stream};

/// Nothing but a hole, as large as the file.
pub(crate) fn hole(file: &File, entry: &Entry) -> Result<(), Error> {
    file.set_len(entry.length()).map_err(|e| failed("write", entry, e))
}

/// Copies the data of the present entry, each stretch to its place.
pub(crate) fn copy<R: Read>(
    stream: &mut Stream<R>,
    file: &mut File,
    entry: &Entry,
    buffer: &mut [u8],
    tick: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(map) = &entry.sparse else {
        return stretch(stream, file, entry.size, entry, buffer, tick);
    };
    for (at, length) in &map.stretches {
        file.seek(SeekFrom::Start(*at)).map_err(|e| failed("write", entry, e))?;
        stretch(stream, file, *length, entry, buffer, tick)?;
    }
    file.set_len(map.size).map_err(|e| failed("write", entry, e))
}

fn stretch<R: Read>(
    stream: &mut Stream<R>,
    file: &mut File,
    mut left: u64,
    entry: &Entry,
    buffer: &mut [u8],
    tick: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = stream.read(&mut buffer[..wanted])?;
        if count == 0 {
            // A checked map fits its data, and a file ends with it.
            return Ok(());
        }
        file.write_all(&buffer[..count]).map_err(|e| failed("write", entry, e))?;
        left -= count as u64;
        if left > 0 {
            tick()?;
        }
    }
    Ok(())
}
