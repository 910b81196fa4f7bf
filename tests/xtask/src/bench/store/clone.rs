//! A second guest from a first one, and from a template.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::super::figure::{Figure, Goal};
use super::super::ours::NAME;
use super::fresh::Fresh;
use super::{Samples, configuration, copy, time};
use crate::debian;
use crate::shell::{command, run, say};

const CLONES: usize = 7;

/// Without keys of an ssh server to be made anew, with them, and what the slowest of them takes alone.
pub fn measure(bin: &Path, home: &Path) -> Result<Vec<Figure>, String> {
    let disk = Fresh::below(home)?;
    let home = disk.path();
    let (base, plain) = (home.join("trees/base"), home.join("trees/plain"));
    copy(&debian::tree(), &base)?;
    copy(&base, &plain)?;
    let keys = fs::read_dir(plain.join("etc/ssh")).map_err(|error| format!("the tree has no sshd: {error}"))?;
    for key in keys.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("ssh_host_")) {
        fs::remove_file(key.path()).map_err(|error| format!("could not remove a key: {error}"))?;
    }
    let (mut without, mut with) = (Vec::new(), Samples::new());
    for number in 0..CLONES {
        say(&format!("clone {} of {CLONES}", number + 1));
        without.push(clone(bin, home, &plain, &format!("benchplain{number}"))?);
        with.entry(NAME).or_default().push(clone(bin, home, &base, &format!("benchclone{number}"))?);
        with.entry("ssh-keygen -t rsa").or_default().push(key(home)?);
    }
    let goal = || Goal::AtMost(300.0);
    Ok(vec![
        Figure::new("clone of a Debian guest without ssh keys", "ms", goal(), BTreeMap::from([(NAME, without)])),
        Figure::new("clone with its ssh host keys made anew", "ms", goal(), with),
    ])
}

fn clone(bin: &Path, home: &Path, source: &Path, name: &str) -> Result<f64, String> {
    let mut vserver = command(bin.join("vserver"), &[name, "build", "-m", "clone", "--hostname", "clone.test"]);
    vserver.args(["--", "--source"]).arg(source).env("VSERVER_CONFDIR", configuration(home)?);
    time(&mut vserver)
}

/// Milliseconds for the slowest key alone.
fn key(home: &Path) -> Result<f64, String> {
    let file = home.join("key");
    let took = time(command("ssh-keygen", &["-q", "-t", "rsa", "-N", "", "-f"]).arg(&file))?;
    for made in [file.with_extension("pub"), file] {
        fs::remove_file(&made).map_err(|error| format!("could not remove {}: {error}", made.display()))?;
    }
    Ok(took)
}

/// The first build fills the cache, with the real debootstrap; the next ones are measured.
pub fn builds(bin: &Path, home: &Path) -> Result<Vec<Figure>, String> {
    let disk = Fresh::below(home)?;
    let confdir = configuration(disk.path())?;
    let build = |name: &str| {
        let mut vserver =
            command(bin.join("vserver"), &[name, "build", "-m", "debootstrap", "--hostname", "build.test"]);
        vserver.args(["--", "-d", "bookworm", "--", "--variant=minbase"]).env("VSERVER_CONFDIR", &confdir);
        vserver
    };
    say("the first build of Debian, by debootstrap");
    run(&mut build("benchfirst"))?;
    let mut samples = Samples::new();
    for number in 0..CLONES {
        say(&format!("build from the cache {} of {CLONES}", number + 1));
        samples.entry(NAME).or_default().push(time(&mut build(&format!("benchbuild{number}")))?);
    }
    Ok(vec![Figure::new("build Debian minbase from the cache", "ms", Goal::AtMost(1000.0), samples)])
}
