//! The process between the harness and a test: the test's "host", its reaper and its judge.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::leak::{self, Snapshot};
use crate::trial::Trial;

/// First argument of the process that guards one test.
pub const AS_WARDEN: &str = "--warden";
/// First argument of the process that is one test.
pub const AS_BODY: &str = "--body";
/// Directory of one test, handed to its body.
pub const BASE: &str = "VSERVER_TEST_BASE";
/// Number of one test, below [`NUMBERS`], handed to its body: of all tests on this machine that run at the same time, those
/// of other harnesses too, none has the same.
pub const NUMBER: &str = "VSERVER_TEST_NUMBER";
/// How many there are.
const NUMBERS: u32 = 4_000;
/// Where trees are made, when not in `/tmp`: in a VM `/tmp` is an overlay, which cannot be mapped.
pub const TREES: &str = "VSERVER_TEST_TREES";

/// How long the machine may take to look as before: a memory cgroup dies behind its last process.
const SETTLE: Duration = Duration::from_secs(20);
/// Directories that every host shares; each test gets empty ones of its own mounted over them.
const RUN_DIRS: [&str; 5] =
    ["/run/vserver", "/run/vservers", "/run/vservers.rev", "/run/vshelper", "/var/log/vserver"];

/// Held, shared, by every harness that runs; names the directories that the first of them made.
const NOTE: &str = "/run/lock/vserver-root-tests";

/// The directories that must exist for tests to be given their own. The last harness takes away what the first one made:
/// a directory that goes takes the mounts over it along, in every namespace.
pub struct Host {
    note: Option<Flock<File>>,
}

impl Host {
    /// Makes the missing ones.
    pub fn prepare() -> Self {
        let mut note = Self::note();
        for dir in RUN_DIRS {
            if fs::create_dir(dir).is_ok() {
                writeln!(note, "{dir}").unwrap();
            }
        }
        Self { note: Some(note) }
    }

    /// The note, locked. One that its last reader has removed meanwhile is nobody's.
    fn note() -> Flock<File> {
        loop {
            let file = File::options().append(true).create(true).read(true).open(NOTE).unwrap();
            let note = Flock::lock(file, FlockArg::LockShared).map_err(|(_, errno)| errno).unwrap();
            if fs::metadata(NOTE).is_ok_and(|found| found.ino() == note.metadata().unwrap().ino()) {
                return note;
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let Some(note) = self.note.take() else { return };
        if note.relock(FlockArg::LockExclusiveNonblock).is_err() {
            return;
        }
        for dir in fs::read_to_string(NOTE).unwrap_or_default().lines() {
            // Not empty: somebody else has begun to use it meanwhile.
            let _ = fs::remove_dir(dir);
        }
        let _ = fs::remove_file(NOTE);
    }
}

/// Runs one test in a warden of its own; the harness's side.
pub fn guard(trial: &Trial) -> Result<(), Failed> {
    let output = Command::new("/proc/self/exe")
        .args([AS_WARDEN, trial.name])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("could not start the warden of {}: {error}", trial.name))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(String::from_utf8_lossy(&text).into_owned().into())
}

/// The warden's side: isolates itself, runs the body, compares, cleans up.
pub fn run(trial: Trial) -> ExitCode {
    let ended = Ended::hear();
    let number = Number::take();
    isolate(trial.host_network);
    let base = make_base();
    let before = Snapshot::take(trial.host_network);
    let started = Instant::now();
    // A machine that is emulated takes its time.
    let deadline = if std::env::var_os(TREES).is_some() { trial.deadline * 4 } else { trial.deadline };
    let verdict = wait_for(spawn(&trial, &base, &number), deadline, &ended);
    let left = settle(&before, trial.host_network);
    clean(&base);
    match (verdict, left.is_empty()) {
        (Ok(()), true) => return ExitCode::SUCCESS,
        (Ok(()), false) => eprintln!("the test passed, but it left behind:\n{}", left.join("\n")),
        (Err(how), true) => eprintln!("{how} after {:.1} s", started.elapsed().as_secs_f32()),
        (Err(how), false) => eprintln!("{how}; it also left behind:\n{}", left.join("\n")),
    }
    ExitCode::FAILURE
}

/// Whoever wants the harness to end, or has ended it, is heard and not obeyed at once: what the test has made is taken away before.
struct Ended(SignalFd);

impl Ended {
    /// From now on. `Command` leaves the mask to what it starts: the body takes it off again.
    fn hear() -> Self {
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        signals.thread_block().unwrap();
        nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).unwrap();
        Self(SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).unwrap())
    }

    fn came(&self) -> bool {
        self.0.read_signal().is_ok_and(|signal| signal.is_some())
    }
}

