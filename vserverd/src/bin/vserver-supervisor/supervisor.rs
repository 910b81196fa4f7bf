//! The supervisor's loop: one poll over everything that can happen.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{SockFlag, accept4, getsockopt, sockopt};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};
use vserver_runtime::control::{self, Reply, Request};
use vserver_runtime::settings::{Ending as Why, Settings, fds};
use vserver_sandbox::blueprint::Doors;
use vserver_sandbox::dev;
use vserver_sandbox::enter::{self, Job, Target};
use vserver_sandbox::petition::{self, Disk, Guest};
use vserver_sys::process::SingleThreaded;
use vserver_sys::{fd, memory, pidfd, tty};

use crate::console::Console;
use crate::ending::{Act, Ending};
use crate::gather::Steering;
use crate::hearing;
use crate::limits;
use crate::petitions::Petitions;
use crate::session::{Session, State};
use crate::strays::Strays;
use crate::window::Window;

/// Most connections at a time.
const MAX_SESSIONS: usize = 512;
/// How the wait for a rebooting guest ends: `LINUX_REBOOT_CMD_RESTART` in a PID namespace. reboot(2).
const SIGHUP: i32 = 1;
/// The same for a halt and a power-off.
const SIGINT: i32 = 2;

/// What a supervisor works on.
pub struct Handles {
    /// Listens.
    pub control: OwnedFd,
    /// pidfd of the guest's first process.
    pub init: OwnedFd,
    /// Master of the console.
    pub console: OwnedFd,
    /// The guest's devpts instance.
    pub pts: OwnedFd,
    /// The way into the guest's cgroups.
    pub doors: Doors,
    /// What its processes ask for.
    pub petitions: Option<Petitions>,
    /// What sysinfo(2) answers.
    pub sysinfo: Option<OwnedFd>,
    /// The root of the disk whose quotas are the guest's own.
    pub disk: Option<OwnedFd>,
    /// Its own `/proc/net`.
    pub window: Option<Window>,
}

/// Of these, those that the settings speak of: the doors, the way for listeners, what sysinfo(2) answers, the disk,
/// and its own `/proc/net`.
pub type Spoken = (Doors, Option<Petitions>, Option<OwnedFd>, Option<OwnedFd>, Option<Window>);

/// Takes them over.
pub fn doors(settings: &Settings) -> io::Result<Spoken> {
    let mut number = fds::DOORS;
    let mut next = || {
        number += 1;
        fd::inherited(number - 1)
    };
    let birthplace = settings.birthplace.then(&mut next).transpose()?;
    let tasks = (0..settings.tasks).map(|_| next()).collect::<io::Result<_>>()?;
    let asks = settings.confinement.asking.is_some();
    let petitions = asks.then(|| Ok::<_, io::Error>(Petitions::new(next()?, next()?, settings))).transpose()?;
    let sysinfo = settings.sysinfo.then(&mut next).transpose()?;
    let disk = settings.disk.is_some().then(&mut next).transpose()?;
    let window = settings
        .window
        .as_ref()
        .map(|program| next().map(|device| Window::new(device, program.clone(), settings.shown.clone())));
    Ok((Doors { birthplace, tasks }, petitions, sysinfo, disk, window.transpose()?))
}

/// A guest's supervisor.
pub struct Supervisor {
    token: SingleThreaded,
    settings: Settings,
    control: OwnedFd,
    init: OwnedFd,
    pts: OwnedFd,
    doors: Doors,
    console: Console,
    sessions: Vec<Session>,
    strays: Strays,
    petitions: Option<Petitions>,
    sysinfo: Option<OwnedFd>,
    disk: Option<OwnedFd>,
    window: Option<Window>,
    /// What a guest needs that got its second address while it runs.
    steering: Option<Steering>,
    ending: Option<Ending>,
    /// The stop command.
    command: Option<Session>,
    /// Senders of signals: entries without a caller.
    senders: Vec<Session>,
}

impl Supervisor {
    /// Ready to run.
    pub fn new(token: SingleThreaded, settings: Settings, handles: Handles) -> io::Result<Self> {
        let Handles { control, init, console, pts, doors, petitions, sysinfo, disk, window } = handles;
        fd::cloexec_from(3)?;
        let console = Console::new(console, settings.log.clone(), settings.log_limit)?;
        Ok(Self {
            token,
            settings,
            control,
            init,
            pts,
            doors,
            console,
            sessions: Vec::new(),
            strays: Strays::default(),
            petitions,
            sysinfo,
            disk,
            window,
            steering: None,
            ending: None,
            command: None,
            senders: Vec::new(),
        })
    }

