//! Numbers, links, how it starts and stops, and the sets of flags.

use serde_json::{Map, Value, json};
use vserver_types::{CapSet, FlagEdit, FlagKind};

use super::{Subject, lines, names};
use crate::init::{Init, Style};
use crate::life::{Handler, helper, helper_log};
use crate::model::Uts;
use crate::reader::Reader;

pub(super) fn identity(subject: &Subject<'_>) -> Value {
    let config = subject.config;
    let context = config.context.map(|xid| xid.0);
    let tag = Reader::default().scalar(&subject.own("tag")).and_then(|tag| tag.parse().ok()).or(context);
    json!({
        "display_name": config.display_name,
        "internal_name": config.name.as_str(),
        "context": context,
        "ncontext": config.ncontext.map(|nid| nid.0),
        "tag": tag,
        "dynamic": context.is_none(),
        "disabled": config.disabled,
        "links": {"vdir": config.vdir, "cache": config.cache, "run": config.run_target},
    })
}

pub(super) fn init(subject: &Subject<'_>) -> Value {
    let init = &subject.config.init;
    let killseq = Reader::default().argv(&subject.own("apps/init/killseq"));
    let tty = subject.inherited("apps/init/tty").or_else(|| {
        let own = subject.own("apps/init/tty");
        own.is_symlink().then_some(own)
    });
    let mut out = json!({
        "style": init.style().to_string(),
        "protocol": if has_init(init) { "fakeinit" } else { "foreground" },
        "runlevel_start": init.runlevel_start,
        "runlevel_stop": init.runlevel_stop,
        "killseq": killseq.unwrap_or_else(|| ["15", "5", "9"].map(str::to_owned).to_vec()),
        "environment": init.start_environment(Some("<caller's TERM>")),
        "mark": init.mark,
        "depends": init.depends,
        "sync": init.sync,
        "tty": tty.map(|path| path.read_link().unwrap_or(path)),
    });
    for (key, value) in commands(init).into_iter().flatten() {
        out[key] = value;
    }
    out
}

/// The guest's first process is an init of its own.
fn has_init(init: &Init) -> bool {
    init.fakeinit || matches!(init.style(), Style::Plain | Style::Systemd | Style::Minit)
}

/// The commands that start and stop it, as far as the configuration alone says them.
/// Source: util-vserver, `behaviours.md` §3.
fn commands(init: &Init) -> [Option<(&'static str, Value)>; 2] {
    let start = match (&init.cmd_start, init.style()) {
        (Some(command), _) => Some(("start", json!(command))),
        (None, style) => style_start(style, &init.runlevel_start),
    };
    // What has an init gets a signal, whatever cmd.stop says.
    let stop = match (&init.cmd_stop, init.style()) {
        (_, Style::Systemd) => Some(("stop_signal", json!("RTMIN+3"))),
        _ if has_init(init) => Some(("stop_signal", json!("INT"))),
        (Some(command), _) => Some(("stop", json!(command))),
        (None, Style::Sysv) => Some(("stop_candidates", candidates(RC, &init.runlevel_stop))),
        (None, Style::Gentoo | Style::Openrc) => Some(("stop", json!(["/sbin/rc", "shutdown"]))),
        (None, Style::Arch) => Some(("stop", json!(["/etc/rc.shutdown"]))),
        (None, _) => None,
    };
    [start, stop]
}

/// Start scripts of `sysv`; the last one that is there is used.
const RC: [&str; 2] = ["/etc/init.d/rc", "/etc/rc.d/rc"];
/// The same of `gentoo` and `openrc`.
const INIT_VSERVER: [&str; 2] = ["/lib/rcscripts/sh/init-vserver.sh", "/lib/rc/sh/init-vserver.sh"];

fn style_start(style: Style, level: &Option<String>) -> Option<(&'static str, Value)> {
    match style {
        Style::Plain | Style::Systemd => Some(("start", with_level("/sbin/init", level))),
        Style::Minit => Some(("start", with_level("/sbin/minit-start", level))),
        Style::Sysv => Some(("start_candidates", candidates(RC, level))),
        Style::Gentoo | Style::Openrc => Some(("start_candidates", candidates(INIT_VSERVER, level))),
        Style::Arch => Some(("start", json!(["/etc/rc.multi"]))),
        Style::Empty => None,
    }
}

fn candidates(programs: [&str; 2], level: &Option<String>) -> Value {
    programs.map(|program| with_level(program, level)).into_iter().collect()
}

fn with_level(program: &str, level: &Option<String>) -> Value {
    std::iter::once(program).chain(level.as_deref()).collect()
}

pub(super) fn vshelper(subject: &Subject<'_>) -> Value {
    let confdir = subject.defaults.parent().unwrap_or(&subject.defaults);
    let handler = |event: &str| match helper(confdir, &subject.config.name, event) {
        Handler::Program(path) => subject.shown(&path),
        Handler::Unknown(method) => format!("unknown method {method}"),
        Handler::Restart => match subject.inherited("apps/vshelper/action") {
            Some(action) => format!("builtin restart ({})", subject.shown(&action)),
            None => "builtin restart".to_owned(),
        },
    };
    let log = subject.defaults.join("apps/vshelper/logfile");
    json!({
        "sync_timeout": subject.config.init.sync_timeout.as_secs(),
        "handlers": {"restart": handler("restart"), "halt": handler("halt"), "poweroff": handler("poweroff")},
        "logfile": log.read_link().ok().or_else(|| helper_log(confdir)),
    })
}

pub(super) fn personality(subject: &Subject<'_>) -> Value {
    let Some(value) = subject.config.personality else { return Value::Null };
    let path = subject.own("personality");
    let kind = Reader::default().scalar(&path);
    let mut flags = lines(&path);
    flags.retain(|line| Some(line) != kind.as_ref());
    let mut edit = FlagEdit::default();
    for line in &flags {
        // A bad line was reported when the guest was read.
        let _ = edit.parse_into(FlagKind::Personality, line);
    }
    let flags: Vec<&str> = flags.iter().flat_map(|line| line.split(',')).collect();
    json!({"type": kind, "flags": flags, "value": format!("{value:#010x}")})
}

pub(super) fn uts(uts: &Uts) -> Value {
    let all = [
        ("sysname", &uts.sysname),
        ("nodename", &uts.nodename),
        ("release", &uts.release),
        ("version", &uts.version),
        ("machine", &uts.machine),
        ("domainname", &uts.domainname),
    ];
    let set = all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?))));
    Value::Object(set.collect::<Map<_, _>>())
}

