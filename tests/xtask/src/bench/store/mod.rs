//! Trees stored once: sharing, cloning, building from a cache, importing, and what is cached of guests that share.

pub mod cache;
mod clone;
mod fclones;
mod fresh;
mod import;
mod kinds;
mod large;
mod tools;
mod unify;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::figure::Figure;
use crate::shell::{KEEP, capture, command, run};
use crate::{Outcome, debian};

/// The peers, as Debian packages; `hardlink` belongs to util-linux.
pub const PACKAGES: &[&str] =
    &["jdupes", "rdfind", "util-linux", "e2fsprogs", "time", "debootstrap", "openssh-client", "busybox-static"];
/// How often each is measured.
const ROUNDS: usize = 3;
/// What can be measured alone. `cache` is measured in namespaces of its own, with running guests.
pub const PARTS: [&str; 7] = ["unify", "kinds", "large", "clone", "build", "import", CACHE];
/// The part whose guests run.
pub const CACHE: &str = "cache";

type Samples = BTreeMap<&'static str, Vec<f64>>;

/// What is to be measured, and how it is shown.
pub struct Order<'a> {
    /// One part; without it all of them.
    pub part: Option<&'a str>,
    /// The tree of large files has 20 GB.
    pub full: bool,
    /// For programs.
    pub json: bool,
}

/// Measures and prints each part as soon as it is measured.
pub fn perform(order: &Order<'_>, bin: &Path) -> Outcome {
    fresh::apart()?;
    sweep();
    let home = PathBuf::from(format!("{KEEP}/store-{}", std::process::id()));
    let outcome = all(order, bin, &home);
    let removed = match home.exists() {
        true => fs::remove_dir_all(&home).map_err(|error| format!("could not remove {}: {error}", home.display())),
        false => Ok(()),
    };
    outcome.and(removed)
}

fn all(order: &Order<'_>, bin: &Path, home: &Path) -> Outcome {
    let base = prepare(home)?;
    let wanted = |name| order.part.is_none_or(|part| part == name);
    let show = |figures: Vec<Figure>| print("store", &figures, order.json);
    if wanted("unify") {
        show(unify::equal(bin, home, &base)?);
    }
    if wanted("kinds") {
        show(unify::kinds(bin, home)?);
    }
    if wanted("large") {
        show(large::measure(bin, home, order.full)?);
    }
    if wanted("clone") {
        show(clone::measure(bin, home)?);
    }
    if wanted("build") {
        show(clone::builds(bin, home)?);
    }
    if wanted("import") {
        import::measure(bin, home, &base, show)?;
    }
    Ok(())
}

/// One line for each.
pub fn print(set: &str, figures: &[Figure], json: bool) {
    for figure in figures {
        println!("{}", if json { figure.json(set) } else { figure.line() });
    }
}

/// Removes what a run has left that was killed.
fn sweep() {
    for entry in fs::read_dir(KEEP).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix("store-").filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()));
        if process.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A Debian tree to begin with.
fn prepare(home: &Path) -> Result<PathBuf, String> {
    let made = |error: std::io::Error| format!("could not write below {}: {error}", home.display());
    fs::create_dir_all(home.join("trees")).map_err(made)?;
    fs::write(home.join("none"), "").map_err(made)?;
    let base = home.join("trees/base");
    copy(&debian::tree(), &base)?;
    Ok(base)
}

/// A copy of a tree as it was built: without lists that apt fetches anew, and what its boots have logged.
fn copy(from: &Path, to: &Path) -> Outcome {
    let grown = ["var/lib/apt/lists", "var/cache", "var/log/journal"];
    let mut pack = command("tar", &["--numeric-owner", "--xattrs", "-c"]);
    pack.args(grown.map(|path| format!("--exclude=./{path}/*"))).arg("-C").arg(from).arg(".");
    let mut pack =
        pack.stdout(std::process::Stdio::piped()).spawn().map_err(|error| format!("could not run tar: {error}"))?;
    fs::create_dir_all(to).map_err(|error| format!("could not make {}: {error}", to.display()))?;
    let mut unpack = Command::new("tar");
    unpack.args(["--numeric-owner", "--xattrs", "-xp", "-C"]).arg(to);
    unpack.stdin(pack.stdout.take().ok_or("tar has no output")?);
    let unpacked = run(&mut unpack);
    let packed = pack.wait().map_err(|error| format!("could not wait for tar: {error}"))?;
    unpacked.and(if packed.success() { Ok(()) } else { Err(format!("could not read {} ({packed})", from.display())) })
}

/// A configuration root whose guests' trees are beside the first one.
fn configuration(home: &Path) -> Result<PathBuf, String> {
    let confdir = home.join("etc");
    let base = confdir.join(".defaults/vdirbase");
    let dirs = [home.join("trees"), confdir.join(".defaults")];
    let written = dirs.iter().try_for_each(fs::create_dir_all).and_then(|()| match base.is_symlink() {
        true => Ok(()),
        false => symlink(home.join("trees"), &base),
    });
    written.map_err(|error| format!("could not write below {}: {error}", confdir.display()))?;
    Ok(confdir)
}

/// Milliseconds of a command.
fn time(work: &mut Command) -> Result<f64, String> {
    let begun = Instant::now();
    capture(work)?;
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}

/// Milliseconds of a command that has the disk for itself.
fn alone(work: &mut Command, home: &Path) -> Result<f64, String> {
    run(command("sync", &["-f"]).arg(home))?;
    time(work)
}
