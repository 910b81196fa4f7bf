//! vserverd: a second front end over the same library, which no guest needs and none notices.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Gid, Pid, Uid, setegid, seteuid};
use vserver_api::{Client, Code, Error, StartRequest, StopRequest};
use vserver_types::{GuestName, GuestState};

use crate::fixture::{Fixture, Guest, Ran, eventually};
use crate::inside;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("daemon::lists_starts_watches_and_stops", lists_starts_watches_and_stops).smoke(),
        Trial::new("daemon::killed_it_touches_no_guest", killed_it_touches_no_guest).smoke(),
        Trial::new("daemon::killed_in_the_middle_of_a_start", killed_in_the_middle_of_a_start),
        Trial::new("daemon::a_mark_starts_dependencies_first", a_mark_starts_dependencies_first),
        Trial::new("daemon::ends_whatever_signals_were_held_back", ends_whatever_signals_were_held_back),
        Trial::new("daemon::starts_marked_guests_once_per_boot", starts_marked_guests_once_per_boot),
        Trial::new("daemon::a01_other_users_are_refused", a01_other_users_are_refused),
        Trial::new("daemon::a02_a_guest_is_refused_even_as_root", a02_a_guest_is_refused_even_as_root),
        Trial::new("daemon::systemd_hands_over_a_socket_and_is_told", systemd_hands_over_a_socket_and_is_told),
        Trial::new("daemon::bad_input", bad_input),
    ]
}

/// Where the daemon keeps whose guests it has started in this boot.
const AUTOSTARTED: &str = "/run/vserver/.autostart";
const SOON: Duration = Duration::from_secs(10);

/// A daemon of one test; killed at the end if it still runs.
struct Daemon {
    process: Child,
    socket: PathBuf,
    log: PathBuf,
}

/// `vserverd serve`, not yet run.
fn serve(host: &Fixture, options: &[&str]) -> (Command, PathBuf, PathBuf) {
    let dir = host.scratch("daemon");
    fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).unwrap();
    let (socket, log) = (dir.join("api.sock"), dir.join("log"));
    let mut command = host.command("vserverd");
    command.arg("serve").arg("--socket").arg(&socket).args(options);
    command.stderr(File::create(&log).unwrap());
    (command, socket, log)
}

impl Daemon {
    fn serve(host: &Fixture, options: &[&str]) -> Self {
        let (mut command, socket, log) = serve(host, options);
        let daemon = Self { process: command.spawn().unwrap(), socket, log };
        eventually("the daemon answers", SOON, || daemon.client().list().is_ok());
        daemon
    }

