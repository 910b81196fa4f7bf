//! In which order guests start: dependencies first, at all depths; what depends on a failure is not started.
//!
//! Pure: it is asked what may start now and told how that ended. Source: util-vserver, `behaviours.md` §8.

use std::collections::{BTreeMap, BTreeSet};

use vserver_types::GuestName;

/// Who needs whom, as configured.
pub type Depends = BTreeMap<GuestName, Vec<GuestName>>;

/// A set of guests on its way.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    /// Guests that have not begun, with what they still wait for.
    waiting: BTreeMap<GuestName, BTreeSet<GuestName>>,
}

/// A dependency that is ignored because it closes a circle: the first guest wanted the second one.
pub type Dropped = (GuestName, GuestName);

impl Schedule {
    /// The wanted guests and all that they depend on, whoever wants those. Circles lose one edge each.
    pub fn new(wanted: &[GuestName], depends: &Depends) -> (Self, Vec<Dropped>) {
        let mut walk = Walk { depends, path: Vec::new(), waiting: BTreeMap::new(), dropped: Vec::new() };
        for name in wanted.iter().collect::<BTreeSet<_>>() {
            walk.visit(name);
        }
        (Self { waiting: walk.waiting }, walk.dropped)
    }

    /// A guest that may start now, the alphabetically first one. It is not named again.
    pub fn next(&mut self) -> Option<GuestName> {
        let free = self.waiting.iter().find(|(_, needs)| needs.is_empty())?.0.clone();
        self.waiting.remove(&free);
        Some(free)
    }

    /// Takes notice that a guest runs, or does not. Returns those that will not be started because of it.
    pub fn ended(&mut self, name: &GuestName, runs: bool) -> Vec<GuestName> {
        if runs {
            for needs in self.waiting.values_mut() {
                needs.remove(name);
            }
            return Vec::new();
        }
        let mut given_up: Vec<GuestName> = Vec::new();
        loop {
            let failed = |need: &GuestName| need == name || given_up.contains(need);
            let lost = self.waiting.iter().find(|(_, needs)| needs.iter().any(failed));
            let Some(lost) = lost.map(|(lost, _)| lost.clone()) else {
                return given_up;
            };
            self.waiting.remove(&lost);
            given_up.push(lost);
        }
    }
}

/// Depth first, so that a guest that is met again on the way down closes a circle.
struct Walk<'d> {
    depends: &'d Depends,
    path: Vec<GuestName>,
    waiting: BTreeMap<GuestName, BTreeSet<GuestName>>,
    dropped: Vec<Dropped>,
}

impl Walk<'_> {
    fn visit(&mut self, name: &GuestName) {
        if self.waiting.contains_key(name) {
            return;
        }
        self.path.push(name.clone());
        let mut needs = BTreeSet::new();
        for need in self.depends.get(name).into_iter().flatten() {
            if self.path.contains(need) {
                self.dropped.push((name.clone(), need.clone()));
            } else {
                self.visit(need);
                needs.insert(need.clone());
            }
        }
        self.path.pop();
        self.waiting.insert(name.clone(), needs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> GuestName {
        text.parse().unwrap()
    }

    fn schedule(wanted: &str, depends: &[(&str, &str)]) -> (Schedule, Vec<Dropped>) {
        let names = |text: &str| text.split_whitespace().map(name).collect::<Vec<_>>();
        let depends = depends.iter().map(|(who, whom)| (name(who), names(whom))).collect();
        Schedule::new(&names(wanted), &depends)
    }

    /// Everything that may start, one after the other, all going well.
    fn run(schedule: &mut Schedule) -> String {
        let mut order = Vec::new();
        while let Some(next) = schedule.next() {
            assert!(schedule.ended(&next, true).is_empty());
            order.push(next.to_string());
        }
        order.join(" ")
    }

    #[test]
    fn dependencies_come_first_at_any_depth_and_from_outside_of_the_set() {
        let depends = [("web", "db cache"), ("db", "disk"), ("disk", "keys"), ("other", "db")];
        let (mut schedule, dropped) = schedule("web alone", &depends);
        assert!(dropped.is_empty());
        assert_eq!(run(&mut schedule), "alone cache keys disk db web");
    }

    #[test]
    fn independent_ones_may_start_together() {
        let (mut schedule, _) = schedule("a b c", &[("c", "a")]);
        assert_eq!(schedule.next(), Some(name("a")));
        assert_eq!(schedule.next(), Some(name("b")));
        assert_eq!(schedule.next(), None, "c waits for a");
        schedule.ended(&name("a"), true);
        assert_eq!(schedule.next(), Some(name("c")));
    }

    #[test]
    fn a_failure_takes_its_dependents_along_and_nobody_else() {
        let (mut schedule, _) = schedule("a b c d", &[("b", "a"), ("c", "b")]);
        assert_eq!(schedule.next(), Some(name("a")));
        assert_eq!(schedule.ended(&name("a"), false), [name("b"), name("c")]);
        assert_eq!(run(&mut schedule), "d");
    }

    #[test]
    fn a_circle_loses_one_edge() {
        let (mut schedule, dropped) = schedule("c", &[("a", "b"), ("b", "c"), ("c", "a")]);
        assert_eq!(dropped, [(name("b"), name("c"))]);
        assert_eq!(run(&mut schedule), "b a c");
        let (mut schedule, dropped) = self::schedule("x", &[("x", "x")]);
        assert_eq!(dropped, [(name("x"), name("x"))]);
        assert_eq!(run(&mut schedule), "x");
    }
}
