//! The number of the next guest.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use vserver_types::{Xid, XidKind};

use super::lock;
use crate::defaults::FIRST_CONTEXT;
use crate::error::{Diagnostic, Error, Severity};
use crate::list::contexts;

/// The next context number: the first one from `.defaults/context.next` (or 40000) up that no configuration and no
/// running context (`live`) has. The number after it is written back, under a lock.
///
/// # Errors
/// [`Error::Invalid`] if the file has no number, [`Error::NoContextLeft`] beyond 49151.
pub fn next_context(confdir: &Path, live: &[Xid]) -> Result<Xid, Error> {
    let dir = confdir.join(".defaults");
    fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
    let _lock = lock(&dir)?;
    let path = dir.join("context.next");
    let start = start(&path)?;
    let taken = contexts(confdir)?;
    let free = |xid: &Xid| !taken.contains(xid) && !live.contains(xid);
    let next = (start..).map(Xid).take_while(|xid| xid.kind() == XidKind::Static).find(free);
    let next = next.ok_or_else(|| Error::NoContextLeft { start, path: path.clone() })?;
    let draft = dir.join(".context.next");
    let write = || {
        let mut file = File::create(&draft)?;
        writeln!(file, "{}", next.0 + 1)?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    };
    write().map_err(Error::io("write", &path))?;
    Ok(next)
}

fn start(path: &Path) -> Result<u32, Error> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(FIRST_CONTEXT),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    text.trim().parse::<u32>().ok().filter(|next| *next >= 2).ok_or_else(|| {
        let message = format!("'{}' is not the number of a next context", text.trim().escape_debug());
        let hint = Some("write a number from 2 to 49151".to_owned());
        let path = path.to_owned();
        Error::Invalid {
            diagnostics: vec![Diagnostic { path, line: Some(1), severity: Severity::Error, message, hint }],
        }
    })
}
