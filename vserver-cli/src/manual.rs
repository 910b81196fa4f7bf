//! The one source of help texts, man pages and completions: the definitions in `args`, and [`mod@plain`] for programs whose
//! command line is a few fixed words.

mod plain;

use clap::{Command, CommandFactory};

use crate::applet;
use crate::args::{
    BuildArgs, ChbindArgs, ChcontextArgs, CheckArgs, ChxidArgs, CloneTreeArgs, ConfigArgs, CopyArgs, CopyTreeArgs,
    DoctorArgs, ExportArgs, FlattenArgs, GeneratorArgs, H2extArgs, HashifyArgs, ImportArgs, KeepAliveArgs, ListArgs,
    LoopArgs, LsxidArgs, NaddressArgs, NattributeArgs, NcontextArgs, PkgArgs, PkgmgmtArgs, PkgmgmtToolArgs, PlanArgs,
    ReducecapArgs, RenameArgs, SecureMountArgs, SetattrArgs, ShowattrArgs, SnapshotArgs, StartArgs,
    StartVserversArgs, StatusArgs, StopArgs, TunctlArgs, UnifyArgs, VattributeArgs, VcontextArgs, VdevmapArgs,
    VdlimitArgs, VduArgs, VesyncArgs, VinfoArgs, VkillArgs, VlimitArgs, VmemctrlArgs, VmountArgs, VnamespaceArgs,
    VpkgArgs, VprocunhideArgs, VpsArgs, VschedArgs, VserverArgs, VserverStatArgs, VserverSwitchArgs,
    VserverTemplateArgs, VserverWrapperArgs, VshelperArgs, VspaceArgs, VsysctlArgs, VtagArgs, VunameArgs, VwaitArgs,
    loop_command,
};
use crate::commands::vserver::VERBS;

pub(crate) use plain::plain;

/// Programs with a definition that nobody types.
const FOR_SCRIPTS: [&str; 7] =
    ["vserver-wrapper", "vprocunhide", "systemd-vserver-generator", "vsysctl", "keep-ctx-alive", "h2ext", "tunctl"];

/// One page of the manual.
#[derive(Debug)]
pub struct Page {
    /// Name of the page and, unless it is a verb of `vserver`, of the program.
    pub name: &'static str,
    /// What may be written on the command line, and the texts.
    pub command: Command,
    /// Whether it is called by people, with completion; others only get a page.
    pub completed: bool,
}

/// A page for each program, then one for each verb of `vserver` that has options. Programs without a definition are
/// left out, which a test forbids.
pub fn pages() -> Vec<Page> {
    let programs = applet::all().filter_map(|applet| {
        let command = definition(applet.name)?;
        let completed = !FOR_SCRIPTS.contains(&applet.name) && plain(applet.name).is_none_or(|plain| plain.completed);
        Some(page(applet.name, command, completed))
    });
    // A verb has taken the name of an obsolete program, whose answer leads there.
    let verbs: Vec<Page> = verbs().collect();
    let programs: Vec<Page> = programs.filter(|page| verbs.iter().all(|verb| verb.name != page.name)).collect();
    programs.into_iter().chain(verbs).collect()
}

/// The names of all programs.
pub fn programs() -> Vec<&'static str> {
    applet::all().map(|applet| applet.name).collect()
}

/// The text for `--version`; `first` is its first line. Source: util-vserver, `commands.md` §1.
pub(crate) fn version(first: &str) -> String {
    format!(
        "{first}\nThis program is part of util-vserver {}\n\n\
         Copyright (C) the authors of vserver\n\
         This program is free software; it comes without any warranty. See the GNU General Public License, version 2 or\n\
         later.\n",
        env!("CARGO_PKG_VERSION")
    )
}

fn page(name: &'static str, command: Command, completed: bool) -> Page {
    let command = command.name(name).bin_name(name);
    let command = if command.get_version().is_some() { command.version(env!("CARGO_PKG_VERSION")) } else { command };
    Page { name, command, completed }
}

