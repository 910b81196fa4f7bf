//! What may be written on each command line: definitions only.

mod boot;
mod build;
mod bulk;
mod chbind;
mod chcontext;
mod disk;
mod files;
mod helper;
mod import;
mod mount;
mod new_guest;
mod packages;
mod snapshot;
mod template;
mod unify;
mod vattribute;
mod vkill;
mod vlimit;
mod vps;
mod vsched;
mod vserver;
mod vserver_info;
mod vserver_stat;
mod vserver_switch;
mod vspace;
mod vuname;
mod vwait;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches};
use vserver_types::Exit;

use crate::error::CliError;
use crate::manual;
use crate::printer::Printer;

pub use boot::{GeneratorArgs, VprocunhideArgs, VserverWrapperArgs, VshelperArgs};
pub use build::{
    BuildArgs, CloneArgs, DebootstrapArgs, FaiArgs, ImageArgs, OciArgs, PackagesArgs, RpmArgs, RsyncArgs,
    SkeletonArgs, TemplateArgs, build_command,
};
pub use bulk::{BulkArgs, StartVserversArgs};
pub use chbind::{Addresses, ChbindArgs, Joining, NaddressArgs, NattributeArgs, NcontextArgs};
pub use chcontext::ChcontextArgs;
pub use disk::{VdlimitArgs, VduArgs};
pub use files::{
    BARRIER, Change, ChxidArgs, IMMUTABLE, Listed, LsxidArgs, SetattrArgs, ShowattrArgs, split_attributes,
};
pub use helper::{H2extArgs, KeepAliveArgs, TunctlArgs, VsysctlArgs};
pub use import::{ExportArgs, ImportArgs};
pub use mount::{Mounting, SecureMountArgs, VmountArgs, VmountRest};
pub use new_guest::NewGuestArgs;
pub use packages::{LoopArgs, PkgArgs, PkgWords, PkgmgmtArgs, PkgmgmtToolArgs, VesyncArgs, VpkgArgs, loop_command};
pub use snapshot::{SnapshotArgs, SnapshotVerb};
pub use template::{TemplateVerb, VserverTemplateArgs};
pub use unify::{CloneTreeArgs, CopyTreeArgs, FlattenArgs, HashifyArgs, UnifyArgs};
pub use vattribute::{VattributeArgs, VcontextArgs};
pub use vkill::VkillArgs;
pub use vlimit::{Asked, VlimitArgs};
pub use vps::VpsArgs;
pub use vsched::VschedArgs;
pub use vserver::{
    CheckArgs, ConfigArgs, CopyArgs, DoctorArgs, DoctorSubject, ListArgs, NoArgs, PlanArgs, RenameArgs, StartArgs,
    StatusArgs, StopArgs, VserverArgs,
};
pub use vserver_info::VinfoArgs;
pub use vserver_stat::VserverStatArgs;
pub use vserver_switch::{SwitchAction, VserverSwitchArgs};
pub use vspace::{VnamespaceArgs, VspaceArgs};
pub use vuname::{ReducecapArgs, VdevmapArgs, VmemctrlArgs, VtagArgs, VunameArgs};
pub use vwait::VwaitArgs;

/// What every command takes.
#[derive(Args, Clone, Debug, Default)]
pub struct Common {
    /// Configuration root instead of $VSERVER_CONFDIR, $UTIL_VSERVER_VARS or /etc/vservers
    #[arg(long, value_name = "DIR", global = true)]
    pub confdir: Option<PathBuf>,
}

/// Parses `words` (without the program's name). Help and version go to standard output; a fault ends with `usage`.
pub fn parse<T>(printer: &Printer, words: &[OsString], usage: Exit) -> Result<T, CliError>
where
    T: CommandFactory + FromArgMatches,
{
    parse_as(T::command(), printer, words, usage)
}

/// The same of a definition that was fitted to the program.
pub fn parse_as<T: FromArgMatches>(
    command: clap::Command,
    printer: &Printer,
    words: &[OsString],
    usage: Exit,
) -> Result<T, CliError> {
    let command = command.no_binary_name(true).infer_long_args(true).args_override_self(true);
    // Two programs may share a definition: what is not a verb is called as it was.
    let called = command.get_bin_name().unwrap_or_else(|| printer.tool()).to_owned();
    let command = command.bin_name(&called);
    let parsed = command.try_get_matches_from(words).and_then(|mut found| T::from_arg_matches_mut(&mut found));
    parsed.or_else(|error| match error.kind() {
        ErrorKind::DisplayHelp => {
            printer.text(&error.render().to_string())?;
            Err(CliError::Shown)
        }
        ErrorKind::DisplayVersion => {
            let text = error.render().to_string();
            let about = text.trim_end().split_once(' ').map_or("", |(_, about)| about);
            printer.text(&manual::version(&format!("{} {about}", printer.tool())))?;
            Err(CliError::Shown)
        }
        _ => Err(CliError::usage(&called, &first_line(&error), usage)),
    })
}

/// The sentence of clap's error, without `error:` and without the tips and the usage that follow it.
fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let words: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).flat_map(str::split_whitespace).collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}
