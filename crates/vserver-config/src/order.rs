//! In which order guests start and stop: `depends` as a graph.
//!
//! Pure: a [`Schedule`] is asked what may begin now and told how that ended. Source: util-vserver, `behaviours.md` §8;
//! where the original looks two levels deep, this one looks all the way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::num::NonZeroUsize;

use vserver_types::GuestName;

/// Who needs whom, as configured. The keys are all the guests that there are; a need that is none of them is unknown.
pub type Depends = BTreeMap<GuestName, Vec<String>>;

/// Guests that need each other: each one the next, the last one the first again. The need of the last one is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle(pub Vec<GuestName>);

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in self.0.iter().chain(self.0.first()).enumerate() {
            let arrow = if name.0 == 0 { "" } else { " -> " };
            write!(f, "{arrow}{}", name.1)?;
        }
        Ok(())
    }
}

/// A guest that cannot be started, since it needs one that is not there or that will itself not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Which guest.
    pub name: GuestName,
    /// What it needs, as configured.
    pub need: String,
}

/// Guests on their way, and what is wrong with their dependencies.
#[derive(Clone, Debug)]
pub struct Order {
    /// All that can be done.
    pub schedule: Schedule,
    /// Circles that were cut.
    pub circles: Vec<Circle>,
    /// Guests that cannot be started.
    pub lost: Vec<Lost>,
}

impl Order {
    /// The wanted guests and all that they need, whoever wants those; needs come first.
    pub fn to_start(wanted: &BTreeSet<GuestName>, depends: &Depends, at_once: NonZeroUsize) -> Self {
        let mut walk = Walk::over(wanted, depends);
        let mut lost = walk.unknown;
        let mut found = 0;
        // Whoever needs one of the lost is lost, too.
        while let Some(gone) = lost.get(found).map(|lost| lost.name.clone()) {
            found += 1;
            walk.needs.remove(&gone);
            let hit = walk.needs.iter().filter(|(_, needs)| needs.contains(&gone));
            let hit: Vec<_> = hit.map(|(name, _)| Lost { name: name.clone(), need: gone.to_string() }).collect();
            hit.iter().for_each(|lost| drop(walk.needs.remove(&lost.name)));
            lost.extend(hit);
        }
        Self { schedule: Schedule::new(walk.needs, true, at_once), circles: walk.circles, lost }
    }

    /// The wanted guests only; each before those that it needs, at whatever distance. A guest that does not stop keeps
    /// nobody back.
    pub fn to_stop(wanted: &BTreeSet<GuestName>, depends: &Depends, at_once: NonZeroUsize) -> Self {
        let walk = Walk::over(wanted, depends);
        let mut waiting: BTreeMap<_, _> = wanted.iter().map(|name| (name.clone(), BTreeSet::new())).collect();
        for name in wanted {
            for need in reach(&walk.needs, name) {
                if let Some(before) = waiting.get_mut(need) {
                    before.insert(name.clone());
                }
            }
        }
        Self { schedule: Schedule::new(waiting, false, at_once), circles: walk.circles, lost: Vec::new() }
    }
}

/// Everything that `name` needs, directly or not.
fn reach<'n>(needs: &'n BTreeMap<GuestName, BTreeSet<GuestName>>, name: &GuestName) -> BTreeSet<&'n GuestName> {
    let mut found = BTreeSet::new();
    let mut queue: Vec<&GuestName> = needs.get(name).into_iter().flatten().collect();
    while let Some(next) = queue.pop() {
        if found.insert(next) {
            queue.extend(needs.get(next).into_iter().flatten());
        }
    }
    found
}

/// A set of guests on its way.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Guests that have not begun, with what they still wait for.
    waiting: BTreeMap<GuestName, BTreeSet<GuestName>>,
    /// Whether a failure keeps back those that wait for it.
    binding: bool,
    running: usize,
    at_once: NonZeroUsize,
}

impl Schedule {
    fn new(waiting: BTreeMap<GuestName, BTreeSet<GuestName>>, binding: bool, at_once: NonZeroUsize) -> Self {
        Self { waiting, binding, running: 0, at_once }
    }

