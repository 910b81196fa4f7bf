//! `vattribute`: capabilities and flags of a context that runs.

use std::ffi::OsString;

use vserver_runtime::bare::{self, Bare, Side};
use vserver_runtime::{Attributes, RunRecord};
use vserver_types::{CapSet, ContextCaps, ContextFlags, Exit, FlagEdit, FlagKind};

use crate::args::VattributeArgs;
use crate::commands::chain::{self, Target};
use crate::context::Context;
use crate::error::CliError;

/// What one command line changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change {
    secure: bool,
    bcaps: FlagEdit,
    ccaps: FlagEdit,
    cflags: FlagEdit,
    umask: FlagEdit,
}

/// Shows or changes them, becomes the command if there is one.
pub fn run(args: &VattributeArgs, context: &Context) -> Result<Exit, CliError> {
    let word = args.xid.as_deref();
    let target = chain::target(context, Side::Context, word)?;
    if args.get {
        context.printer.text(&show(&now(&target, word)?))?;
        return chain::go_on(&args.command);
    }
    let change = Change {
        secure: args.secure,
        bcaps: chain::lists(FlagKind::Bcap, &args.bcap, Exit::Failure)?,
        ccaps: chain::lists(FlagKind::Ccap, &args.ccap, Exit::Failure)?,
        cflags: chain::lists(FlagKind::Cflag, &args.flag, Exit::Failure)?,
        umask: chain::lists(FlagKind::Space, &args.umask, Exit::Failure)?,
    };
    match target {
        Target::Guest(record) => of_guest(&record, change, context)?,
        Target::Bare(bare) => of_bare(*bare, word.is_none_or(|word| word == "self"), change, context)?,
        Target::Host => {
            return Err(CliError::Refused("the host has no context to change; give one with --xid".to_owned()));
        }
        Target::Idle(_) => return Err(chain::no_such(Side::Context, word)),
    }
    chain::go_on(&args.command)
}

fn now(target: &Target, word: Option<&str>) -> Result<Attributes, CliError> {
    match target {
        Target::Guest(record) => Ok(record.attributes),
        Target::Bare(bare) => Ok(bare.attributes),
        Target::Host => Ok(Attributes { bcaps: own_bounding_set(), ..Attributes::default() }),
        Target::Idle(_) => Err(chain::no_such(Side::Context, word)),
    }
}

/// Source: util-vserver, `commands.md` §5.
fn show(words: &Attributes) -> String {
    format!(
        "bcapabilities:\n{}\nccapabilities:\n{}\nflags:\n{}\numask:\n{}\n",
        FlagKind::Bcap.print(words.bcaps.0),
        words.ccaps,
        words.cflags,
        FlagKind::Space.print(words.umask)
    )
}

impl Change {
    /// The words that it makes of these.
    pub fn apply(self, now: Attributes) -> Attributes {
        let base = if self.secure { secure(now) } else { now };
        Attributes {
            bcaps: CapSet(self.bcaps.apply(base.bcaps.0) & CapSet::ALL.0),
            ccaps: ContextCaps(self.ccaps.apply(base.ccaps.0)),
            cflags: ContextFlags(self.cflags.apply(base.cflags.0)),
            umask: self.umask.apply(base.umask),
            ..base
        }
    }
}

/// `--secure`. Source: util-vserver, `flags.md` §2, §3; capabilities that the original did not know are not secure.
fn secure(now: Attributes) -> Attributes {
    Attributes {
        bcaps: CapSet::SECURE,
        ccaps: ContextCaps(ContextCaps::SECURE),
        cflags: ContextFlags(now.cflags.0 | ContextFlags::HIDE_NETIF),
        ..now
    }
}

/// What can be changed is; what cannot is said, and makes the command fail.
fn of_guest(record: &RunRecord, change: Change, context: &Context) -> Result<(), CliError> {
    let wanted = change.apply(record.attributes);
    let (report, later) = vserver_runtime::change_attributes(&context.host, &record.name, wanted)?;
    chain::report(context, &report);
    if later.is_empty() {
        return Ok(());
    }
    Err(CliError::Refused(format!(
        "guest '{}' keeps {} until it starts again: write the change into its configuration ({}) and restart it",
        record.name,
        later.join(", "),
        record.confdir.join(record.name.as_str()).display()
    )))
}

