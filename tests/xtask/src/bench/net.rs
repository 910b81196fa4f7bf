//! The set `net`: a guest on the host's stack against the host itself, and, for comparison, guests behind a pair and a bridge.
//!
//! All talk to one server of the host in this network namespace. Client and server share one processor, and speed is what
//! is done in a second that it works for them: so it says what a byte and a connection cost altogether, and neither how
//! well two processors happen to wake each other nor what else the machine does. Each place is measured right beside the
//! host, in short turns whose order changes, and what counts is the median of the ratios. "The host" is a process in the root
//! cgroup, where on a real host next to nothing runs; so a guest on the host's stack is also measured beside a process in a cgroup
//! of its own, as each service of systemd is one: the difference is what its programs and its filter of calls cost.

mod guests;
mod rate;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use serde_json::{Value, json};

pub use rate::{ACCEPT, CONNECT, accept, connect};

use self::guests::{IN_CGROUP, Place, SERVER, SHARED, places};
use super::figure::median;
use crate::Outcome;
use crate::shell::{command, run};

/// Pairs of turns for each place.
const ROUNDS: usize = 40;
/// So many times as many for the guest that has a goal: medians of 40 pairs still differ by a hundredth from run to run.
const MORE: usize = 3;
/// How much a turn sends.
const BYTES: &str = "512M";
/// How long a turn connects.
const SECONDS: &str = "0.2";
const PORT: &str = "5201";
const RATE_PORT: &str = "5202";
/// What a guest on the host's stack must reach of the host's own.
const GOAL: f64 = 0.98;

/// A server that ends with this.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Served {
    /// Seconds that a processor has worked for it. It has one thread.
    fn processor(&self) -> Result<f64, String> {
        let path = format!("/proc/{}/schedstat", self.0.id());
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
        nanoseconds.map(|time| time / 1e9).ok_or_else(|| format!("{path}: {text}"))
    }
}

/// Work done in one turn, the time that it took, and how long the processor worked for it.
#[derive(Clone, Copy)]
struct Done {
    work: f64,
    seconds: f64,
    processor: f64,
}

/// One turn of one place: bits of one TCP stream, and connections.
#[derive(Clone, Copy)]
struct Turn {
    stream: Done,
    connections: Done,
}

/// What was found of one place: its turns, each with one of what it is compared with beside it.
struct Samples {
    name: &'static str,
    beside: &'static str,
    turns: Vec<(Turn, Turn)>,
}

impl Samples {
    /// Medians of its own speed and of what that is of the other's in the same time of the processor.
    fn medians(&self, of: impl Fn(Turn) -> Done) -> (f64, f64) {
        let speed = |done: Done| done.work / done.seconds;
        let worth = |done: Done| done.work / done.processor;
        let speeds = self.turns.iter().map(|(_, own)| speed(of(*own))).collect();
        let ratios = self.turns.iter().map(|(host, own)| worth(of(*own)) / worth(of(*host))).collect();
        (median(speeds), median(ratios))
    }
}

/// Measures the set and prints it.
pub fn measure(bin: &Path, home: &Path, json: bool) -> Outcome {
    network()?;
    let cpu = processor()?;
    let me = std::env::current_exe().map_err(|error| format!("could not find this program: {error}"))?;
    let _streams = serve(command("iperf3", &["-s", "-B", SERVER, "-p", PORT]))?;
    let server = serve(command(&me, &["bench", ACCEPT, &cpu, &format!("{SERVER}:{RATE_PORT}")]))?;
    let all = places(bin, home, &me)?;
    print(&rounds(&all, &Ground { cpu, server })?, json);
    Ok(())
}

/// What all turns share.
struct Ground {
    cpu: String,
    /// The one of connections.
    server: Served,
}

/// The number of the first one that this process may use.
fn processor() -> Result<String, String> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).map_err(|errno| format!("the processors: {errno}"))?;
    let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    first.map(|cpu| cpu.to_string()).ok_or_else(|| "this process may use no processor".into())
}

fn network() -> Outcome {
    let ip = |words: &str| run(&mut command("ip", &words.split(' ').collect::<Vec<_>>()));
    ip("link add br77 type bridge")?;
    ip(&format!("addr add {SERVER}/24 dev br77"))?;
    ip("link set br77 up")
}

fn serve(mut server: Command) -> Result<Served, String> {
    let child = server.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    child.map(Served).map_err(|error| format!("could not run {server:?}: {error}"))
}

