//! Starting the guests of a mark when the daemon starts.

use std::collections::BTreeSet;

use tokio::task::JoinSet;
use tracing::{error, info, warn};
use vserver_api::StartRequest;
use vserver_runtime::Host;
use vserver_types::GuestName;

use crate::error::chain;
use crate::launcher::{Launcher, Outcome, Task};
use crate::order::{Depends, Schedule};

/// Who is to be started, and who needs whom; read from all enabled guests' configurations.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Guests of the mark.
    pub marked: Vec<GuestName>,
    /// Dependencies of everybody.
    pub depends: Depends,
}

/// Starts the guests of `mark` and what they depend on, twice as many at once as there are CPUs. A failure is logged and
/// keeps back those that depend on it.
pub async fn run(host: Host, launcher: Launcher, mark: String) {
    let read = tokio::task::spawn_blocking(move || wanted(&host, &mark));
    let Ok(wanted) = read.await else {
        return;
    };
    let (mut schedule, dropped) = Schedule::new(&wanted.marked, &wanted.depends);
    for (who, whom) in dropped {
        warn!("guests depend on each other in a circle: '{who}' is started without waiting for '{whom}'");
    }
    let at_once = 2 * std::thread::available_parallelism().map_or(1, usize::from);
    let mut starts = JoinSet::new();
    loop {
        while starts.len() < at_once
            && let Some(name) = schedule.next()
        {
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

/// Reads the marks and dependencies of every enabled guest; a configuration with faults is logged and left out.
fn wanted(host: &Host, mark: &str) -> Wanted {
    let names = vserver_config::list_enabled(&host.confdir).unwrap_or_else(|failure| {
        error!("no guest is started: {}", chain(&failure));
        Vec::new()
    });
    let enabled: BTreeSet<GuestName> = names.iter().cloned().collect();
    let mut wanted = Wanted::default();
    let mut queue = names;
    while let Some(name) = queue.pop() {
        let config = match vserver_config::read(&host.confdir, &name) {
            Ok((config, _)) => config,
            Err(failure) if enabled.contains(&name) => {
                error!("guest '{name}' is not started, its marks are not known: {}", chain(&failure));
                continue;
            }
            // Somebody's dependency: its start is going to say what is wrong with it.
            Err(_) => continue,
        };
        if enabled.contains(&name) && config.init.mark.iter().any(|line| line == mark) {
            wanted.marked.push(name.clone());
        }
        let needs = config.init.depends.iter().filter_map(|line| match line.parse::<GuestName>() {
            Ok(need) => Some(need),
            Err(fault) => {
                error!("guest '{name}' depends on something that is no guest: {fault}");
                None
            }
        });
        let needs: Vec<GuestName> = needs.collect();
        // A disabled guest is read too when an enabled one needs it: an explicit wish for it counts.
        let unknown = needs.iter().filter(|need| !enabled.contains(need) && !wanted.depends.contains_key(need));
        queue.extend(unknown.cloned());
        wanted.depends.insert(name, needs);
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn guest(confdir: &Path, name: &str, mark: &str, depends: &str) {
        let init = confdir.join(name).join("apps/init");
        fs::create_dir_all(&init).unwrap();
        symlink(confdir, confdir.join(name).join("vdir")).unwrap();
        symlink("/nonexistent/run", confdir.join(name).join("run")).unwrap();
        fs::write(init.join("mark"), mark).unwrap();
        fs::write(init.join("depends"), depends).unwrap();
    }

    #[test]
    fn marks_are_whole_lines_and_a_disabled_guest_has_none() {
        let dir = tempfile::tempdir().unwrap();
        guest(dir.path(), "web", "late\ndefault\n", "# first\ndb\n\nold\n");
        guest(dir.path(), "db", "", "");
        guest(dir.path(), "mail", "default-not\n", "");
        guest(dir.path(), "old", "default\n", "older\n");
        fs::write(dir.path().join("old/disabled"), "").unwrap();
        let host = Host::new(Some(dir.path().to_owned()));
        let wanted = wanted(&host, "default");
        let name = |text: &str| text.parse::<GuestName>().unwrap();
        assert_eq!(wanted.marked, [name("web")]);
        assert_eq!(wanted.depends[&name("web")], [name("db"), name("old")]);
        assert_eq!(wanted.depends[&name("old")], [name("older")]);
    }
}
