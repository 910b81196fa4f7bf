//! The seccomp policy in a real kernel. Filters cannot be taken off again, so the test runs itself as a child, which
//! installs the filters of one mode, makes calls, and prints one line for each. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test without #[test] functions")]

use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::personality::{self, Persona};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use vserver_sandbox::seccomp::{SeccompMode, filters};
use vserver_sys::seccomp::install;

const CHILD: &str = "VSERVER_LIVE_MODE";
const CLASSIC: &str = "classic";
const NESTING: &str = "nesting";

fn main() -> ExitCode {
    if let Ok(mode) = std::env::var(CHILD) {
        return child(&mode);
    }
    let arguments = Arguments::from_args();
    let trials = vec![
        Trial::test("seccomp_classic_in_the_kernel", classic),
        Trial::test("seccomp_nesting_in_the_kernel", nesting),
        Trial::test("seccomp_compiles_quickly", quick),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Installs, tries everything, prints `name answer`.
fn child(mode: &str) -> ExitCode {
    let nests = mode == NESTING;
    let mode = SeccompMode { userns: nests, nesting: nests, ..SeccompMode::default() };
    // A network namespace of its own, so that a wrongly allowed call meets nobody.
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("root is needed");
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
    install(&filters(mode).unwrap().0.instructions).expect("install the filter");
    for (name, answer) in answers() {
        println!("{name} {}", answer.map_or_else(|errno| format!("{errno:?}"), |()| "OK".to_owned()));
    }
    let _ = std::io::stdout().flush();
    ExitCode::SUCCESS
}

type Answers = Vec<(&'static str, Result<(), Errno>)>;

fn answers() -> Answers {
    let mut all = sockets();
    let own_user = std::fs::File::open("/proc/self/ns/uts").unwrap();
    all.extend([
        ("unshare_uts", unshare(CloneFlags::CLONE_NEWUTS)),
        ("unshare_files", unshare(CloneFlags::CLONE_FILES)),
        ("setns", setns(own_user.as_fd(), CloneFlags::CLONE_NEWUTS)),
        ("mount", mount(Some("none"), "/mnt", Some("tmpfs"), MsFlags::empty(), None::<&str>)),
        ("umount", umount2("/mnt", MntFlags::MNT_DETACH)),
        ("personality", personality::set(Persona::ADDR_NO_RANDOMIZE).map(drop)),
        ("personality_0", personality::set(Persona::empty()).map(drop)),
        ("thread", std::thread::spawn(|| ()).join().map_err(|_| Errno::UnknownErrno)),
        (
            "program",
            Command::new("/bin/true").status().map(drop).map_err(|e| Errno::from_raw(e.raw_os_error().unwrap())),
        ),
    ]);
    all
}

fn sockets() -> Answers {
    let open = |family, kind, protocol: Option<SockProtocol>| {
        socket(family, kind, SockFlag::SOCK_CLOEXEC, protocol).map(drop)
    };
    let netlink = |protocol| open(AddressFamily::Netlink, SockType::Raw, Some(protocol));
    vec![
        ("unix", open(AddressFamily::Unix, SockType::Stream, None)),
        ("inet", open(AddressFamily::Inet, SockType::Stream, None)),
        ("inet6", open(AddressFamily::Inet6, SockType::Datagram, None)),
        ("vsock", open(AddressFamily::Vsock, SockType::Stream, None)),
        ("packet", open(AddressFamily::Packet, SockType::Raw, None)),
        ("alg", open(AddressFamily::Alg, SockType::SeqPacket, None)),
        ("sctp", open(AddressFamily::Inet, SockType::SeqPacket, None)),
        ("route", netlink(SockProtocol::NetlinkRoute)),
        ("audit", netlink(SockProtocol::NetlinkAudit)),
        ("uevent", netlink(SockProtocol::NetlinkKObjectUEvent)),
    ]
}

/// What a child in `mode` says.
fn ask(mode: &str) -> Result<BTreeMap<String, String>, Failed> {
    let output = Command::new(std::env::current_exe()?).env(CHILD, mode).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect())
}

fn expect(mode: &str, expected: &[(&str, &str)]) -> Result<(), Failed> {
    let answers = ask(mode)?;
    let wrong: Vec<String> = expected
        .iter()
        .filter(|(name, answer)| answers.get(*name).map(String::as_str) != Some(answer))
        .map(|(name, answer)| format!("{name}: {:?} in place of {answer}", answers.get(*name)))
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ").into()) }
}

/// What both modes answer.
const ALWAYS: &[(&str, &str)] = &[
    ("unix", "OK"),
    ("inet", "OK"),
    ("inet6", "OK"),
    ("vsock", "EAFNOSUPPORT"),
    ("packet", "EAFNOSUPPORT"),
    ("alg", "EAFNOSUPPORT"),
    ("sctp", "EPROTONOSUPPORT"),
    ("route", "OK"),
    ("audit", "EAFNOSUPPORT"),
    ("unshare_files", "OK"),
    ("personality", "EPERM"),
    ("personality_0", "OK"),
    ("thread", "OK"),
    ("program", "OK"),
];

fn classic() -> Result<(), Failed> {
    expect(CLASSIC, ALWAYS)?;
    let refused = ["unshare_uts", "setns", "mount", "umount"].map(|name| (name, "EPERM"));
    expect(CLASSIC, &refused)?;
    expect(CLASSIC, &[("uevent", "EAFNOSUPPORT")])
}

fn nesting() -> Result<(), Failed> {
    expect(NESTING, ALWAYS)?;
    expect(NESTING, &["unshare_uts", "setns", "mount", "umount", "uevent"].map(|name| (name, "OK")))
}

/// It is part of every start of a guest. The quickest of several: others run beside it.
fn quick() -> Result<(), Failed> {
    let mut took = std::time::Duration::MAX;
    for _ in 0..20 {
        let begin = std::time::Instant::now();
        filters(SeccompMode::default())?;
        took = took.min(begin.elapsed());
    }
    if took.as_millis() > 100 { Err(format!("compiling took {took:?}").into()) } else { Ok(()) }
}
