//! What `vserver NAME check` finds beyond the configuration's own files: in the guest's tree, on the host, and in the
//! configurations of other guests. Nothing is changed.

use vserver_config::{Clash, Diagnostic, Flavour, GuestConfig, Handler, Severity};
use vserver_fs::GuestRoot;

use crate::error::Result;
use crate::host::Host;
use crate::init_style;
use crate::mounts::{self, is_always_there};
use crate::scripts::Trust;

/// Events that a guest's end can be.
const EVENTS: [&str; 3] = ["restart", "halt", "shutdown"];

/// Every finding, faults that would keep the guest from starting and warnings.
pub fn inspect(host: &Host, config: &GuestConfig) -> Result<Vec<Diagnostic>> {
    let mut found = clashes(host, config)?;
    found.extend(dangling(config));
    // A root of its own file system is not there yet.
    if mounts::plan(config).0.root.is_none()
        && let Ok(tree) = GuestRoot::open(&config.vdir)
    {
        found.extend(targets(config, &tree));
        found.extend(init_style::plan(config, &tree).err().map(|error| {
            let hint = "install it, or choose another style or cmd.start";
            fault(config.dir.join("apps/init/style"), None, error.chain(), hint)
        }));
    }
    found.extend(sources(config));
    found.extend(scripts(host, config)?);
    found.extend(handlers(host, config));
    Ok(found)
}

fn fault(path: impl Into<std::path::PathBuf>, line: Option<u32>, message: String, hint: &str) -> Diagnostic {
    Diagnostic { path: path.into(), line, severity: Severity::Error, message, hint: Some(hint.to_owned()) }
}

fn dangling(config: &GuestConfig) -> Option<Diagnostic> {
    let message = format!("it leads to '{}', which is no directory", config.vdir.display());
    let hint = "make that directory, mount its file system, or correct the link";
    (!config.vdir.is_dir()).then(|| fault(config.dir.join("vdir"), None, message, hint))
}

fn clashes(host: &Host, config: &GuestConfig) -> Result<Vec<Diagnostic>> {
    let all = vserver_config::conflicts(&host.confdir, &config.name)?;
    let diagnostics = all.into_iter().map(|clash| match clash.what {
        Clash::Context(_) => {
            fault(config.dir.join("context"), Some(1), clash.to_string(), "give one of them another number")
        }
        // Two guests may share an address as long as they do not run at the same time.
        Clash::Address(_) => Diagnostic {
            severity: Severity::Warning,
            ..fault(config.dir.join("interfaces"), None, clash.to_string(), "they cannot run at the same time")
        },
    });
    Ok(diagnostics.collect())
}

fn targets(config: &GuestConfig, tree: &GuestRoot) -> Vec<Diagnostic> {
    let hint = "name the directory itself, or remove the link from the guest's tree";
    let entries = config.fstab.iter().filter(|entry| !is_always_there(&entry.target));
    let judged = entries.filter_map(|entry| tree.place(&entry.target).err().map(|error| (entry, error)));
    judged
        .map(|(entry, error)| {
            let message = format!("the target '{}' leads out of the guest's tree: {error}", entry.target);
            fault(&entry.file, Some(entry.line), message, hint)
        })
        .collect()
}

/// A mount that fails does not keep a guest from starting.
fn sources(config: &GuestConfig) -> Vec<Diagnostic> {
    let bind = |entry: &&vserver_config::FstabEntry| entry.mount_options().flags & nix::libc::MS_BIND != 0;
    let missing = config.fstab.iter().filter(bind).filter(|entry| !std::path::Path::new(&entry.source).exists());
    missing
        .map(|entry| Diagnostic {
            severity: Severity::Warning,
            ..fault(
                &entry.file,
                Some(entry.line),
                format!("the source '{}' does not exist on this host", entry.source),
                "make it, or remove the line",
            )
        })
        .collect()
}

fn scripts(host: &Host, config: &GuestConfig) -> Result<Vec<Diagnostic>> {
    let (trust, mut found) = (Trust::new(host), Vec::new());
    for flavour in Flavour::ALL {
        for script in vserver_config::scripts(&host.confdir, &config.name, flavour)?.into_iter().flatten() {
            let refused = trust.refuses(&script.path);
            // The sentence holds its own remedy.
            found.extend(refused.map(|what| Diagnostic {
                hint: None,
                ..fault(&script.path, None, format!("it is not run: {what}"), "")
            }));
        }
    }
    Ok(found)
}

fn handlers(host: &Host, config: &GuestConfig) -> Option<Diagnostic> {
    let unknown =
        EVENTS.iter().find_map(|event| match vserver_config::helper(&host.confdir, &config.name, event) {
            Handler::Unknown(method) => Some(method),
            _ => None,
        })?;
    let hint = "write restart, or make it a program in apps/vshelper-methods/";
    Some(Diagnostic {
        severity: Severity::Warning,
        ..fault(config.dir.join("apps/vshelper/action"), Some(1), format!("the action '{unknown}' is unknown"), hint)
    })
}
