//! `fakerunlevel`: the record that runlevel(8) reads.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::time::{SystemTime, UNIX_EPOCH};

use vserver_types::Exit;

use super::{chroot_here, failed, wrong};
use crate::context::Context;
use crate::error::CliError;

/// Type of a record of a runlevel. Source: utmp(5).
const RUN_LVL: i16 = 1;
/// Bytes of a record, the same on all 64-bit systems of glibc. Source: utmp(5).
const RECORD: usize = 384;

/// Writes the record over what is there.
pub fn run(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let [level, file] = words else {
        return Err(wrong(context, Exit::Failure));
    };
    let Some(&[level]) = level.to_str().map(str::as_bytes) else {
        return Err(wrong(context, Exit::Failure));
    };
    let group = std::env::var("UTMP_GID").ok().and_then(|text| text.parse().ok()).unwrap_or(22);
    chroot_here()?;
    let mut out = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o664)
        .open(file)
        .map_err(failed("open", file))?;
    let done = fchown(&out, None, Some(group))
        .and_then(|()| out.set_permissions(std::fs::Permissions::from_mode(0o664)))
        .and_then(|()| out.write_all(&record(level)));
    done.map_err(failed("write to", file))?;
    Ok(Exit::Success)
}

fn record(level: u8) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..2].copy_from_slice(&RUN_LVL.to_ne_bytes());
    // "Pid": this runlevel, and the last one above it: none.
    let pid = i32::from(level) + (i32::from(b'N') << 8);
    record[4..8].copy_from_slice(&pid.to_ne_bytes());
    record[8] = b'~';
    record[40..42].copy_from_slice(b"~~");
    record[44..52].copy_from_slice(b"runlevel");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = u32::try_from(now).unwrap_or(u32::MAX);
    record[340..344].copy_from_slice(&now.to_ne_bytes());
    record
}
