//! What `vserver NAME check` finds, and what a start that is refused tells: faults in the configuration's own files, in
//! the guest's tree, on the host, and in the configurations of other guests. Nothing is changed.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use vserver_config::{
    Boot, Clash, Diagnostic, Flavour, FstabEntry, GuestConfig, Handler, Interface, NetworkSpace, Severity,
};
use vserver_fs::GuestRoot;
use vserver_sandbox::nested::Around;
use vserver_types::GuestName;

use crate::apparmor;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::init_style;
use crate::mounts::{self, is_always_there};
use crate::netns;
use crate::plan::obstacle;
use crate::record::RunRecord;
use crate::scripts::Trust;

/// Events that a guest's end can be.
const EVENTS: [&str; 3] = ["restart", "halt", "shutdown"];

/// Those that a program can be for.
const HANDLED: [&str; 5] = ["restart", "restart2", "halt", "poweroff", "shutdown"];

/// Every finding, faults that would keep the guest from starting and warnings. A fault in one place does not hide those
/// in others.
///
/// # Errors
/// There is no such guest, or its configuration is of a kind that is not read at all.
pub fn inspect(host: &Host, name: &GuestName) -> Result<Vec<Diagnostic>> {
    let (config, mut found) = vserver_config::survey(&host.confdir, name)?;
    found.extend(clashes(host, &config)?);
    let obstacle = obstacle(&config, Around::here());
    found.extend(obstacle.map(|(what, remedy)| fault(&config.dir, None, what.to_owned(), remedy)));
    found.extend(Boot::read(&host.confdir)?.faults_of(&host.confdir, name));
    found.extend(dangling(&config, &found));
    // A root of its own file system is not there yet.
    if mounts::plan(&config).0.root.is_none() && config.image.is_none() {
        match GuestRoot::open(&config.vdir) {
            Ok(tree) => {
                found.extend(escapes(&config.fstab, &tree));
                found.extend(no_init(&config, &tree, &found));
            }
            Err(error) => found.extend(unusable(&config, &error, &found)),
        }
    }
    found.extend(apparmor::fault(&config));
    found.extend(sources(&config));
    found.extend(no_image(&config));
    found.extend(links(host, &config, running(host, name))?);
    found.extend(scripts(host, &config)?);
    found.extend(handlers(host, &config));
    found.extend(lame_handlers(&config));
    found.extend(vserver_config::catalog::strays_of_host(&host.confdir));
    Ok(found)
}

/// What kept a start from beginning, with all the faults that are known besides: who corrects one should not meet the
/// next one only then.
pub(crate) fn with_all_faults(host: &Host, name: &GuestName, error: Error) -> Error {
    let about_the_configuration = matches!(
        error,
        Error::Config(vserver_config::Error::Invalid { .. }) | Error::Taken { .. } | Error::NoInit { .. }
    );
    let Some(mut faults) = about_the_configuration.then(|| inspect(host, name).ok()).flatten() else {
        return error;
    };
    faults.retain(|finding| finding.severity == Severity::Error);
    if let Error::Taken { what, .. } = &error {
        faults.retain(|finding| !what.starts_with(&finding.message));
    }
    match error {
        // They hold what it says.
        Error::Config(_) | Error::NoInit { .. } if !faults.is_empty() => {
            vserver_config::Error::Invalid { diagnostics: faults }.into()
        }
        Error::Taken { name, what } if !faults.is_empty() => Error::TakenAndMore { name, what, faults },
        error => error,
    }
}

/// Refuses a guest whose disk is not there; it is not mounted yet.
pub(crate) fn judge_disk(config: &GuestConfig) -> Result<()> {
    match no_image(config) {
        None => Ok(()),
        Some(fault) => Err(vserver_config::Error::Invalid { diagnostics: vec![fault] }.into()),
    }
}

/// Refuses a guest whose tree is not there, out of whose tree a mount would lead, or whose AppArmor profile is not loaded.
/// Its own root is mounted by now.
pub(crate) fn judge(config: &GuestConfig) -> Result<()> {
    let mut diagnostics: Vec<Diagnostic> = dangling(config, &[]).into_iter().collect();
    if diagnostics.is_empty() {
        match GuestRoot::open(&config.vdir) {
            Ok(tree) => diagnostics.extend(escapes(&config.fstab, &tree)),
            Err(error) => diagnostics.extend(unusable(config, &error, &[])),
        }
    }
    diagnostics.extend(apparmor::fault(config));
    match diagnostics.is_empty() {
        true => Ok(()),
        false => Err(vserver_config::Error::Invalid { diagnostics }.into()),
    }
}

/// The entries of `fstab` whose targets lead out of the guest's tree.
fn escapes(fstab: &[FstabEntry], tree: &GuestRoot) -> Vec<Diagnostic> {
    let hint = "name the directory itself, or remove the link from the guest's tree";
    let mut found = Vec::new();
    for (index, entry) in fstab.iter().enumerate().filter(|(_, entry)| !is_always_there(&entry.target)) {
        // What an earlier entry mounts is not seen yet; its own links are looked at when it is there.
        let covered = fstab[..index].iter().any(|above| below(&entry.target, &above.target));
        if !covered && let Err(error) = tree.place(&entry.target) {
            let message = format!("the target '{}' leads out of the guest's tree: {error}", entry.target);
            found.push(fault(&entry.file, Some(entry.line), message, hint));
        }
    }
    found
}

fn below(target: &str, above: &str) -> bool {
    let (target, above) = (Path::new(target), Path::new(above));
    target != above && target.starts_with(above)
}

fn fault(path: impl Into<PathBuf>, line: Option<u32>, message: String, hint: &str) -> Diagnostic {
    Diagnostic { path: path.into(), line, severity: Severity::Error, message, hint: Some(hint.to_owned()) }
}