pub(super) fn flags(subject: &Subject<'_>) -> Vec<(&'static str, Value)> {
    let config = subject.config;
    let cflags = ["cflags", "flags"].map(|file| subject.own(file)).into_iter().find(|path| path.is_file());
    let mut cflag_lines = cflags.map(|path| lines(&path)).unwrap_or_default();
    cflag_lines.retain(|line| line != "namespace");
    let bcaps = CapSet::SECURE.edited(config.bcaps);
    // Apart, because the original's sets were of 32.
    let (known, later) = (CapSet(bcaps.0 & u64::from(u32::MAX)), CapSet(bcaps.0 & !u64::from(u32::MAX)));
    let bcaps = json!({
        "options": lines(&subject.own("bcapabilities")),
        "final": names(&known),
        "final_above_31": names(&later),
    });
    vec![
        ("bcaps", bcaps),
        (
            "ccaps",
            json!({"options": lines(&subject.own("ccapabilities")), "final": one_by_one(FlagKind::Ccap, config.ccaps.0)}),
        ),
        ("cflags", json!({"options": cflag_lines, "final": one_by_one(FlagKind::Cflag, config.cflags.0)})),
        ("nflags", json!(lines(&subject.own("nflags")))),
        ("nflags_final_with_kernel_default", json!(one_by_one(FlagKind::Nflag, config.nflags.0))),
        ("ncaps", json!(lines(&subject.own("ncapabilities")))),
        ("ncaps_final", json!(one_by_one(FlagKind::Ncap, config.ncaps.0))),
        ("umask", json!(lines(&subject.own("umask")))),
        ("umask_final", json!(spaces(config.umask))),
    ]
}

/// A name, or `^N`, for each bit: not as `vattribute` prints a word, in which `default` stands for two flags and nothing has a
/// name after the first bit without one.
fn one_by_one(kind: FlagKind, word: u64) -> Vec<String> {
    (0..u64::BITS).map(|bit| word & 1 << bit).filter(|bit| *bit != 0).map(|bit| kind.print(bit)).collect()
}

/// The namespaces of an edit of none.
fn spaces(edit: FlagEdit) -> Vec<&'static str> {
    let bits = edit.apply(0);
    FlagKind::Space.names().iter().filter(|(_, bit)| bits & bit != 0).map(|(name, _)| *name).collect()
}
