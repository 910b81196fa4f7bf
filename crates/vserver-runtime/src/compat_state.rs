//! State files of util-vserver that scripts and monitoring read: the run file, the reverse link from a context number to
//! a configuration, and the helper's state. Ours is the record; nothing here is ever read back to decide something.
//! Source: `behaviours.md` §1.

use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::record::RunRecord;

/// What a reboot or halt of the guest leads to: its handlers (`default`), or, during a stop, nothing more (`async`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The configured handlers.
    Default,
    /// A stop is under way.
    Async,
}

/// Writes all that belongs to a running guest.
pub fn write(host: &Host, record: &RunRecord) -> Result<()> {
    make_parent(&record.run_file)?;
    let text = format!("{}\n", record.xid);
    vserver_fs::atomic::write_volatile(&record.run_file, text.as_bytes(), 0o644)
        .map_err(Error::layer("write the run file", &record.name))?;
    let link = reverse(host, record);
    make_parent(&link)?;
    remove(&link)?;
    symlink(configuration(record), &link).map_err(Error::io("make the link", &link))?;
    write_method(host, record, Method::Default)
}

/// Writes the helper's state, unless the helper is disabled.
pub fn write_method(host: &Host, record: &RunRecord, method: Method) -> Result<()> {
    if vserver_config::helper_is_disabled(&host.confdir, &record.name) {
        return Ok(());
    }
    let word = match method {
        Method::Default => "default",
        Method::Async => "async",
    };
    let (path, text) = (helper_state(host, record), format!("{}\n{word}\n", configuration(record).display()));
    make_parent(&path)?;
    vserver_fs::atomic::write_volatile(&path, text.as_bytes(), 0o644)
        .map_err(Error::layer("write the helper's state", &record.name))
}

/// Removes all of them, as far as they speak of this guest.
pub fn clear(host: &Host, record: &RunRecord) -> Result<()> {
    let number = record.xid.to_string();
    if std::fs::read_to_string(&record.run_file).is_ok_and(|text| text.trim() == number) {
        remove(&record.run_file)?;
    }
    let (link, own) = (reverse(host, record), configuration(record));
    if std::fs::read_link(&link).is_ok_and(|target| target == own) {
        remove(&link)?;
    }
    let state = helper_state(host, record);
    let first = |text: String| text.lines().next().map(PathBuf::from);
    if std::fs::read_to_string(&state).ok().and_then(first) == Some(own) {
        remove(&state)?;
    }
    Ok(())
}

fn configuration(record: &RunRecord) -> PathBuf {
    record.confdir.join(record.name.as_str())
}

fn reverse(host: &Host, record: &RunRecord) -> PathBuf {
    host.run_reverse().join(record.xid.to_string())
}

fn helper_state(host: &Host, record: &RunRecord) -> PathBuf {
    host.helper_dir.join(record.xid.to_string())
}

fn make_parent(path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(dir).map_err(Error::io("make the directory", dir))
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