/// The body's side. Its programs are to be ended by signals, which the warden that it comes from has blocked for itself.
pub fn body(trial: &Trial) -> ExitCode {
    SigSet::empty().thread_set_mask().unwrap();
    (trial.body)();
    ExitCode::SUCCESS
}

/// Starts the body. It is waited for by number, along with every orphan.
#[allow(clippy::zombie_processes)]
fn spawn(trial: &Trial, base: &Path, number: &Number) -> Pid {
    let mut command = Command::new("/proc/self/exe");
    command.args([AS_BODY, trial.name]).env(BASE, base).env(NUMBER, number.value.to_string());
    let child = command.stdin(Stdio::null()).spawn().unwrap();
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// A number that nobody else has as long as this lives: an abstract socket of the machine's network namespace, which the
/// kernel frees whatever happens to us.
struct Number {
    value: u32,
    _held: UnixListener,
}

impl Number {
    fn take() -> Self {
        let first = std::process::id();
        let free = |value: u32| {
            let name = SocketAddr::from_abstract_name(format!("vserver-root-test-{value}")).ok()?;
            UnixListener::bind_addr(&name).ok().map(|held| Self { value, _held: held })
        };
        (0..NUMBERS).find_map(|offset| free((first + offset) % NUMBERS)).expect("4000 tests at the same time")
    }
}

/// Mount and network namespace of our own, empty run directories, parent of all orphans below.
fn isolate(host_network: bool) {
    let none: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    for dir in RUN_DIRS {
        mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), Some("mode=755,size=64m")).unwrap();
    }
    if !host_network {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    }
    nix::sys::prctl::set_child_subreaper(true).unwrap();
}

fn make_base() -> PathBuf {
    let parent = std::env::var_os(TREES).map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    // A warden that was killed leaves its directory, and its number is given out again.
    let mut names = (0..100).map(|n| parent.join(format!("vsroot-{}-{n}", std::process::id())));
    let base = names.find(|base| fs::create_dir(base).is_ok());
    let base = base.unwrap_or_else(|| panic!("cannot make a directory in {}", parent.display()));
    // Guests' trees hold set-id programs: no other user of this machine may reach them.
    fs::set_permissions(&base, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    base
}

/// Reaps everything until the body has ended.
fn wait_for(body: Pid, deadline: Duration, ended: &Ended) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, 0)) if pid == body => return Ok(()),
            Ok(WaitStatus::Exited(pid, _)) if pid == body => return Err("the test failed".into()),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == body => {
                return Err(format!("the test failed ({signal})"));
            }
            Ok(WaitStatus::StillAlive) => sleep(Duration::from_millis(3)),
            Ok(_) => {}
            Err(error) => return Err(format!("lost the test: {error}")),
        }
        if ended.came() {
            let _ = kill(body, Signal::SIGKILL);
            return Err("the test was interrupted".into());
        }
        if begun.elapsed() > deadline {
            let _ = kill(body, Signal::SIGKILL);
            return Err(format!("the test did not end within {} s", deadline.as_secs()));
        }
    }
}

/// Waits until the machine looks as before; what does not go away by itself, one line each.
fn settle(before: &Snapshot, host_network: bool) -> Vec<String> {
    let begun = Instant::now();
    loop {
        reap();
        let mut left = before.difference(&Snapshot::take(host_network));
        left.extend(leak::descendants().iter().map(|process| format!("process {process}")));
        if left.is_empty() || begun.elapsed() > SETTLE {
            return left;
        }
        sleep(Duration::from_millis(20));
    }
}

fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
    }
}

/// Ends and removes whatever is there, so that a failed test disturbs no other.
fn clean(base: &Path) {
    for _ in 0..100 {
        reap();
        let alive: BTreeSet<i32> = leak::descendants().iter().map(|process| process.pid).collect();
        if alive.is_empty() {
            break;
        }
        for pid in alive {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        sleep(Duration::from_millis(20));
    }
    for dir in leak::cgroups().iter().rev() {
        let _ = fs::remove_dir(dir);
    }
    leak::policies().iter().for_each(|path| forget(path));
    let _ = nix::mount::umount2(base, nix::mount::MntFlags::MNT_DETACH);
    // The immutable flag may have been set by a test of it.
    if let Err(error) = fs::remove_dir_all(base) {
        eprintln!("could not remove {}: {error}", base.display());
    }
}

/// A namespace is a directory to be removed; a profile is removed by its name.
fn forget(policy: &Path) {
    match fs::read_to_string(policy.join("name")) {
        Ok(name) => {
            let _ = fs::write(Path::new(leak::POLICY).join(".remove"), name.trim());
        }
        Err(_) => {
            let _ = fs::remove_dir(policy);
        }
    }
}
