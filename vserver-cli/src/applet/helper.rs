//! Small programs that scripts call by their path in `lib/util-vserver`. Source: util-vserver, `commands.md` §11.

use std::ffi::OsString;

use vserver_types::Exit;

use super::Applet;
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
pub const APPLETS: [Applet; 13] = helpers! {
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
};
