//! `vserver-info`: one fact, for scripts. Source of tags and texts: util-vserver, `commands.md` §6.

mod host;
mod proc_virtual;
mod subject;

use serde_json::json;
use vserver_types::{Exit, Xid, XidKind};

use crate::args::VinfoArgs;
use crate::context::Context;
use crate::error::CliError;
use subject::Subject;

/// All tags, as `-l` shows them.
const TAGS: [&str; 24] = [
    "CONTEXT",
    "ID",
    "RUNNING",
    "VDIR",
    "NAME",
    "CFGDIR",
    "APPDIR",
    "INITPID",
    "INITPID_PID",
    "XID",
    "NID",
    "TAG",
    "APIVER",
    "UTS",
    "SYSINFO",
    "FEATURE",
    "PXID",
    "CANONIFY",
    "VERIFYCAP",
    "VERIFYPROC",
    "XIDTYPE",
    "VINFO",
    "NINFO",
    "PROC",
];

/// What a tag gives.
enum Answer {
    /// A value, printed with a newline.
    Value(String),
    /// A text of lines.
    Text(String),
    /// Yes, without output.
    Yes,
    /// Not available: no output, status 1.
    No,
}

impl From<Option<String>> for Answer {
    fn from(value: Option<String>) -> Self {
        value.map_or(Self::No, Self::Value)
    }
}

/// Answers.
pub fn run(args: &VinfoArgs, context: &Context) -> Result<Exit, CliError> {
    if args.list {
        context.printer.line(format_args!("Valid tags are: {}", TAGS.join(", ")))?;
        return Ok(Exit::Success);
    }
    let [word, tag, rest @ ..] = args.words.as_slice() else {
        give("SYSINFO", Answer::Text(host::system(context)), args, context)?;
        context.printer.warn("Assumed 'SYSINFO' as no other option given; try '--help' for more information.");
        return Ok(Exit::Success);
    };
    let answer = answer(word, tag, rest, context)?;
    give(tag, answer, args, context)
}

fn answer(word: &str, tag: &str, rest: &[String], context: &Context) -> Result<Answer, CliError> {
    let first = rest.first().map(String::as_str);
    let subject = || Subject::find(word, context);
    Ok(match tag {
        "CONTEXT" => subject()?.context(first).into(),
        "ID" => {
            subject()?.record.map(|record| record.confdir.join(record.name.as_str()).display().to_string()).into()
        }
        "RUNNING" => subject()?.record.map(|_| "1".to_owned()).into(),
        "VDIR" => subject()?.root(first).into(),
        "NAME" => subject()?.name.map(|name| name.to_string()).into(),
        "CFGDIR" => subject()?.dir.map(|dir| dir.display().to_string()).into(),
        "APPDIR" => subject()?.app(first).into(),
        "INITPID" => subject()?.record.map(|record| record.init.to_string()).into(),
        "INITPID_PID" => {
            Subject::of_process(word, context)?.and_then(|s| s.record).map(|r| r.init.to_string()).into()
        }
        "XID" => Subject::of_process(word, context)?.map(|s| s.xid().to_string()).into(),
        "NID" => Subject::of_process(word, context)?.map(|s| s.nid().to_string()).into(),
        "TAG" => Subject::of_process(word, context)?.map(|s| s.tag().to_string()).into(),
        "VINFO" => Subject::of_process(word, context)?.map_or(Answer::No, |s| Answer::Text(proc_virtual::vinfo(&s))),
        "NINFO" => Subject::of_process(word, context)?.map_or(Answer::No, |s| Answer::Text(proc_virtual::ninfo(&s))),
        "PROC" => proc_virtual::file(&subject()?, first)?.map_or(Answer::No, Answer::Text),
        "UTS" => subject()?.uts(first)?.into(),
        "APIVER" => Answer::Value(host::API.to_owned()),
        "SYSINFO" => Answer::Text(host::system(context)),
        "FEATURE" => yes(first.is_some_and(host::has_feature)),
        "PXID" => Answer::No,
        "CANONIFY" => {
            Some(word.chars().filter(char::is_ascii_alphanumeric).collect()).filter(|s: &String| !s.is_empty()).into()
        }
        "VERIFYCAP" => yes(host::dropping_forbids_chroot()?),
        "VERIFYPROC" => yes(std::fs::read("/proc/uptime").is_ok()),
        "XIDTYPE" => {
            let kind = kind(word);
            let wanted = rest.is_empty() || rest.iter().any(|word| word.eq_ignore_ascii_case(kind));
            Some(kind.to_owned()).filter(|_| wanted).into()
        }
        _ => {
            let text = format!("Unknown tag '{tag}'; use '-l' to get a list of valid tags");
            return Err(CliError::known(format!("vserver-info: {text}"), Exit::Failure));
        }
    })
}

fn yes(really: bool) -> Answer {
    if really { Answer::Yes } else { Answer::No }
}

fn kind(word: &str) -> &'static str {
    match word.parse().map(Xid::kind) {
        Ok(XidKind::Main) => "main",
        Ok(XidKind::Watch) => "watch",
        Ok(XidKind::Static) => "static",
        Ok(XidKind::Dynamic) => "dynamic",
        Ok(XidKind::Invalid) | Err(_) => "invalid",
    }
}

fn give(tag: &str, answer: Answer, args: &VinfoArgs, context: &Context) -> Result<Exit, CliError> {
    let exit = if matches!(answer, Answer::No) { Exit::Failure } else { Exit::Success };
    if args.quiet {
        return Ok(exit);
    }
    if args.json {
        let value = match &answer {
            Answer::Value(text) | Answer::Text(text) => json!(text),
            Answer::Yes => json!(true),
            Answer::No => json!(null),
        };
        context.printer.json(&json!({ "tag": tag, "value": value }))?;
        return Ok(exit);
    }
    match answer {
        Answer::Value(value) => context.printer.line(value)?,
        Answer::Text(text) => context.printer.text(&text)?,
        Answer::Yes | Answer::No => {}
    }
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// compat/commands.md §6, XIDTYPE.
    #[test]
    fn kinds_of_numbers() {
        for (word, name) in
            [("0", "main"), ("1", "watch"), ("2", "static"), ("49152", "dynamic"), ("70000", "invalid")]
        {
            assert_eq!(kind(word), name);
        }
        assert_eq!(kind("web1"), "invalid");
    }
}
