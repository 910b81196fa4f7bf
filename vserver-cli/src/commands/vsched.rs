//! `vsched`: the CPU token bucket of a running context.

use vserver_cgroup::{GuestCgroup, Layout};
use vserver_config::{Bucket, GuestConfig};
use vserver_types::{ContextFlags, Exit, Limits};

use crate::args::VschedArgs;
use crate::commands::chcontext::become_command;
use crate::context::{self, Context};
use crate::error::CliError;
use crate::resolve;

/// Sets the bucket, with what is not given from the guest's configuration; becomes the command if there is one.
pub fn run(args: &VschedArgs, context: &Context) -> Result<Exit, CliError> {
    let record = resolve::running_context(context, args.xid.as_deref())?;
    let (mut config, _) = vserver_config::read(&record.confdir, &record.name)?;
    override_bucket(&mut config.sched.get_or_insert_default().bucket, args)?;
    let (wanted, mut report) = config.limits(context::cpus(), config.hz);
    report.retain(|item| item.setting.starts_with("sched/"));

    let cgroup = Layout::detect().map(|layout| GuestCgroup::open(&layout, &record.name))?;
    let cgroup =
        cgroup.ok_or_else(|| CliError::Refused(format!("guest '{}' has no cgroup any more", record.name)))?;
    let now = cgroup.limits()?;
    report.extend(cgroup.apply(&Limits {
        cpu: wanted.cpu,
        cpu_weight: wanted.cpu_weight,
        raw: Vec::new(),
        ..now
    })?);
    for item in &report {
        context.printer.note(format_args!("{}: {item}", record.name));
    }
    if !is_hard(&config) {
        context.printer.note(format_args!(
            "{}: its cflags lack sched_hard, so the bucket is only a weight against other guests",
            record.name
        ));
    }
    if args.command.is_empty() { Ok(Exit::Success) } else { Err(become_command(&args.command)) }
}

fn is_hard(config: &GuestConfig) -> bool {
    config.cflags.contains(ContextFlags::SCHED_HARD)
}

/// Puts the options in the place of the files. The kernel patch kept all of these in 32 bits.
fn override_bucket(bucket: &mut Bucket, args: &VschedArgs) -> Result<(), CliError> {
    let checked = |name: &str, value: Option<u64>, least: u64| match value {
        Some(n) if n < least || n > u64::from(i32::MAX.unsigned_abs()) => {
            Err(CliError::Refused(format!("--{name} {n} is not between {least} and {}", i32::MAX)))
        }
        other => Ok(other.and_then(|n| i64::try_from(n).ok())),
    };
    let set = |slot: &mut Option<i64>, value: Option<i64>| *slot = value.or(*slot);
    set(&mut bucket.fill_rate, checked("fill-rate", args.fill_rate, 0)?);
    set(&mut bucket.interval, checked("interval", args.interval, 1)?);
    set(&mut bucket.tokens, checked("tokens", args.tokens, 0)?);
    set(&mut bucket.tokens_min, checked("tokens-min", args.tokens_min, 0)?);
    set(&mut bucket.tokens_max, checked("tokens-max", args.tokens_max, 0)?);
    set(&mut bucket.fill_rate2, checked("fill-rate2", args.fill_rate2, 0)?);
    set(&mut bucket.interval2, checked("interval2", args.interval2, 1)?);
    set(&mut bucket.prio_bias, args.prio_bias);
    set(&mut bucket.cpu_id, args.cpu_id.map(i64::from));
    bucket.idle_time |= args.idle_time;
    Ok(())
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
        let mut bucket = Bucket { fill_rate: Some(1), interval: Some(4), ..Bucket::default() };
        override_bucket(&mut bucket, &args)?;
        Ok(bucket)
    }

    #[test]
    fn options_win_over_files_and_the_rest_stays() {
        let bucket =
            overridden(&["--xid", "5", "--fill_rate", "3", "--tokens-max=500", "--prio_bias", "-5"]).unwrap();
        assert_eq!((bucket.fill_rate, bucket.interval, bucket.tokens_max), (Some(3), Some(4), Some(500)));
        assert_eq!(bucket.prio_bias, Some(-5));
    }

    #[test]
    fn numbers_that_the_kernel_never_took() {
        assert!(overridden(&["--interval", "0"]).is_err());
        assert!(overridden(&["--fill-rate", "99999999999"]).is_err());
        assert!(overridden(&["--fill-rate", "-1"]).is_err());
    }
}
