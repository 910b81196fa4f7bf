//! Calls of the guest's processes that the supervisor answers. It only hands them to helpers, few at a time and few a second:
//! whatever a guest asks for, stop and exec are served.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use vserver_sandbox::petition::{self, Guest};
use vserver_sys::pidfd;
use vserver_sys::process::SingleThreaded;
use vserver_sys::seccomp::{self, Answer};

/// Most helpers at a time.
const MAX_HELPERS: usize = 8;
/// What helpers may cost in one [`PERIOD`], which the guest makes the supervisor do outside of its own limits.
const PER_PERIOD: u32 = 500;
/// What one costs: so there are 50 of them in that time.
const COST: u32 = 10;
/// One that only reads and writes some bytes: programs call sysinfo(2) at their start.
const SMALL_COST: u32 = 1;
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
}

/// A child that answers one call.
struct Helper {
    pid: i32,
    watch: Option<OwnedFd>,
    listener: OwnedFd,
    call: u64,
    /// What the call gets if it ends without a word.
    otherwise: Answer,
}

impl Petitions {
    /// Nobody has asked yet.
    pub fn new(hear: OwnedFd, tell: OwnedFd) -> Self {
        let period = (Instant::now(), 0);
        Self { hear, tell, listeners: Vec::new(), helpers: Vec::new(), period }
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
        self.helpers.retain(Helper::works);
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

    fn has_room(&self) -> bool {
        self.helpers.len() < MAX_HELPERS && self.period.1 < PER_PERIOD
    }

    /// What cannot be helped, the kernel answers, or nobody does it. A caller that has ended meanwhile needs nothing.
    fn help(&mut self, token: SingleThreaded, guest: &Guest<'_>, listener: &OwnedFd) {
        let Ok(asked) = seccomp::receive(listener.as_fd()) else {
            self.period.1 += COST;
            return;
        };
        self.period.1 += if petition::is_small(&asked) { SMALL_COST } else { COST };
        let otherwise = petition::without_help(&asked);
        match (listener.try_clone(), petition::answer(token, guest, listener.as_fd(), &asked)) {
            (Ok(listener), Ok(pid)) => {
                self.helpers.push(Helper { pid, watch: pidfd::open(pid).ok(), listener, call: asked.id, otherwise });
            }
            _ => drop(seccomp::answer(listener.as_fd(), asked.id, otherwise)),
        }
    }
}

impl Helper {
    /// Whether it still works. One that has ended without an answer, for whatever reason, leaves it to the kernel, or refuses.
    fn works(&self) -> bool {
        if matches!(waitpid(Pid::from_raw(self.pid), Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive)) {
            return true;
        }
        seccomp::answer(self.listener.as_fd(), self.call, self.otherwise).ok();
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
