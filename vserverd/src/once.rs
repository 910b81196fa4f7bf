//! Remembering that something has been done in this boot of the host.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use vserver_runtime::Host;

/// Changes with every boot. Source: random(4).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The autostart of one mark of one configuration root: a line in a file below `/run`.
pub struct Once {
    file: PathBuf,
    line: String,
}

impl Once {
    /// For this host as it has been booted now. The boot's number is part of it, for `/run` may outlive a boot.
    pub fn for_mark(host: &Host, mark: &str) -> Self {
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
        Self::new(&host.run_dir, boot.trim(), mark, &host.confdir)
    }

    fn new(run_dir: &Path, boot: &str, mark: &str, confdir: &Path) -> Self {
        // A guest's name never begins with a dot, so the file is not taken for one.
        Self { file: run_dir.join(".autostart"), line: format!("{boot} {mark:?} {confdir:?}") }
    }

    /// Whether it has been done.
    pub fn is_done(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|text| text.lines().any(|line| line == self.line))
    }

    /// Notes that it has.
    pub fn done(&self) -> io::Result<()> {
        let before = fs::read_to_string(&self.file).unwrap_or_default();
        if let Some(dir) = self.file.parent() {
            fs::DirBuilder::new().mode(0o700).recursive(true).create(dir)?;
        }
        let beside = self.file.with_extension("new");
        fs::write(&beside, format!("{before}{}\n", self.line))?;
        fs::rename(&beside, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_boot_mark_or_root_is_another_matter() {
        let dir = tempfile::tempdir().unwrap();
        let once = |boot, mark, confdir: &str| Once::new(dir.path(), boot, mark, Path::new(confdir));
        assert!(!once("b1", "default", "/etc/vservers").is_done());
        once("b1", "default", "/etc/vservers").done().unwrap();
        once("b1", "late", "/etc/vservers").done().unwrap();
        assert!(once("b1", "default", "/etc/vservers").is_done());
        assert!(once("b1", "late", "/etc/vservers").is_done());
        assert!(!once("b2", "default", "/etc/vservers").is_done());
        assert!(!once("b1", "default", "/srv/vservers").is_done());
    }
}
