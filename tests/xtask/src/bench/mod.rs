//! `bench`: ours and every peer that is installed, side by side, interleaved in one run.
//!
//! Absolute times move with the machine; only figures of one run may be compared.

mod figure;
mod life;
mod lxc;
mod net;
mod nspawn;
mod ours;
mod runc;
mod stage;
mod store;

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::build::{PROGRAMS, release};
use crate::shell::{need_root, say};
use crate::{debian, packages};

/// The peers, as Debian packages, and what the guests are made of.
const PACKAGES: &[&str] =
    &["lxc", "runc", "systemd-container", "busybox-static", "debootstrap", "iproute2", "util-linux", "iperf3"];
/// First word of the process that measures, in namespaces of its own.
const INSIDE: &str = "--inside";

/// Runs the verb.
pub fn run(words: &[&str]) -> Outcome {
    match *words {
        [INSIDE, set, bin, format] => return stage::perform(set, bin.as_ref(), format == "--json"),
        [net::ACCEPT, cpu, address] => return net::accept(cpu, address),
        [net::CONNECT, cpu, address, seconds] => return net::connect(cpu, address, seconds),
        _ => {}
    }
    let (json, full) = (words.contains(&"--json"), words.contains(&"--full"));
    let set = match words.iter().filter(|word| !word.starts_with("--")).collect::<Vec<_>>()[..] {
        [] => "life",
        [&"store"] => return store(&store::Order { part: None, full, json }),
        [&"store", &part] if store::PARTS.contains(&part) => {
            return store(&store::Order { part: Some(part), full, json });
        }
        [&set @ ("life" | "net")] => set,
        _ => {
            let parts: String = store::PARTS.iter().map(|part| format!(", store {part}")).collect();
            return Err(format!("there is no set '{}'; there are: life, net, store{parts}", words.join(" ")));
        }
    };
    need_root("bench")?;
    if let Err(why) = packages::ensure(PACKAGES) {
        // Without a network, what is installed is compared.
        say(&why);
    }
    let bin = release(PROGRAMS)?;
    if set == "life" {
        debian::ensure_tree()?;
    }
    in_namespaces(set, &bin, json)
}

/// Measures with guests that run.
fn in_namespaces(set: &str, bin: &Path, json: bool) -> Outcome {
    let made: Vec<_> = stage::RUN_DIRECTORIES.into_iter().filter(|dir| std::fs::create_dir(dir).is_ok()).collect();
    let outcome = measure(set, bin, json);
    for dir in made {
        let _ = std::fs::remove_dir(dir);
    }
    outcome
}

fn store(order: &store::Order<'_>) -> Outcome {
    need_root("bench store")?;
    if let Err(why) = packages::ensure(store::PACKAGES) {
        say(&why);
    }
    let bin = release(PROGRAMS)?;
    debian::ensure_tree()?;
    if order.part != Some(store::CACHE) {
        store::perform(order, &bin)?;
    }
    if order.part.is_none_or(|part| part == store::CACHE) {
        in_namespaces(store::CACHE, &bin, order.json)?;
    }
    Ok(())
}

fn measure(set: &str, bin: &Path, json: bool) -> Outcome {
    let me = std::env::current_exe().map_err(|error| format!("could not find this program: {error}"))?;
    // A network of its own: the same Debian guest listens on the same ports under every runtime. A mount namespace of
    // its own: nothing of the host's own guests is seen or touched.
    let mut inside = Command::new("unshare");
    inside.args(["--net", "--mount", "--propagation", "private"]).arg(me).args(["bench", INSIDE, set]);
    let status = inside.arg(bin).arg(if json { "--json" } else { "--table" }).status();
    let status = status.map_err(|error| format!("could not run unshare: {error}"))?;
    if status.success() { Ok(()) } else { Err("the measurement failed".into()) }
}