    fn client(&self) -> Client {
        Client::new(&self.socket)
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Its only child, which leads the session of all that it begins.
    fn launcher(&self) -> String {
        let pid = self.process.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_whitespace().next().unwrap().to_owned()
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// As systemd ends it.
    fn end(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        assert!(self.process.wait().unwrap().success(), "{}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // That guests were started is known until the next boot; a test is no boot.
        let _ = fs::remove_file(AUTOSTARTED);
    }
}

/// Whether a process of that session has not ended. proc_pid_stat(5)
fn lives_in_session(session: &str) -> bool {
    let of = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("stat")).ok();
    let lives = |stat: String| {
        let behind_the_name: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        behind_the_name[0] != "Z" && behind_the_name[3] == session
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(of).any(lives)
}

fn name(guest: &Guest<'_>) -> GuestName {
    guest.name.parse().unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Error>, with: u16, because: Code) -> String {
    match answer {
        Err(Error::Refused { status, refusal }) if status == with && refusal.code == because => refusal.error,
        other => panic!("{with} {because:?} was expected: {other:?}"),
    }
}

fn lists_starts_watches_and_stops() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.address(0, "127.9.20.1", 8);
    let mut daemon = Daemon::serve(&host, &["--no-autostart"]);
    let (client, name) = (daemon.client(), name(&guest));

    let listed = client.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].name.as_str(), listed[0].state), (&*guest.name, GuestState::Stopped));
    assert_eq!((listed[0].xid.map(|xid| xid.0), &listed[0].fault), (Some(guest.xid), &None));
    assert_eq!(listed[0].addresses, ["127.9.20.1/8"]);

    let started = client.start(&name, &StartRequest { strict: false }).unwrap();
    assert_eq!((started.xid.0, started.already_running), (guest.xid, false));
    assert!(guest.is_running(), "the command line sees the same guest");
    assert!(client.start(&name, &StartRequest::default()).unwrap().already_running);
    eventually("its service runs", SOON, || client.status(&name).unwrap().processes >= 2);
    let status = client.status(&name).unwrap();
    assert_eq!((status.state, status.init), (GuestState::Running, Some(guest.init())));
    assert!(status.uptime.is_some(), "{status:?}");
    assert_eq!(status.unenforced, started.unenforced);
    let rows = client.stat().unwrap();
    assert_eq!(rows[0].xid.0, 0, "the host comes first");
    let row = rows.iter().find(|row| row.xid.0 == guest.xid).expect("a row of the guest");
    assert!(row.rss > 0 && row.name == guest.name, "{row:?}");
    // Its script may have ended, and its service not yet been seen, while they were counted.
    eventually("its row counts its service", SOON, || {
        client.stat().unwrap().iter().any(|row| row.xid.0 == guest.xid && row.processes >= 2)
    });

    assert!(client.stop(&name, &StopRequest { kill: false }).unwrap().was_running);
    assert!(!guest.is_running());
    assert!(!client.stop(&name, &StopRequest { kill: true }).unwrap().was_running);
    // What the command line starts, the daemon stops.
    guest.start();
    assert!(client.stop(&name, &StopRequest { kill: true }).unwrap().was_running);

    guest.start();
    daemon.end();
    assert!(guest.is_running(), "the end of the daemon is none of the guest");
    assert!(!daemon.socket.exists(), "its socket goes with it");
    guest.stop();
}

/// Architecture: `kill -9` touches no guest, and the next daemon finds what runs.
fn killed_it_touches_no_guest() {
    let host = Fixture::new();
    let guest = host.guest();
    let mut daemon = Daemon::serve(&host, &["--no-autostart"]);
    daemon.client().start(&name(&guest), &StartRequest::default()).unwrap();
    let before = (guest.init(), guest.supervisor());
    let (second, _, _) = serve(&host, &[]);
    let second = Ran::from({ second }.stderr(Stdio::piped()).output().unwrap());
    second.exits(1).says("another vserverd answers at").says(&format!("pid {}", daemon.process.id()));

    daemon.kill();
    assert!(daemon.socket.symlink_metadata().unwrap().file_type().is_socket(), "a killed one leaves its socket");
    assert!(guest.is_running());
    guest.sh("true").ok();

    let daemon = Daemon::serve(&host, &["--no-autostart"]);
    assert!(daemon.log().contains(&format!("adopted guest '{}'", guest.name)), "{}", daemon.log());
    assert_eq!((guest.init(), guest.supervisor()), before);
    assert_eq!(daemon.client().status(&name(&guest)).unwrap().state, GuestState::Running);
    assert!(daemon.client().stop(&name(&guest), &StopRequest::default()).unwrap().was_running);
}

/// Whoever did it goes on or has not begun; either way the guest is whole.
fn killed_in_the_middle_of_a_start() {
    let host = Fixture::new();
    let guest = host.guest();
    for delay in [0, 5, 10, 20, 40] {
        let mut daemon = Daemon::serve(&host, &["--no-autostart"]);
        let (client, name) = (daemon.client(), name(&guest));
        let asking = std::thread::spawn(move || client.start(&name, &StartRequest::default()));
        std::thread::sleep(Duration::from_millis(delay));
        let launcher = daemon.launcher();
        daemon.kill();
        drop(asking.join().unwrap());
        guest.start();
        guest.sh("true").ok();
        // A start that was under way goes on, and would be one after the stop.
        eventually("what the daemon had begun has ended", SOON, || !lives_in_session(&launcher));
        guest.v(&["stop", "--kill"]).ok();
    }
}

