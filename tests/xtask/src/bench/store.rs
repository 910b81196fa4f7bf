//! Sharing the files of guests, against programs that make hard links of equal files: each on fresh copies of one tree.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::figure::{Figure, Goal};
use super::ours::NAME;
use crate::shell::{KEEP, capture, command, find, run, say};
use crate::{Outcome, debian};

/// The peers, as Debian packages; `hardlink` belongs to util-linux.
pub const PACKAGES: &[&str] = &["jdupes", "rdfind", "util-linux", "time", "debootstrap"];
const COPIES: usize = 8;
const ROUNDS: usize = 3;
const CLONES: usize = 7;
/// A run that takes longer, in milliseconds, is not repeated.
const LONG: f64 = 10_000.0;
/// What can be measured alone.
pub const PARTS: [&str; 3] = ["unify", "clone", "import"];
/// Archives: what is measured, the option of GNU tar, the name.
const FORMATS: [(&str, Option<&str>, &str); 4] = [
    ("import of a Debian tar", None, "base.tar"),
    ("import of a Debian tar.gz", Some("--gzip"), "base.tar.gz"),
    ("import of a Debian tar.xz", Some("--xz"), "base.tar.xz"),
    ("import of a Debian tar.zst", Some("--zstd"), "base.tar.zst"),
];

type Samples = BTreeMap<&'static str, Vec<f64>>;

/// Measures and prints each part as soon as it is measured.
pub fn perform(part: Option<&str>, bin: &Path, json: bool) -> Outcome {
    let home = PathBuf::from(format!("{KEEP}/store-{}", std::process::id()));
    let outcome = prepare(&home).and_then(|base| {
        let wanted = |name| part.is_none_or(|part| part == name);
        if wanted("unify") {
            print(&unify(bin, &home, &base)?, json);
        }
        if wanted("clone") {
            let goal = Goal::AtMost(300.0);
            print(&[Figure::new("clone of a Debian guest", "ms", goal, clones(bin, &home)?)], json);
        }
        if wanted("import") {
            for (work, option, name) in FORMATS {
                let goal = Goal::Of("tar", 1.0);
                print(&[Figure::new(work, "ms", goal, imports(bin, &home, &base, option, name)?)], json);
            }
        }
        Ok(())
    });
    let _ = fs::remove_dir_all(&home);
    outcome
}

fn print(figures: &[Figure], json: bool) {
    for figure in figures {
        println!("{}", if json { figure.json("store") } else { figure.line() });
    }
}

/// A Debian tree to begin with.
fn prepare(home: &Path) -> Result<PathBuf, String> {
    let made = |error: std::io::Error| format!("could not write below {}: {error}", home.display());
    fs::create_dir_all(home.join("trees")).map_err(made)?;
    fs::write(home.join("none"), "").map_err(made)?;
    let base = home.join("trees/base");
    run(command("cp", &["-a", "--reflink=never"]).arg(debian::tree()).arg(&base))?;
    // As it was built: without lists that apt fetches anew, and what its boots have logged.
    for grown in ["var/lib/apt/lists", "var/cache", "var/log/journal"] {
        let _ = fs::remove_dir_all(base.join(grown));
    }
    Ok(base)
}

fn unify(bin: &Path, home: &Path, base: &Path) -> Result<Vec<Figure>, String> {
    let mut all = Measured::default();
    for round in 1..=ROUNDS {
        for tool in tools(bin, home) {
            if all.time.get(tool.name).is_some_and(|times| times.iter().any(|time| *time > LONG)) {
                say(&format!("{} has needed over {} s: it is not run again", tool.name, LONG / 1000.0));
                continue;
            }
            say(&format!("round {round} of {ROUNDS}: {} on {COPIES} copies", tool.name));
            all.one(&tool, base, home)?;
        }
    }
    Ok(vec![
        Figure::new("make equal files of 8 guests one", "ms", Goal::OfBest(1.0 / 3.0), all.time),
        Figure::new("space of 8 guests afterwards", "MiB", Goal::OfBest(1.0), all.space),
        Figure::new("memory for that", "kB", Goal::AtMost(65_536.0), all.memory),
        Figure::new("the second run, against find -type f", "ms", Goal::Of("find", 1.5), all.second),
    ])
}

#[derive(Default)]
struct Measured {
    time: Samples,
    space: Samples,
    memory: Samples,
    second: Samples,
}

struct Tool {
    name: &'static str,
    argv: Vec<String>,
}

impl Measured {
    fn one(&mut self, tool: &Tool, base: &Path, home: &Path) -> Outcome {
        let copies = home.join("copies");
        fs::create_dir_all(&copies).map_err(|error| error.to_string())?;
        for copy in places(home) {
            run(command("cp", &["-a", "--reflink=never"]).arg(base).arg(copy))?;
        }
        run(command("sync", &["-f"]).arg(&copies).stdout(Stdio::null()))?;
        let (time, memory) = timed(tool, home)?;
        say(&format!("{}: {time:.0} ms", tool.name));
        self.time.entry(tool.name).or_default().push(time);
        self.memory.entry(tool.name).or_default().push(memory);
        self.space.entry(tool.name).or_default().push(space(&copies)?);
        if tool.name == NAME {
            for _ in 0..ROUNDS {
                let listing = Tool {
                    name: "find",
                    argv: ["find", &copies.to_string_lossy(), "-type", "f"].map(str::to_owned).to_vec(),
                };
                self.second.entry("find").or_default().push(timed(&listing, home)?.0);
                self.second.entry(NAME).or_default().push(timed(tool, home)?.0);
            }
        }
        fs::remove_dir_all(&copies).map_err(|error| format!("could not remove {}: {error}", copies.display()))
    }
}

