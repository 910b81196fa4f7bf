//! Packages that are managed from the host: where their data lies, what the host's tools are told, and the way from
//! management by the guest's own tools to that and back. Source: util-vserver, `config-tree.md` §5.11.

mod change;
mod places;
mod tools;

pub use change::{externalize, internalize};
pub use places::Places;
pub use tools::{Job, apt, rpm, yum};

use std::path::Path;

/// Whether the packages of the guest with this configuration directory are managed from the host.
pub fn is_external(dir: &Path) -> bool {
    let pkgmgmt = dir.join("apps/pkgmgmt");
    pkgmgmt.is_dir() && !pkgmgmt.join("internal").exists()
}
