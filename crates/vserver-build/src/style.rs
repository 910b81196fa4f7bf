//! Which kind of package management a guest's tree has. Source: util-vserver, `config-tree.md` §5.11.

use std::fs;
use std::path::Path;

use vserver_fs::{GuestRoot, Kind};
use vserver_types::GuestName;

use crate::Error;
use crate::delete::real;

/// A family of distributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageStyle {
    /// dpkg and apt.
    Debian,
    /// rpm, with dnf, yum, apt-rpm or urpmi.
    Rpm,
    /// rpm, with zypper.
    Suse,
}

/// Files that tell, in the original's order.
const RELEASES: [(&str, PackageStyle); 5] = [
    ("etc/redhat-release", PackageStyle::Rpm),
    ("etc/fedora-release", PackageStyle::Rpm),
    ("etc/mandrake-release", PackageStyle::Rpm),
    ("etc/debian_version", PackageStyle::Debian),
    ("etc/SuSE-release", PackageStyle::Suse),
];

/// What `apps/pkgmgmt/style` says, else what the tree looks like; `None` if neither is known.
///
/// # Errors
/// The guest has no tree, or it cannot be looked at.
pub fn package_style(confdir: &Path, name: &GuestName) -> Result<Option<PackageStyle>, Error> {
    let config = confdir.join(name.as_str());
    if let Ok(text) = fs::read_to_string(config.join("apps/pkgmgmt/style")) {
        return Ok(named(text.lines().next().unwrap_or_default().trim()));
    }
    let vdir = config.join("vdir");
    let root = GuestRoot::open(&real(&vdir).ok_or(Error::NoTree { path: vdir })?)?;
    for (file, style) in RELEASES {
        if root.kind(file)? == Some(Kind::File) {
            return Ok(Some(style));
        }
    }
    Ok(None)
}

fn named(word: &str) -> Option<PackageStyle> {
    match word {
        "debian" => Some(PackageStyle::Debian),
        "redhat" | "mandrake" => Some(PackageStyle::Rpm),
        "suse" => Some(PackageStyle::Suse),
        _ => None,
    }
}
