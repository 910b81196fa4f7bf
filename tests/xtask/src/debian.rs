//! The Debian tree that every runtime boots, also in the VM, which has no network: built once and kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::shell::{KEEP, capture, command, run, say};

/// What is in it besides what minbase has.
const PACKAGES: &str = "systemd-sysv,dbus,openssh-server,nginx-light";

/// Where it lies.
pub fn tree() -> PathBuf {
    named("debian")
}

/// Where a tree of that name lies.
pub fn named(name: &str) -> PathBuf {
    Path::new(KEEP).join(name)
}

/// Builds it unless it is there.
pub fn ensure_tree() -> Outcome {
    ensure(&tree(), PACKAGES)
}

/// Builds a Debian 12 with packages, which systemd-sysv is one of, unless it is there.
pub fn ensure(tree: &Path, packages: &str) -> Outcome {
    if tree.join("sbin/init").exists() {
        return Ok(());
    }
    let made = tree.with_extension("new");
    let _ = fs::remove_dir_all(&made);
    fs::create_dir_all(&made).map_err(|error| format!("could not make {}: {error}", made.display()))?;
    say(&format!("building a Debian 12 tree with {packages}, once"));
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", &format!("--include={packages}"), "bookworm"]).arg(&made).args(mirror());
    let built = run(&mut debootstrap).and_then(|()| fs::rename(&made, tree).map_err(|error| error.to_string()));
    built.map_err(|why| {
        let _ = fs::remove_dir_all(&made);
        format!("{why}; without this tree there is nothing to measure with (no network?)")
    })
}

/// The same as a tarball.
pub fn ensure_tarball() -> Result<PathBuf, String> {
    ensure_tree()?;
    let tarball = tree().with_extension("tar.zst");
    if !tarball.exists() {
        let new = tree().with_extension("tar.new");
        say("packing the Debian tree, once");
        run(Command::new("tar").args(["--zstd", "--numeric-owner", "-cf"]).arg(&new).arg("-C").arg(tree()).arg("."))?;
        fs::rename(&new, &tarball).map_err(|error| format!("could not make {}: {error}", tarball.display()))?;
    }
    Ok(tarball)
}

/// The host's own mirror, as apt knows it.
fn mirror() -> Option<String> {
    let sites =
        capture(&mut command("apt-get", &["indextargets", "--format", "$(REPO_URI)", "Codename: bookworm"])).ok()?;
    sites.lines().next().map(str::to_owned)
}
