//! A small tree from the host's static busybox: what the demo falls back to, and what shell-only guests are measured with.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::shell::{capture, command};

/// The host's busybox, if it is static: a dynamic one would need the host's libraries inside.
pub fn on_host() -> Option<PathBuf> {
    let candidates = ["/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox"].map(PathBuf::from);
    candidates.into_iter().find(|path| is_static(path).unwrap_or(false))
}

/// An ELF program with an interpreter names it within its first page.
fn is_static(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    fs::File::open(path)?.take(4096).read_to_end(&mut head)?;
    Ok(head.starts_with(b"\x7fELF") && !head.windows(8).any(|bytes| bytes == b"ld-linux"))
}

/// Makes a tree below `root`; `/sbin/init` is busybox' own unless the caller replaces it.
pub fn tree(busybox: &Path, root: &Path) -> Result<(), String> {
    let applets = capture(&mut command(busybox, &["--list"]))?;
    plant(busybox, root, &applets).map_err(|error| format!("could not make a tree at {}: {error}", root.display()))
}

fn plant(busybox: &Path, root: &Path, applets: &str) -> io::Result<()> {
    for dir in ["bin", "sbin", "etc", "proc", "sys", "dev", "tmp", "root", "run", "usr/bin", "var/log", "www"] {
        fs::create_dir_all(root.join(dir))?;
    }
    fs::copy(busybox, root.join("bin/busybox"))?;
    for applet in applets.lines().filter(|applet| !["busybox", "init"].contains(applet)) {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    for applet in ["init", "poweroff", "reboot", "halt"] {
        symlink("../bin/busybox", root.join("sbin").join(applet))?;
    }
    write(root, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644)?;
    write(root, "etc/group", "root:x:0:\n", 0o644)
}

/// Writes one file of a tree.
pub fn write(root: &Path, name: &str, content: &str, mode: u32) -> io::Result<()> {
    let path = root.join(name);
    let _ = fs::remove_file(&path);
    fs::write(&path, content)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))
}
