//! Starting the guests of a mark when the daemon starts, once in a boot of the host.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use tokio::task::JoinSet;
use tracing::{error, info, warn};
use vserver_api::StartRequest;
use vserver_config::Boot;
use vserver_config::order::Order;
use vserver_runtime::Host;
use vserver_types::GuestName;

use crate::error::chain;
use crate::launcher::{Launcher, Outcome, Task};
use crate::once::Once;

/// Starts the guests of `mark` and what they depend on, twice as many at once as there are CPUs. A failure is logged and
/// keeps back those that depend on it. A daemon that is started again in the same boot starts nobody: a guest that was
/// stopped meanwhile was meant to be.
pub async fn run(host: Host, launcher: Launcher, mark: String) {
    let once = Once::for_mark(&host, &mark);
    if once.is_done() {
        info!("the guests of mark '{mark}' have been started in this boot already; none is started now");
        return;
    }
    let read = tokio::task::spawn_blocking(move || order(&host, &mark));
    if let Ok(Some(order)) = read.await {
        start_all(order, &launcher).await;
    }
    if let Err(failure) = once.done() {
        warn!("marked guests are going to be started again with the next daemon: {failure}");
    }
}

async fn start_all(order: Order, launcher: &Launcher) {
    let mut schedule = order.schedule;
    let mut starts = JoinSet::new();
    loop {
        while let Some(name) = schedule.begin() {
            let launcher = launcher.clone();
            starts.spawn(async move { (launcher.ask(start(&name)).await, name) });
        }
        let Some(ended) = starts.join_next().await else {
            return;
        };
        if let Ok((outcome, name)) = ended {
            for kept_back in schedule.ended(&name, tell(&name, &outcome)) {
                error!("guest '{kept_back}' is not started: it depends on '{name}', which could not be started");
            }
        }
    }
}

fn start(name: &GuestName) -> Task {
    Task::Start { name: name.clone(), request: StartRequest::default() }
}

/// Logs how it went; whether the guest runs.
fn tell(name: &GuestName, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Started(answer) if answer.already_running => true,
        Outcome::Started(answer) => {
            info!("guest '{name}' started at context {}", answer.xid);
            for text in answer.unenforced.iter().map(ToString::to_string).chain(answer.warnings.iter().cloned()) {
                warn!("guest '{name}': {text}");
            }
            true
        }
        Outcome::Refused(refusal) => {
            error!("guest '{name}' could not be started: {}", refusal.error);
            false
        }
        Outcome::Stopped(_) => false,
    }
}

/// The start of all enabled guests of a mark; what is wrong with the files that say so is logged.
fn order(host: &Host, mark: &str) -> Option<Order> {
    let boot = match Boot::read(&host.confdir) {
        Ok(boot) => boot,
        Err(failure) => {
            error!("no guest is started: {}", chain(&failure));
            return None;
        }
    };
    for finding in &boot.findings {
        warn!("{finding}");
    }
    let wanted: BTreeSet<GuestName> = boot.marked(mark).cloned().collect();
    let at_once = std::thread::available_parallelism().map_or(2, |cpus| 2 * cpus.get());
    let order = Order::to_start(&wanted, &boot.depends(), NonZeroUsize::new(at_once).unwrap_or(NonZeroUsize::MIN));
    for circle in &order.circles {
        warn!("guests depend on each other in a circle, which is cut at its end: {circle}");
    }
    for lost in &order.lost {
        error!("guest '{}' is not started: it depends on '{}', which cannot be started", lost.name, lost.need);
    }
    Some(order)
}
