//! Putting a command into a running guest.
//!
//! The supervisor forks an intermediate process that is never visible in the guest: it joins the cgroups and all
//! namespaces, gives up every privilege that the command will not have, and closes every descriptor but the command's
//! own and the report pipe. Only then does it fork the process that enters the PID namespace: a guest with
//! `CAP_SYS_PTRACE` can seize that one at its birth and become it, so it must hold nothing that a guest may not have.
//! Both have the supervisor as their parent. Threat model: X01–X04.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, dup2_stderr, dup2_stdin, dup2_stdout, execve, setsid};
use vserver_sys::process::{self, Forked, SingleThreaded};
use vserver_sys::{fd, tty};

use crate::birth::enter_v1;
use crate::blueprint::{Confinement, Doors};
use crate::confine::{Identity, become_user, confine, limit, limit_descriptors, take_standing};
use crate::error::{Error, Result, Step};
use crate::nested::Around;
use crate::{frames, label, passwd};

/// The guest that is entered.
#[derive(Debug)]
pub struct Target<'a> {
    /// Its first process.
    pub init: BorrowedFd<'a>,
    /// The way into its cgroups.
    pub doors: &'a Doors,
    /// What its processes are held to.
    pub confinement: &'a Confinement,
    /// Where its supervisor hears of calls that it has to answer.
    pub petitions: Option<BorrowedFd<'a>>,
    /// Whether it has a time namespace of its own.
    pub virt_uptime: bool,
    /// Where it was made.
    pub around: Around,
}

const FULL: &str = "no command can be run in the guest: it has as many processes as it may (rlimits/nproc); raise its limit \
                    with vlimit --nproc, or end some of them with vkill";

/// What is executed there.
#[derive(Debug)]
pub struct Job {
    /// Program, searched in `PATH` of `env`, and its arguments.
    pub argv: Vec<String>,
    /// The whole environment, `NAME=VALUE`.
    pub env: Vec<String>,
    /// A user of the guest by name or number; `None` is root.
    pub user: Option<String>,
    /// Standard input, output and error; `None` is the guest's `/dev/null`.
    pub stdio: [Option<OwnedFd>; 3],
    /// The slave of a terminal of the guest, which then is the controlling one and all three of the above.
    pub terminal: Option<OwnedFd>,
}

/// Forks and returns at once with the intermediate's pid. On `report` come [`frames`], and end of file when the command
/// was executed or could not be.
pub fn enter(token: SingleThreaded, target: &Target<'_>, job: &Job, report: OwnedFd) -> Result<i32> {
    let birthplace = target.doors.birthplace.as_ref().map(AsFd::as_fd);
    match with_room(process::fork_into(token, birthplace, 0), "fork into the guest's cgroup")? {
        Forked::Parent(pid) => Ok(pid),
        Forked::Child => {
            let mut report = File::from(report);
            let result = intermediate(token, target, Some(job), &mut report).and_then(|()| command(job));
            if let Err(error) = result {
                let _ = frames::tell_reason(&report, &reason(&error));
            }
            process::exit_now(255)
        }
    }
}

/// Sends `signal` to every process of the guest but its first one, from inside its PID namespace: none can be missed by
/// forking, and no pid can be mistaken. As [`enter`] otherwise; whoever sends is a child to be waited for, too, or the
/// PID namespace could not end.
pub fn signal_all(token: SingleThreaded, target: &Target<'_>, signal: i32, report: OwnedFd) -> Result<i32> {
    let birthplace = target.doors.birthplace.as_ref().map(AsFd::as_fd);
    match with_room(process::fork_into(token, birthplace, 0), "fork into the guest's cgroup")? {
        Forked::Parent(pid) => Ok(pid),
        Forked::Child => {
            let everybody = -1;
            let mut report = File::from(report);
            let entered = intermediate(token, target, None, &mut report);
            let done = entered.is_ok() && process::kill(everybody, signal).is_ok();
            process::exit_now(i32::from(!done))
        }
    }
}

/// Why there is no command. A guest whose first process has exited meanwhile has no namespaces to join. Source: setns(2),
/// `ESRCH`.
fn reason(error: &Error) -> String {
    match error {
        Error::Step { source, .. } if source.raw_os_error() == Some(Errno::ESRCH as i32) => {
            "the guest is just ending: its first process has exited, and no command can be run in it any more"
                .to_owned()
        }
        error => error.line(),
    }
}

/// A guest that has as many processes as it may gets the kernel's most general refusal. Source: fork(2), `EAGAIN`.
fn with_room(forked: io::Result<Forked>, step: &str) -> Result<Forked> {
    forked.map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::EAGAIN as i32 => Error::Child { report: FULL.to_owned() },
        _ => Error::Step { step: step.to_owned(), source: error },
    })
}

