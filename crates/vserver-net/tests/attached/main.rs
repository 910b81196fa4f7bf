//! The address programs in the kernel: two guests and a host, in a network name space of their own.
//!
//! This process is the host. A guest is this program again, started with the name of a case and the cgroup to join
//! before it makes its first socket. The addresses are put on `lo` by the crate itself.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit
)]

mod evade;
mod guest;
mod host;
mod traffic;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::geteuid;
use vserver_net::{
    AddressPlan, AddressPolicy, Broadcast, Gathering, Held, Localhost, Place, Programs, Steer, add_address,
};
use vserver_sys::bpf::{Bell, iter_run};

/// A cgroup below `vserver` of the v2 hierarchy, removed at the end whatever happens.
pub struct Cgroup(pub PathBuf);

impl Cgroup {
    fn create(hierarchy: &Path, name: &str) -> Self {
        let path = hierarchy.join(format!("vserver/net-test-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Starts a case in this cgroup.
    pub fn start(&self, case: &str) -> Running {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--in-guest", case])
            .arg(self.0.join("cgroup.procs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Running { case: case.to_owned(), child, output }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        // Goes only if nobody else uses it.
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

/// A case that runs in a guest. It ends when its standard input does, if it waits for that.
pub struct Running {
    case: String,
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Running {
    /// The next line that the guest says.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{} ended early", self.case);
        line.trim_end().to_owned()
    }

    /// Lets it end and looks how.
    pub fn finish(mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{} in the guest: {status}", self.case);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only after a failure; a child that was waited for is left alone by `kill`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `web` and `mail` are ordinary guests, `old` may not bind low ports, `six` has an IPv6 address too, `demo` lives in
/// 127.0.0.0/8, `none` has no address, `many` has 64.
pub struct Guests {
    pub web: Cgroup,
    pub mail: Cgroup,
    pub old: Cgroup,
    pub six: Cgroup,
    pub demo: Cgroup,
    pub none: Cgroup,
    pub many: Cgroup,
    /// It is held to no addresses.
    pub free: Cgroup,
    /// What the keepers of those with several addresses hold.
    pub steering: Vec<Held>,
}

pub const LOOPBACKS: [Ipv4Addr; 7] = [
    Ipv4Addr::new(127, 0, 51, 1),
    Ipv4Addr::new(127, 0, 52, 1),
    Ipv4Addr::new(127, 0, 53, 1),
    Ipv4Addr::new(127, 0, 54, 1),
    Ipv4Addr::new(127, 0, 55, 1),
    Ipv4Addr::new(127, 0, 56, 1),
    Ipv4Addr::new(127, 0, 57, 1),
];

pub fn policy(addresses: &[&str], loopback: Ipv4Addr) -> AddressPolicy {
    AddressPolicy {
        addresses: addresses.iter().map(|text| text.parse::<IpAddr>().unwrap()).collect(),
        loopback,
        broadcast: None,
        low_ports: true,
        raw_icmp: false,
        localhost: Localhost::Private,
        hide_loopback: true,
        multicast: false,
    }
}

fn guests(hierarchy: &Path) -> Guests {
    let many: Vec<String> = (1..=64).map(|n| format!("10.99.1.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let policies = [
        ("web", policy(&["10.99.0.1", "10.99.0.2"], LOOPBACKS[0])),
        ("mail", policy(&["10.99.0.3"], LOOPBACKS[1])),
        ("old", AddressPolicy { low_ports: false, ..policy(&["10.99.0.4"], LOOPBACKS[2]) }),
        ("six", policy(&["10.99.0.5", "fd00:99::5"], LOOPBACKS[3])),
        ("demo", policy(&["127.0.6.1"], LOOPBACKS[4])),
        ("none", policy(&[], LOOPBACKS[5])),
        ("many", policy(&many, LOOPBACKS[6])),
    ];
    let free = Cgroup::create(hierarchy, "free");
    let directory = fs::File::open(&free.0).unwrap();
    Programs::load_meter().unwrap().attach(directory.as_fd(), Place::New).unwrap();
    let mut steering = Vec::new();
    let [web, mail, old, six, demo, none, many] = policies.map(|(name, policy)| {
        let cgroup = Cgroup::create(hierarchy, name);
        let directory = fs::File::open(&cgroup.0).unwrap();
        let programs = Programs::begin(&policy, Steer::Yes).unwrap();
        if let Some(mut held) = programs.steering().unwrap() {
            keep(held.gathering.take().unwrap());
            steering.push(held);
        }
        for unenforced in programs.attach(directory.as_fd(), Place::Perhaps).unwrap() {
            println!("note: {name}: {unenforced}");
        }
        cgroup
    });
    Guests { web, mail, old, six, demo, none, many, free, steering }
}

/// What a guest's keeper does as long as it lives.
fn keep(gathering: Gathering) {
    std::thread::spawn(move || {
        let bell = Bell::listen(gathering.bell).unwrap();
        loop {
            poll(&mut [PollFd::new(bell.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
            bell.silence();
            iter_run(gathering.iterator.as_fd()).unwrap();
        }
    });
}

fn addresses() {
    let put = |address: &str| {
        let plan = AddressPlan {
            dev: "lo".to_owned(),
            address: address.parse().unwrap(),
            label: None,
            broadcast: Broadcast::No,
            peer: None,
            scope: None,
            up: true,
        };
        add_address(&plan).unwrap();
    };
    // The host itself is 10.99.0.9 and fd00:99::9.
    for last in [1, 2, 3, 4, 5, 9] {
        put(&format!("10.99.0.{last}"));
    }
    put("10.99.1.1/24");
    put("10.99.1.64/24");
    put("fd00:99::5");
    put("fd00:99::9");
}

/// Removes what runs left that were killed before they could.
fn sweep(hierarchy: &Path) {
    let Ok(entries) = fs::read_dir(hierarchy.join("vserver")) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("net-test-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Mount point of the cgroup v2 hierarchy.
fn hierarchy() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let v2 = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(path))
    });
    v2.expect("a cgroup v2 hierarchy")
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, case, procs] = arguments.as_slice()
        && flag == "--in-guest"
    {
        fs::write(procs, "0").unwrap();
        guest::run(case);
        return ExitCode::SUCCESS;
    }
    if !geteuid().is_root() {
        eprintln!("attached: needs root to load programs and to make a network name space: nothing was tested");
        return if std::env::var_os("CI").is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    unshare(CloneFlags::CLONE_NEWNET).expect("a network name space of our own");
    addresses();
    let hierarchy = hierarchy();
    sweep(&hierarchy);
    let guests = guests(&hierarchy);
    host::services();
    let (mut count, mut failed) = (0, 0);
    // As with other tests, a word picks those whose names have it.
    let wanted =
        |name: &str| arguments.get(1).is_none_or(|word| word.starts_with('-') || name.contains(word.as_str()));
    for (name, case) in host::CASES.iter().chain(traffic::CASES).filter(|(name, _)| wanted(name)) {
        count += 1;
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&guests)));
        println!("{} {name}", if result.is_ok() { "ok    " } else { "FAILED" });
        failed += u32::from(result.is_err());
    }
    println!("attached: {count} cases, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
