//! Programs of the host that are run by one that has signals blocked.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::check;

/// Lets the program start with all signals unblocked and at their default actions (the standard library hands the
/// blocked ones on), and be killed when the thread that starts it ends. prctl(2), `PR_SET_PDEATHSIG`.
pub fn independent(command: &mut Command) -> &mut Command {
    let prepare = || -> io::Result<()> {
        crate::process::default_signals()?;
        let signal = libc::SIGKILL as libc::c_ulong;
        // SAFETY: PR_SET_PDEATHSIG takes one integer and touches no memory.
        check(libc::c_long::from(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) })).map(drop)
    };
    // SAFETY: between fork and exec the closure makes only system calls (signal, sigprocmask, prctl): it allocates
    // nothing, takes no lock and reads no memory that another thread could be changing.
    unsafe { command.pre_exec(prepare) }
}
