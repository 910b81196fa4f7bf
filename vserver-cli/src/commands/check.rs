//! `check`.

use serde::Serialize;
use vserver_config::{Diagnostic, Severity};
use vserver_runtime::Appraisal;
use vserver_types::{Exit, Verdict};

use crate::args::CheckArgs;
use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Prints every fault of the configuration with file and line, then what becomes of each setting: 0 if there is no fault
/// that forbids a start.
pub fn run(args: &CheckArgs, as_json: bool, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let (host, name) = (&context.host, &guest.name);
    let findings = match vserver_runtime::inspect(host, name) {
        Ok(findings) => findings,
        Err(vserver_runtime::Error::Config(vserver_config::Error::Invalid { diagnostics })) => diagnostics,
        Err(error) => return Err(guest.failed(error, context)),
    };
    // A guest of a kind that is not read at all has faults and no settings.
    let mut settings = vserver_runtime::appraise(host, name).unwrap_or_default();
    if args.quiet || context.printer.is_quiet() {
        settings.retain(|one| one.verdict != Verdict::Honoured);
    }
    let fault = findings.iter().any(|finding| finding.severity == Severity::Error);
    match as_json {
        true => context.printer.json(&Report::new(name.as_str(), &findings, &settings))?,
        false => context.printer.text(&text(name.as_str(), &findings, &settings))?,
    }
    Ok(if fault { Exit::Failure } else { Exit::Success })
}

/// Findings begin with a path, settings with a verdict; theirs is the path below the configuration root, so that lines of
/// several guests can be told apart.
fn text(guest: &str, findings: &[Diagnostic], settings: &[Appraisal]) -> String {
    let findings = findings.iter().map(|finding| format!("{finding}\n"));
    let settings = settings.iter().map(|one| {
        let owner = if one.setting.starts_with(".defaults/") { String::new() } else { format!("{guest}/") };
        format!("{:<8} {owner}{}: {}\n", one.verdict, one.setting, one.how)
    });
    findings.chain(settings).collect()
}

/// The same for programs.
#[derive(Serialize)]
struct Report<'a> {
    guest: &'a str,
    findings: Vec<Finding<'a>>,
    settings: &'a [Appraisal],
}

#[derive(Serialize)]
struct Finding<'a> {
    file: &'a std::path::Path,
    line: Option<u32>,
    severity: &'static str,
    message: &'a str,
    remedy: Option<&'a str>,
}

impl<'a> Report<'a> {
    fn new(guest: &'a str, findings: &'a [Diagnostic], settings: &'a [Appraisal]) -> Self {
        let findings = findings.iter().map(|one| Finding {
            file: &one.path,
            line: one.line,
            severity: if one.severity == Severity::Error { "error" } else { "warning" },
            message: &one.message,
            remedy: one.hint.as_deref(),
        });
        Self { guest, findings: findings.collect(), settings }
    }
}
