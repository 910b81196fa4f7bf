//! `vsysvwrapper` and `v_sshd`, `v_httpd` …: an init script of the host, held to addresses. Source: util-vserver,
//! `commands.md` §12.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use vserver_types::Exit;

use crate::args::{self, ChbindArgs};
use crate::commands::chbind;
use crate::context::Context;
use crate::error::CliError;

/// Where the settings of such services are.
const SETTINGS: &str = "/etc/vservices";
/// No service is named. Source: LSB, "program is not configured".
const NOT_CONFIGURED: Exit = Exit::Command(6);
/// `/lib/lsb/init-functions` of Debian would hand the script on to systemd, which starts the daemon outside of the context.
const DIRECTLY: &str = "SYSTEMCTL_SKIP_REDIRECT=yes";

/// What a service is held to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Service {
    /// Addresses or devices.
    addresses: Vec<String>,
    /// Number of its network context.
    nid: Option<String>,
}

/// `vsysvwrapper SERVICE ARGUMENTS`
pub fn run(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let Some((service, arguments)) = words.split_first() else {
        return Err(CliError::known("vsysvwrapper service_name", NOT_CONFIGURED));
    };
    start(&service.to_string_lossy(), arguments, context)
}

/// `v_SERVICE ARGUMENTS`
pub fn by_own_name(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    start(context.printer.tool().trim_start_matches("v_"), words, context)
}

fn start(name: &str, arguments: &[OsString], context: &Context) -> Result<Exit, CliError> {
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err(CliError::Refused(format!("'{name}' is not the name of a service")));
    }
    let script = Path::new("/etc/init.d").join(name);
    if !script.exists() {
        return Err(CliError::Refused(format!(
            "there is no init script '{0}'; a daemon under systemd is held by `ExecStart=/usr/sbin/chbind --silent --ip \
             ADDRESS -- …` in a drop-in of its unit",
            script.display()
        )));
    }
    let words = command_line(&settings(name, context)?, &script, arguments);
    let shown: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    context.printer.line(format_args!("exec chbind {}", shown.join(" ")))?;
    let args: ChbindArgs = args::parse(&context.printer, &words, Exit::BeforeExec)?;
    chbind::run(&args, context)
}

fn command_line(service: &Service, script: &Path, arguments: &[OsString]) -> Vec<OsString> {
    let nid = service.nid.iter().flat_map(|nid| ["--nid".to_owned(), nid.clone()]);
    let addresses = service.addresses.iter().flat_map(|one| ["--ip".to_owned(), one.clone()]);
    let command = ["--", "env", DIRECTLY].map(str::to_owned);
    let words = nid.chain(addresses).chain(command).map(OsString::from);
    words.chain([script.as_os_str().to_owned()]).chain(arguments.iter().cloned()).collect()
}

/// The original ran this file as a script; here it is read, and what is no assignment is named.
fn settings(name: &str, context: &Context) -> Result<Service, CliError> {
    let path = PathBuf::from(format!("{SETTINGS}/{name}.conf"));
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(CliError::io(format!("cannot read '{}'", path.display()))(error)),
    };
    let (mut service, foreign) = parse(&text);
    for number in foreign {
        context.printer.note(format_args!("{}:{number}: this is no assignment and is left out", path.display()));
    }
    if service.addresses.is_empty() {
        service.addresses.push("eth0".to_owned());
    }
    Ok(service)
}

/// `IP="192.0.2.1 eth1"` and `NID=40012`; other variables mean nothing. And the lines that are none.
fn parse(text: &str) -> (Service, Vec<usize>) {
    let (mut service, mut foreign) = (Service::default(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let value = |value: &str| value.trim_matches(|quote| quote == '"' || quote == '\'').to_owned();
        match line.split_once('=').map(|(name, text)| (name, value(text))) {
            Some(("IP", text)) => service.addresses = text.split_whitespace().map(str::to_owned).collect(),
            Some(("NID", text)) => service.nid = Some(text).filter(|text| !text.is_empty()),
            Some((name, _)) if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {}
            _ => foreign.push(index + 1),
        }
    }
    (service, foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_nothing_is_executed() {
        let (service, foreign) = parse("# sshd\nIP=\"127.0.0.5 eth1\"\nexport NID=40012\nCAPS=x\ntouch /tmp/x\n\n");
        assert_eq!(
            service,
            Service { addresses: vec!["127.0.0.5".into(), "eth1".into()], nid: Some("40012".into()) }
        );
        assert_eq!(foreign, [5]);
        assert_eq!(parse("NID=\n").0, Service::default());
    }

    #[test]
    fn the_script_is_called_directly() {
        let service = Service { addresses: vec!["127.0.0.5".into()], nid: Some("7".into()) };
        let words = command_line(&service, Path::new("/etc/init.d/sshd"), &["start".into()]);
        let expected = ["--nid", "7", "--ip", "127.0.0.5", "--", "env", DIRECTLY, "/etc/init.d/sshd", "start"];
        assert_eq!(words, expected);
    }
}
