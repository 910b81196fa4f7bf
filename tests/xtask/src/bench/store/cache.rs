//! What the kernel keeps in memory of the files of guests that share them: all of their pages that are resident, counted once per
//! inode, whoever uses them. A program that runs over an overlay has the pages of the layer below.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::super::figure::{Figure, Goal};
use super::super::ours::NAME;
use super::{configuration, prepare, print};
use crate::Outcome;
use crate::shell::{capture, command, run, say};

const GUESTS: u8 = 10;
/// nginx and sshd.
const PORTS: [u16; 2] = [80, 22];
const PATIENCE: Duration = Duration::from_secs(120);

/// In namespaces of its own: one guest runs, then ten.
pub fn measure(bin: &Path, home: &Path, json: bool) -> Outcome {
    let base = prepare(home)?;
    let host = Host { bin, home, confdir: configuration(home)? };
    let begun = (0..GUESTS).try_for_each(|number| host.build(number, &base)).and_then(|()| host.compare());
    for number in 0..GUESTS {
        let _ = capture(&mut host.vserver(number, &["stop", "--kill"]));
    }
    print("store", &begun?, json);
    Ok(())
}

/// MiB of pages.
struct Resident {
    /// Of what is in the trees.
    tree: f64,
    /// Of what the guests have written since they run.
    written: f64,
}

impl Resident {
    fn all(&self) -> f64 {
        self.tree + self.written
    }
}

struct Host<'a> {
    bin: &'a Path,
    home: &'a Path,
    confdir: PathBuf,
}

impl Host<'_> {
    fn vserver(&self, number: u8, words: &[&str]) -> Command {
        let mut vserver = command(self.bin.join("vserver"), &[format!("benchcache{number}")]);
        vserver.args(words).env("VSERVER_CONFDIR", &self.confdir);
        vserver
    }

    fn build(&self, number: u8, base: &Path) -> Outcome {
        say(&format!("guest {} of {GUESTS}", number + 1));
        let (context, interface) = ((48_900 + u32::from(number)).to_string(), format!("nodev:{}/8", address(number)));
        let own = ["build", "-m", "clone", "--context", &context, "--interface", &interface, "--initstyle", "plain"];
        let mut build = self.vserver(number, &own);
        build.args(["--", "--source"]).arg(base);
        capture(&mut build).map(drop)
    }

    fn compare(&self) -> Result<Vec<Figure>, String> {
        self.forget()?;
        let none = self.resident()?;
        self.start(0)?;
        let one = self.resident()?;
        (1..GUESTS).try_for_each(|number| self.start(number))?;
        let ten = self.resident()?;
        say(&format!("cached before any guest ran: {:.1} MiB", none.all()));
        let figure = |work, of: fn(&Resident) -> f64| {
            let samples = BTreeMap::from([(NAME, vec![of(&ten)]), ("one guest", vec![of(&one)])]);
            Figure::new(work, "MiB", Goal::Of("one guest", 1.2), samples)
        };
        Ok(vec![
            figure("cached file pages of 10 guests", |resident| resident.tree),
            figure("the same with all that they write", Resident::all),
        ])
    }

    /// Returns when it has booted and its services answer.
    fn start(&self, number: u8) -> Outcome {
        say(&format!("starting guest {}", number + 1));
        capture(&mut self.vserver(number, &["start"]))?;
        let end = Instant::now() + PATIENCE;
        let mut booted = || {
            let mut asked = self.vserver(number, &["exec", "systemctl", "is-system-running", "--wait"]);
            capture(&mut asked).is_ok()
        };
        until(end, "did not reach `running`", number, &mut booted)?;
        for port in PORTS {
            let mut answers = || TcpStream::connect(SocketAddr::new(address(number).into(), port)).is_ok();
            until(end, "has a service that does not answer", number, &mut answers)?;
        }
        Ok(())
    }

    /// One name of each file of all guests, with what they have written beside their trees.
    fn files(&self) -> Result<Vec<PathBuf>, String> {
        let (mut inodes, mut files, mut todo) = (BTreeMap::new(), Vec::new(), vec![self.home.join("trees")]);
        while let Some(dir) = todo.pop() {
            let entries = fs::read_dir(&dir).map_err(|error| format!("could not list {}: {error}", dir.display()))?;
            for path in entries.flatten().map(|entry| entry.path()) {
                // What a guest removes meanwhile is gone.
                let Ok(found) = path.symlink_metadata() else { continue };
                if found.is_dir() {
                    todo.push(path);
                } else if found.is_file() && found.len() > 0 && inodes.insert(found.ino(), ()).is_none() {
                    files.push(path);
                }
            }
        }
        Ok(files)
    }

    /// The pages of these files go, as far as they are on the disk and nobody has mapped them.
    fn forget(&self) -> Outcome {
        run(command("sync", &["-f"]).arg(self.home))?;
        for path in self.files()? {
            let file = File::open(&path).map_err(|error| format!("could not open {}: {error}", path.display()))?;
            let done = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
            done.map_err(|error| format!("could not give away the pages of {}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// By fincore(1).
    fn resident(&self) -> Result<Resident, String> {
        let is_layer =
            |path: &PathBuf| path.components().any(|part| part.as_os_str().to_string_lossy().ends_with(".layers"));
        let (written, tree) = self.files()?.into_iter().partition::<Vec<_>, _>(is_layer);
        Ok(Resident { tree: Self::pages(&tree)?, written: Self::pages(&written)? })
    }

    /// In MiB.
    fn pages(files: &[PathBuf]) -> Result<f64, String> {
        let mut bytes = 0.0;
        for files in files.chunks(500) {
            let mut fincore = Command::new("fincore");
            fincore.args(["--bytes", "--noheadings", "--raw", "--output", "RES"]).args(files);
            // It complains of what was removed meanwhile, and goes on.
            let output = fincore.stderr(Stdio::null()).output();
            let output = output.map_err(|error| format!("could not run fincore (util-linux): {error}"))?;
            let text = crate::shell::text(&output.stdout);
            bytes += text.split_whitespace().filter_map(|word| word.parse::<f64>().ok()).sum::<f64>();
        }
        Ok(bytes / f64::from(1 << 20))
    }
}

fn address(number: u8) -> std::net::Ipv4Addr {
    [127, 77, 1, number + 1].into()
}

fn until(end: Instant, what: &str, number: u8, done: &mut dyn FnMut() -> bool) -> Outcome {
    while !done() {
        if Instant::now() > end {
            return Err(format!("guest {} {what} within {} s", number + 1, PATIENCE.as_secs()));
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}
