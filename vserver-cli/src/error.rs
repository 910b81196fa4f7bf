//! Why a command did not do what was asked, and what status that gives.

use std::error::Error;
use std::io;

use thiserror::Error;
use vserver_types::Exit;

use crate::printer::Printer;

/// A command that ended without its result.
#[derive(Debug, Error)]
pub enum CliError {
    /// Help or version was asked for and shown.
    #[error("shown")]
    Shown,
    /// Standard output does not take the result.
    #[error("cannot write to standard output")]
    Output {
        /// Why; a broken pipe is no failure, the reader had enough.
        source: io::Error,
    },
    /// The command line is wrong.
    #[error("{fault}")]
    Usage {
        /// How the command is called, as in `vserver NAME stop`.
        called: String,
        /// What is wrong.
        fault: String,
        /// The status for that, which differs between the tools.
        exit: Exit,
    },
    /// A text that scripts know: printed as it is, without the program's name.
    #[error("{text}")]
    Known {
        /// The text.
        text: String,
        /// Its status.
        exit: Exit,
    },
    /// A complete sentence of ours.
    #[error("{0}")]
    Refused(String),
    /// A call to the kernel or a program failed.
    #[error("{what}")]
    Io {
        /// What was tried, on what: "cannot …".
        what: String,
        /// Why.
        source: io::Error,
    },
    /// From starting, stopping, entering, deleting.
    #[error(transparent)]
    Runtime(#[from] vserver_runtime::Error),
    /// From reading the configuration.
    #[error(transparent)]
    Config(#[from] vserver_config::Error),
    /// From building and deleting.
    #[error(transparent)]
    Build(#[from] vserver_build::Error),
    /// From disks.
    #[error(transparent)]
    Disk(#[from] vserver_disk::Error),
    /// From sharing files.
    #[error(transparent)]
    Unify(#[from] vserver_unify::Error),
    /// From devices of the network.
    #[error(transparent)]
    Net(#[from] vserver_net::Error),
    /// From the cgroups.
    #[error(transparent)]
    Cgroup(#[from] vserver_cgroup::Error),
    /// From `/proc`.
    #[error(transparent)]
    Monitor(#[from] vserver_monitor::Error),
}

impl CliError {
    /// A wrong command line.
    pub fn usage(called: &str, fault: &str, exit: Exit) -> Self {
        Self::Usage { called: called.to_owned(), fault: fault.to_owned(), exit }
    }

    /// A text that scripts know.
    pub fn known(text: impl Into<String>, exit: Exit) -> Self {
        Self::Known { text: text.into(), exit }
    }

    /// For `map_err`: `what` ("cannot …") failed.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// The whole chain of reasons.
    pub fn sentence(&self) -> String {
        chain(self)
    }

    /// Tells the person. One sentence: what, on what, why.
    pub fn report(&self, printer: &Printer) {
        match self {
            Self::Shown => {}
            Self::Output { source } if source.kind() == io::ErrorKind::BrokenPipe => {}
            Self::Usage { called, fault, .. } => {
                printer.warn(format_args!("{called}: {fault}\nTry '{called} --help' for more information."));
            }
            Self::Known { text, .. } if text.is_empty() => {}
            Self::Known { text, .. } => printer.warn(text),
            // Every finding stands with its file and line: one each.
            Self::Config(config)
            | Self::Runtime(vserver_runtime::Error::Config(config))
            | Self::Build(vserver_build::Error::Config(config))
                if has_findings(config) =>
            {
                printer.warn(config);
            }
            other => printer.warn(format_args!("{}: {}", printer.tool(), chain(other))),
        }
    }

    /// The status; `failure` is what the tool gives for a failure of its own.
    pub fn exit(&self, failure: Exit) -> Exit {
        match self {
            Self::Shown => Exit::Success,
            Self::Output { source } if source.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
            Self::Usage { exit, .. } | Self::Known { exit, .. } => *exit,
            // As a shell says of a program that ctrl-C has ended.
            Self::Runtime(vserver_runtime::Error::Interrupted { .. })
            | Self::Build(vserver_build::Error::Interrupted { .. }) => Exit::Command(130),
            Self::Runtime(vserver_runtime::Error::StartCommand { status, .. }) => {
                Exit::Command(u8::try_from(*status).unwrap_or(1).max(1))
            }
            _ => failure,
        }
    }
}

fn has_findings(error: &vserver_config::Error) -> bool {
    matches!(error, vserver_config::Error::Invalid { .. })
}

/// An error and what caused it, joined by colons. A cause whose words are there already is not said twice, and the
/// number that the standard library puts behind the kernel's words is left out.
pub fn chain(error: &dyn Error) -> String {
    let mut text = without_number(error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = without_number(error.to_string());
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

fn without_number(mut text: String) -> String {
    if let Some(position) = text.rfind(" (os error ").filter(|_| text.ends_with(')')) {
        text.truncate(position);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_once() {
        let error = CliError::io("cannot open '/x'")(io::Error::from_raw_os_error(2));
        assert_eq!(chain(&error), "cannot open '/x': No such file or directory");
        let same = CliError::Io { what: "broken".to_owned(), source: io::Error::other("broken") };
        assert_eq!(chain(&same), "broken");
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let error = CliError::Output { source: io::ErrorKind::BrokenPipe.into() };
        assert_eq!(error.exit(Exit::Failure), Exit::Success);
    }
}
