//! Small programs that scripts call by their path in `lib/util-vserver`. Source: util-vserver, `commands.md` §11.

use std::ffi::OsString;

use vserver_types::Exit;

use super::Applet;
use crate::args::{self, H2extArgs, KeepAliveArgs, TunctlArgs, VsysctlArgs};
use crate::commands::helper;
use crate::context::Context;
use crate::error::CliError;
use crate::printer::Printer;

type Helper = fn(&[OsString], &Context) -> Result<Exit, CliError>;

macro_rules! helpers {
    ($($name:literal, $failure:expr, $run:path;)*) => {
        [$(Applet {
            name: $name,
            failure: $failure,
            run: |words: &[OsString], printer: Printer| {
                let run: Helper = $run;
                run(words, &Context::new(None, printer))
            },
        },)*]
    };
}

/// All of them.
pub const APPLETS: [Applet; 28] = helpers! {
    "exec-cd", Exit::BeforeExec, helper::exec::in_directory;
    "exec-ulimit", Exit::BeforeExec, helper::ulimit::run;
    "exec-remount", Exit::BeforeExec, helper::exec::remount;
    "chain-echo", Exit::BeforeExec, helper::exec::echo;
    "save_ctxinfo", Exit::BeforeExec, helper::exec::save_number;
    "lockfile", Exit::Failure, helper::lockfile::run;
    "chroot-sh", Exit::Failure, helper::chroot_sh::run;
    "fakerunlevel", Exit::Failure, helper::runlevel::run;
    "filetime", Exit::Failure, helper::files::age;
    "check-unixfile", Exit::Failure, helper::files::check;
    "readlink", Exit::Failure, helper::files::read_link;
    "mask2prefix", Exit::BeforeExec, helper::files::prefix;
    "vshelper-sync", Exit::Failure, helper::lockfile::wait_for_end;
    "sigexec", Exit::BeforeExec, helper::exec::with_signals;
    "bash-wrapper", Exit::BeforeExec, helper::exec::bash;
    "vsysctl", Exit::Failure, vsysctl;
    "tunctl", Exit::BeforeExec, tunctl;
    "keep-ctx-alive", Exit::Failure, keep_alive;
    "h2ext", Exit::BeforeExec, h2ext;
    "vsysvwrapper", Exit::BeforeExec, helper::service::run;
    "v_gated", Exit::BeforeExec, helper::service::by_own_name;
    "v_httpd", Exit::BeforeExec, helper::service::by_own_name;
    "v_named", Exit::BeforeExec, helper::service::by_own_name;
    "v_portmap", Exit::BeforeExec, helper::service::by_own_name;
    "v_sendmail", Exit::BeforeExec, helper::service::by_own_name;
    "v_smb", Exit::BeforeExec, helper::service::by_own_name;
    "v_sshd", Exit::BeforeExec, helper::service::by_own_name;
    "v_xinetd", Exit::BeforeExec, helper::service::by_own_name;
};

fn vsysctl(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let args: VsysctlArgs = args::parse(&context.printer, words, Exit::Failure)?;
    helper::sysctl::run(&args, context)
}

fn keep_alive(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let args: KeepAliveArgs = args::parse(&context.printer, words, Exit::BeforeExec)?;
    helper::keep_alive::run(&args, &Context::new(args.common.confdir.clone(), context.printer))
}

fn h2ext(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let args: H2extArgs = args::parse(&context.printer, words, Exit::BeforeExec)?;
    helper::h2ext::run(&args, context)
}

fn tunctl(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let args: TunctlArgs = args::parse(&context.printer, words, Exit::BeforeExec)?;
    helper::tunctl::run(&args, &Context::new(args.common.confdir.clone(), context.printer))
}
