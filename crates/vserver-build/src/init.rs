//! Which init style suits a tree.

use vserver_config::Style;
use vserver_fs::GuestRoot;

use crate::Error;

/// What can be PID 1 by itself: systemd, sysvinit, OpenRC, busybox, upstart, all under this name.
const INIT: &str = "/sbin/init";
/// Scripts that run the services of a run level.
const RC: [&str; 2] = ["/etc/init.d/rc", "/etc/rc.d/rc"];

/// `plain` where the guest has an init of its own, `sysv` where it has only an rc script, `None` where it has neither:
/// then there is nothing to start yet.
pub fn detect(root: &GuestRoot) -> Result<Option<Style>, Error> {
    if root.is_executable(INIT)? {
        return Ok(Some(Style::Plain));
    }
    for script in RC {
        if root.is_executable(script)? {
            return Ok(Some(Style::Sysv));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_tree_decides() {
        let dir = tempfile::tempdir().unwrap();
        let root = GuestRoot::open(dir.path()).unwrap();
        assert_eq!(detect(&root).unwrap(), None);
        std::fs::create_dir_all(dir.path().join("etc/init.d")).unwrap();
        let rc = dir.path().join("etc/init.d/rc");
        std::fs::write(&rc, "#!/bin/sh\n").unwrap();
        assert_eq!(detect(&root).unwrap(), None, "it is not executable");
        std::fs::set_permissions(&rc, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(detect(&root).unwrap(), Some(Style::Sysv));
        std::fs::create_dir_all(dir.path().join("usr/sbin")).unwrap();
        std::fs::copy(&rc, dir.path().join("usr/sbin/busybox")).unwrap();
        symlink("usr/sbin", dir.path().join("sbin")).unwrap();
        symlink("/usr/sbin/busybox", dir.path().join("usr/sbin/init")).unwrap();
        assert_eq!(detect(&root).unwrap(), Some(Style::Plain));
        std::fs::remove_file(dir.path().join("usr/sbin/init")).unwrap();
        symlink("/etc/../../../../../bin/sh", dir.path().join("usr/sbin/init")).unwrap();
        assert_eq!(detect(&root).unwrap(), Some(Style::Sysv), "the host's shell is not the guest's init");
    }
}
