//! Settings that are understood and that this version does not apply: said at start, never passed over in silence.

use vserver_config::GuestConfig;
use vserver_types::Unenforced;

/// All of them, in the order of the configuration's files.
pub fn found(config: &GuestConfig) -> Vec<Unenforced> {
    let mut all = Vec::new();
    let mut add =
        |is_set: bool, setting: &str, reason: &str| all.extend(is_set.then(|| Unenforced::none(setting, reason)));
    let host = nix::sys::utsname::uname().ok();
    let differs = |wish: &Option<String>, own: Option<String>| wish.is_some() && *wish != own;
    let text = |value: &std::ffi::OsStr| value.to_string_lossy().into_owned();
    let uts = &config.uts;
    let fixed = "a UTS namespace has its own host and domain name only; remove the file, or give it the host's value";
    add(differs(&uts.sysname, host.as_ref().map(|h| text(h.sysname()))), "uts/sysname", fixed);
    add(differs(&uts.release, host.as_ref().map(|h| text(h.release()))), "uts/release", fixed);
    add(differs(&uts.version, host.as_ref().map(|h| text(h.version()))), "uts/version", fixed);
    add(differs(&uts.machine, host.as_ref().map(|h| text(h.machine()))), "uts/machine", fixed);
    add(config.ionice.is_some(), "ionice", "the I/O class is not set yet; use io.weight in cgroup/");
    add(config.badness.is_some(), "badness", "the OOM killer's bias is not set yet; give the guest a memory limit");
    add(config.keepfds, "keepfds", "no descriptor of the host is handed to a guest");
    all
}
