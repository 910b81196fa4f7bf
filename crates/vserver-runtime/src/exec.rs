//! `vserver NAME exec` and `enter`: a request to the guest's supervisor, and a relay until the command has ended.
//!
//! A command in a guest never gets a descriptor of the caller's terminal, files or sockets: only pipes, or a terminal
//! of the guest. Threat model: X02, X08.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use vserver_config::Defaults;
use vserver_fs::GuestRoot;
use vserver_types::{ContextFlags, Exit, GuestName};

use crate::control::{self, Reply, Request};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::record::RunRecord;
use crate::relay::{self, Streams};
use crate::terminal;

/// A user of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// Its root.
    Root,
    /// By number.
    Id(u32),
    /// By name, as the guest's own passwd file says.
    Name(String),
}

/// What is to be executed in a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Who executes it.
    pub user: User,
}

/// A running command.
#[derive(Debug)]
pub(crate) struct Running {
    /// The supervisor.
    pub socket: OwnedFd,
    /// The command itself.
    pub pidfd: OwnedFd,
    /// Its terminal's master, if it has one.
    pub master: Option<OwnedFd>,
}

/// Executes a command in a running guest with the caller's standard input, output and error relayed, signals forwarded,
/// and returns how it ended.
pub fn exec(host: &Host, name: &GuestName, command: &Command) -> Result<Exit> {
    let streams = Streams::open().map_err(Error::layer("make pipes", name))?;
    let signals = relay::keep_signals().map_err(Error::layer("watch for signals", name))?;
    let running = begin(host, name, command, streams.passed(), false)?;
    relay::run(streams, signals, &running).map_err(Error::layer("relay the command's input and output", name))
}

/// A login shell, with the caller's environment, on a terminal of the guest. Without a terminal on both sides it is a
/// plain [`exec`] of that shell.
pub fn enter(host: &Host, name: &GuestName) -> Result<Exit> {
    let argv = shell(host, name)?;
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    let env = std::env::vars_os().map(|(key, value)| (text(key), text(value))).collect();
    let command = Command { argv, env, user: User::Root };
    if !terminal::on_both_sides() || host.confdir.join(".defaults/apps/vlogin/disable").exists() {
        return exec(host, name, &command);
    }
    let running = begin(host, name, &command, [None, None, None], true)?;
    terminal::run(&running).map_err(Error::layer("relay the terminal", name))
}

fn begin(
    host: &Host,
    name: &GuestName,
    command: &Command,
    stdio: [Option<BorrowedFd<'_>>; 3],
    on_terminal: bool,
) -> Result<Running> {
    let not_running = || Error::NotRunning { name: name.clone() };
    let record = RunRecord::load(host, name)?.filter(|record| record.confdir == host.confdir && record.init_lives());
    let record = record.ok_or_else(not_running)?;
    if record.attributes.cflags.contains(ContextFlags::PRIVATE) {
        return Err(Error::Private { name: name.clone() });
    }
    let socket = control::dial(&host.control(name)).map_err(|_| not_running())?;
    // What cannot be reached because the guest has ended meanwhile.
    let or_ended = |error| if record.init_lives() { error } else { not_running() };
    let (birthplace, tasks) = doors(&record).map_err(or_ended)?;
    let request = Request::Exec {
        argv: command.argv.clone(),
        env: command.env.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        user: match &command.user {
            User::Root => None,
            User::Id(uid) => Some(uid.to_string()),
            User::Name(user) => Some(user.clone()),
        },
        passed: stdio.map(|fd| fd.is_some()),
        birthplace: birthplace.is_some(),
        tasks: tasks.len(),
        terminal: on_terminal,
    };
    let mut fds: Vec<_> = stdio.into_iter().flatten().collect();
    fds.extend(birthplace.as_ref().map(AsFd::as_fd));
    fds.extend(tasks.iter().map(AsFd::as_fd));
    let reach = Error::layer("reach its supervisor", name);
    let answer = control::send_request(socket.as_fd(), &request, &fds)
        .and_then(|()| control::receive_reply(socket.as_fd()))
        .map_err(|error| or_ended(reach(error)))?;
    match answer {
        Some((Reply::Started { .. }, fds)) => {
            let mut fds = fds.into_iter();
            let pidfd = fds.next().ok_or_else(not_running)?;
            Ok(Running { socket, pidfd, master: fds.next() })
        }
        Some((Reply::Refused { reason }, _)) => Err(Error::Exec { report: reason }),
        Some(_) | None => Err(not_running()),
    }
}

/// Where the guest's init is now: on cgroup v2 an init like systemd moves away from where the guest began, and no
/// process may be put where there are further cgroups below.
fn doors(record: &RunRecord) -> Result<(Option<OwnedFd>, Vec<OwnedFd>)> {
    let entry = record.cgroup_of_running()?.entry_beside(record.init);
    let entry = entry.map_err(Error::layer("open the cgroups", &record.name))?;
    Ok(entry.into_parts())
}

/// The configured shell, else the first that the guest has. Source: util-vserver, `behaviours.md` §5.3.
fn shell(host: &Host, name: &GuestName) -> Result<Vec<String>> {
    let (config, _) = vserver_config::read(&host.confdir, name)?;
    let configured =
        config.shell.clone().map_or_else(|| Defaults::new(&host.confdir).shell(), |shell| Ok(Some(shell)))?;
    if let Some(shell) = configured {
        return Ok(vec![shell]);
    }
    let tree = GuestRoot::open(&config.vdir).map_err(Error::layer("open the tree", name))?;
    let known: [&[&str]; 3] = [&["/bin/bash", "-login"], &["/bin/sh", "-l"], &["/bin/csh"]];
    let there = |argv: &&&[&str]| tree.is_executable(argv[0].trim_start_matches('/')).unwrap_or(false);
    let found = known.iter().find(there).ok_or_else(|| Error::Exec {
        report: format!(
            "guest '{name}' has no shell: none of /bin/bash, /bin/sh, /bin/csh is an executable file in its tree"
        ),
    })?;
    Ok(found.iter().map(|word| (*word).to_owned()).collect())
}