    /// Serves until the guest has ended. The status says how.
    pub fn run(mut self) -> io::Result<ExitCode> {
        // Only a saving: a supervisor that keeps its start-up code mapped works as well.
        memory::forget_startup_code().ok();
        loop {
            let pause = self.petitions.as_ref().and_then(Petitions::pause);
            let deaf = self.steering.as_mut().and_then(Steering::serve);
            let timeout = self.proceed().into_iter().chain(pause).chain(deaf).min();
            let (init, control, console) = self.wait(timeout)?;
            if console {
                self.console.pump();
            }
            if control {
                self.accept();
            }
            self.serve();
            self.answer();
            if init && let Some(why) = self.init_ended() {
                return Ok(self.leave(why));
            }
        }
    }

    fn wait(&self, timeout: Option<Duration>) -> io::Result<(bool, bool, bool)> {
        let mut watched = vec![
            PollFd::new(self.init.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.control.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.console.as_fd(), PollFlags::POLLIN),
        ];
        for session in self.sessions.iter().filter(|session| session.is_connected()) {
            watched.push(PollFd::new(session.socket.as_fd(), PollFlags::POLLIN));
        }
        for session in self.sessions.iter().chain(&self.command).chain(&self.senders) {
            watched.extend(session.report_fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            watched.extend(session.command_fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        }
        watched.extend(self.petitions.iter().flat_map(Petitions::fds).map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        watched.extend(self.steering.iter().filter_map(Steering::bell).map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        watched.extend(self.window.iter().map(|window| PollFd::new(window.fd(), PollFlags::POLLIN)));
        watched.extend(self.strays.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let timeout =
            timeout.map_or(PollTimeout::NONE, |time| PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX));
        match poll(&mut watched, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let hit = |index: usize| watched[index].any().unwrap_or(false);
        Ok((hit(0), hit(1), hit(2)))
    }

    /// Takes in a caller. The socket lies in a directory that only root can enter; asking the kernel who it is costs
    /// nothing and holds if somebody changes the mode.
    fn accept(&mut self) {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        while let Ok(number) = accept4(self.control.as_raw_fd(), flags) {
            let Ok(socket) = fd::inherited(number) else {
                return;
            };
            let root = getsockopt(&socket, sockopt::PeerCredentials).is_ok_and(|peer| peer.uid() == 0);
            if root && self.sessions.len() < MAX_SESSIONS {
                self.sessions.push(Session::new(socket));
            }
        }
    }

    /// Looks at every connection once.
    fn serve(&mut self) {
        for mut session in std::mem::take(&mut self.sessions) {
            session.listen().into_iter().for_each(|pid| self.strays.take(pid));
            session.look();
            self.hear(&mut session);
            if !matches!(session.state, State::Closed) {
                self.sessions.push(session);
            }
        }
        for sender in &mut self.senders {
            sender.listen().into_iter().for_each(|pid| self.strays.take(pid));
            sender.look();
        }
        self.senders.retain(|sender| !matches!(sender.state, State::Closed));
        if let Some(mut command) = self.command.take() {
            command.listen().into_iter().for_each(|pid| self.strays.take(pid));
            command.look();
            if matches!(command.state, State::Closed) {
                if let Some(ending) = &mut self.ending {
                    ending.command_ended(Instant::now());
                }
            } else {
                self.command = Some(command);
            }
        }
        self.strays.wait();
    }

    /// Calls of the guest's processes that wait for us.
    fn answer(&mut self) {
        if let Some(petitions) = &mut self.petitions {
            let name = self.settings.name.as_str();
            let Settings { init, base, hard_limits: limits, .. } = &self.settings;
            let cgroup_base = self.settings.cgroup_base.as_str();
            let sysinfo = self.sysinfo.as_ref().map(AsFd::as_fd);
            let root = self.disk.as_ref().map(AsFd::as_fd);
            let disk = root.zip(self.settings.disk.as_deref()).map(|(root, device)| Disk { root, device });
            let (doors, init, base) = (&self.doors, *init, *base);
            let Settings { disks, images, .. } = self.settings;
            let guest = Guest { name, cgroup_base, doors, init, base, limits, sysinfo, disk, disks, images };
            petitions.serve(self.token, &guest);
        }
        if self.window.as_mut().is_some_and(|window| !window.serve(self.token, &self.settings)) {
            self.window = None;
        }
    }

    /// A request, or the end of a connection.
    fn hear(&mut self, session: &mut Session) {
        if !session.is_connected() {
            return;
        }
        match control::receive_request(session.socket.as_fd()) {
            Ok(Some((request, fds))) => self.handle(session, request, fds),
            Ok(None) => self.lost(session),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Also one that is gone and left an answer unread: its end is reset then (unix(7), ECONNRESET).
            Err(error) => {
                session.reply(&Reply::Refused { reason: format!("the request cannot be understood: {error}") }, &[]);
                self.lost(session);
            }
        }
    }

    /// Its caller is gone, or of no use.
    fn lost(&mut self, session: &mut Session) {
        if matches!(session.state, State::Tied) {
            self.end_now();
        }
        session.abandoned().into_iter().for_each(|pid| self.strays.take(pid));
    }

    fn handle(&mut self, session: &mut Session, request: Request, fds: Vec<OwnedFd>) {
        match request {
            Request::Hello => session.reply(&Reply::Accepted, &[]),
            Request::Stop { kill, orders } => {
                let now = Instant::now();
                if let (None, Some(orders)) = (&self.ending, orders) {
                    self.settings.orders = *orders;
                }
                let orders = &self.settings.orders;
                let ending = self.ending.get_or_insert_with(|| Ending::begin(orders.clone(), kill, now));
                if kill {
                    ending.hurry(now);
                }
                session.reply(&Reply::Accepted, &[]);
                session.state = State::AwaitsEnd;
            }
            Request::Tie => {
                session.reply(&Reply::Accepted, &[]);
                session.state = State::Tied;
            }
            Request::Steer { gathers } => match Steering::take(fds, gathers) {
                Ok(steering) => {
                    self.steering = Some(steering);
                    session.reply(&Reply::Accepted, &[]);
                }
                Err(error) => session.refuse(format!("the bell cannot be heard: {error}")),
            },
            Request::Show { shown } => match &mut self.petitions {
                // Without it nothing of the guest's asks.
                Some(petitions) if shown.is_none() || self.settings.shown.is_some() => {
                    self.window.iter_mut().for_each(|window| window.show(shown.clone()));
                    petitions.show(self.token, shown);
                    session.reply(&Reply::Accepted, &[]);
                }
                _ => session.refuse("the guest was started without it"),
            },
            Request::Exec { argv, env, user, passed, birthplace, tasks, terminal } => {
                let mut fds = fds.into_iter();
                let stdio = passed.map(|passed| passed.then(|| fds.next()).flatten());
                let doors =
                    Doors { birthplace: birthplace.then(|| fds.next()).flatten(), tasks: fds.take(tasks).collect() };
                let job = Job { argv, env, user, stdio, terminal: None };
                if let Err(reason) = self.enter(session, job, terminal, &doors) {
                    session.refuse(reason);
                }
            }
        }
    }

    /// The one whom the guest was tied to is gone.
    fn end_now(&mut self) {
        let (now, orders) = (Instant::now(), self.settings.orders.clone());
        self.ending.get_or_insert_with(|| Ending::begin(orders, true, now)).hurry(now);
    }

    fn enter(&mut self, session: &mut Session, mut job: Job, terminal: bool, doors: &Doors) -> Result<(), String> {
        let mut master = None;
        if terminal {
            let (new, _) = dev::new_terminal(self.pts.as_fd(), self.settings.base).map_err(|error| error.line())?;
            job.terminal =
                Some(tty::open_slave(new.as_fd()).map_err(|error| format!("cannot open a terminal: {error}"))?);
            master = Some(new);
        }
        let (report, tell) = pipe2(OFlag::O_CLOEXEC).map_err(|error| format!("cannot make a pipe: {error}"))?;
        limits::follow(self.settings.init, &mut self.settings.confinement.ulimits);
        let intermediate = enter::enter(self.token, &self.target(doors), &job, tell).map_err(|error| error.line())?;
        self.strays.take(intermediate);
        session.enter(report, master);
        Ok(())
    }

    fn target<'a>(&'a self, doors: &'a Doors) -> Target<'a> {
        Target {
            init: self.init.as_fd(),
            doors,
            confinement: &self.settings.confinement,
            petitions: self.petitions.as_ref().map(Petitions::tell),
            virt_uptime: self.settings.virt_uptime,
            around: self.settings.around,
        }
    }

    /// The way to where the guest's init is: a v2 cgroup whose controllers the guest has handed down takes no process. Where
    /// that cannot be found it is the one to the top.
    fn doors_beside_init(&self) -> io::Result<Doors> {
        let Settings { cgroup_base, name, init, .. } = &self.settings;
        let place = petition::place_below(&self.doors, (cgroup_base.as_str(), name.as_str()), *init).ok().flatten();
        let top = || self.doors.birthplace.as_ref().map(OwnedFd::try_clone).transpose();
        let tasks = self.doors.tasks.iter().map(OwnedFd::try_clone).collect::<io::Result<_>>()?;
        Ok(Doors { birthplace: place.map_or_else(top, |place| Ok(Some(place)))?, tasks })
    }

    /// Does what an ending wants done now, and says when it wants to be asked again.
    fn proceed(&mut self) -> Option<Duration> {
        loop {
            let (now, ending) = (Instant::now(), self.ending.as_mut()?);
            match ending.act(now) {
                Act::Wait(time) => return Some(time),
                Act::SignalInit(signal) => {
                    // Asked before it is sent: an init that gets ready in between is told twice rather than never.
                    if !hearing::hears(self.settings.init, signal) {
                        ending.not_heard(now);
                    }
                    drop(pidfd::signal(self.init.as_fd(), signal));
                }
                Act::Kill => drop(pidfd::signal(self.init.as_fd(), 9)),
                Act::SignalAll(signal) => {
                    // From inside nobody reaches the first one: our reaper of a persistent guest ends when it is asked to.
                    drop(pidfd::signal(self.init.as_fd(), signal));
                    self.signal_all(signal);
                }
                Act::RunCommand(argv) => self.run_stop_command(argv),
            }
        }
    }

    /// What cannot be sent now is overtaken by the next step of the ending.
    fn signal_all(&mut self, signal: i32) {
        let (Ok((report, tell)), Ok(socket)) = (pipe2(OFlag::O_CLOEXEC), self.init.try_clone()) else {
            return;
        };
        let Ok(doors) = self.doors_beside_init() else { return };
        if let Ok(pid) = enter::signal_all(self.token, &self.target(&doors), signal, tell) {
            self.strays.take(pid);
            let mut session = Session::new(socket);
            session.enter(report, None);
            self.senders.push(session);
        }
    }

    fn run_stop_command(&mut self, argv: Vec<String>) {
        let env = self.settings.orders.stop_env.clone();
        let job = Job { argv, env, user: None, stdio: [None, None, None], terminal: None };
        let started = self.init.try_clone().and_then(|socket| Ok((socket, self.doors_beside_init()?)));
        let started = started.map_err(|error| error.to_string()).and_then(|(socket, doors)| {
            let mut session = Session::new(socket);
            self.enter(&mut session, job, false, &doors).map(|()| session)
        });
        match started {
            Ok(session) => self.command = Some(session),
            Err(reason) => {
                self.console.note(&format!("the stop command could not be executed: {reason}"));
                if let Some(ending) = &mut self.ending {
                    ending.command_ended(Instant::now());
                }
            }
        }
    }

    /// How the guest has ended, if it has.
    fn init_ended(&mut self) -> Option<Why> {
        let why = match waitpid(Pid::from_raw(self.settings.init), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return None,
            Ok(WaitStatus::Signaled(_, signal, _)) if signal as i32 == SIGHUP => Why::Reboot,
            Ok(WaitStatus::Signaled(_, signal, _)) if signal as i32 == SIGINT => Why::Halt,
            _ => Why::Shutdown,
        };
        Some(if self.ending.is_some() { Why::Stopped } else { why })
    }

    /// Tells those who wait, and the keeper by the status that it ends with.
    fn leave(mut self, why: Why) -> ExitCode {
        self.window = None;
        self.console.pump();
        self.console.note(if why == Why::Reboot { "the guest reboots" } else { "the guest has ended" });
        let killed = self.ending.as_ref().is_some_and(Ending::killed);
        for session in &self.sessions {
            if matches!(session.state, State::AwaitsEnd) {
                session.reply(&Reply::Ended { killed }, &[]);
            }
        }
        ExitCode::from(why.status())
    }
}
