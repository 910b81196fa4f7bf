//! `vsysctl`: settings of the caller's own namespaces, then the command. Source: util-vserver, `config-tree.md` §5.12.

use std::fs;
use std::path::Path;

use vserver_runtime::bare::is_apart;
use vserver_types::Exit;

use crate::args::VsysctlArgs;
use crate::commands::chcontext::become_command;
use crate::context::Context;
use crate::error::CliError;

/// All is looked at before anything is written.
pub fn run(args: &VsysctlArgs, context: &Context) -> Result<Exit, CliError> {
    if args.command.is_empty() {
        return Err(CliError::usage(context.printer.tool(), "a command is needed", Exit::Failure));
    }
    let settings = args.dir.as_deref().map(|dir| read(dir, args.missingok)).transpose()?.unwrap_or_default();
    settings.iter().try_for_each(|(name, _)| of_our_own(name))?;
    for (name, value) in &settings {
        let failed = CliError::io(format!("cannot write '{}' to /proc/sys/{name}", value.trim_end().escape_debug()));
        fs::write(Path::new("/proc/sys").join(name), value).map_err(failed)?;
    }
    Err(become_command(&args.command))
}

fn read(dir: &Path, missing_is_fine: bool) -> Result<Vec<(String, String)>, CliError> {
    if dir.is_dir() {
        return Ok(vserver_config::sysctl_of(dir)?);
    }
    match fs::metadata(dir) {
        Err(_) if missing_is_fine => Ok(Vec::new()),
        Err(error) => Err(CliError::io(format!("cannot open '{}'", dir.display()))(error)),
        Ok(_) => Err(CliError::Refused(format!("'{}' is not a directory", dir.display()))),
    }
}

/// A setting of the host must not change for all of it because one context asks.
fn of_our_own(name: &str) -> Result<(), CliError> {
    let Some(kind) = kind(name) else {
        return Err(CliError::Refused(format!(
            "{name} is a setting of the whole host, not of a namespace; sysctl(8) sets it there"
        )));
    };
    if is_apart("self", kind) {
        return Ok(());
    }
    Err(CliError::Refused(format!(
        "{name} belongs to the host's own {kind} namespace here; call it in a context of its own (chcontext)"
    )))
}

/// The namespace, as procfs calls it, that a setting belongs to. ipc_namespaces(7), network_namespaces(7), uts_namespaces(7).
fn kind(name: &str) -> Option<&'static str> {
    match name {
        "kernel/hostname" | "kernel/domainname" => Some("uts"),
        name if name.starts_with("net/") => Some("net"),
        name if vserver_runtime::is_namespaced(name) => Some("ipc"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_has_its_namespace() {
        assert_eq!(kind("kernel/msgmax"), Some("ipc"));
        assert_eq!(kind("fs/mqueue/msg_max"), Some("ipc"));
        assert_eq!(kind("net/ipv4/ip_forward"), Some("net"));
        assert_eq!(kind("kernel/hostname"), Some("uts"));
        assert_eq!((kind("kernel/panic"), kind("network"), kind("vm/swappiness")), (None, None, None));
    }

    #[test]
    fn what_is_the_hosts_stays() {
        let said = of_our_own("vm/swappiness").unwrap_err().to_string();
        assert!(said.contains("whole host"), "{said}");
        let said = of_our_own("kernel/msgmax").unwrap_err().to_string();
        assert!(said.contains("the host's own ipc namespace"), "{said}");
    }
}