/// Whether the findings so far tell of this file.
fn told(found: &[Diagnostic], path: &Path) -> bool {
    found.iter().any(|finding| finding.severity == Severity::Error && finding.path == path)
}

fn dangling(config: &GuestConfig, found: &[Diagnostic]) -> Option<Diagnostic> {
    let path = config.dir.join("vdir");
    let message = format!("it leads to '{}', which is no directory", config.vdir.display());
    let hint = "make that directory, mount its file system, or correct the link";
    (!config.vdir.is_dir() && !told(found, &path)).then(|| fault(path, None, message, hint))
}

/// The host's own root, or a link in place of the directory.
fn unusable(config: &GuestConfig, error: &vserver_fs::Error, found: &[Diagnostic]) -> Option<Diagnostic> {
    let path = config.dir.join("vdir");
    let hint = "let it lead to the directory that holds the guest's tree";
    (!told(found, &path)).then(|| fault(path, None, error.to_string(), hint))
}

fn no_init(config: &GuestConfig, tree: &GuestRoot, found: &[Diagnostic]) -> Option<Diagnostic> {
    let path = config.dir.join("apps/init/style");
    let error = init_style::plan(config, tree).err().filter(|_| !told(found, &path))?;
    Some(fault(path, None, error.chain(), "install it, or choose another style or cmd.start"))
}

fn clashes(host: &Host, config: &GuestConfig) -> Result<Vec<Diagnostic>> {
    let all = vserver_config::conflicts(&host.confdir, &config.name)?;
    let diagnostics = all.into_iter().map(|clash| match clash.what {
        Clash::Context(_) => {
            fault(config.dir.join("context"), Some(1), clash.to_string(), "give one of them another number")
        }
        // Two guests may share an address as long as they do not run at the same time.
        Clash::Address(ip) => Diagnostic {
            severity: Severity::Warning,
            ..fault(place_of(config, ip), Some(1), clash.to_string(), "they cannot run at the same time")
        },
    });
    Ok(diagnostics.collect())
}

fn place_of(config: &GuestConfig, ip: std::net::IpAddr) -> PathBuf {
    let own = config.interfaces.iter().find(|interface| interface.address.ip == ip);
    config.dir.join("interfaces").join(own.map_or("", |own| own.dir.as_str())).join("ip")
}

/// A mount that fails does not keep a guest from starting.
fn sources(config: &GuestConfig) -> Vec<Diagnostic> {
    let bind = |entry: &&FstabEntry| entry.mount_options().flags & nix::libc::MS_BIND != 0;
    let missing = config.fstab.iter().filter(bind).filter(|entry| !Path::new(&entry.source).exists());
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

/// Links that cannot be made, unless its own are there already. A script that comes before may make what they hang on.
fn links(host: &Host, config: &GuestConfig, running: bool) -> Result<Vec<Diagnostic>> {
    if running {
        return Ok(Vec::new());
    }
    let mut found = netns::faults(config);
    found.extend(absent(config));
    for flavour in [Flavour::Initialize, Flavour::PrepreStart] {
        if vserver_config::scripts(&host.confdir, &config.name, flavour)?.iter().any(|scripts| !scripts.is_empty()) {
            found.iter_mut().for_each(|one| one.severity = Severity::Warning);
        }
    }
    Ok(found)
}

/// Devices of the host for addresses of a guest on its stack. Such a guest starts all the same, so they may come later.
fn absent(config: &GuestConfig) -> Vec<Diagnostic> {
    if config.network_space != NetworkSpace::Host {
        return Vec::new();
    }
    let of = |own: &Interface| {
        let dev = own.vlan.as_ref().map(|vlan| vlan.parent.as_str()).or(own.dev.as_deref())?;
        let missing = !own.nodev && own.tun.is_none() && !vserver_net::has_device(dev);
        let message = format!("there is no network device '{dev}' now: the guest would start without this address");
        let path = config.dir.join("interfaces").join(&own.dir);
        let hint = "correct 'dev', or make the device first; `start --strict` refuses";
        missing.then(|| Diagnostic { severity: Severity::Warning, ..fault(path, None, message, hint) })
    };
    config.interfaces.iter().filter_map(of).collect()
}

fn running(host: &Host, name: &GuestName) -> bool {
    RunRecord::load(host, name).is_ok_and(|record| record.is_some_and(|record| record.supervisor_lives()))
}

/// Refuses a guest whose links cannot be made.
pub(crate) fn judge_links(config: &GuestConfig) -> Result<()> {
    let diagnostics = netns::faults(config);
    if diagnostics.is_empty() { Ok(()) } else { Err(vserver_config::Error::Invalid { diagnostics }.into()) }
}

/// The image of its own disk.
fn no_image(config: &GuestConfig) -> Option<Diagnostic> {
    let image = config.image.as_ref().filter(|image| !image.is_file())?;
    let message = format!("the image '{}' does not exist", image.display());
    Some(fault(config.dir.join("disk/image"), Some(1), message, "bring it back, or correct the path"))
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

/// Programs for events that cannot be executed are passed over.
fn lame_handlers(config: &GuestConfig) -> Vec<Diagnostic> {
    let dir = config.dir.join("apps/vshelper");
    let lame = |path: &PathBuf| path.metadata().is_ok_and(|file| file.is_file() && file.mode() & 0o111 == 0);
    let told = |path: PathBuf| Diagnostic {
        severity: Severity::Warning,
        ..fault(path, None, "it is not executable, so it is passed over".to_owned(), "chmod +x it, or remove it")
    };
    HANDLED.into_iter().map(|event| dir.join(event)).filter(lame).map(told).collect()
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
mod tests;
