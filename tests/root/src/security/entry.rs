//! X01–X05 and X08: what entering a guest gives away.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use super::bench::{BOTH, Mode, guest};
use crate::fixture::{Fixture, Guest, program};
use crate::needs::Need;
use crate::trial::Trial;

/// Every row.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("security::x01_our_programs_cannot_be_overwritten", overwriting).within(900),
        Trial::new("security::x02_the_joiner_gives_nothing", joiner).within(900),
        Trial::new("security::x03_exec_is_as_confined_as_init", as_confined).smoke(),
        Trial::new("security::x04_no_inheritable_capabilities", inheritable),
        Trial::new("security::x05_users_of_a_hostile_passwd", hostile_passwd),
        Trial::new("security::x08_typing_into_the_terminal", typing).needs(Need::Tool("script")),
    ]
}

/// Entries while an attacker inside loops over every process.
fn entries_under_attack(guest: &Guest<'_>, attack: &str) -> String {
    entries_for(6, guest, attack)
}

fn entries_for(seconds: u64, guest: &Guest<'_>, attack: &str) -> String {
    let mut attacker = guest.host_command(&["exec", "/probe", attack, &seconds.to_string()]);
    let child = attacker.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(seconds - 1);
    let mut rounds: u64 = 0;
    while Instant::now() < end && rounds < 400 {
        guest.exec(&["true"]).ok();
        rounds += 1;
    }
    let answer = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    // A machine that manages few gets more time; fewer would prove nothing.
    match rounds {
        101.. => answer,
        _ if seconds < 300 => entries_for((seconds * 150 / (rounds + 1)).clamp(seconds + 1, 400), guest, attack),
        _ => panic!("only {rounds} entries in {seconds} s: this proves nothing"),
    }
}

fn overwriting() {
    let sums = || ["vserver", "vserver-supervisor"].map(|name| fs::read(program(name)).unwrap());
    let before = sums();
    let host = Fixture::new();
    for mode in BOTH {
        let guest = guest(&host, mode);
        guest.start();
        let answer = entries_under_attack(&guest, "exe_write_loop");
        assert!(answer.contains("ETXTBSY=") && answer.trim().ends_with("opened="), "{mode:?} {answer}");
    }
    assert!(before == sums(), "a program of ours was changed");
    // PID 1, where it is ours, is a sealed memfd.
    let reaped = host.guest_of_style("sysv");
    crate::tree::write(&reaped.root, "etc/init.d/rc", "#!/bin/sh\nsleep 600 &\n", 0o755);
    reaped.start();
    let image = fs::read_link(format!("/proc/{}/exe", reaped.init())).unwrap();
    assert!(image.to_string_lossy().contains("memfd:"), "{}", image.display());
}

/// A guest that may trace seizes the command at its birth, before it has executed anything, and could act as it: it
/// must find nothing that a guest may not have. Without `SETUID` and `SETGID`, which only the change of user needs.
fn joiner() {
    let host = Fixture::new();
    for mode in BOTH {
        let guest = guest(&host, mode);
        guest.set("bcapabilities", "~SETUID\n~SETGID\n").start();
        let allowed = capability(guest.init(), "CapBnd");
        let answer = entries_under_attack(&guest, "ptrace_all_loop");
        let field = |name: &str| {
            let value = answer.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
        };
        for set in ["capeff", "capprm"] {
            let set = u64::from_str_radix(&field(set), 16).unwrap();
            assert_eq!(set & !allowed, 0, "{mode:?} a seized process had more than the guest: {answer}");
        }
        // The report pipe and pipes of the caller; "?" had ended before it could be looked at.
        let found = field("fds");
        let foreign = |link: &&str| !(link.is_empty() || link.starts_with("pipe:") || *link == "?");
        assert_eq!(found.split(',').find(foreign), None, "{mode:?} {answer}");
        assert_eq!(field("stolen"), "", "{mode:?}");
        let seized: u32 = field("seized").parse().unwrap();
        // With a user namespace the kernel refuses: the program's memory is the host's until it executes another.
        assert!(seized > 4 || mode == Mode::User, "the attacker came too late, which proves nothing: {answer}");
    }
}