/// Returns in the process that the guest can see.
fn intermediate(token: SingleThreaded, target: &Target<'_>, job: Option<&Job>, report: &mut File) -> Result<()> {
    enter_v1(target.doors)?;
    stand(target)?;
    setns(target.init, namespaces(target)).step(|| "join the guest's namespaces".to_owned())?;
    chdir("/").step(|| "enter the guest's root directory".to_owned())?;
    limit(target.confinement)?;
    confine(target.confinement, target.petitions)?;
    if let Some(job) = job {
        place_stdio(job)?;
    }
    let user = job.and_then(|job| job.user.as_deref());
    let identity = user.map_or(Ok(Identity::Root), passwd::look_up)?;
    become_user(target.confinement, &identity)?;
    process::default_signals().step(|| "reset the signals".to_owned())?;
    close_all_but(report)?;
    limit_descriptors(target.confinement)?;
    match with_room(process::fork(token, process::PARENT), "fork into the guest")? {
        Forked::Child => Ok(()),
        Forked::Parent(pid) => {
            let told = frames::tell_pid(&*report, pid);
            process::exit_now(i32::from(told.is_err()))
        }
    }
}

fn stand(target: &Target<'_>) -> Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let host_proc = open("/proc", flags, Mode::empty()).step(|| "open /proc".to_owned())?;
    take_standing(target.confinement, host_proc.as_fd(), None)?;
    target.confinement.label.as_ref().map_or(Ok(()), |wanted| label::at_exec(wanted, host_proc.as_fd()))
}

/// Closes everything above standard error but `kept`. A directory of the host, as the guest's cgroup's is, would lead up
/// to the host's root; no owner of what is closed is used or dropped afterwards.
fn close_all_but(kept: &File) -> Result<()> {
    let number = kept.as_raw_fd();
    if number > 3 {
        fd::close_range(3, number - 1).step(|| "close what is the supervisor's".to_owned())?;
    }
    fd::close_range(number + 1, i32::MAX).step(|| "close what is the supervisor's".to_owned())
}

fn namespaces(target: &Target<'_>) -> CloneFlags {
    let mut flags = process::NEWNS | process::NEWUTS | process::NEWIPC | process::NEWCGROUP | process::NEWPID;
    // Of a guest on the host's network this is where we are already; inside of another guest nobody may join it again.
    if target.around.is_host() {
        flags |= process::NEWNET;
    }
    if target.confinement.userns {
        flags |= process::NEWUSER;
    }
    if target.virt_uptime {
        flags |= process::NEWTIME;
    }
    CloneFlags::from_bits_retain(flags as i32)
}

fn command(job: &Job) -> Result<()> {
    setsid().step(|| "begin a session".to_owned())?;
    if job.terminal.is_some() {
        tty::make_controlling(std::io::stdin().as_fd()).step(|| "take the terminal".to_owned())?;
    }
    fd::cloexec_from(3).step(|| "close what is inherited".to_owned())?;
    execute(job)
}

fn place_stdio(job: &Job) -> Result<()> {
    let null = || {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        open("/dev/null", flags, Mode::empty()).step(|| "open the guest's /dev/null".to_owned())
    };
    let pick = |index: usize| match (&job.terminal, &job.stdio[index]) {
        (Some(terminal), _) => terminal.try_clone().step(|| "copy a descriptor".to_owned()),
        (None, Some(fd)) => fd.try_clone().step(|| "copy a descriptor".to_owned()),
        (None, None) => null(),
    };
    let (input, output, errors) = (pick(0)?, pick(1)?, pick(2)?);
    dup2_stdin(input)
        .and_then(|()| dup2_stdout(output))
        .and_then(|()| dup2_stderr(errors))
        .step(|| "place standard input, output and error".to_owned())
}

/// As execvp(3) does, with the PATH of the job's environment.
fn execute(job: &Job) -> Result<()> {
    let strings = |list: &[String]| -> Vec<CString> {
        list.iter().filter_map(|text| CString::new(text.as_str()).ok()).collect()
    };
    let (argv, env) = (strings(&job.argv), strings(&job.env));
    let name = job.argv.first().cloned().unwrap_or_default();
    let mut answer = Errno::ENOENT;
    for candidate in candidates(&name, &job.env) {
        let Ok(path) = CString::new(candidate) else {
            continue;
        };
        match execve(&path, &argv, &env) {
            Ok(never) => match never {},
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(errno) => answer = errno,
        }
    }
    // The words that scripts know. Source: util-vserver, `behaviours.md` §5.1.
    Err(Error::Child { report: format!("vcontext: execvp(\"{name}\"): {}", answer.desc()) })
}

fn candidates(name: &str, env: &[String]) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    let path = env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or("/bin:/usr/bin:/sbin:/usr/sbin");
    path.split(':').map(|dir| if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn a_name_with_a_slash_is_not_searched() {
        assert_eq!(candidates("./x", &["PATH=/a:/b".to_owned()]), ["./x"]);
        assert_eq!(candidates("x", &["PATH=/a:/b".to_owned()]), ["/a/x", "/b/x"]);
        assert_eq!(candidates("x", &[]).first().map(String::as_str), Some("/bin/x"));
    }
}