fn verbs() -> impl Iterator<Item = Page> {
    let verb = |name: &'static str, command: Command| {
        let called = command.get_bin_name().unwrap_or_default().to_owned();
        let page = page(name, command, false);
        Page { command: page.command.bin_name(called), ..page }
    };
    [
        verb("vserver-build", BuildArgs::command()),
        verb("vserver-start", StartArgs::command()),
        verb("vserver-stop", StopArgs::command()),
        verb("vserver-status", StatusArgs::command()),
        verb("vserver-list", ListArgs::command()),
        verb("vserver-doctor", DoctorArgs::command()),
        verb("vserver-plan", PlanArgs::command()),
        verb("vserver-check", CheckArgs::command()),
        verb("vserver-config", ConfigArgs::command()),
        verb("vserver-pkg", PkgArgs::command()),
        verb("vserver-pkgmgmt", PkgmgmtArgs::command()),
        verb("vserver-rename", RenameArgs::command()),
        verb("vserver-copy", CopyArgs::command()),
        verb("vserver-import", ImportArgs::command()),
        verb("vserver-export", ExportArgs::command()),
        verb("vserver-flatten", FlattenArgs::command()),
        verb("vserver-snapshot", SnapshotArgs::command()),
    ]
    .into_iter()
}

/// What may follow the program's name.
fn definition(name: &str) -> Option<Command> {
    let command = match name {
        "vserver" => VserverArgs::command().mut_arg("words", |words| words.value_parser(VERBS)),
        "start-vservers" | "stop-vservers" => StartVserversArgs::command(),
        "vserver-wrapper" => VserverWrapperArgs::command(),
        "vprocunhide" => VprocunhideArgs::command(),
        "vshelper" => VshelperArgs::command(),
        "systemd-vserver-generator" => GeneratorArgs::command(),
        "vserver-stat" => VserverStatArgs::command(),
        "vserver-switch" => VserverSwitchArgs::command(),
        "vserver-template" => VserverTemplateArgs::command(),
        "vserver-info" => VinfoArgs::command(),
        "vesync" => loop_command(VesyncArgs::command(), name),
        "vapt-get" | "vrpm" | "vyum" | "vurpm" | "vemerge" | "vupdateworld" | "vdispatch-conf" | "vsomething" => {
            loop_command(LoopArgs::command(), name)
        }
        "chxid" => ChxidArgs::command(),
        "lsxid" => LsxidArgs::command(),
        "setattr" => SetattrArgs::command(),
        "showattr" => ShowattrArgs::command(),
        "vmount" => VmountArgs::command(),
        "secure-mount" => SecureMountArgs::command(),
        "vdlimit" => VdlimitArgs::command(),
        "vunify" => UnifyArgs::command(),
        "vcopy" => CopyTreeArgs::command(),
        "vclone" => CloneTreeArgs::command(),
        "vhashify" => HashifyArgs::command(),
        "vdu" => VduArgs::command(),
        "vpkg" => VpkgArgs::command(),
        "pkgmgmt" => PkgmgmtToolArgs::command(),
        "vps" => VpsArgs::command(),
        "vkill" => VkillArgs::command(),
        "vlimit" => VlimitArgs::command(),
        "vsched" => VschedArgs::command(),
        "vwait" => VwaitArgs::command(),
        "chcontext" => ChcontextArgs::command(),
        "chbind" => ChbindArgs::command(),
        "vcontext" => VcontextArgs::command(),
        "ncontext" => NcontextArgs::command(),
        "vattribute" => VattributeArgs::command(),
        "nattribute" => NattributeArgs::command(),
        "naddress" => NaddressArgs::command(),
        "vspace" => VspaceArgs::command(),
        "vuname" => VunameArgs::command(),
        "vmemctrl" => VmemctrlArgs::command(),
        "vdevmap" => VdevmapArgs::command(),
        "vsysctl" => VsysctlArgs::command(),
        "keep-ctx-alive" => KeepAliveArgs::command(),
        "h2ext" => H2extArgs::command(),
        "tunctl" => TunctlArgs::command(),
        "vtag" => VtagArgs::command(),
        "reducecap" => ReducecapArgs::command(),
        "vnamespace" => VnamespaceArgs::command(),
        _ => return plain(name).map(plain::Plain::command),
    };
    Some(command)
}
