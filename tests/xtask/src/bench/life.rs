//! The set `life`: start, stop, run a command, boot a distribution, stay resident.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::figure::{Figure, Goal};
use super::stage::Runtime;
use crate::shell::say;
use crate::{Outcome, debian};

/// Samples of each figure.
const ROUNDS: u32 = 21;

type Samples = BTreeMap<&'static str, Vec<f64>>;

/// Measures the whole set.
pub fn measure(runtimes: &[Box<dyn Runtime>], tree: &Path) -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    for runtime in runtimes {
        runtime.configure(tree)?;
    }
    say("start and stop of a shell-only guest");
    let work = "start + stop, shell-only guest";
    figures.push(Figure::new(work, "ms", Goal::Of("lxc", 0.5), rounds(runtimes, start_and_kill)?));
    let staying: Vec<&dyn Runtime> =
        runtimes.iter().map(AsRef::as_ref).filter(|r| r.name() != "systemd-nspawn").collect();
    say("a command in a running guest");
    figures.push(in_a_running_guest(&staying)?);
    figures.push(resident(&staying)?);
    let booting: Vec<&dyn Runtime> = staying.into_iter().filter(|runtime| runtime.boots()).collect();
    say("boot of Debian 12");
    figures.push(boots(&booting)?);
    Ok(figures)
}

/// Takes turns, so that a slow minute of the machine is slow for all; the first round is not counted.
fn rounds(runtimes: &[Box<dyn Runtime>], work: fn(&dyn Runtime) -> Outcome) -> Result<Samples, String> {
    let mut samples = Samples::new();
    for round in 0..=ROUNDS {
        for runtime in runtimes {
            let begun = Instant::now();
            work(runtime.as_ref())?;
            if round > 0 {
                samples.entry(runtime.name()).or_default().push(milliseconds(begun));
            }
        }
    }
    Ok(samples)
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

fn start_and_kill(runtime: &dyn Runtime) -> Outcome {
    runtime.start()?;
    runtime.kill()
}

/// All guests run at once, each under its own runtime.
fn in_a_running_guest(runtimes: &[&dyn Runtime]) -> Result<Figure, String> {
    let mut samples = Samples::new();
    for runtime in runtimes {
        runtime.start()?;
    }
    for round in 0..=ROUNDS {
        for runtime in runtimes {
            let begun = Instant::now();
            runtime.exec(&["true"])?;
            if round > 0 {
                samples.entry(runtime.name()).or_default().push(milliseconds(begun));
            }
        }
    }
    for runtime in runtimes {
        runtime.kill()?;
    }
    Ok(Figure::new("run `true` in a running guest", "ms", Goal::Of("lxc", 1.0), samples))
}

/// Proportional set size of what stays beside a guest.
fn resident(runtimes: &[&dyn Runtime]) -> Result<Figure, String> {
    let mut samples = Samples::new();
    for _ in 0..ROUNDS {
        for runtime in runtimes {
            runtime.start()?;
            // It has done its work and is asleep.
            sleep(Duration::from_millis(50));
            let all: Vec<f64> = runtime.monitors().into_iter().filter_map(pss).collect();
            if !all.is_empty() {
                samples.entry(runtime.name()).or_default().push(all.iter().sum());
            }
            runtime.kill()?;
        }
    }
    Ok(Figure::new("resident per guest (PSS)", "kB", Goal::AtMost(1024.0), samples))
}

fn pss(pid: i32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// From the start's first instruction to systemd's own verdict, asked in the same way of all.
fn boots(runtimes: &[&dyn Runtime]) -> Result<Figure, String> {
    let mut samples = Samples::new();
    for runtime in runtimes {
        runtime.configure(&debian::tree())?;
    }
    for round in 0..=ROUNDS {
        for runtime in runtimes {
            let begun = Instant::now();
            runtime.start()?;
            wait_until_running(*runtime, begun)?;
            if round > 0 {
                samples.entry(runtime.name()).or_default().push(milliseconds(begun));
            }
            runtime.kill()?;
        }
    }
    Ok(Figure::new("boot Debian 12 to `running`", "ms", Goal::Of("lxc", 1.05), samples))
}

/// `--wait` blocks inside until the boot is over; before systemd listens it fails at once.
fn wait_until_running(runtime: &dyn Runtime, begun: Instant) -> Outcome {
    loop {
        match runtime.exec(&["systemctl", "is-system-running", "--wait"]) {
            Ok(()) => return Ok(()),
            Err(error) if begun.elapsed() > Duration::from_secs(60) => {
                return Err(format!("Debian did not reach `running` under {}: {error}", runtime.name()));
            }
            Err(_) => sleep(Duration::from_millis(5)),
        }
    }
}
