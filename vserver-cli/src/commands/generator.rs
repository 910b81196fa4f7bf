//! `systemd-vserver-generator NORMAL EARLY LATE`: which guests boot, and in which order, as links and drop-ins of
//! systemd. Source: util-vserver, `commands.md` §10; the order (`After=`) is ours.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use vserver_config::order::circles;
use vserver_config::{Boot, BootFacts};
use vserver_types::Exit;

use crate::args::GeneratorArgs;
use crate::context::Context;
use crate::error::CliError;

/// The original's variable for the configuration root.
const CONFDIR: &str = "X_UTIL_VSERVER_CONFDIR";
/// The status of sysexits.h that the original gives.
const OS_ERROR: Exit = Exit::Command(71);

/// What is to be made below the directory for units.
#[derive(Debug, Default, PartialEq, Eq)]
struct Made {
    /// Link and target.
    links: BTreeMap<String, String>,
    /// File and content.
    files: BTreeMap<String, String>,
}

/// 0, 64 for a wrong command line, 71 if something could not be read or made.
pub fn run(args: &GeneratorArgs, context: &Context) -> Result<Exit, CliError> {
    let confdir = std::env::var_os(CONFDIR).filter(|value| !value.is_empty()).map(PathBuf::from);
    let confdir = confdir.filter(|_| args.common.confdir.is_none()).unwrap_or_else(|| context.host.confdir.clone());
    let boot = match Boot::read(&confdir) {
        Ok(boot) => boot,
        Err(error) => {
            context.printer.note(crate::error::chain(&error));
            return Ok(OS_ERROR);
        }
    };
    boot.findings.iter().for_each(|finding| context.printer.note(finding));
    for circle in circles(&boot.depends()) {
        context
            .printer
            .note(format_args!("guests depend on each other in a circle, which is cut at its end: {circle}"));
    }
    match write(&args.normal, &made(&boot, &confdir, &units())) {
        Ok(()) => Ok(Exit::Success),
        Err(error) => {
            context.printer.note(format_args!("cannot write below {}: {error}", args.normal.display()));
            Ok(OS_ERROR)
        }
    }
}

fn made(boot: &Boot, confdir: &Path, units: &Path) -> Made {
    let unit = |name: &str| units.join(name).display().to_string();
    let mut made = Made::default();
    let cut: Vec<_> = circles(&boot.depends()).into_iter().map(|circle| circle.0).collect();
    // A guest that is a link to another one's configuration is left out, as by the original.
    let own = |name: &str| !confdir.join(name).is_symlink();
    for (name, facts) in boot.guests.iter().filter(|(name, facts)| facts.enabled && own(name.as_str())) {
        let guest = service(name.as_str());
        let needs = facts.depends.iter().filter(|need| {
            let closes = |circle: &Vec<_>| circle.last() == Some(name) && circle[0].as_str() == need.as_str();
            !cut.iter().any(closes)
        });
        let needs: Vec<String> = needs.map(|need| service(need)).collect();
        for need in &needs {
            made.links.insert(format!("{guest}.requires/{need}"), unit(TEMPLATE));
        }
        for mark in &facts.marks {
            let target = format!("vserver-mark@{}.target", escape(mark));
            made.links.insert(format!("{target}.wants/{guest}"), unit(TEMPLATE));
            made.links.insert(format!("vserver.target.wants/{target}"), unit("vserver-mark@.target"));
        }
        if let Some(content) = drop_in(facts, &needs) {
            made.files.insert(format!("{guest}.d/50-order.conf"), content);
        }
    }
    made
}

const TEMPLATE: &str = "vserver@.service";

/// Where the units lie: beside the directory that systemd called us in.
fn units() -> PathBuf {
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let generators = called.parent().filter(|dir| dir.ends_with("system-generators"));
    generators.map_or_else(|| PathBuf::from("/usr/lib/systemd/system"), |dir| dir.with_file_name("system"))
}