/// compat/behaviours.md §8
fn a_mark_starts_dependencies_first() {
    let host = Fixture::new();
    let (web, database, unmarked) = (host.guest(), host.guest(), host.guest());
    let (broken, needs_broken) = (host.guest(), host.guest());
    web.set("apps/init/mark", "default\n").set("apps/init/depends", &format!("{}\n", database.name));
    // A circle, of which one edge is dropped.
    database.set("apps/init/depends", &format!("# the other way round\n{}\n", web.name));
    unmarked.set("apps/init/mark", "other\n");
    needs_broken.set("apps/init/mark", "default\n").set("apps/init/depends", &format!("{}\n", broken.name));
    fs::remove_file(broken.root.join("sbin/init")).unwrap();

    let daemon = Daemon::serve(&host, &[]);
    let settled = || {
        let log = daemon.log();
        log.contains(&format!("guest '{}' started", web.name)) && log.contains("which could not be started")
    };
    eventually("the marked guest runs and the other one has been given up", SOON, settled);
    assert!(web.is_running() && database.is_running());
    assert!(!unmarked.is_running() && !broken.is_running() && !needs_broken.is_running());
    let log = daemon.log();
    let at = |guest: &Guest<'_>| log.find(&format!("guest '{}' started", guest.name)).unwrap();
    assert!(at(&database) < at(&web), "{log}");
    assert!(log.contains("in a circle"), "{log}");
    assert!(log.contains(&format!("guest '{}' is not started", needs_broken.name)), "{log}");
    drop(daemon);
    web.stop();
    database.stop();
}

/// A01 and A02 of the threat model: the file's mode, and behind it the kernel's word for who calls.
/// A guest that was stopped by hand stays stopped when the daemon is restarted.
/// A shell that traps nothing, but was started by a program that blocks SIGTERM, hands that on.
fn ends_whatever_signals_were_held_back() {
    let host = Fixture::new();
    let held_back = SigSet::from(Signal::SIGTERM);
    held_back.thread_block().unwrap();
    let mut daemon = Daemon::serve(&host, &["--no-autostart"]);
    held_back.thread_unblock().unwrap();
    daemon.end();
}

fn starts_marked_guests_once_per_boot() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("apps/init/mark", "default\n");
    let mut daemon = Daemon::serve(&host, &[]);
    eventually("the marked guest runs", SOON, || guest.is_running());
    eventually("that is noted", SOON, || std::path::Path::new(AUTOSTARTED).exists());
    guest.stop();
    daemon.end();
    let other = Daemon::serve(&host, &[]);
    eventually("it says why nobody is started", SOON, || other.log().contains("started in this boot already"));
    assert!(!guest.is_running());
}

fn a01_other_users_are_refused() {
    let host = Fixture::new();
    let daemon = Daemon::serve(&host, &["--no-autostart"]);
    let mode = daemon.socket.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o660);
    // The directory above is root's alone; from inside of it nobody needs to pass.
    std::env::set_current_dir(daemon.socket.parent().unwrap()).unwrap();
    let as_nobody = || {
        setegid(Gid::from_raw(65_534)).unwrap();
        seteuid(Uid::from_raw(65_534)).unwrap();
        let answer = Client::new("api.sock").list();
        seteuid(Uid::from_raw(0)).unwrap();
        setegid(Gid::from_raw(0)).unwrap();
        answer
    };
    match as_nobody() {
        Err(Error::Connect { source, .. }) => assert_eq!(source.kind(), std::io::ErrorKind::PermissionDenied),
        other => panic!("{other:?}"),
    }
    fs::set_permissions("api.sock", PermissionsExt::from_mode(0o666)).unwrap();
    let words = refused(as_nobody(), 403, Code::Forbidden);
    assert!(words.contains("uid 65534"), "{words}");
    daemon.client().list().unwrap();
}

