//! The corpus, and inputs that come from it by chance: always the same ones, so that a failure can be repeated.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::{Duration, Instant};

use vserver_fuzz::{Chance, Target, seeds, target};

/// A reader takes no longer for one input, not even on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);

fn short(name: &str, inputs: usize) {
    let target = target(name).unwrap();
    let seeds = seeds(name);
    assert!(!seeds.is_empty());
    for (path, seed) in &seeds {
        one(target, seed, || path.display().to_string());
    }
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, seed)| seed).collect();
    let mut chance = Chance::new(20_261_127);
    for number in 0..inputs {
        let input = chance.input(&seeds);
        one(target, &input, || format!("input {number}: {:?}", String::from_utf8_lossy(&input)));
    }
}

/// The reader's own panic is printed; this one tells of which input it was.
fn one(target: Target, input: &[u8], shown: impl Fn() -> String) {
    let begun = Instant::now();
    assert!(std::panic::catch_unwind(|| target(input)).is_ok(), "{}", shown());
    assert!(begun.elapsed() < LONGEST, "{:?} for {}", begun.elapsed(), shown());
}

macro_rules! shorts {
    ($($name:ident: $inputs:literal),+ $(,)?) => {
        $(#[test]
        fn $name() {
            short(stringify!($name), $inputs);
        })+

        #[test]
        fn every_reader_is_here() {
            let here = [$(stringify!($name)),+];
            assert!(vserver_fuzz::TARGETS.iter().all(|(name, _)| here.contains(name)) && here.len() == vserver_fuzz::TARGETS.len());
        }
    };
}

shorts! {
    config: 150,
    fstab: 2000,
    flags: 10_000,
    words: 10_000,
    cgroup: 5000,
    passwd: 5000,
    proc: 5000,
    state: 3000,
    tar: 500,
}
