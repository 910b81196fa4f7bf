//! `vtag`, `reducecap`, `capchroot`: what a stock kernel has no counterpart for, as far as scripts still call it.

use caps::{CapSet as Kind, CapsHashSet};
use vserver_types::{CapSet, Capability, Exit};

use crate::args::{ReducecapArgs, VtagArgs};
use crate::commands::chain;
use crate::context::Context;
use crate::error::CliError;

/// With `--silent` the command runs, as the original does on a kernel without tags.
pub fn vtag(args: &VtagArgs) -> Result<Exit, CliError> {
    if args.create == args.migrate || args.tag.is_none() || args.command.is_empty() {
        let fault = "one of --create and --migrate, --tag, and a command are needed";
        return Err(CliError::usage("vtag", fault, Exit::BeforeExec));
    }
    if args.silent {
        return chain::go(&args.command, false);
    }
    Err(CliError::Refused(
        "processes have no tag on a stock kernel: a file gets the project id of its directory (chxid sets that); with \
         --silent the command runs all the same"
            .to_owned(),
    ))
}

/// `--show` is what was left of it on kernels after 2.4.
pub fn reducecap(args: &ReducecapArgs, context: &Context) -> Result<Exit, CliError> {
    if !args.show {
        return Err(CliError::Refused(
            "it needs a 2.4 kernel; use `chcontext --secure -- COMMAND`, or --cap '!CAP' for single capabilities"
                .to_owned(),
        ));
    }
    let pid = args
        .pid
        .map(i32::try_from)
        .transpose()
        .map_err(|_| CliError::Refused("there is no such process".to_owned()))?;
    let read = |kind| {
        let failed =
            |error: caps::errors::CapsError| CliError::Refused(format!("cannot read the capabilities: {error}"));
        caps::read(pid, kind).map_err(failed)
    };
    context.printer.text(&table(&read(Kind::Effective)?, &read(Kind::Permitted)?, &read(Kind::Inheritable)?))?;
    Ok(Exit::Success)
}

/// 48 columns: the name, then a mark at columns 27, 37 and 47. Source: util-vserver, `commands.md` §5.
fn table(effective: &CapsHashSet, permitted: &CapsHashSet, inheritable: &CapsHashSet) -> String {
    let mut text = "            Capability Effective  Permitted  Inheritable\n".to_owned();
    for cap in CapSet::ALL.iter() {
        let mark = |set: &CapsHashSet| if set.iter().any(|held| Capability(held.index()) == cap) { 'X' } else { ' ' };
        let name = format!("CAP_{}", cap.name().unwrap_or("?"));
        text.push_str(&format!(
            "{name:<27.22}{}{:9}{}{:9}{}\n",
            mark(effective),
            "",
            mark(permitted),
            "",
            mark(inheritable)
        ));
    }
    text
}

/// The API behind it ended with 2.4.
pub fn capchroot() -> Result<Exit, CliError> {
    Err(CliError::Refused(
        "it needs a 2.4 kernel; use `vserver NAME exec` or `vserver NAME suexec USER`, or chroot(8) on the host"
            .to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_48_columns() {
        let held: CapsHashSet = [caps::Capability::CAP_CHOWN].into_iter().collect();
        let text = table(&held, &CapsHashSet::new(), &held);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], format!("{:<27}X{:19}X", "CAP_CHOWN", ""));
        assert!(lines[1..].iter().all(|line| line.len() == 48));
        assert!(lines.iter().any(|line| line.starts_with("CAP_CHECKPOINT_RESTORE")));
    }
}