/// In a chain the caller is the first process of its context: what it gives up, nobody after it has.
fn of_bare(mut bare: Bare, own: bool, change: Change, context: &Context) -> Result<(), CliError> {
    let before = bare.attributes;
    let wanted = change.apply(before);
    if wanted.bcaps != before.bcaps {
        if !own {
            let fault = "capabilities of a context without a guest change only in the chain that makes it: \
                         vcontext --create -- vattribute --set --bcap … -- COMMAND";
            return Err(CliError::Refused(fault.to_owned()));
        }
        keep_only(wanted.bcaps)?;
    }
    bare.attributes = wanted;
    bare.save(&context.host)?;
    let paused = wanted.cflags.contains(ContextFlags::SCHED_PAUSE);
    if paused != before.cflags.contains(ContextFlags::SCHED_PAUSE) {
        bare::set_hold(&bare, paused)?;
    }
    if !wanted.cflags.contains(ContextFlags::PERSISTENT) {
        bare::release(&context.host, &bare)?;
    }
    Ok(())
}

/// `--secure` resets the capabilities and flags that stand before it on the command line: takes them out.
pub fn after_secure(words: &[OsString]) -> Vec<OsString> {
    const RESET: [&str; 4] = ["--bcap", "--ccap", "--ncap", "--flag"];
    const WITH_VALUE: [&str; 4] = ["--xid", "--nid", "--umask", "--confdir"];
    let (mut kept, mut words): (Vec<OsString>, _) = (Vec::new(), words.iter());
    // Beginnings and ends in `kept` of what a later --secure takes away.
    let mut resettable: Vec<std::ops::Range<usize>> = Vec::new();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if text == "--" || !text.starts_with('-') {
            kept.push(word.clone());
            kept.extend(words.cloned());
            break;
        }
        if text == "--secure" {
            for range in resettable.drain(..).rev() {
                kept.drain(range);
            }
        }
        let begin = kept.len();
        kept.push(word.clone());
        let name = text.split_once('=').map_or(text.as_ref(), |(name, _)| name);
        if !text.contains('=') && (RESET.contains(&name) || WITH_VALUE.contains(&name)) {
            kept.extend(words.next().cloned());
        }
        if RESET.contains(&name) {
            resettable.push(begin..kept.len());
        }
    }
    kept
}

/// Takes everything else out of this process's bounding set: it stays so through every exec.
pub fn keep_only(set: CapSet) -> Result<(), CliError> {
    for cap in caps::runtime::thread_all_supported() {
        if set.0 >> cap.index() & 1 == 0 {
            let dropped = caps::drop(None, caps::CapSet::Bounding, cap);
            dropped.map_err(|error| CliError::Refused(format!("cannot give up {cap}: {error}")))?;
        }
    }
    Ok(())
}

fn own_bounding_set() -> CapSet {
    let held = caps::read(None, caps::CapSet::Bounding).unwrap_or_default();
    CapSet(held.iter().fold(0, |bits, cap| bits | 1 << cap.index()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_as_the_original_does() {
        let words = Attributes {
            bcaps: CapSet(0b11),
            ccaps: ContextCaps(ContextCaps::SECURE),
            cflags: ContextFlags(ContextFlags::START),
            umask: 0x20200,
            ..Attributes::default()
        };
        let expected = "bcapabilities:\nCHOWN,DAC_OVERRIDE\nccapabilities:\nset_utsname,raw_icmp,audit_control\n\
                        flags:\nfakeinit,virt_uptime,hide_netif,sc_helper\numask:\nfs,newns\n";
        assert_eq!(show(&words), expected);
        assert_eq!(show(&Attributes::default()), "bcapabilities:\n\nccapabilities:\n\nflags:\n\numask:\n\n");
    }

    #[test]
    fn secure_resets_what_came_before_it() {
        let of = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            after_secure(&words).iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            of("--set --bcap KILL --umask newns --flag=lock --secure --ccap mount -- x --secure"),
            "--set --umask newns --secure --ccap mount -- x --secure"
        );
        assert_eq!(of("--xid --secure --bcap a"), "--xid --secure --bcap a");
    }

    #[test]
    fn secure_comes_first_and_takes_unknown_capabilities_away() {
        let now = Attributes { bcaps: CapSet::ALL, ccaps: ContextCaps(u64::MAX), ..Attributes::default() };
        let mut bcaps = FlagEdit::default();
        bcaps.parse_into(FlagKind::Bcap, "~KILL,SYS_TIME").unwrap();
        let then = Change { secure: true, bcaps, ..Change::default() }.apply(now);
        assert_eq!(then.bcaps.0, CapSet::SECURE.0 & !(1 << 5) | 1 << 25);
        assert_eq!(then.bcaps.0 >> 32, 0);
        assert_eq!(then.ccaps.0, ContextCaps::SECURE);
    }
}
