use super::*;

use proptest::prelude::*;

fn name(text: &str) -> GuestName {
    text.parse().unwrap()
}

fn at_most(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

fn names(text: &str) -> BTreeSet<GuestName> {
    text.split_whitespace().map(name).collect()
}

/// `a:b c` is a guest and its needs; whoever is needed without a line of its own is unknown.
fn depends(lines: &[&str]) -> Depends {
    let line = |line: &&str| {
        let (who, whom) = line.split_once(':').unwrap();
        (name(who), whom.split_whitespace().map(str::to_owned).collect())
    };
    lines.iter().map(line).collect()
}

/// Everything that may begin, one after the other, all going well.
fn run(schedule: &mut Schedule) -> String {
    let mut order = Vec::new();
    while let Some(next) = schedule.begin() {
        assert!(schedule.ended(&next, true).is_empty());
        order.push(next.to_string());
    }
    order.join(" ")
}

#[test]
fn needs_come_first_at_any_depth_and_from_outside_of_the_set() {
    let depends = depends(&["web:db cache", "db:disk", "disk:keys", "other:db", "cache:", "keys:", "alone:"]);
    let mut order = Order::to_start(&names("web alone"), &depends, at_most(9));
    assert!(order.circles.is_empty() && order.lost.is_empty());
    assert_eq!(run(&mut order.schedule), "alone cache keys disk db web");
}

#[test]
fn stopping_is_the_reverse_within_the_set_also_across_a_gap() {
    let depends = depends(&["web:db", "db:disk", "disk:", "other:disk"]);
    let mut order = Order::to_stop(&names("disk web"), &depends, at_most(9));
    assert_eq!(run(&mut order.schedule), "web disk", "through db, which is not of the set");
    let mut order = Order::to_stop(&names("web db disk other"), &depends, at_most(1));
    assert_eq!(run(&mut order.schedule), "other web db disk");
}

#[test]
fn independent_ones_go_together_up_to_the_bound() {
    let mut order = Order::to_start(&names("a b c d"), &depends(&["a:", "b:", "c:a", "d:"]), at_most(2));
    let schedule = &mut order.schedule;
    assert_eq!((schedule.begin(), schedule.begin(), schedule.begin()), (Some(name("a")), Some(name("b")), None));
    schedule.ended(&name("b"), true);
    assert_eq!(schedule.begin(), Some(name("d")), "c waits for a");
    schedule.ended(&name("a"), true);
    assert_eq!(schedule.begin(), Some(name("c")));
    assert_eq!(schedule.waiting().count(), 0);
}

#[test]
fn a_failed_start_keeps_back_what_needs_it_and_nobody_else() {
    let depends = depends(&["a:", "b:a", "c:b", "d:"]);
    let mut order = Order::to_start(&names("a b c d"), &depends, at_most(9));
    assert_eq!(order.schedule.begin(), Some(name("a")));
    assert_eq!(order.schedule.ended(&name("a"), false), [name("b"), name("c")]);
    assert_eq!(run(&mut order.schedule), "d");
    let mut order = Order::to_stop(&names("a b"), &depends, at_most(9));
    assert_eq!(order.schedule.begin(), Some(name("b")));
    assert!(order.schedule.ended(&name("b"), false).is_empty());
    assert_eq!(run(&mut order.schedule), "a", "a guest that does not stop keeps nobody back");
}

#[test]
fn an_unknown_need_loses_the_guest_and_what_needs_it() {
    let depends = depends(&["a:", "b:nobody no/name", "c:a b"]);
    let mut order = Order::to_start(&names("a c"), &depends, at_most(9));
    let lost = |name: &str, need: &str| Lost { name: self::name(name), need: need.to_owned() };
    assert_eq!(order.lost, [lost("b", "nobody"), lost("c", "b")]);
    assert_eq!(run(&mut order.schedule), "a");
}

#[test]
fn a_circle_is_named_and_loses_one_edge() {
    let depends = depends(&["a:b", "b:c", "c:a", "x:x"]);
    let mut order = Order::to_start(&names("c"), &depends, at_most(9));
    assert_eq!(order.circles, [Circle(["c", "a", "b"].map(name).to_vec())]);
    assert_eq!(order.circles[0].to_string(), "c -> a -> b -> c");
    assert_eq!(run(&mut order.schedule), "b a c");
    let all: Vec<_> = circles(&depends).iter().map(Circle::to_string).collect();
    assert_eq!(all, ["a -> b -> c -> a", "x -> x"]);
    let mut order = Order::to_stop(&names("a b c x"), &depends, at_most(9));
    assert_eq!(run(&mut order.schedule), "a b c x");
}

#[test]
fn whoever_is_part_of_a_circle_learns_it() {
    let depends = depends(&["a:b", "b:d c", "c:a", "d:", "e:a", "x:x"]);
    let through = |name: &str| circle_through(&self::name(name), &depends).map(|circle| circle.to_string());
    assert_eq!(through("b").as_deref(), Some("b -> c -> a -> b"));
    assert_eq!(through("x").as_deref(), Some("x -> x"));
    assert_eq!((through("d"), through("e")), (None, None), "e only leads to one");
}

/// Up to twelve guests that need each other anyhow, some of them somebody unknown.
fn graphs() -> impl Strategy<Value = (Depends, BTreeSet<GuestName>)> {
    let needs = prop::collection::vec(prop::collection::vec(0_u8..14, 0..4), 12);
    (needs, prop::collection::btree_set(0_u8..12, 0..12)).prop_map(|(needs, wanted)| {
        let guest = |index: u8| format!("g{index}");
        let line =
            |(index, needs): (usize, Vec<u8>)| (name(&format!("g{index}")), needs.into_iter().map(guest).collect());
        (needs.into_iter().enumerate().map(line).collect(), wanted.into_iter().map(|i| name(&guest(i))).collect())
    })
}

/// Begins and ends guests in an order that `choices` makes; what began, in order, and who ended before that.
fn play(schedule: &mut Schedule, bound: usize, choices: &[(usize, bool)]) -> Vec<(GuestName, BTreeSet<GuestName>)> {
    let (mut running, mut ended_well, mut log) = (Vec::new(), BTreeSet::new(), Vec::new());
    let mut choices = choices.iter().cycle();
    loop {
        while let Some(next) = schedule.begin() {
            log.push((next.clone(), ended_well.clone()));
            running.push(next);
            assert!(running.len() <= bound);
        }
        if running.is_empty() {
            return log;
        }
        let (which, well) = choices.next().unwrap();
        let done = running.swap_remove(which % running.len());
        schedule.ended(&done, *well);
        if *well {
            ended_well.insert(done);
        }
    }
}

proptest! {
    #[test]
    fn whatever_the_graph_and_the_luck(
        (depends, wanted) in graphs(),
        bound in 1_usize..5,
        choices in prop::collection::vec((0_usize..8, prop::bool::weighted(0.8)), 1..30),
    ) {
        let cut = |circles: &[Circle], who: &GuestName, whom: &GuestName| {
            circles.iter().any(|circle| circle.0.last() == Some(who) && circle.0.first() == Some(whom))
        };
        let mut order = Order::to_start(&wanted, &depends, at_most(bound));
        let log = play(&mut order.schedule, bound, &choices);
        prop_assert_eq!(order.schedule.waiting().count(), 0, "nobody is forgotten");
        let begun: BTreeSet<_> = log.iter().map(|(name, _)| name).collect();
        prop_assert_eq!(begun.len(), log.len(), "nobody begins twice");
        for (name, up) in &log {
            for need in &depends[name] {
                let need: GuestName = need.parse().unwrap();
                prop_assert!(up.contains(&need) || cut(&order.circles, name, &need), "{} before {}", name, need);
            }
        }
        let mut order = Order::to_stop(&wanted, &depends, at_most(bound));
        let log = play(&mut order.schedule, bound, &choices);
        let stopped: Vec<_> = log.iter().map(|(name, _)| name.clone()).collect();
        prop_assert_eq!(stopped.iter().cloned().collect::<BTreeSet<_>>(), wanted, "all of the set and nobody else");
        for (index, name) in stopped.iter().enumerate() {
            for need in depends[name].iter().map(|need| need.parse::<GuestName>().unwrap()) {
                let early = stopped[..index].contains(&need);
                prop_assert!(!early || cut(&order.circles, name, &need), "{} stopped before {}", need, name);
            }
        }
    }

    #[test]
    fn without_failures_and_faults_all_that_is_wanted_begins((depends, wanted) in graphs()) {
        let known: Depends = depends.keys().map(|name| {
            let needs = depends[name].iter().filter(|need| need.parse().is_ok_and(|need: GuestName| need < *name));
            (name.clone(), needs.cloned().collect())
        }).collect();
        let mut order = Order::to_start(&wanted, &known, at_most(3));
        prop_assert!(order.circles.is_empty());
        let known_only = order.lost.is_empty();
        let log = play(&mut order.schedule, 3, &[(0, true)]);
        let begun: BTreeSet<_> = log.into_iter().map(|(name, _)| name).collect();
        prop_assert!(!known_only || wanted.is_subset(&begun));
    }
}