fn service(guest: &str) -> String {
    format!("vserver@{}.service", escape(guest))
}

/// The order: requirement alone would start both at once. A mark's target is up when its guests are, and takes them
/// along when it is stopped.
fn drop_in(facts: &BootFacts, needs: &[String]) -> Option<String> {
    let targets: Vec<_> = facts.marks.iter().map(|mark| format!("vserver-mark@{}.target", escape(mark))).collect();
    let lines = [("After", needs), ("Before", &targets[..]), ("PartOf", &targets[..])];
    let lines = lines.into_iter().filter(|(_, units)| !units.is_empty());
    let lines: Vec<_> = lines.map(|(key, units)| format!("{key}={}\n", units.join(" "))).collect();
    (!lines.is_empty()).then(|| format!("# From apps/init/mark and apps/init/depends.\n[Unit]\n{}", lines.concat()))
}

/// `/` becomes `-`; `-`, `\`, and bytes that are not printable ASCII become `\xNN`. Source: systemd-escape(1).
fn escape(text: &str) -> String {
    let byte = |(index, byte): (usize, u8)| match byte {
        b'/' => "-".to_owned(),
        b'.' if index == 0 => "\\x2e".to_owned(),
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => char::from(byte).to_string(),
        other => format!("\\x{other:02x}"),
    };
    text.bytes().enumerate().map(byte).collect()
}

fn write(normal: &Path, made: &Made) -> io::Result<()> {
    let parent = |path: &Path| path.parent().map_or(Ok(()), fs::create_dir_all);
    for (file, content) in &made.files {
        let path = normal.join(file);
        parent(&path)?;
        fs::write(path, content)?;
    }
    for (link, target) in &made.links {
        let path = normal.join(link);
        parent(&path)?;
        match symlink(target, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_is_systemds() {
        assert_eq!(escape("web-1"), "web\\x2d1");
        assert_eq!(escape("a/b+c.d_e:f"), "a-b\\x2bc.d_e:f");
        assert_eq!(escape(".x"), "\\x2ex");
        assert_eq!(escape("ä\t"), "\\xc3\\xa4\\x09");
    }

    /// compat/commands.md §10, systemd: links by mark and depends; the order is ours.
    #[test]
    fn marks_and_depends_become_links_and_an_order() {
        let guest = |name: &str, marks: &[&str], depends: &[&str], enabled| {
            let [marks, depends] = [marks, depends].map(|lines| lines.iter().map(ToString::to_string).collect());
            (name.parse().unwrap(), BootFacts { marks, depends, enabled, dangling: !enabled })
        };
        let guests = [
            guest("db-1", &[], &["web"], true),
            guest("old", &["default"], &[], false),
            guest("web", &["default", "late"], &["db-1"], true),
        ];
        let made =
            made(&Boot { guests: guests.into(), findings: Vec::new() }, Path::new("/nonexistent"), Path::new("/u"));
        let links: Vec<_> = made.links.iter().map(|(link, target)| format!("{link} -> {target}")).collect();
        let wanted = [
            "vserver-mark@default.target.wants/vserver@web.service -> /u/vserver@.service",
            "vserver-mark@late.target.wants/vserver@web.service -> /u/vserver@.service",
            "vserver.target.wants/vserver-mark@default.target -> /u/vserver-mark@.target",
            "vserver.target.wants/vserver-mark@late.target -> /u/vserver-mark@.target",
            "vserver@db\\x2d1.service.requires/vserver@web.service -> /u/vserver@.service",
        ];
        assert_eq!(links, wanted, "the circle is cut: web does not wait for db-1");
        assert_eq!(
            made.files["vserver@db\\x2d1.service.d/50-order.conf"],
            "# From apps/init/mark and apps/init/depends.\n[Unit]\nAfter=vserver@web.service\n"
        );
        assert_eq!(made.files.len(), 2);
        assert!(made.files["vserver@web.service.d/50-order.conf"].contains("\nPartOf=vserver-mark@default.target "));
    }
}
