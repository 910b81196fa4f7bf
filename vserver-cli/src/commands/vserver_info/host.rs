//! What `vserver-info` says of this host.

use caps::{CapSet, Capability};
use nix::errno::Errno;
use vserver_cgroup::Layout;

use crate::context::Context;
use crate::error::CliError;

/// The last interface that util-vserver knew, which scripts ask for. Source: util-vserver, `commands.md` §6.
pub const API: &str = "0x00020308";

/// What is there for a script that asks. The others are known and not there: COMPAT, VSHELPER0, VSTAT, PPTAG, BME.
const FEATURES: [&str; 17] = [
    "VKILL",
    "IATTR",
    "RLIMIT",
    "MIGRATE",
    "NAMESPACE",
    "SCHED",
    "VINFO",
    "VHI",
    "VSHELPER",
    "VWAIT",
    "VNET",
    "PIDSPACE",
    "SPACES",
    "PERSISTENT",
    "PIVOT_ROOT",
    "MEMCG",
    "DYNAMIC",
];

/// Whether a feature is there.
pub fn has_feature(name: &str) -> bool {
    FEATURES.iter().any(|feature| feature.eq_ignore_ascii_case(name))
}

/// The report of SYSINFO: every colon in column 25. This kernel has no number for "VCI".
pub fn system(context: &Context) -> String {
    let kernel =
        nix::sys::utsname::uname().map_or_else(|_| "???".into(), |uts| uts.release().to_string_lossy().into_owned());
    let hierarchies =
        Layout::detect().map_or_else(|_| "???".to_owned(), |layout| format!("{:?}", layout.kind()).to_lowercase());
    let user_namespaces = if std::path::Path::new("/proc/self/ns/user").exists() { "yes" } else { "no" };
    let host = &context.host;
    let sections: [(&str, Vec<(&str, String)>); 3] = [
        (
            "Versions",
            vec![
                ("Kernel", kernel),
                ("VS-API", API.to_owned()),
                ("VCI", "???".to_owned()),
                ("util-vserver", env!("CARGO_PKG_VERSION").to_owned()),
            ],
        ),
        ("Features", vec![("cgroups", hierarchies), ("user namespaces", user_namespaces.to_owned())]),
        (
            "Paths",
            vec![
                ("confdir", host.confdir.display().to_string()),
                ("state", host.run_dir.display().to_string()),
                ("console logs", host.log_dir.display().to_string()),
            ],
        ),
    ];
    let section = |(title, lines): &(&str, Vec<(&str, String)>)| {
        let lines: String = lines.iter().map(|(label, value)| format!("{label:>25}: {value}\n")).collect();
        format!("{title}:\n{lines}")
    };
    let [versions, features, paths] = sections.each_ref().map(section);
    format!("{versions}\n{features}{paths}")
}

/// Gives up CAP_SYS_CHROOT and tries; this process does nothing else afterwards.
pub fn dropping_forbids_chroot() -> Result<bool, CliError> {
    let given_up = caps::drop(None, CapSet::Effective, Capability::CAP_SYS_CHROOT);
    given_up
        .map_err(|error| CliError::io("cannot give up CAP_SYS_CHROOT")(std::io::Error::other(error.to_string())))?;
    Ok(nix::unistd::chroot("/") == Err(Errno::EPERM))
}
