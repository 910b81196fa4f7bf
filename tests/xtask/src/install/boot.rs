//! What starts and stops guests with their host: units, a generator, init scripts, tmpfiles; and the names below
//! `lib/util-vserver` that init scripts and habits know.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::shell::{capture, command, find, repository, say};

/// Programs that are called by their full path. Source: util-vserver, `commands.md` §1.
const INTERNAL: &[&str] = &["start-vservers", "stop-vservers", "vserver-wrapper", "vprocunhide", "vshelper"];

/// Where everything goes. `root` is the prefix below the destination directory.
pub struct Places<'p> {
    /// Destination and prefix.
    pub root: &'p Path,
    /// Prefix as the installed system sees it.
    pub prefix: &'p Path,
    /// Destination, empty for this system.
    pub destdir: &'p Path,
}

impl Places<'_> {
    /// `/etc` belongs to the usual prefixes; any other one has its own.
    fn etc(&self) -> PathBuf {
        let usual = [Path::new("/usr"), Path::new("/usr/local")].contains(&self.prefix);
        let base = if self.destdir.as_os_str().is_empty() { Path::new("/") } else { self.destdir };
        if usual { base.join("etc") } else { self.root.join("etc") }
    }

    fn fill(&self, text: &str) -> String {
        let path = |dir: &str| self.prefix.join(dir).display().to_string();
        text.replace("@sbindir@", &path("sbin")).replace("@libdir@", &path("lib/util-vserver"))
    }
}

/// Installs all of it, and has systemd look at the units if it is there.
pub fn lay(places: &Places<'_>) -> io::Result<()> {
    let lib = places.root.join("lib");
    let from = repository().join("boot");
    let units = lib.join("systemd/system");
    fill_dir(&from.join("systemd"), &units, 0o644, places)?;
    link("vserver.target", &units.join("vservers.target"))?;
    link("../../../sbin/vserver", &lib.join("systemd/system-generators/systemd-vserver-generator"))?;
    fill_dir(&from.join("tmpfiles.d"), &lib.join("tmpfiles.d"), 0o644, places)?;
    fill_dir(&from.join("init.d"), &places.etc().join("init.d"), 0o755, places)?;
    for name in INTERNAL {
        link("../../sbin/vserver", &lib.join("util-vserver").join(name))?;
    }
    for name in ["start-vservers", "stop-vservers", "vshelper"] {
        link("vserver", &places.root.join("sbin").join(name))?;
    }
    Ok(())
}

fn fill_dir(from: &Path, to: &Path, mode: u32, places: &Places<'_>) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let path = to.join(entry.file_name());
        fs::write(&path, places.fill(&fs::read_to_string(entry.path())?))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn link(target: &str, path: &Path) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let _ = fs::remove_file(path);
    symlink(target, path)
}

/// Has systemd read the installed units: what it complains of. Without systemd nobody can.
pub fn verify(places: &Places<'_>) -> Result<(), String> {
    let Some(analyze) = find("systemd-analyze") else {
        say("systemd is not here, so nothing checked the units");
        return Ok(());
    };
    let units = places.root.join("lib/systemd/system");
    let mut verify = command(analyze, &["verify", "--man=no", "--generators=no", "--recursive-errors=no"]);
    if !places.destdir.as_os_str().is_empty() {
        verify.arg("--root").arg(fs::canonicalize(places.destdir).map_err(|error| error.to_string())?);
    }
    let names = ["vserver@x.service", "vserver.target", "vserver-mark@default.target", "util-vserver.service"];
    let more = ["vprocunhide.service", "vserver.slice", "vserverd.service", "vserverd.socket"];
    verify.args(
        names
            .iter()
            .chain(&more)
            .map(|name| if places.destdir.as_os_str().is_empty() { units.join(name) } else { PathBuf::from(name) }),
    );
    capture(&mut verify).map(drop).map_err(|why| format!("systemd does not like the units: {why}"))
}
