//! What a test works with: its own configuration root, guests of its own, the built programs.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::{leak, tree, warden};

/// A host of its own for one test.
pub struct Fixture {
    base: PathBuf,
    prefix: String,
    number: u32,
    made: RefCell<Vec<String>>,
}

impl Fixture {
    /// Makes the configuration root. `body` runs below a warden, whose number names everything.
    pub fn new() -> Self {
        let base = PathBuf::from(std::env::var_os(warden::BASE).expect("tests run below their warden"));
        let warden = nix::unistd::getppid().as_raw().unsigned_abs();
        let number = std::env::var(warden::NUMBER).unwrap().parse().unwrap();
        let fixture = Self { base, prefix: leak::prefix(warden), number, made: RefCell::default() };
        fs::create_dir_all(fixture.confdir().join(".defaults")).unwrap();
        fs::create_dir_all(fixture.trees()).unwrap();
        fs::create_dir_all(fixture.locks()).unwrap();
        symlink(fixture.trees(), fixture.confdir().join(".defaults/vdirbase")).unwrap();
        fixture
    }

    /// The configuration root.
    pub fn confdir(&self) -> PathBuf {
        self.base.join("etc")
    }

    /// Where guests' trees lie.
    pub fn trees(&self) -> PathBuf {
        self.base.join("trees")
    }

    /// Where the locks that scripts of util-vserver know are.
    pub fn locks(&self) -> PathBuf {
        self.base.join("lock")
    }

    /// A scratch directory on the host; gone after the test.
    pub fn scratch(&self, name: &str) -> PathBuf {
        let dir = self.base.join("scratch").join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// A name and a context number that no other test uses, not yet configured. It is stopped at the end.
    pub fn fresh(&self) -> (String, u32) {
        let mut made = self.made.borrow_mut();
        let index = u32::try_from(made.len()).unwrap();
        let name = format!("{}{index}", self.prefix);
        made.push(name.clone());
        // Ten guests each fit below 49 152.
        (name, 2_000 + self.number * 10 + index)
    }

    /// A configured, stopped guest over a busybox tree, with busybox' own init.
    pub fn guest(&self) -> Guest<'_> {
        self.guest_of_style("plain")
    }

    /// The same with an init style: `plain` or `sysv`.
    pub fn guest_of_style(&self, style: &str) -> Guest<'_> {
        let (name, xid) = self.fresh();
        let (cfg, root) = (self.confdir().join(&name), self.trees().join(&name));
        tree::busybox(&root);
        let guest = Guest { fixture: self, name, xid, cfg, root };
        fs::create_dir_all(&guest.cfg).unwrap();
        symlink(&guest.root, guest.cfg.join("vdir")).unwrap();
        symlink(format!("/var/run/vservers/{}", guest.name), guest.cfg.join("run")).unwrap();
        guest.set("name", &format!("{}\n", guest.name));
        guest.set("context", &format!("{xid}\n"));
        guest.set("uts/nodename", &format!("{}.test\n", guest.name));
        guest.set("apps/init/style", &format!("{style}\n"));
        guest
    }

    /// `vserver` with this test's configuration root.
    pub fn v<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ran {
        self.tool("vserver", arguments)
    }

    /// Any of our programs by the name that it is called by.
    pub fn tool<S: AsRef<OsStr>>(&self, name: &str, arguments: &[S]) -> Ran {
        Ran::from(self.command(name).args(arguments).output().unwrap())
    }

    /// The same with bytes on its standard input.
    pub fn tool_with_input<S: AsRef<OsStr>>(&self, name: &str, arguments: &[S], input: &[u8]) -> Ran {
        let mut command = self.command(name);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The reader may end early; that is its affair.
        let _ = child.stdin.take().unwrap().write_all(input);
        Ran::from(child.wait_with_output().unwrap())
    }

    /// A command line to be run later or watched.
    pub fn command(&self, name: &str) -> Command {
        let bin = self.base.join("bin");
        let link = bin.join(name);
        if fs::symlink_metadata(&link).is_err() {
            fs::create_dir_all(&bin).unwrap();
            let own = program(name);
            let target = if own.exists() { own } else { program("vserver") };
            symlink(target, &link).unwrap();
        }
        let mut command = Command::new(link);
        command.stdin(Stdio::null()).env("VSERVER_CONFDIR", self.confdir()).env("VSERVER_LOCKDIR", self.locks());
        command
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for name in self.made.borrow().iter() {
            if self.v(&[name, "running"]).code == 0 {
                self.v(&[name, "stop"]).ok();
            }
        }
    }
}

