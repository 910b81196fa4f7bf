//! The end of a guest: first it is asked, then its processes get the kill sequence, and at the deadline it is killed.
//! Source: util-vserver, `behaviours.md` §4. One pure decision per moment; who calls does what it says.

use std::time::{Duration, Instant};

use vserver_runtime::settings::{KillStep, StopOrders, StopPlan};

/// How long until a first process that did not hear its signal is asked again: it has only begun.
const AGAIN: Duration = Duration::from_millis(20);

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing before this much time has passed.
    Wait(Duration),
    /// Send this signal to the guest's first process; if it cannot hear it, say [`Ending::not_heard`].
    SignalInit(i32),
    /// Execute the stop command in the guest.
    RunCommand(Vec<String>),
    /// Send this signal to all processes but the first.
    SignalAll(i32),
    /// Kill the first process, and with it the guest.
    Kill,
}

/// Where in the ending we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Ask { next: Instant },
    AwaitCommand,
    Sequence { step: usize, next: Instant },
    AwaitInit,
    Killed,
}

/// An ending that has begun.
#[derive(Debug)]
pub struct Ending {
    phase: Phase,
    plan: StopPlan,
    killseq: Vec<KillStep>,
    deadline: Instant,
}

impl Ending {
    /// Begins at `now`; with `kill` there is no time left.
    pub fn begin(orders: StopOrders, kill: bool, now: Instant) -> Self {
        let deadline = if kill { now } else { now + orders.stop_timeout };
        Self { phase: Phase::Ask { next: now }, plan: orders.stop, killseq: orders.killseq, deadline }
    }

    /// No time is left from now on.
    pub fn hurry(&mut self, now: Instant) {
        self.deadline = now;
    }

    /// Whether the guest had to be killed.
    pub fn killed(&self) -> bool {
        self.phase == Phase::Killed
    }

    /// The stop command has ended, or could not be executed: what is left gets the kill sequence.
    pub fn command_ended(&mut self, now: Instant) {
        if self.phase == Phase::AwaitCommand {
            self.phase = Phase::Sequence { step: 0, next: now };
        }
    }

    /// The first process did not notice the signal that it was asked by. Nothing but the
    /// deadline keeps it from being asked again: an init that was stopped as soon as it was started gets there.
    pub fn not_heard(&mut self, now: Instant) {
        if self.phase == Phase::AwaitInit {
            self.phase = Phase::Ask { next: now + AGAIN };
        }
    }

    /// What to do at `now`. Called again after each act, until it says [`Act::Wait`].
    pub fn act(&mut self, now: Instant) -> Act {
        if self.phase != Phase::Killed && now >= self.deadline {
            self.phase = Phase::Killed;
            return Act::Kill;
        }
        let left = self.deadline.saturating_duration_since(now);
        match self.phase {
            Phase::Ask { next } | Phase::Sequence { next, .. } if now < next => {
                Act::Wait(left.min(next.saturating_duration_since(now)))
            }
            Phase::Ask { .. } => self.ask(now),
            Phase::AwaitCommand | Phase::AwaitInit => Act::Wait(left),
            Phase::Sequence { step, .. } => self.step(step, now),
            Phase::Killed => Act::Wait(Duration::from_secs(1)),
        }
    }

    fn ask(&mut self, now: Instant) -> Act {
        match self.plan.clone() {
            StopPlan::Signal(signal) => {
                self.phase = Phase::AwaitInit;
                Act::SignalInit(signal)
            }
            StopPlan::Command(command) => {
                self.phase = Phase::AwaitCommand;
                Act::RunCommand(command)
            }
            StopPlan::KillSequence => self.step(0, now),
        }
    }

    /// After the last step only the first process can be left: our reaper ends with the last of the others.
    fn step(&mut self, step: usize, now: Instant) -> Act {
        match self.killseq.get(step).copied() {
            Some(KillStep { signal, wait }) => {
                self.phase = Phase::Sequence { step: step + 1, next: now + wait };
                Act::SignalAll(signal)
            }
            None => {
                self.phase = Phase::Killed;
                Act::Kill
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(plan: StopPlan, now: Instant) -> Ending {
        let step = |signal, wait| KillStep { signal, wait: Duration::from_secs(wait) };
        let killseq = vec![step(15, 5), step(9, 1)];
        Ending { phase: Phase::Ask { next: now }, plan, killseq, deadline: now + Duration::from_secs(30) }
    }

    #[test]
    fn an_init_is_asked_once_and_killed_at_the_deadline() {
        let now = Instant::now();
        let mut ending = ending(StopPlan::Signal(37), now);
        assert_eq!(ending.act(now), Act::SignalInit(37));
        assert_eq!(ending.act(now), Act::Wait(Duration::from_secs(30)));
        assert_eq!(ending.act(now + Duration::from_secs(30)), Act::Kill);
        assert!(ending.killed());
    }

    #[test]
    fn an_init_that_did_not_hear_is_asked_again() {
        let now = Instant::now();
        let mut ending = ending(StopPlan::Signal(37), now);
        assert_eq!(ending.act(now), Act::SignalInit(37));
        ending.not_heard(now);
        assert_eq!(ending.act(now), Act::Wait(AGAIN));
        assert_eq!(ending.act(now + AGAIN), Act::SignalInit(37));
        assert_eq!(ending.act(now + AGAIN), Act::Wait(Duration::from_secs(30) - AGAIN));
        ending.not_heard(now + AGAIN);
        assert_eq!(ending.act(now + Duration::from_secs(30)), Act::Kill);
    }

    #[test]
    fn the_sequence_follows_the_stop_command() {
        let now = Instant::now();
        let mut ending = ending(StopPlan::Command(vec!["/etc/init.d/rc".to_owned()]), now);
        assert!(matches!(ending.act(now), Act::RunCommand(_)));
        assert!(matches!(ending.act(now), Act::Wait(_)));
        ending.command_ended(now);
        assert_eq!(ending.act(now), Act::SignalAll(15));
        assert_eq!(ending.act(now), Act::Wait(Duration::from_secs(5)));
        assert_eq!(ending.act(now + Duration::from_secs(5)), Act::SignalAll(9));
        assert_eq!(ending.act(now + Duration::from_secs(6)), Act::Kill);
    }

    #[test]
    fn hurry_leaves_no_time() {
        let now = Instant::now();
        let mut ending = ending(StopPlan::Signal(2), now);
        ending.hurry(now);
        assert_eq!(ending.act(now), Act::Kill);
    }
}