/// Each place beside the host, which is the first of them, and the guest on the host's stack beside a service, too.
fn pairs(all: &[Place]) -> Vec<(&Place, &Place)> {
    let Some((host, others)) = all.split_first() else { return Vec::new() };
    let named = |name: &str| others.iter().find(|place| place.name == name);
    let service = named(IN_CGROUP).zip(named(SHARED));
    others.iter().map(|place| (host, place)).chain(service).collect()
}

/// The first round is for caches and neighbours.
fn rounds(all: &[Place], ground: &Ground) -> Result<Vec<Samples>, String> {
    let pairs = pairs(all);
    let new =
        |(beside, place): &(&Place, &Place)| Samples { name: place.name, beside: beside.name, turns: Vec::new() };
    let mut found: Vec<Samples> = pairs.iter().map(new).collect();
    for round in 0..=ROUNDS {
        for ((beside, place), samples) in pairs.iter().zip(&mut found) {
            let turns = if place.name == SHARED && round > 0 { MORE } else { 1 };
            for time in 0..turns {
                let pair = both(beside, place, (round + time) % 2 == 0, ground)?;
                samples.turns.extend((round > 0).then_some(pair));
            }
        }
    }
    Ok(found)
}

/// A turn of each, in that order or the other.
fn both(beside: &Place, place: &Place, in_order: bool, ground: &Ground) -> Result<(Turn, Turn), String> {
    if in_order {
        return Ok((turn(beside, ground)?, turn(place, ground)?));
    }
    let own = turn(place, ground)?;
    Ok((turn(beside, ground)?, own))
}

fn turn(place: &Place, ground: &Ground) -> Result<Turn, String> {
    Ok(Turn { stream: stream(place, &ground.cpu)?, connections: connections(place, ground)? })
}

/// One TCP stream, as its receiver counts.
fn stream(place: &Place, cpu: &str) -> Result<Done, String> {
    // The server follows the client to the processor after the comma.
    let both = format!("{cpu},{cpu}");
    let text = place.ask("iperf3", &["-c", SERVER, "-p", PORT, "-A", &both, "-n", BYTES, "-J"])?;
    let report: Value = serde_json::from_str(&text).map_err(|error| format!("{}: iperf3: {error}", place.name))?;
    let end = &report["end"];
    let number = |value: &Value| value.as_f64().ok_or_else(|| format!("{}: {text}", place.name));
    let seconds = number(&end["sum_received"]["seconds"])?;
    let percent = &end["cpu_utilization_percent"];
    let processor = (number(&percent["host_total"])? + number(&percent["remote_total"])?) / 100.0 * seconds;
    Ok(Done { work: number(&end["sum_received"]["bytes"])? * 8.0, seconds, processor })
}

/// Connections that are made, answered and closed one after the other.
fn connections(place: &Place, ground: &Ground) -> Result<Done, String> {
    let before = ground.server.processor()?;
    let text = place.ask("rate", &["bench", CONNECT, &ground.cpu, &format!("{SERVER}:{RATE_PORT}"), SECONDS])?;
    let server = ground.server.processor()? - before;
    match text.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>().as_deref() {
        Ok(&[work, seconds, client]) => Ok(Done { work, seconds, processor: client + server }),
        _ => Err(format!("{}: {text}", place.name)),
    }
}

fn print(found: &[Samples], json: bool) {
    if !json {
        println!(
            "{:<28} {:<22} {:>7} {:>7} {:>14} {:>7}",
            "one TCP stream, connections", "beside", "Gbit/s", "of it", "connections/s", "of it"
        );
    }
    for samples in found {
        let Samples { name, beside, .. } = samples;
        let ((bits, share), (connections, rate_share)) =
            (samples.medians(|turn| turn.stream), samples.medians(|turn| turn.connections));
        if json {
            let goal = (*name == SHARED).then_some(GOAL);
            println!(
                "{}",
                json!({"set": "net", "place": name, "beside": beside, "bits_per_second": bits, "of_it": share,
                       "connections_per_second": connections, "connections_of_it": rate_share, "goal": goal})
            );
        } else {
            println!(
                "{name:<28} {beside:<22} {:>7.2} {share:>7.3} {connections:>14.0} {rate_share:>7.3}",
                bits / 1e9
            );
        }
    }
    if !json {
        println!(
            "medians of {ROUNDS} turns, of {} for the guest on the host's stack; of it: ratio of the work in the same \
             time of the processor, beside the other",
            ROUNDS * MORE
        );
        println!("goal: a guest on the host's stack at {GOAL} or more");
    }
}
