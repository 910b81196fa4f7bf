//! `vserver-probe CHECK [ARGUMENT…]`: runs inside a guest and tries what a guest must not be able to do. One line of
//! answer: `OK` if the kernel did it, else the name of the error number, or words where a check says so. Arguments are
//! chosen so that success does no harm. The exit status is 0 whatever the answer; 2 if there is no such check.
//!
//! `vserver-probe all` runs every check that needs no argument and prints `name answer` per line. Names in the second
//! column of the tables are the rows of the threat list.

mod answer;
mod attack;
mod escape;
mod frames;
mod info;
mod kernel;
mod load;
mod loops;
mod namespaces;
mod netlink;
mod processes;
mod quotas;
mod ring;
mod sctp;
mod settings;
mod sockets;
mod tunnels;
mod udplite;

use std::process::ExitCode;

use answer::Answer;

/// One thing to try.
struct Check {
    name: &'static str,
    /// Row of the threat list, empty for a helper.
    row: &'static str,
    /// Arguments for the usage text; a check with none is part of `all`.
    arguments: &'static str,
    run: fn(&[String]) -> Answer,
}

/// A check without arguments.
const fn check(row: &'static str, name: &'static str, run: fn(&[String]) -> Answer) -> Check {
    Check { name, row, arguments: "", run }
}

/// A check that is run by name only.
const fn with(row: &'static str, name: &'static str, arguments: &'static str, run: fn(&[String]) -> Answer) -> Check {
    Check { name, row, arguments, run }
}

const TABLES: &[&[Check]] = &[
    escape::CHECKS,
    namespaces::CHECKS,
    kernel::CHECKS,
    quotas::CHECKS,
    processes::CHECKS,
    settings::CHECKS,
    ring::CHECKS,
    sockets::CHECKS,
    netlink::CHECKS,
    tunnels::CHECKS,
    udplite::CHECKS,
    sctp::CHECKS,
    frames::CHECKS,
    attack::CHECKS,
    load::CHECKS,
    loops::CHECKS,
    info::CHECKS,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        return usage();
    };
    let mut all = TABLES.iter().copied().flatten();
    if name == "all" {
        for check in all.filter(|check| check.arguments.is_empty()) {
            println!("{} {}", check.name, (check.run)(rest).one_line());
        }
        return ExitCode::SUCCESS;
    }
    match all.find(|check| check.name == name) {
        Some(check) => {
            println!("{}", (check.run)(rest));
            ExitCode::SUCCESS
        }
        None => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: vserver-probe CHECK [ARGUMENT…] | all");
    for check in TABLES.iter().copied().flatten() {
        eprintln!("  {:4} {} {}", check.row, check.name, check.arguments);
    }
    ExitCode::from(2)
}
