//! The set `net`: a guest on the host's stack against the host itself, and, for comparison, guests behind a pair and a bridge.
//!
//! All talk to one server of the host in this network namespace, in turns: what happens to the machine happens to all.

mod guests;
mod rate;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

pub use rate::{ACCEPT, CONNECT, accept, connect};

use self::guests::{Place, SERVER, places};
use super::figure::median;
use crate::Outcome;
use crate::shell::{command, run};

const ROUNDS: usize = 7;
const SECONDS: &str = "1";
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

/// What was found of one place.
struct Samples {
    name: &'static str,
    bits: Vec<f64>,
    connections: Vec<f64>,
}

/// Measures the set and prints it.
pub fn measure(bin: &Path, home: &Path, json: bool) -> Outcome {
    network()?;
    let me = std::env::current_exe().map_err(|error| format!("could not find this program: {error}"))?;
    let _servers = [
        serve(command("iperf3", &["-s", "-B", SERVER, "-p", PORT]))?,
        serve(command(&me, &["bench", ACCEPT, &format!("{SERVER}:{RATE_PORT}")]))?,
    ];
    let all = places(bin, home, &me)?;
    let found = rounds(&all)?;
    print(&found, json);
    Ok(())
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

fn rounds(all: &[Place]) -> Result<Vec<Samples>, String> {
    let mut found: Vec<Samples> =
        all.iter().map(|place| Samples { name: place.name, bits: Vec::new(), connections: Vec::new() }).collect();
    for round in 0..=ROUNDS {
        for (place, samples) in all.iter().zip(&mut found) {
            let (bits, connections) = (throughput(place)?, connections(place)?);
            // The first is for caches and neighbours.
            if round > 0 {
                samples.bits.push(bits);
                samples.connections.push(connections);
            }
        }
    }
    Ok(found)
}

/// Bits per second of one TCP stream, as its receiver counts.
fn throughput(place: &Place) -> Result<f64, String> {
    let text = place.ask("iperf3", &["-c", SERVER, "-p", PORT, "-t", SECONDS, "-J"])?;
    let report: Value = serde_json::from_str(&text).map_err(|error| format!("{}: iperf3: {error}", place.name))?;
    report["end"]["sum_received"]["bits_per_second"].as_f64().ok_or_else(|| format!("{}: {text}", place.name))
}

/// Connections per second that are made, answered and closed one after the other.
fn connections(place: &Place) -> Result<f64, String> {
    let text = place.ask("rate", &["bench", CONNECT, &format!("{SERVER}:{RATE_PORT}"), SECONDS])?;
    text.trim().parse().map_err(|_| format!("{}: {text}", place.name))
}

fn print(found: &[Samples], json: bool) {
    let medians: Vec<_> = found
        .iter()
        .map(|samples| (samples.name, median(samples.bits.clone()), median(samples.connections.clone())))
        .collect();
    let Some(&(_, host_bits, host_connections)) = medians.first() else { return };
    if !json {
        println!(
            "{:<34} {:>9} {:>8} {:>14} {:>8}",
            "one TCP stream, connections (medians)", "Gbit/s", "of host", "connections/s", "of host"
        );
    }
    for (name, bits, connections) in medians {
        let (share, rate_share) = (bits / host_bits, connections / host_connections);
        if json {
            let goal = name.starts_with("ours, the host's stack").then_some(GOAL);
            println!(
                "{}",
                json!({"set": "net", "place": name, "bits_per_second": bits, "of_host": share,
                       "connections_per_second": connections, "connections_of_host": rate_share, "goal": goal})
            );
        } else {
            println!("{name:<36} {:>9.2} {share:>8.3} {connections:>14.0} {rate_share:>8.3}", bits / 1e9);
        }
    }
    if !json {
        println!("goal: a guest on the host's stack at {GOAL} of the host or more");
    }
}