fn places(home: &Path) -> impl Iterator<Item = PathBuf> {
    (0..COPIES).map(move |number| home.join(format!("copies/guest{number}")))
}

/// Ours, and the peers that are installed. All may ignore times, and compare what they link.
fn tools(bin: &Path, home: &Path) -> Vec<Tool> {
    let copies = home.join("copies").to_string_lossy().into_owned();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).chain([copies.clone()]).collect();
    let mut ours: Vec<String> =
        vec![bin.join("vserver").to_string_lossy().into_owned(), "--applet".into(), "vhashify".into()];
    ours.extend(["--ignore-mtime".into(), "--manually".into(), "--destination".into(), format!("{copies}/.hash")]);
    for place in places(home) {
        ours.extend([place.to_string_lossy().into_owned(), home.join("none").to_string_lossy().into_owned()]);
    }
    let mut tools = vec![
        Tool { name: NAME, argv: ours },
        Tool { name: "jdupes", argv: words(&["jdupes", "-q", "-r", "-L"]) },
        Tool { name: "rdfind", argv: words(&["rdfind", "-makehardlinks", "true", "-makeresultsfile", "false"]) },
        Tool { name: "hardlink", argv: words(&["hardlink", "-q", "-t"]) },
    ];
    let script = format!("fclones group --quiet '{copies}' | fclones link --quiet");
    tools.push(Tool { name: "fclones", argv: vec!["sh".into(), "-c".into(), script] });
    tools.retain(|tool| tool.name == NAME || find(tool.name).is_some());
    tools
}

/// Milliseconds, and the most memory in kB.
fn timed(tool: &Tool, home: &Path) -> Result<(f64, f64), String> {
    let out = home.join("memory");
    let mut command = Command::new("time");
    command.args(["-f", "%M", "-o"]).arg(&out).args(&tool.argv).stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    run(&mut command)?;
    let time = begun.elapsed().as_secs_f64() * 1000.0;
    let memory = fs::read_to_string(&out).ok().and_then(|text| text.trim().parse().ok());
    Ok((time, memory.ok_or("time(1) has not said how much memory was used")?))
}

fn space(dir: &Path) -> Result<f64, String> {
    let said = capture(command("du", &["-s", "-B1"]).arg(dir))?;
    let bytes = said.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    Ok(bytes.ok_or("du has not said how much there is")? / f64::from(1 << 20))
}

fn clones(bin: &Path, home: &Path) -> Result<Samples, String> {
    say("clones");
    let confdir = configuration(home)?;
    let source = home.join("trees/base").to_string_lossy().into_owned();
    let mut times = Vec::new();
    for number in 0..CLONES {
        let name = format!("benchclone{number}");
        let words = ["build", "-m", "clone", "--hostname", "clone.test", "--", "--source", &source];
        let mut vserver = command(bin.join("vserver"), &[&name]);
        vserver.args(words).env("VSERVER_CONFDIR", &confdir);
        let begun = Instant::now();
        capture(&mut vserver)?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(BTreeMap::from([(NAME, times)]))
}

/// A configuration root whose guests' trees are beside the first one.
fn configuration(home: &Path) -> Result<PathBuf, String> {
    let confdir = home.join("etc");
    let base = confdir.join(".defaults/vdirbase");
    let written = fs::create_dir_all(confdir.join(".defaults")).and_then(|()| match base.is_symlink() {
        true => Ok(()),
        false => symlink(home.join("trees"), &base),
    });
    written.map_err(|error| format!("could not write below {}: {error}", confdir.display()))?;
    Ok(confdir)
}

/// Ours with all checks of a hostile archive, against GNU tar with all that a file has. Both read a file that is in memory, and
/// what they have written is on the disk before the other begins.
fn imports(bin: &Path, home: &Path, base: &Path, option: Option<&str>, name: &str) -> Result<Samples, String> {
    say(name);
    let (confdir, archive) = (configuration(home)?, home.join(name));
    let kept = ["--numeric-owner", "--xattrs", "--acls"];
    run(command("tar", &kept).args(option).arg("-cf").arg(&archive).arg("-C").arg(base).arg("."))?;
    let mut times = Samples::new();
    for _ in 0..ROUNDS {
        let mut ours = command(bin.join("vserver"), &["benchimport"]);
        ours.args(["import", "--as-is", "--keep-identity"]).arg(&archive).env("VSERVER_CONFDIR", &confdir);
        times.entry(NAME).or_default().push(alone(&mut ours, home)?);
        for made in [home.join("trees/benchimport"), confdir.join("benchimport")] {
            fs::remove_dir_all(&made).map_err(|error| format!("could not remove {}: {error}", made.display()))?;
        }
        let out = home.join("unpacked");
        fs::create_dir(&out).map_err(|error| format!("could not make {}: {error}", out.display()))?;
        let mut tar = command("tar", &kept);
        tar.arg("-xpf").arg(&archive).arg("-C").arg(&out);
        times.entry("tar").or_default().push(alone(&mut tar, home)?);
        fs::remove_dir_all(&out).map_err(|error| format!("could not remove {}: {error}", out.display()))?;
    }
    let _ = fs::remove_file(&archive);
    Ok(times)
}

/// Milliseconds of a command that has the disk for itself.
fn alone(work: &mut Command, home: &Path) -> Result<f64, String> {
    run(command("sync", &["-f"]).arg(home))?;
    let begun = Instant::now();
    capture(work)?;
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}