    /// A guest that may begin now, the alphabetically first one; it is not named again. `None`: all has begun, or what
    /// has begun must first end.
    pub fn begin(&mut self) -> Option<GuestName> {
        if self.running >= self.at_once.get() {
            return None;
        }
        let free = self.waiting.iter().find(|(_, needs)| needs.is_empty())?.0.clone();
        self.waiting.remove(&free);
        self.running += 1;
        Some(free)
    }

    /// Takes notice that one that had begun has ended, well or not. Returns those that will not begin because of it.
    pub fn ended(&mut self, name: &GuestName, well: bool) -> Vec<GuestName> {
        self.running = self.running.saturating_sub(1);
        if well || !self.binding {
            for needs in self.waiting.values_mut() {
                needs.remove(name);
            }
            return Vec::new();
        }
        let mut kept_back: Vec<GuestName> = Vec::new();
        loop {
            let failed = |need: &GuestName| need == name || kept_back.contains(need);
            let lost = self.waiting.iter().find(|(_, needs)| needs.iter().any(failed));
            let Some(lost) = lost.map(|(lost, _)| lost.clone()) else {
                return kept_back;
            };
            self.waiting.remove(&lost);
            kept_back.push(lost);
        }
    }

    /// Those that have not begun, by name.
    pub fn waiting(&self) -> impl Iterator<Item = &GuestName> {
        self.waiting.keys()
    }

    /// Lets nothing begin any more. Returns those that had not begun.
    pub fn give_up(&mut self) -> Vec<GuestName> {
        std::mem::take(&mut self.waiting).into_keys().collect()
    }
}

/// All circles among all guests, each once.
pub fn circles(depends: &Depends) -> Vec<Circle> {
    Walk::over(&depends.keys().cloned().collect(), depends).circles
}

/// A shortest circle that this guest is part of.
pub fn circle_through(name: &GuestName, depends: &Depends) -> Option<Circle> {
    let mut before: BTreeMap<GuestName, GuestName> = BTreeMap::new();
    let mut queue = VecDeque::from([name.clone()]);
    while let Some(next) = queue.pop_front() {
        for need in depends.get(&next).into_iter().flatten().filter_map(|need| need.parse::<GuestName>().ok()) {
            if need == *name {
                let mut path = vec![next];
                while let Some(above) = path.last().filter(|last| *last != name).and_then(|last| before.get(last)) {
                    path.push(above.clone());
                }
                path.reverse();
                return Some(Circle(path));
            }
            if depends.contains_key(&need) && !before.contains_key(&need) {
                before.insert(need.clone(), next.clone());
                queue.push_back(need);
            }
        }
    }
    None
}

/// Depth first, so that a guest that is met again on the way down closes a circle.
struct Walk<'d> {
    depends: &'d Depends,
    path: Vec<GuestName>,
    needs: BTreeMap<GuestName, BTreeSet<GuestName>>,
    circles: Vec<Circle>,
    unknown: Vec<Lost>,
}

impl<'d> Walk<'d> {
    fn over(wanted: &BTreeSet<GuestName>, depends: &'d Depends) -> Self {
        let mut walk =
            Walk { depends, path: Vec::new(), needs: BTreeMap::new(), circles: Vec::new(), unknown: Vec::new() };
        wanted.iter().for_each(|name| walk.visit(name));
        walk
    }

    fn visit(&mut self, name: &GuestName) {
        if self.needs.contains_key(name) {
            return;
        }
        self.path.push(name.clone());
        let mut needs = BTreeSet::new();
        for text in self.depends.get(name).into_iter().flatten() {
            let known = text.parse::<GuestName>().ok().filter(|need| self.depends.contains_key(need));
            let Some(need) = known else {
                if self.unknown.iter().all(|lost| lost.name != *name) {
                    self.unknown.push(Lost { name: name.clone(), need: text.clone() });
                }
                continue;
            };
            if let Some(first) = self.path.iter().position(|above| *above == need) {
                self.circles.push(Circle(self.path[first..].to_vec()));
            } else {
                self.visit(&need);
                needs.insert(need);
            }
        }
        self.path.pop();
        self.needs.insert(name.clone(), needs);
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
