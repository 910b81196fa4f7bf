//! What a command tells its caller.

/// The exit status of a command: util-vserver's and LSB's numbers. Source: util-vserver, `commands.md` §1 and §3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, or there was nothing to do.
    Success,
    /// 1: it failed, or (`running`) the guest does not run.
    Failure,
    /// 2: the command line is wrong, or a question was answered with no.
    Usage,
    /// 3: (`status`) the guest is stopped.
    Stopped,
    /// 5: there is no such guest.
    NoSuchGuest,
    /// 6: a bulk command failed for some of its guests.
    Partial,
    /// 255: a prefix tool failed before it could execute its command.
    BeforeExec,
    /// The status of the command that ran, passed through.
    Command(u8),
    /// The command was ended by this signal; the caller should see the same.
    Signal(i32),
}

impl Exit {
    /// The number for the shell; 128 + n for a signal.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Stopped => 3,
            Self::NoSuchGuest => 5,
            Self::Partial => 6,
            Self::BeforeExec => 255,
            Self::Command(code) => code,
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(255),
        }
    }
}
