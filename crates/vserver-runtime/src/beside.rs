//! One thread beside a start, which does in their order the things that need not wait for each other: without it one
//! processor would have nothing to do while the launcher reads and decides. A second thread would not help where a start
//! has two processors: it is put where it was begun, and the launcher stops for it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use nix::sys::signal::{SigSet, SigmaskHow};
use vserver_types::GuestName;

use crate::error::{Error, Result};

type Work = Box<dyn FnOnce() + Send>;

/// The thread. It ends when all is done and nothing more is going to be asked for, or when this is dropped.
#[derive(Debug)]
pub struct Beside {
    work: Option<Sender<Work>>,
    thread: JoinHandle<()>,
}

/// What it was asked for.
#[derive(Debug)]
pub struct Coming<T>(Receiver<T>);

impl Beside {
    /// Begins. No signal is for that thread: those that end the caller are held back later, or not at all.
    pub fn begin(name: &GuestName) -> Result<Self> {
        const STEP: &str = "begin a thread";
        let (work, todo) = channel::<Work>();
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).map_err(Error::layer(STEP, name))?;
        let thread = Builder::new().name("beside".to_owned()).spawn(move || todo.into_iter().for_each(|work| work()));
        before.thread_set_mask().map_err(Error::layer(STEP, name))?;
        Ok(Self { work: Some(work), thread: thread.map_err(Error::layer(STEP, name))? })
    }

    /// Has it done, after what it was asked for before.
    pub fn ask<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Coming<T> {
        let (done, coming) = channel();
        // Who asked may have gone, and a thread that has ended in a panic is told of where the answer is awaited.
        let work: Work = Box::new(move || drop(done.send(work())));
        self.work.as_ref().map(|thread| thread.send(work).ok());
        Coming(coming)
    }

    /// Nothing more is going to be asked for: for whoever forks and does not have this.
    pub fn no_more(&mut self) {
        self.work = None;
    }

    /// Waits for its end, for a fork. A panic was told of by [`Coming::wait`].
    pub fn end(self) {
        drop(self.work);
        self.thread.join().ok();
    }
}

impl<T> Coming<T> {
    /// Waits for it. `what` is said if the thread ended in a panic.
    pub fn wait(self, name: &GuestName, what: &str) -> Result<T> {
        let panicked = |_| Error::Taken { name: name.clone(), what: format!("{what} panicked; report this") };
        self.0.recv().map_err(panicked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> GuestName {
        "web".parse().unwrap()
    }

    #[test]
    fn things_are_done_in_the_order_of_asking() {
        let mut beside = Beside::begin(&name()).unwrap();
        let (told, order) = channel();
        let other = told.clone();
        let first = beside.ask(move || told.send(1).unwrap());
        let second = beside.ask(move || other.send(2).unwrap());
        beside.no_more();
        second.wait(&name(), "the second").unwrap();
        first.wait(&name(), "the first").unwrap();
        beside.end();
        assert_eq!(order.into_iter().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_panic_is_told_by_what_was_asked_for_and_by_all_after_it() {
        let beside = Beside::begin(&name()).unwrap();
        let bad = beside.ask(|| panic!("on purpose"));
        let after = beside.ask(|| 1);
        let told = bad.wait(&name(), "the first").unwrap_err().to_string();
        assert!(told.contains("the first panicked"), "{told}");
        after.wait(&name(), "the second").unwrap_err();
        beside.end();
    }
}
