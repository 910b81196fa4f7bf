//! Unpacking an archive as a guest.

use std::fs;
use std::path::Path;

use super::super::figure::{Figure, Goal};
use super::super::ours::NAME;
use super::fresh::Fresh;
use super::{ROUNDS, Samples, alone, configuration};
use crate::Outcome;
use crate::shell::{command, run, say};

/// Archives: what is measured, the option of GNU tar, the name.
const FORMATS: [(&str, Option<&str>, &str); 4] = [
    ("import of a Debian tar", None, "base.tar"),
    ("import of a Debian tar.gz", Some("--gzip"), "base.tar.gz"),
    ("import of a Debian tar.xz", Some("--xz"), "base.tar.xz"),
    ("import of a Debian tar.zst", Some("--zstd"), "base.tar.zst"),
];

/// Each format, shown as soon as it is measured.
pub fn measure(bin: &Path, home: &Path, base: &Path, show: impl Fn(Vec<Figure>)) -> Outcome {
    for (work, option, name) in FORMATS {
        show(vec![Figure::new(work, "ms", Goal::Of("tar", 1.0), imports(bin, home, base, option, name)?)]);
    }
    Ok(())
}

/// Ours with all checks of a hostile archive, against GNU tar with all that a file has. Both read a file that is in memory, and
/// each has a new disk.
fn imports(bin: &Path, home: &Path, base: &Path, option: Option<&str>, name: &str) -> Result<Samples, String> {
    say(name);
    let archive = home.join(name);
    let kept = ["--numeric-owner", "--xattrs", "--acls"];
    run(command("tar", &kept).args(option).arg("-cf").arg(&archive).arg("-C").arg(base).arg("."))?;
    let mut times = Samples::new();
    for _ in 0..ROUNDS {
        let disk = Fresh::below(home)?;
        let confdir = configuration(disk.path())?;
        let mut ours = command(bin.join("vserver"), &["benchimport"]);
        ours.args(["import", "--as-is", "--keep-identity"]).arg(&archive).env("VSERVER_CONFDIR", &confdir);
        times.entry(NAME).or_default().push(alone(&mut ours, home)?);
        drop(disk);
        let disk = Fresh::below(home)?;
        let mut tar = command("tar", &kept);
        tar.arg("-xpf").arg(&archive).arg("-C").arg(disk.path());
        times.entry("tar").or_default().push(alone(&mut tar, home)?);
    }
    let _ = fs::remove_file(&archive);
    Ok(times)
}
