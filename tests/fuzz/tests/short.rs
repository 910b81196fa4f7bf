//! The corpus, and inputs that come from it by chance: always the same ones, so that a failure can be repeated.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::{Duration, Instant};

use vserver_fuzz::{Chance, seeds, target};

/// A reader takes no longer for one input, not even on a busy machine.
const LONGEST: Duration = Duration::from_secs(5);

fn short(name: &str, inputs: usize) {
    let target = target(name).unwrap();
    let seeds = seeds(name);
    assert!(!seeds.is_empty());
    for (path, seed) in &seeds {
        println!("{}", path.display());
        timed(|| target(seed), || path.display().to_string());
    }
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, seed)| seed).collect();
    let mut chance = Chance::new(20_261_127);
    for number in 0..inputs {
        let input = chance.input(&seeds);
        let shown = || format!("input {number}: {:?}", String::from_utf8_lossy(&input));
        let done = std::panic::catch_unwind(|| timed(|| target(&input), shown));
        if let Err(panic) = done {
            println!("{}", shown());
            std::panic::resume_unwind(panic);
        }
    }
}

fn timed(work: impl FnOnce(), what: impl Fn() -> String) {
    let begun = Instant::now();
    work();
    assert!(begun.elapsed() < LONGEST, "{:?} for {}", begun.elapsed(), what());
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
    config: 400,
    fstab: 2000,
    flags: 10_000,
    words: 20_000,
    cgroup: 5000,
    passwd: 5000,
    state: 5000,
    tar: 1000,
}
