//! Helpers that look at files and words.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::Ipv4Addr;

use vserver_types::Exit;

use super::{failed, operands, wrong};
use crate::commands::status::{age as age_of, uptime};
use crate::context::Context;
use crate::error::CliError;

/// Larger files are no configuration.
const SENSIBLE: u64 = 1 << 20;

/// `filetime`: the age since the last change.
pub fn age(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let [file] = operands(words) else {
        return Err(wrong(context, Exit::Failure));
    };
    let changed = fs::metadata(file).and_then(|found| found.modified()).map_err(failed("look at", file))?;
    context.printer.line(uptime(age_of(changed)))?;
    Ok(Exit::Success)
}

/// `check-unixfile`: 0 all are well, 2 some are not, 1 none is.
pub fn check(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let files = operands(words);
    if files.is_empty() {
        return Err(wrong(context, Exit::Failure));
    }
    let mut bad = 0;
    for file in files {
        if let Err(why) = look(file) {
            context.printer.warn(format_args!("check-unixfile: '{}' {why}", file.to_string_lossy()));
            bad += 1;
        }
    }
    Ok(match bad {
        0 => Exit::Success,
        _ if bad == files.len() => Exit::Failure,
        _ => Exit::Usage,
    })
}

fn look(file: &OsString) -> Result<(), String> {
    let read = |mut open: File| -> std::io::Result<Option<u8>> {
        let size = open.metadata()?.len();
        if size == 0 {
            return Ok(None);
        }
        open.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        open.read_exact(&mut last)?;
        Ok(if size > SENSIBLE { Some(0) } else { Some(last[0]) })
    };
    match File::open(file).and_then(read) {
        Ok(None | Some(b'\n')) => Ok(()),
        Ok(Some(0)) => Err("is too large or ends with a zero byte".to_owned()),
        Ok(Some(_)) => Err("does not end with a newline".to_owned()),
        Err(error) => Err(format!("cannot be read: {}", crate::error::chain(&error))),
    }
}

/// `readlink`
pub fn read_link(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let [link] = operands(words) else {
        return Err(wrong(context, Exit::Failure));
    };
    let target = fs::read_link(link).map_err(failed("read the link", link))?;
    context.printer.line(target.display())?;
    Ok(Exit::Success)
}

/// `mask2prefix`: the result is the status.
pub fn prefix(words: &[OsString], _: &Context) -> Result<Exit, CliError> {
    let mask = match words {
        [mask] => mask.to_str().and_then(length),
        _ => None,
    };
    Ok(mask.map_or(Exit::BeforeExec, Exit::Command))
}

/// How many leading ones; `None` for what is no mask.
fn length(mask: &str) -> Option<u8> {
    let bits = u32::from(mask.parse::<Ipv4Addr>().ok()?);
    let ones = bits.leading_ones();
    (bits.count_ones() == ones).then(|| u8::try_from(ones).ok())?
}

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn masks_without_gaps() {
        assert_eq!(length("255.255.255.0"), Some(24));
        assert_eq!((length("0.0.0.0"), length("255.255.255.255")), (Some(0), Some(32)));
        assert_eq!((length("255.0.255.0"), length("24")), (None, None));
    }
}