fn capability(pid: i32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

/// What the kernel says of a process: everything that confines it.
fn confinement(pid: i32) -> BTreeMap<String, String> {
    const LINES: [&str; 9] =
        ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Umask"];
    let mut all = BTreeMap::new();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for (name, value) in status.lines().filter_map(|line| line.split_once(':')) {
        if LINES.contains(&name) {
            all.insert(name.to_owned(), value.trim().to_owned());
        }
    }
    for space in ["mnt", "pid", "net", "uts", "ipc", "user", "cgroup", "time"] {
        let link = fs::read_link(format!("/proc/{pid}/ns/{space}")).unwrap();
        all.insert(format!("namespace {space}"), link.to_string_lossy().into_owned());
    }
    for file in ["limits", "cgroup", "oom_score_adj", "personality"] {
        all.insert(file.to_owned(), fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap());
    }
    all
}

fn as_confined() {
    let host = Fixture::new();
    for mode in BOTH {
        let guest = guest(&host, mode);
        guest.start();
        let mut child = guest.host_command(&["exec", "sleep", "300"]).spawn().unwrap();
        let own = || fs::read_to_string(guest.cgroup("").join("guest/cgroup.procs")).unwrap_or_default();
        let mut entered = None;
        crate::fixture::eventually("the command runs", Duration::from_secs(5), || {
            let pids: Vec<i32> = own().lines().filter_map(|pid| pid.parse().ok()).collect();
            entered = pids.into_iter().find(|pid| {
                fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep\x00300"))
            });
            entered.is_some()
        });
        let (first, second) = (confinement(guest.init()), confinement(entered.unwrap()));
        let _ = child.kill();
        let _ = child.wait();
        assert_eq!(first, second, "{mode:?}");
    }
}

fn inheritable() {
    let host = Fixture::new();
    for mode in BOTH {
        let guest = guest(&host, mode);
        guest.start();
        let root = guest.exec(&["/probe", "caps"]).out;
        assert!(root.contains("CapInh=0") || root.contains("CapInh:0") || zero(&root, "CapInh"), "{mode:?} {root}");
        assert!(zero(&root, "CapAmb"), "{mode:?} {root}");
        let user = guest.v(&["suexec", "1000", "/probe", "caps"]).out;
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(zero(&user, set), "{mode:?} {user}");
        }
    }
}

/// Whether the named set is printed as nothing but zeros.
fn zero(text: &str, name: &str) -> bool {
    let Some(at) = text.find(name) else {
        return false;
    };
    let digits: String = text[at + name.len()..]
        .chars()
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take_while(|c| c.is_ascii_alphanumeric())
        .collect();
    !digits.is_empty() && digits.trim_start_matches("0x").chars().all(|c| c == '0')
}

/// Whatever stands there, nobody becomes root, nothing blocks, and nothing is read without bound.
fn hostile_passwd() {
    let host = Fixture::new();
    let guest = guest(&host, Mode::User);
    guest.start();
    let passwd = guest.root.join("etc/passwd");
    let timed = |name: &str| {
        let begun = Instant::now();
        (guest.v(&["suexec", name, "id", "-u"]), begun.elapsed())
    };
    let (_, usual) = timed("ada");
    let attempt = |name: &str| {
        // What blocks, or reads ten gigabytes, does so every time.
        let quick = |took: Duration| took < Duration::from_secs(2) + usual * 3;
        let tries = std::iter::repeat_with(|| timed(name)).take(3);
        let ran = tries.into_iter().find(|(_, took)| quick(*took)).expect("it took too long").0;
        assert!(ran.code != 0 || ran.out.trim() != "0", "{name} became root: {ran:?}");
        ran
    };
    let lines =
        ["evil:x:0x:0::/:/bin/sh", "evil:x:4294967296:0::/:", "evil:x:-1:0::/:", "evil:x::0::/:", "evil:x: 0:0::/:"];
    for line in lines {
        fs::write(&passwd, format!("{line}\n")).unwrap();
        assert_ne!(attempt("evil").code, 0, "{line}");
    }
    fs::write(&passwd, "0:x:1000:1000::/:\n").unwrap();
    attempt("nobody-here");
    fs::remove_file(&passwd).unwrap();
    nix::unistd::mkfifo(&passwd, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    assert_ne!(attempt("evil").code, 0, "a FIFO");
    fs::remove_file(&passwd).unwrap();
    fs::File::create(&passwd).unwrap().set_len(10 << 30).unwrap();
    assert_ne!(attempt("evil").code, 0, "ten gigabytes");
    fs::remove_file(&passwd).unwrap();
    symlink("/etc/shadow", &passwd).unwrap();
    assert_ne!(attempt("evil").code, 0, "a link");
}

/// Both forms of the ioctl are refused, with a terminal and without; the terminal inside is not the caller's, and
/// nothing is queued on that one afterwards.
fn typing() {
    let host = Fixture::new();
    for mode in BOTH {
        let guest = guest(&host, mode);
        guest.start();
        for check in ["tiocsti", "tiocsti_bit32", "tioclinux"] {
            assert_eq!(guest.exec(&["/probe", check]).out.trim(), "EPERM", "{mode:?} {check}");
        }
        // The host's tty keeps its number inside a devpts of its own: the device tells them apart.
        let probes = "for c in tiocsti tiocsti_bit32 tioclinux; do /probe $c; done; stat -c inside=%d $(tty); exit";
        let vserver = host.command("vserver").get_program().to_string_lossy().into_owned();
        let typed = host.scratch("typed").join(&guest.name);
        let session = format!(
            "stat -c outside=%d $(tty); {vserver} --confdir {} {} enter; read -r -t 0 && echo QUEUED || echo EMPTY",
            host.confdir().display(),
            guest.name
        );
        fs::write(&typed, session).unwrap();
        let out = crate::typed::session(&format!("bash {}", typed.display()), &format!("{probes}\n")).out;
        let count = |word: &str| out.lines().filter(|line| line.trim() == word).count();
        assert_eq!((count("EPERM"), count("EMPTY"), count("OK")), (3, 1, 0), "{mode:?} {out}");
        let device = |name: &str| {
            out.lines()
                .find_map(|line| line.trim().strip_prefix(name)?.parse::<u64>().ok())
                .unwrap_or_else(|| panic!("{name} {out}"))
        };
        assert_ne!(device("inside="), device("outside="), "{mode:?} it is the caller's terminal");
    }
}
