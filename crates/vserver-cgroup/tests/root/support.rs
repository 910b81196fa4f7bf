//! What the root tests share: guests that clean up after themselves and processes with a role.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use vserver_cgroup::{Controller, Entry, GuestCgroup, Kind, Layout};

/// What a test needs of the machine, root in any case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Root,
    /// The v1 controllers, alone or beside v2.
    V1,
    /// A v2 hierarchy.
    V2,
    Hybrid,
    PureV2,
    Cpuset,
}

/// Why a test cannot run here.
pub fn unmet(need: Need) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !status.lines().any(|line| line.starts_with("Uid:\t0\t")) {
        return Some("needs root".into());
    }
    let layout = match Layout::detect() {
        Ok(layout) => layout,
        Err(error) => return Some(error.to_string()),
    };
    let (met, reason) = match need {
        Need::Root => (true, ""),
        Need::V1 => (layout.kind() != Kind::V2, "needs cgroup v1 controllers"),
        Need::V2 => (layout.v2_mount().is_some(), "needs a cgroup v2 hierarchy"),
        Need::Hybrid => (layout.kind() == Kind::Hybrid, "needs a hybrid cgroup host"),
        Need::PureV2 => (layout.kind() == Kind::V2, "needs a pure cgroup v2 host"),
        Need::Cpuset => (layout.has(Controller::Cpuset), "needs the cpuset controller"),
    };
    (!met).then(|| reason.to_owned())
}

/// The v1 hierarchies of this host alone, as on a host without v2.
pub fn v1_only() -> Layout {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let v1: Vec<&str> = text.lines().filter(|line| !line.contains(" - cgroup2 ")).collect();
    Layout::from_mountinfo(&v1.join("\n")).unwrap()
}

/// A guest's cgroup that goes away with its processes, also when a test fails.
pub struct Guest {
    pub cgroup: GuestCgroup,
    pub layout: Layout,
    pub name: String,
    v1: bool,
}

impl Guest {
    pub fn new() -> Self {
        Self::on(Layout::detect().unwrap(), false)
    }

    pub fn on_v1(layout: Layout) -> Self {
        Self::on(layout, true)
    }

    fn on(layout: Layout, v1: bool) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("cgtest-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let cgroup = GuestCgroup::create(&layout, &name.parse().unwrap()).unwrap();
        Self { cgroup, layout, name, v1 }
    }

    /// This program in the guest's cgroup, past its "ready".
    pub fn run(&self, role: &[&str]) -> Player {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["role", if self.v1 { "v1" } else { "all" }, &self.name]).args(role);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "role {role:?}");
        Player { child, output }
    }

    /// No directory of it is left in any hierarchy.
    pub fn assert_gone(&self) {
        for mount in fs::read_to_string("/proc/self/mountinfo").unwrap().lines().filter(|l| l.contains(" - cgroup")) {
            let path = format!("{}/vserver/{}", mount.split(' ').nth(4).unwrap(), self.name);
            assert!(!fs::exists(&path).unwrap(), "{path} is left");
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.cgroup.thaw();
        let _ = self.cgroup.kill();
        let _ = self.cgroup.remove();
        self.layout.tidy();
    }
}

/// A process in a guest's cgroup. Killed when dropped.
pub struct Player {
    pub child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Player {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// The next line that it says; empty at its end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's side: joins, says "ready", plays.
pub fn play(arguments: &[String]) -> ExitCode {
    let [layout, name, role, rest @ ..] = arguments else {
        return ExitCode::from(2);
    };
    let layout = if layout == "v1" { v1_only() } else { Layout::detect().unwrap() };
    let guest = || GuestCgroup::open(&layout, &name.parse().unwrap()).unwrap();
    let entry = match role.as_str() {
        "supervise" => Entry::supervisors(&layout),
        "beside" => guest().entry_beside(rest[0].parse().unwrap()),
        _ => guest().entry(),
    };
    entry.unwrap().enter().unwrap();
    say("ready");
    match role.as_str() {
        "busy" => loop {
            std::hint::spin_loop();
        },
        "eat" => eat(rest[0].parse().unwrap()),
        "fork" => fork(rest[0].parse().unwrap()),
        "storm" => loop {
            // Each child is this program again, which starts children of its own.
            let _ = Command::new(std::env::current_exe().unwrap()).args(["role"]).args(arguments).spawn();
            std::thread::sleep(Duration::from_millis(20));
        },
        "tick" => loop {
            std::thread::sleep(Duration::from_millis(5));
        },
        "devices" => devices(),
        _ => std::thread::sleep(Duration::from_secs(600)),
    }
    ExitCode::SUCCESS
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // The reader may be gone: then nobody is left to tell.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn eat(mib: usize) {
    let mut pages = vec![0_u8; mib << 20];
    pages.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    say(&format!("ate {}", std::hint::black_box(&pages).len() >> 20));
}

fn fork(count: usize) {
    let mut children = Vec::new();
    for _ in 0..count {
        match Command::new("sleep").arg("60").stdout(Stdio::null()).spawn() {
            Ok(child) => children.push(child),
            Err(error) => {
                say(&format!("{} {:?}", children.len(), error.raw_os_error().unwrap_or(0)));
                break;
            }
        }
    }
    for mut child in children {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn devices() {
    let outcome = |result: std::io::Result<()>| match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => error.raw_os_error().unwrap_or(0).to_string(),
    };
    for path in ["/dev/null", "/dev/urandom", "/dev/kmsg", "/dev/mem"] {
        say(&format!("{path} {}", outcome(File::open(path).map(drop))));
    }
    say(&format!("write {}", outcome(OpenOptions::new().write(true).open("/dev/null").map(drop))));
    let node = format!("/tmp/cgroup-node-{}", std::process::id());
    // Not with /dev/null for its errors: the policy may forbid writing there.
    let made = Command::new("mknod").args([&node, "c", "1", "3"]).output().unwrap().status;
    // Before the last answer: whoever has heard it may end this process at once.
    let _ = fs::remove_file(node);
    say(&format!("mknod {}", if made.success() { "ok" } else { "refused" }));
}
