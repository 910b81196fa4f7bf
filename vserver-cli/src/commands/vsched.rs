//! `vsched`: the CPU token bucket of a running context, and the priorities of its processes.

use std::path::Path;

use vserver_cgroup::GuestCgroup;
use vserver_config::{Bucket, GuestConfig};
use vserver_runtime::RunRecord;
use vserver_types::{ContextFlags, Exit, Limits, Unenforced};

use crate::args::VschedArgs;
use crate::commands::chain;
use crate::commands::members::Members;
use crate::context::{self, Context};
use crate::error::CliError;

mod priority;

/// Sets the bucket, with what is not given from the guest's configuration; becomes the command if there is one.
pub fn run(args: &VschedArgs, context: &Context) -> Result<Exit, CliError> {
    if args.command.is_empty() && args.xid.is_none() {
        let fault = "--xid is needed: the number or the name of a running context";
        return Err(CliError::usage("vsched", fault, Exit::BeforeExec));
    }
    let ionice = args.ionice.as_deref().map(priority::ionice).transpose()?;
    let wishes = override_bucket(args.dir.as_deref().map(|dir| files(dir, args.missingok)).transpose()?, args)?;
    let members = Members::of(context, args.xid.as_deref())?;
    if args.cpu_mask.is_some() {
        context.printer.note("--cpu-mask was given up by the original, too, and is left out; --cpu-id names one CPU");
    }
    if let Some(wishes) = wishes {
        let report = match &members {
            Members::Guest(record, cgroup) => of_guest(record, cgroup, &wishes)?,
            Members::Bare(_) => vec![no_bucket()],
        };
        for item in &report {
            context.printer.note(format_args!("{}: {item}", members.name()));
        }
    }
    priority::set(&members, args.nice, ionice)?;
    chain::go_on(&args.command)
}

fn files(dir: &Path, missing_is_fine: bool) -> Result<Bucket, CliError> {
    match dir.is_dir() {
        true => Ok(vserver_config::bucket_of(dir)?),
        false if missing_is_fine => Ok(Bucket::default()),
        false => Err(CliError::Refused(format!("there is no directory '{}'", dir.display()))),
    }
}

fn of_guest(record: &RunRecord, cgroup: &GuestCgroup, wishes: &Bucket) -> Result<Vec<Unenforced>, CliError> {
    let (mut config, _) = vserver_config::read(&record.confdir, &record.name)?;
    // What vattribute has changed meanwhile counts.
    config.cflags = record.attributes.cflags;
    lay_over(&mut config.sched.get_or_insert_default().bucket, wishes);
    let (wanted, mut report) = config.limits(context::cpus(), config.hz);
    report.retain(|item| item.setting.starts_with("sched/"));
    let now = cgroup.limits()?;
    report.extend(cgroup.apply(&Limits {
        cpu: wanted.cpu,
        cpu_weight: wanted.cpu_weight,
        raw: Vec::new(),
        ..now
    })?);
    report.extend((!is_hard(&config)).then(only_a_weight));
    Ok(report)
}

fn only_a_weight() -> Unenforced {
    Unenforced::partial("sched", "its cflags lack sched_hard, so the bucket is only a weight against other guests")
}

fn no_bucket() -> Unenforced {
    Unenforced::none("sched", "a context without a guest has no CPU cgroup; --nice is a bound for its processes")
}

fn is_hard(config: &GuestConfig) -> bool {
    config.cflags.contains(ContextFlags::SCHED_HARD)
}

/// The options over the files of `--dir`; `None`: nothing of the bucket is to change. The kernel patch kept all of these in
/// 32 bits.
fn override_bucket(files: Option<Bucket>, args: &VschedArgs) -> Result<Option<Bucket>, CliError> {
    let checked = |name: &str, value: Option<u64>, least: u64| match value {
        Some(n) if n < least || n > u64::from(i32::MAX.unsigned_abs()) => {
            Err(CliError::Refused(format!("--{name} {n} is not between {least} and {}", i32::MAX)))
        }
        other => Ok(other.and_then(|n| i64::try_from(n).ok())),
    };
    let options = Bucket {
        fill_rate: checked("fill-rate", args.fill_rate, 0)?,
        interval: checked("interval", args.interval, 1)?,
        tokens: checked("tokens", args.tokens, 0)?,
        tokens_min: checked("tokens-min", args.tokens_min, 0)?,
        tokens_max: checked("tokens-max", args.tokens_max, 0)?,
        fill_rate2: checked("fill-rate2", args.fill_rate2, 0)?,
        interval2: checked("interval2", args.interval2, 1)?,
        prio_bias: args.prio_bias,
        cpu_id: args.cpu_id.map(i64::from),
        bucket_id: args.bucket_id.map(i64::from),
        // Each number of the second rate puts it to use, too.
        idle_time: args.idle_time || args.fill_rate2.is_some() || args.interval2.is_some(),
    };
    let mut bucket = files.unwrap_or_default();
    lay_over(&mut bucket, &options);
    let only_priorities = args.nice.is_some() || args.ionice.is_some();
    Ok(Some(bucket).filter(|bucket| !only_priorities || *bucket != Bucket::default()))
}

fn lay_over(under: &mut Bucket, over: &Bucket) {
    let set = |slot: &mut Option<i64>, value: Option<i64>| *slot = value.or(*slot);
    set(&mut under.fill_rate, over.fill_rate);
    set(&mut under.interval, over.interval);
    set(&mut under.tokens, over.tokens);
    set(&mut under.tokens_min, over.tokens_min);
    set(&mut under.tokens_max, over.tokens_max);
    set(&mut under.fill_rate2, over.fill_rate2);
    set(&mut under.interval2, over.interval2);
    set(&mut under.prio_bias, over.prio_bias);
    set(&mut under.cpu_id, over.cpu_id);
    set(&mut under.bucket_id, over.bucket_id);
    under.idle_time |= over.idle_time;
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::args;
    use crate::printer::Printer;

    fn overridden(words: &[&str]) -> Result<Bucket, CliError> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let args: VschedArgs = args::parse(&Printer::new("vsched"), &words, Exit::BeforeExec)?;
        let files = Bucket { fill_rate: Some(1), interval: Some(4), ..Bucket::default() };
        Ok(override_bucket(Some(files), &args)?.unwrap_or_default())
    }

    #[test]
    fn options_win_over_files_and_the_rest_stays() {
        let bucket =
            overridden(&["--xid", "5", "--fill_rate", "3", "--tokens-max=500", "--prio_bias", "-5"]).unwrap();
        assert_eq!((bucket.fill_rate, bucket.interval, bucket.tokens_max), (Some(3), Some(4), Some(500)));
        assert_eq!(bucket.prio_bias, Some(-5));
    }

    #[test]
    fn priorities_alone_leave_the_bucket() {
        let of = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let args: VschedArgs = args::parse(&Printer::new("vsched"), &words, Exit::BeforeExec).unwrap();
            override_bucket(None, &args).unwrap()
        };
        assert_eq!(of(&["--xid", "5", "--nice", "-5"]), None);
        assert_eq!(of(&["--xid", "5"]), Some(Bucket::default()));
        assert!(of(&["--xid", "5", "--nice", "5", "--idle-time"]).is_some_and(|bucket| bucket.idle_time));
    }

    #[test]
    fn numbers_that_the_kernel_never_took() {
        assert!(overridden(&["--interval", "0"]).is_err());
        assert!(overridden(&["--fill-rate", "99999999999"]).is_err());
        assert!(overridden(&["--fill-rate", "-1"]).is_err());
    }
}
