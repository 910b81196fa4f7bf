//! The demo guest: how it is built, started and looked at, all through the command line that administrators use.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{ADDRESS, NAME, XID};
use crate::shell::{KEEP, capture, command, run, say, succeeds};
use crate::{Outcome, busybox, packages};

/// What the guest is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Debian 12 with systemd, nginx and sshd.
    Debian,
    /// busybox init and httpd.
    Busybox,
}

/// Its limits, as util-vserver's configuration files: 512 MiB in pages of 4 KiB, and half of each CPU, of which
/// half a second may be saved up. A long interval, since the kernel saves no more than it gives in one.
const LIMITS: &[(&str, &str)] = &[
    ("rlimits/rss.hard", "131072\n"),
    ("sched/fill-rate", "125\n"),
    ("sched/interval", "250\n"),
    ("sched/tokens-max", "125\n"),
];

/// How long a boot may take: a first one generates keys.
const BOOT: Duration = Duration::from_secs(120);

/// The programs, and the guest seen through them.
pub struct Demo {
    bin: PathBuf,
}

impl Demo {
    /// With the programs in a directory.
    pub fn new(bin: PathBuf) -> Self {
        Self { bin }
    }

    /// `vserver demo …` in the sight of the user.
    pub fn vserver(&self, words: &[&str]) -> Outcome {
        run(&mut command(self.bin.join("vserver"), &[&[NAME], words].concat()))
    }

    /// Removes it without a question.
    pub fn delete(&self) -> Outcome {
        run(&mut command(self.bin.join("vserver"), &["--silent", NAME, "delete"]))
    }

    /// Another name of the same program.
    pub fn applet(&self, name: &str, words: &[&str]) -> Outcome {
        run(&mut self.applet_command(name, words))
    }

    fn applet_command(&self, name: &str, words: &[&str]) -> Command {
        let mut applet = command(self.bin.join("vserver"), words);
        applet.arg0(name);
        applet
    }

    /// Where its configuration lies.
    pub fn cfg() -> PathBuf {
        let root = std::env::var_os("VSERVER_CONFDIR").map_or_else(|| PathBuf::from("/etc/vservers"), PathBuf::from);
        root.join(NAME)
    }

    /// Whether it is configured.
    pub fn exists(&self) -> bool {
        fs::symlink_metadata(Self::cfg()).is_ok()
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        succeeds(&mut command(self.bin.join("vserver"), &[NAME, "running"]))
    }

    /// debootstrap with systemd, nginx and sshd.
    pub fn build_debian(&self) -> Outcome {
        let include = "--include=systemd-sysv,dbus,openssh-server,nginx-light,iproute2,procps,less,nano";
        self.build("debootstrap", &["-d", "bookworm", "--", "--variant=minbase", include])
    }

    /// The same shape from nothing but the host's busybox.
    pub fn build_busybox(&self) -> Outcome {
        if busybox::on_host().is_none() {
            packages::ensure(&["busybox-static"])?;
        }
        let Some(program) = busybox::on_host() else {
            return Err(
                "this host has no static busybox and Debian's cannot be fetched: nothing to build a guest from"
                    .into(),
            );
        };
        let work = Path::new(KEEP).join("demo-tree");
        let _ = fs::remove_dir_all(&work);
        busybox::tree(&program, &work)?;
        let page = "<title>A guest made of busybox</title><h1>It works</h1>\n";
        let inittab = "::sysinit:/bin/true\n::respawn:/bin/httpd -f -p 80 -h /www\n::ctrlaltdel:/sbin/poweroff\n";
        busybox::write(&work, "www/index.html", page, 0o644)
            .and_then(|()| busybox::write(&work, "etc/inittab", inittab, 0o644))
            .map_err(|error| format!("could not write below {}: {error}", work.display()))?;
        let tarball = Path::new(KEEP).join("demo.tar");
        let pack = ["-C", &work.to_string_lossy(), "-cf", &tarball.to_string_lossy(), "."].map(str::to_owned);
        let packed = run(&mut command("tar", &pack));
        let _ = fs::remove_dir_all(&work);
        let built = packed.and_then(|()| self.build("template", &["-t", &tarball.to_string_lossy()]));
        let _ = fs::remove_file(&tarball);
        built
    }

    fn build(&self, method: &str, method_words: &[&str]) -> Outcome {
        let interface = format!("nodev:{ADDRESS}/8");
        let before = ["build", "-m", method, "--context", XID, "--hostname", NAME, "--interface", &interface];
        let words = [&before[..], &["--flags", "sched_hard", "--initstyle", "plain", "--"], method_words].concat();
        say(&format!("vserver demo {}", words.join(" ")));
        self.vserver(&words)?;
        for (file, content) in LIMITS {
            let path = Self::cfg().join(file);
            let parent = path.parent().map(fs::create_dir_all);
            parent
                .transpose()
                .and_then(|_| fs::write(&path, content))
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// Waits until its init has finished booting.
    pub fn wait_until_up(&self, kind: Kind) -> Outcome {
        if kind == Kind::Busybox {
            return Ok(());
        }
        let begun = Instant::now();
        loop {
            let mut ask = command(self.bin.join("vserver"), &[NAME, "exec", "systemctl", "is-system-running"]);
            let state = ask.output().map(|output| crate::shell::text(&output.stdout)).unwrap_or_default();
            match state.trim() {
                "running" => return Ok(()),
                "degraded" => {
                    self.vserver(&["exec", "systemctl", "--failed", "--plain", "--no-legend"])?;
                    return Err("systemd inside reports `degraded`: the failed units are listed above".into());
                }
                _ if begun.elapsed() > BOOT => {
                    let seconds = BOOT.as_secs();
                    return Err(format!(
                        "the guest did not finish booting within {seconds} s (last state: {state:?})"
                    ));
                }
                _ => sleep(Duration::from_millis(100)),
            }
        }
    }

    /// The lines of `vps ax` that are its own.
    pub fn own_processes(&self) -> Outcome {
        let all = capture(&mut self.applet_command("vps", &["ax"]))?;
        let own = |line: &&str| line.split_whitespace().nth(1) == Some(XID) || line.contains("CONTEXT");
        for line in all.lines().filter(own) {
            println!("{line}");
        }
        Ok(())
    }
}
