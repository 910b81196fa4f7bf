//! Calls of the guest's processes that the supervisor answers. It hands them to helpers, few at a time and few a second, or
//! gives a netlink socket: whatever a guest asks for, stop and exec are served.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use vserver_runtime::settings::{Settings, Shown};
use vserver_sandbox::petition::{self, Guest, forks, netlink};
use vserver_sys::pidfd;
use vserver_sys::process::SingleThreaded;
use vserver_sys::seccomp::{self, Answer, Asked};

use crate::forks::Forks;
use crate::interfaces::{Interfaces, Way};

/// Most helpers at a time.
const MAX_HELPERS: usize = 8;
/// What answers may cost in one [`PERIOD`], which the guest makes the supervisor do outside of its own limits.
const PER_PERIOD: u32 = 5000;
/// What a helper costs: so there are 50 of them in that time.
const COST: u32 = 100;
/// One that only reads and writes some bytes: programs call sysinfo(2) at their start.
const SMALL_COST: u32 = 10;
/// A netlink socket, which takes no helper: 2500 in that time, some hundredths of it. Programs look up names.
const SOCKET_COST: u32 = 2;
/// A look at the guest's memory, when it forks: 5000 in that time.
const FORK_COST: u32 = 1;
/// To who asks for a netlink socket that cannot be had: the kernel's own would show the host.
const REFUSED: Answer = Answer::Failed(Errno::ENOBUFS as i32);
/// See there.
const PERIOD: Duration = Duration::from_secs(1);

/// All that is known of them.
pub struct Petitions {
    /// Listeners come here.
    hear: OwnedFd,
    /// From here, for those who enter the guest.
    tell: OwnedFd,
    /// One for the guest's first process and all that it started, one for each command that was put inside.
    listeners: Vec<OwnedFd>,
    helpers: Vec<Helper>,
    period: (Instant, u32),
    interfaces: Interfaces,
    forks: Forks,
    /// Sockets that the guest has are to hear of a change.
    behind: bool,
}

/// A child that answers one call, if it was forked for one.
struct Helper {
    pid: i32,
    watch: Option<OwnedFd>,
    /// The call, and what it gets if the child ends without a word.
    call: Option<(OwnedFd, u64, Answer)>,
    /// It works on what the guest is shown: nobody else is answered meanwhile.
    shows: bool,
}

impl Petitions {
    /// Nobody has asked yet.
    pub fn new(hear: OwnedFd, tell: OwnedFd, settings: &Settings) -> Self {
        let (listeners, helpers, period) = (Vec::new(), Vec::new(), (Instant::now(), 0));
        let (interfaces, forks) = (Interfaces::new(settings.shown.clone()), Forks::new(settings));
        Self { hear, tell, listeners, helpers, period, interfaces, forks, behind: false }
    }

    /// What the guest is shown from now on. Sockets that it has hear of it.
    pub fn show(&mut self, token: SingleThreaded, shown: Option<Shown>) {
        self.behind |= self.interfaces.show(shown);
        self.catch_up(token);
    }

    /// If it fails, the next call tries again.
    fn catch_up(&mut self, token: SingleThreaded) {
        if self.behind && !self.shows() {
            self.behind = false;
            if let Ok(pid) = self.interfaces.follow(token, || Ok(())) {
                self.helpers.push(Helper { pid, watch: pidfd::open(pid).ok(), call: None, shows: true });
            }
        }
    }

