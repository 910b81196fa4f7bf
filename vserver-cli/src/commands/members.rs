//! Something done to every process of a context that runs, those included that are born meanwhile.

use std::collections::HashSet;
use std::io;

use vserver_cgroup::GuestCgroup;
use vserver_runtime::RunRecord;
use vserver_runtime::bare::{Bare, Side};
use vserver_types::Exit;

use crate::commands::chain::{self, Target};
use crate::context::Context;
use crate::error::CliError;

/// Walks until no process is new: one that was forked from a process not yet reached is as that was.
const WALKS: u32 = 8;

/// The context whose processes are meant.
#[derive(Debug)]
pub enum Members {
    /// Of a guest: its cgroup holds limits for all of it.
    Guest(Box<RunRecord>, GuestCgroup),
    /// Of a context without a guest, which the caller may be in.
    Bare(Box<Bare>),
}

impl Members {
    /// What `--xid` means; none is the caller's own context. The host is refused.
    pub fn of(context: &Context, word: Option<&str>) -> Result<Self, CliError> {
        let tool = context.printer.tool();
        match chain::target(context, Side::Context, word)? {
            Target::Guest(record) => {
                let gone = || CliError::Refused(format!("guest '{}' has no cgroup any more", record.name));
                Ok(Self::Guest(record.clone(), record.cgroup()?.ok_or_else(gone)?))
            }
            Target::Bare(bare) => Ok(Self::Bare(bare)),
            Target::Idle(_) => Err(chain::no_such(Side::Context, word)),
            Target::Host if word.is_none_or(|word| word == "self") => {
                let fault = "--xid is needed: the number or the name of a running context";
                Err(CliError::usage(tool, fault, Exit::BeforeExec))
            }
            Target::Host => Err(CliError::Refused(format!(
                "context {} is the host, which {tool} leaves alone; give the number or the name of a running guest",
                word.unwrap_or_default()
            ))),
        }
    }

    /// How messages call it.
    pub fn name(&self) -> String {
        match self {
            Self::Guest(record, _) => record.name.to_string(),
            Self::Bare(bare) => format!("context {}", bare.number),
        }
    }

    /// Its processes at this moment.
    pub fn processes(&self) -> Result<Vec<i32>, CliError> {
        match self {
            Self::Guest(_, cgroup) => Ok(cgroup.processes()?),
            Self::Bare(bare) => Ok(bare.processes()),
        }
    }

    /// Does `act` to each. A process that ends meanwhile is no failure; any other one ends the walk, as `what` says.
    pub fn each(&self, what: &str, mut act: impl FnMut(i32) -> io::Result<()>) -> Result<(), CliError> {
        let mut seen = HashSet::new();
        for _ in 0..WALKS {
            let fresh: Vec<i32> = self.processes()?.into_iter().filter(|pid| seen.insert(*pid)).collect();
            if fresh.is_empty() {
                break;
            }
            for pid in fresh {
                match act(pid) {
                    Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => {}
                    result => result.map_err(CliError::io(format!("cannot {what} of process {pid}")))?,
                }
            }
        }
        Ok(())
    }
}