/// A built program: they lie beside this one.
pub fn program(name: &str) -> PathBuf {
    let me = fs::read_link("/proc/self/exe").unwrap();
    me.with_file_name(name)
}

/// One guest of a test.
pub struct Guest<'f> {
    fixture: &'f Fixture,
    /// Its name.
    pub name: String,
    /// Its static context.
    pub xid: u32,
    /// Its configuration directory.
    pub cfg: PathBuf,
    /// Its tree, as the host sees it.
    pub root: PathBuf,
}

impl Guest<'_> {
    /// Writes one configuration file.
    pub fn set(&self, file: &str, content: &str) -> &Self {
        tree::write(&self.cfg, file, content, 0o644);
        self
    }

    /// Gives it an address without a device.
    pub fn address(&self, index: u32, address: &str, prefix: u8) -> &Self {
        self.set(&format!("interfaces/{index}/ip"), &format!("{address}\n"));
        self.set(&format!("interfaces/{index}/prefix"), &format!("{prefix}\n"));
        self.set(&format!("interfaces/{index}/nodev"), "")
    }

    /// Starts it, which must succeed.
    pub fn start(&self) -> &Self {
        self.v(&["start"]).ok();
        self
    }

    /// Stops it, which must succeed.
    pub fn stop(&self) -> &Self {
        self.v(&["stop"]).ok();
        self
    }

    /// `vserver NAME …`
    pub fn v(&self, arguments: &[&str]) -> Ran {
        self.fixture.v(&[&[self.name.as_str()], arguments].concat())
    }

    /// `vserver NAME …`, to be started by the caller.
    pub fn host_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.fixture.command("vserver");
        command.arg(&self.name).args(arguments);
        command
    }

    /// Runs a command inside.
    pub fn exec(&self, argv: &[&str]) -> Ran {
        self.v(&[&["exec"], argv].concat())
    }

    /// Runs a line of shell inside.
    pub fn sh(&self, script: &str) -> Ran {
        self.exec(&["/bin/sh", "-c", script])
    }

    /// `vserver NAME running`
    pub fn is_running(&self) -> bool {
        self.v(&["running"]).code == 0
    }

    /// The host's number of its init.
    pub fn init(&self) -> i32 {
        self.record("init").expect("its state file")
    }

    /// Whether it runs, under another init than that, and takes commands: between two lives it has no state file.
    pub fn lives_again(&self, than: i32) -> bool {
        self.record("init").is_some_and(|init| init != than) && self.exec(&["true"]).code == 0
    }

    /// The host's number of its supervisor.
    pub fn supervisor(&self) -> i32 {
        self.record("supervisor").expect("its state file")
    }

    /// First host uid of its range.
    pub fn id_base(&self) -> i64 {
        let text = fs::read_to_string(format!("/run/vserver/{}/state.json", self.name)).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["id_base"].as_i64().expect("a range of ids")
    }

    /// A number out of its state file.
    fn record(&self, field: &str) -> Option<i32> {
        let text = fs::read_to_string(format!("/run/vserver/{}/state.json", self.name)).ok()?;
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        i32::try_from(json[field].as_i64()?).ok()
    }

    /// Its directory in the v1 hierarchy that has a controller, else in the v2 one.
    pub fn cgroup(&self, controller: &str) -> PathBuf {
        leak::hierarchy_of(controller).join("vserver").join(&self.name)
    }

    /// Copies this test program into its tree as `/self`; see `main` for what it does there.
    pub fn carry_self(&self) -> &Self {
        fs::copy("/proc/self/exe", self.root.join("self")).unwrap();
        self
    }
}

/// What a program did.
#[derive(Debug)]
pub struct Ran {
    /// Exit status; 128 + signal if it was killed.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code, out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    /// It must have succeeded.
    #[track_caller]
    pub fn ok(&self) -> &Self {
        self.exits(0)
    }

    /// It must have ended with this status.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// One of the two streams must hold this text.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        let said = self.out.contains(text) || self.err.contains(text);
        assert!(said, "'{text}' was not said; status {}, stdout:\n{}\nstderr:\n{}", self.code, self.out, self.err);
        self
    }
}

/// How many times as long as on a quiet machine something may take before it counts as not happening. Nothing is shown
/// by a limit but that something happens, so patience costs a passing test nothing.
const PATIENCE: u32 = 6;

/// Polls until something is so; panics after the time and a good deal more.
#[track_caller]
pub fn eventually(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let (begun, limit) = (Instant::now(), limit * PATIENCE);
    while !condition() {
        assert!(begun.elapsed() < limit, "not within {} s: {what}", limit.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}