    /// For those who enter the guest.
    pub fn tell(&self) -> BorrowedFd<'_> {
        self.tell.as_fd()
    }

    /// For poll. While there is no room for a helper no listener is watched.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let listeners = self.listeners.iter().filter(|_| self.has_room());
        let helpers = self.helpers.iter().filter_map(|helper| helper.watch.as_ref());
        listeners.chain(helpers).chain([&self.hear]).map(AsFd::as_fd)
    }

    /// How long until there is room again, if it is a matter of time.
    pub fn pause(&self) -> Option<Duration> {
        let (begin, count) = self.period;
        (count >= PER_PERIOD).then(|| (begin + PERIOD).saturating_duration_since(Instant::now()))
    }

    /// Looks after everything once.
    pub fn serve(&mut self, token: SingleThreaded, guest: &Guest<'_>) {
        let mut failed = false;
        self.helpers.retain(|helper| helper.works(&mut failed));
        if failed {
            self.interfaces.failed();
        }
        self.catch_up(token);
        while let Some(listener) = petition::hear(self.hear.as_fd()) {
            self.listeners.push(listener);
        }
        let now = Instant::now();
        if now >= self.period.0 + PERIOD {
            self.period = (now, 0);
        }
        for listener in std::mem::take(&mut self.listeners) {
            let mut there = State::Silent;
            while self.has_room() {
                there = look(&listener);
                if there != State::Asks {
                    break;
                }
                self.help(token, guest, &listener);
            }
            if there != State::Gone {
                self.listeners.push(listener);
            }
        }
    }

    fn shows(&self) -> bool {
        self.helpers.iter().any(|helper| helper.shows)
    }

    fn has_room(&self) -> bool {
        !self.shows() && self.helpers.len() < MAX_HELPERS && self.period.1 < PER_PERIOD
    }

    /// What cannot be helped, the kernel answers, or nobody does it. A caller that has ended meanwhile needs nothing.
    fn help(&mut self, token: SingleThreaded, guest: &Guest<'_>, listener: &OwnedFd) {
        let Ok(asked) = seccomp::receive(listener.as_fd()) else {
            self.period.1 += COST;
            return;
        };
        if forks::is_asked(&asked) {
            self.period.1 += FORK_COST;
            seccomp::answer(listener.as_fd(), asked.id, self.forks.answer(asked.pid)).ok();
            return;
        }
        if netlink::is_asked(&asked) {
            if let Err(error) = self.give(token, guest.base, listener, &asked) {
                let too_many = error.raw_os_error() == Some(Errno::ENFILE as i32);
                let answer = if too_many { Answer::Failed(Errno::ENFILE as i32) } else { REFUSED };
                seccomp::answer(listener.as_fd(), asked.id, answer).ok();
            }
            return;
        }
        self.period.1 += if petition::is_small(&asked) { SMALL_COST } else { COST };
        let otherwise = petition::without_help(&asked);
        match (listener.try_clone(), petition::answer(token, guest, listener.as_fd(), &asked)) {
            (Ok(listener), Ok(pid)) => {
                let call = Some((listener, asked.id, otherwise));
                self.helpers.push(Helper { pid, watch: pidfd::open(pid).ok(), call, shows: false });
            }
            _ => drop(seccomp::answer(listener.as_fd(), asked.id, otherwise)),
        }
    }

    /// A netlink socket that shows the guest what is its own.
    fn give(&mut self, token: SingleThreaded, base: u32, listener: &OwnedFd, asked: &Asked) -> io::Result<()> {
        let way = self.interfaces.way(asked)?;
        self.period.1 += if matches!(way, Way::Stale) { COST } else { SOCKET_COST };
        match way {
            Way::ByKernel => seccomp::answer(listener.as_fd(), asked.id, Answer::GoOn),
            Way::Ready => {
                let made = self.interfaces.make(base, asked)?;
                petition::hand_over(listener.as_fd(), asked, &made)
            }
            Way::Stale => {
                let last = || petition::hand_over(listener.as_fd(), asked, &netlink::make(base, asked)?);
                let pid = self.interfaces.follow(token, last)?;
                let call = Some((listener.try_clone()?, asked.id, REFUSED));
                self.helpers.push(Helper { pid, watch: pidfd::open(pid).ok(), call, shows: true });
                Ok(())
            }
        }
    }
}

impl Helper {
    /// Whether it still works. One that has ended without an answer, for whatever reason, leaves it to the kernel, or refuses;
    /// one that could not show what it should is noted in `failed`.
    fn works(&self, failed: &mut bool) -> bool {
        let status = waitpid(Pid::from_raw(self.pid), Some(WaitPidFlag::WNOHANG));
        if matches!(status, Ok(WaitStatus::StillAlive)) {
            return true;
        }
        *failed |= self.shows && !matches!(status, Ok(WaitStatus::Exited(_, 0)));
        if let Some((listener, call, otherwise)) = &self.call {
            seccomp::answer(listener.as_fd(), *call, *otherwise).ok();
        }
        false
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Silent,
    Asks,
    /// No process has its filter any more.
    Gone,
}

fn look(listener: &OwnedFd) -> State {
    let mut watched = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    let found = poll(&mut watched, PollTimeout::ZERO).ok().and_then(|_| watched[0].revents());
    match found {
        Some(found) if found.contains(PollFlags::POLLIN) => State::Asks,
        Some(found) if found.contains(PollFlags::POLLHUP) => State::Gone,
        _ => State::Silent,
    }
}
