//! `vps`: ps with a column that says which context each process is in.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use serde::Serialize;
use vserver_monitor::Process;
use vserver_types::{CgroupBase, Exit, GuestName, Xid};

use crate::args::VpsArgs;
use crate::context::Context;
use crate::error::CliError;

/// Runs `/bin/ps` with the options and nothing on its standard input, and passes its status on.
pub fn run(args: &VpsArgs, context: &Context) -> Result<Exit, CliError> {
    let records = vserver_runtime::running(&context.host)?;
    let xids = records.into_iter().map(|record| (record.name, record.xid)).collect();
    if args.json {
        as_json(&xids, context)
    } else {
        table(
            args,
            &Owners { xids, bases: vserver_runtime::cgroup_bases(&context.host)?, watch: std::process::id() },
            context,
        )
    }
}

fn table(args: &VpsArgs, owners: &Owners, context: &Context) -> Result<Exit, CliError> {
    let child = Command::new("/bin/ps").args(&args.ps).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let child = child.map_err(CliError::io("cannot run /bin/ps"))?;
    let ps = child.id();
    let output = child.wait_with_output().map_err(CliError::io("cannot read the output of /bin/ps"))?;
    let exit = output.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(254);
    if exit != 0 && output.stdout.is_empty() {
        return Ok(Exit::Command(exit));
    }
    let text = insert(&output.stdout, |pid| if pid == ps { WATCH.to_owned() } else { owners.column(pid) })
        .ok_or_else(|| CliError::Refused("Failed to parse ps-output: its first line has no PID".to_owned()))?;
    context.printer.bytes(&text)?;
    Ok(Exit::Command(exit))
}

/// ps and vps themselves: the original runs them in the context that sees all.
const WATCH: &str = "    1 ALL_PROC      ";

/// Whose a process is.
struct Owners {
    xids: HashMap<GuestName, Xid>,
    bases: Vec<CgroupBase>,
    watch: u32,
}

impl Owners {
    fn column(&self, pid: u32) -> String {
        if pid == self.watch {
            return WATCH.to_owned();
        }
        match i32::try_from(pid).ok().map(|pid| vserver_monitor::owner(pid, &self.bases)) {
            Some(Ok(None)) => column("0", "MAIN"),
            Some(Ok(Some(name))) => {
                let xid = self.xids.get(&name).map_or_else(|| "ERR".to_owned(), Xid::to_string);
                column(&xid, name.as_str())
            }
            Some(Err(_)) | None => column("ERR", ""),
        }
    }
}

/// The number right-aligned in 5, a blank, the name padded to 14; a longer one is followed by one blank.
fn column(xid: &str, name: &str) -> String {
    let blank = if name.len() < 14 { "" } else { " " };
    format!("{xid:>5} {name:<14}{blank}")
}

/// Inserts the column one character behind the first `PID` of the first line, asking `owner` for each process number that
/// ends there. `None` if the first line has no such word.
fn insert(ps: &[u8], owner: impl Fn(u32) -> String) -> Option<Vec<u8>> {
    let mut lines = ps.split_inclusive(|byte| *byte == b'\n');
    let header = lines.next()?;
    let end = header.windows(3).position(|word| word == b"PID")? + 3;
    let mut out = Vec::with_capacity(ps.len() * 2);
    splice(&mut out, header, end, &format!("{:<20}", "CONTEXT"));
    for line in lines {
        let column = number_ending_at(line, end).map_or_else(|| " ".repeat(20), &owner);
        splice(&mut out, line, end, &column);
    }
    Some(out)
}

/// Appends `line` to `out` with `column` one character behind position `end`, the blank made if the line is shorter.
fn splice(out: &mut Vec<u8>, line: &[u8], end: usize, column: &str) {
    let (body, newline) = match line.strip_suffix(b"\n") {
        Some(body) => (body, &b"\n"[..]),
        None => (line, &b""[..]),
    };
    let (front, back) = body.split_at((end + 1).min(body.len()));
    out.extend_from_slice(front);
    out.resize(out.len() + (end + 1 - front.len()), b' ');
    out.extend_from_slice(column.as_bytes());
    out.extend_from_slice(back);
    out.extend_from_slice(newline);
}

fn number_ending_at(line: &[u8], end: usize) -> Option<u32> {
    let front = line.get(..end)?;
    let start = front.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |position| position + 1);
    std::str::from_utf8(&front[start..]).ok()?.parse().ok()
}

/// A process with the number of its context; none for a guest whose start or end is not finished.
#[derive(Serialize)]
struct Row {
    xid: Option<Xid>,
    #[serde(flatten)]
    process: Process,
}

fn as_json(xids: &HashMap<GuestName, Xid>, context: &Context) -> Result<Exit, CliError> {
    let bases = vserver_runtime::cgroup_bases(&context.host)?;
    let rows = vserver_monitor::processes(&bases)?.map(|process| {
        let process = process?;
        let xid = process.guest.as_ref().map_or(Some(Xid::HOST), |name| xids.get(name).copied());
        Ok(Row { xid, process })
    });
    let mut rows = rows.collect::<Result<Vec<_>, CliError>>()?;
    rows.sort_by_key(|row| row.process.pid);
    context.printer.json(&rows)?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(pid: u32) -> String {
        match pid {
            1 => column("0", "MAIN"),
            2345 => column("40012", "web1"),
            7 => column("3", "a-name-of-20-bytes-x"),
            _ => column("ERR", ""),
        }
    }

    #[test]
    fn the_documented_output_to_the_byte() {
        let ps = "  PID TTY      STAT   TIME COMMAND
    1 ?        Ss     0:04 init [2]
 2345 ?        Ss     0:00 /usr/sbin/apache2
";
        let expected = "  PID CONTEXT             TTY      STAT   TIME COMMAND
    1     0 MAIN          ?        Ss     0:04 init [2]
 2345 40012 web1          ?        Ss     0:00 /usr/sbin/apache2
";
        assert_eq!(String::from_utf8(insert(ps.as_bytes(), owner).unwrap()).unwrap(), expected);
    }

    #[test]
    fn odd_lines() {
        let text = |ps: &[u8]| insert(ps, owner).map(|out| String::from_utf8(out).unwrap());
        assert_eq!(text(b"TTY\n1\n"), None);
        assert_eq!(text(b""), None);
        assert_eq!(text(b"  PID\n    9").unwrap(), "  PID CONTEXT             \n    9   ERR               ");
        assert_eq!(text(b"  PID X\n    7 x\n").unwrap().lines().nth(1), Some("    7     3 a-name-of-20-bytes-x x"));
        assert_eq!(text(b"  PID X\nabc\n").unwrap().lines().nth(1).map(str::len), Some(26));
        assert_eq!(text(b"   PPID X\n1234567 x\n").unwrap().lines().nth(1), Some("1234567   ERR               x"));
    }
}
