//! Files of the tree that are looked at when they are needed, not when the guest's configuration is read: they belong
//! to the host's side of a guest's life.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use vserver_types::GuestName;

use crate::error::Error;
use crate::reader::Reader;

/// First bytes of a guest's `/etc/mtab`. Source: util-vserver, shipped `mtab`.
const MTAB: &str = "/dev/hdv1 / ufs defaults 0 0\n";

/// What is to be done when a guest ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handler {
    /// The built-in one: clean up, and start again after a reboot.
    Restart,
    /// This program, with the event and the context number as arguments.
    Program(PathBuf),
    /// A method of this name, for which there is no program.
    Unknown(String),
}

/// Where output of start and stop goes with `--defaulttty`: the guest's file or the host's, else `/dev/null`.
pub fn default_tty(confdir: &Path, name: &GuestName) -> PathBuf {
    let candidates = [confdir.join(name.as_str()), confdir.join(".defaults")].map(|dir| dir.join("apps/init/tty"));
    candidates.into_iter().find(|path| path.exists()).unwrap_or_else(|| PathBuf::from("/dev/null"))
}

/// What a guest's `/etc/mtab` begins with.
///
/// # Errors
/// A file that cannot be read.
pub fn initial_mtab(confdir: &Path, name: &GuestName) -> Result<Vec<u8>, Error> {
    let candidates = [confdir.join(name.as_str()).join("apps/init/mtab"), confdir.join(".defaults/init/mtab")];
    match candidates.into_iter().find(|path| path.is_file()) {
        Some(path) => fs::read(&path).map_err(Error::io("read", &path)),
        None => Ok(MTAB.as_bytes().to_vec()),
    }
}

/// Whether the guest's events are not handled at all (`apps/vshelper/disabled`, the guest's or the host's).
pub fn helper_is_disabled(confdir: &Path, name: &GuestName) -> bool {
    let dirs = [confdir.join(name.as_str()), confdir.join(".defaults")];
    dirs.into_iter().any(|dir| Reader::exists(&dir.join("apps/vshelper/disabled")))
}

/// Where handlers' output goes.
pub fn helper_log(confdir: &Path) -> Option<PathBuf> {
    let path = confdir.join(".defaults/apps/vshelper/logfile");
    path.exists().then_some(path)
}

/// Who handles `event` (`restart`, `halt`, `poweroff`, `shutdown`, …): the host's delegate for it, if there is one. A
/// guest's `action` beats the host's program for one event. Source: `config-tree.md` §5.9.
pub fn helper(confdir: &Path, name: &GuestName, event: &str) -> Handler {
    first_helper(confdir, name, &[event])
}

/// Who handles the end of a guest that was seen as `event`. A power-off looks like a halt, and a restart with a command
/// like a restart: their programs count where there is none for these. Source: pid_namespaces(7).
pub fn helper_of_end(confdir: &Path, name: &GuestName, event: &str) -> Handler {
    let events = match event {
        "halt" => vec!["halt", "poweroff"],
        "restart" => vec!["restart", "restart2"],
        other => vec![other],
    };
    first_helper(confdir, name, &events)
}

fn first_helper(confdir: &Path, name: &GuestName, events: &[&str]) -> Handler {
    let defaults = confdir.join(".defaults");
    let program = |dir: PathBuf| events.iter().map(|event| dir.join(event)).find(|path| is_executable(path));
    if let Some(delegate) = program(defaults.join("apps/vshelper-delegate")) {
        return Handler::Program(delegate);
    }
    let bases = [confdir.join(name.as_str()), defaults];
    for base in &bases {
        if let Some(program) = program(base.join("apps/vshelper")) {
            return Handler::Program(program);
        }
        let action = Reader::default().scalar(&base.join("apps/vshelper/action")).filter(|action| !action.is_empty());
        match action.as_deref() {
            None => {}
            Some("restart") => return Handler::Restart,
            Some(method) => return method_program(&bases, method),
        }
    }
    Handler::Restart
}

fn method_program(bases: &[PathBuf; 2], method: &str) -> Handler {
    let plain = !method.contains('/') && !method.starts_with('.');
    let mut candidates = bases.iter().map(|base| base.join("apps/vshelper-methods").join(method));
    let found = candidates.find(|path| plain && is_executable(path));
    found.map_or_else(|| Handler::Unknown(method.to_owned()), Handler::Program)
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, content: &str, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_guests_action_beats_the_hosts_program() {
        let dir = tempfile::tempdir().unwrap();
        let (confdir, name): (&Path, GuestName) = (dir.path(), "web1".parse().unwrap());
        assert_eq!(helper(confdir, &name, "halt"), Handler::Restart);
        let program = confdir.join(".defaults/apps/vshelper/halt");
        put(&program, "", 0o755);
        assert_eq!(helper(confdir, &name, "halt"), Handler::Program(program));
        put(&confdir.join("web1/apps/vshelper/action"), "tell\n", 0o644);
        assert_eq!(helper(confdir, &name, "halt"), Handler::Unknown("tell".to_owned()));
        let method = confdir.join(".defaults/apps/vshelper-methods/tell");
        put(&method, "", 0o755);
        assert_eq!(helper(confdir, &name, "halt"), Handler::Program(method));
        let own = confdir.join("web1/apps/vshelper/halt");
        put(&own, "", 0o755);
        assert_eq!(helper(confdir, &name, "halt"), Handler::Program(own));
        let delegate = confdir.join(".defaults/apps/vshelper-delegate/halt");
        put(&delegate, "", 0o755);
        assert_eq!(helper(confdir, &name, "halt"), Handler::Program(delegate));
    }

    #[test]
    fn a_power_off_looks_like_a_halt() {
        let dir = tempfile::tempdir().unwrap();
        let (confdir, name): (&Path, GuestName) = (dir.path(), "web1".parse().unwrap());
        let (power, halt) = (confdir.join("web1/apps/vshelper/poweroff"), confdir.join("web1/apps/vshelper/halt"));
        put(&power, "", 0o755);
        assert_eq!(helper_of_end(confdir, &name, "halt"), Handler::Program(power));
        assert_eq!(helper_of_end(confdir, &name, "restart"), Handler::Restart);
        put(&halt, "", 0o755);
        assert_eq!(helper_of_end(confdir, &name, "halt"), Handler::Program(halt));
        let again = confdir.join("web1/apps/vshelper/restart2");
        put(&again, "", 0o755);
        assert_eq!(helper_of_end(confdir, &name, "restart"), Handler::Program(again));
    }
}