/// A02 of the threat model: through a bind mount, with the host's uid 0.
fn a02_a_guest_is_refused_even_as_root() {
    let host = Fixture::new();
    let guest = host.guest();
    let daemon = Daemon::serve(&host, &["--no-autostart"]);
    let shared = daemon.socket.parent().unwrap().display().to_string();
    guest.set("userns", "off\n").set("fstab", &format!("{shared} /mnt none bind 0 0\n"));
    fs::create_dir(guest.root.join("mnt")).unwrap();
    guest.carry_self().start();
    let ran = guest.exec(&["/self", inside::ASK, "/mnt/api.sock"]);
    ran.exits(1).says("403").says("guests have no say over their host");
    guest.stop();
}

fn systemd_hands_over_a_socket_and_is_told() {
    let host = Fixture::new();
    let (vserverd, unused, log) = serve(&host, &["--no-autostart"]);
    let dir = unused.parent().unwrap().to_owned();
    let told = UnixDatagram::bind(dir.join("notify")).unwrap();
    told.set_read_timeout(Some(SOON)).unwrap();
    let hears = || {
        let mut heard = [0; 300];
        let length = told.recv(&mut heard).unwrap();
        String::from_utf8_lossy(&heard[..length]).into_owned()
    };
    let socket = dir.join("activated.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    let process = Command::new("/bin/sh")
        .args(["-c", script, "sh"])
        .arg(vserverd.get_program())
        .args(vserverd.get_args())
        .env("VSERVER_CONFDIR", host.confdir())
        .env("NOTIFY_SOCKET", dir.join("notify"))
        .stdin(OwnedFd::from(listener))
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut daemon = Daemon { process, socket, log };
    assert!(hears().starts_with("READY=1\n"));
    daemon.client().list().unwrap();
    assert!(!unused.exists(), "it listens where it was told to");
    daemon.end();
    assert_eq!(hears(), "STOPPING=1");
    assert!(daemon.socket.exists(), "the socket is systemd's");
    // Nobody of the daemon's holds it open any more.
    let gone = || matches!(daemon.client().list(), Err(Error::Connect { .. }));
    eventually("the socket is closed", SOON, gone);
}

fn bad_input() {
    let host = Fixture::new();
    for words in [&["explode"][..], &[], &["serve", "--explode"], &["serve", "--socket"]] {
        host.tool("vserverd", words).exits(2).says("--help");
    }
    host.tool("vserverd", &["--version"]).ok().says("vserverd ");
    host.tool("vserverd", &["--help"]).ok().says("serve");
    // A user namespace without a map: no longer uid 0.
    let binary = host.command("vserverd").get_program().to_owned();
    let nobody = Command::new("unshare").arg("--user").arg(binary).arg("serve").output().unwrap();
    let nobody = Ran::from(nobody);
    assert_eq!(nobody.exits(1).err, "vserverd: must be run as root: it starts guests\n");

    let daemon = Daemon::serve(&host, &["--no-autostart"]);
    let client = daemon.client();
    let missing: GuestName = "nobody".parse().unwrap();
    refused(client.status(&missing), 404, Code::NoSuchGuest);
    refused(client.stop(&missing, &StopRequest::default()), 404, Code::NoSuchGuest);
    let words = refused(client.start(&missing, &StartRequest::default()), 404, Code::NoSuchGuest);
    assert!(words.contains("no guest is configured at"), "{words}");

    let (one, two) = (host.guest(), host.guest());
    one.start();
    two.set("context", &format!("{}\n", one.xid));
    let words = refused(client.start(&name(&two), &StartRequest::default()), 409, Code::Taken);
    assert!(words.contains(&one.name), "{words}");
    two.set("interfaces/0/ip", "127.0.0.300\n").set("interfaces/0/nodev", "");
    let words = refused(client.start(&name(&two), &StartRequest::default()), 409, Code::InvalidConfiguration);
    assert!(words.contains("127.0.0.300"), "{words}");
    let listed = client.list().unwrap();
    let fault = listed.iter().find(|guest| guest.name == name(&two)).and_then(|guest| guest.fault.clone());
    assert!(fault.is_some_and(|fault| fault.contains("127.0.0.300")), "the list says it, too");
    one.stop();
}
