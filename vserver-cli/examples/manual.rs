//! `manual DIR`: writes man pages and completions for bash, zsh and fish below DIR, where an installation has them below
//! `share`. Prints each other name of `vserver`: `people NAME` for those
//! that people call, `scripts NAME` for those in `lib/util-vserver`. Run by `cargo xtask install`.
#![allow(clippy::print_stdout, reason = "the list is its result")]

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap_complete::Shell;
use clap_complete::aot::generate_to;
use vserver_cli::manual::{Page, pages, programs};

/// Shells with the directories that they look in.
const SHELLS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions"),
    (Shell::Zsh, "zsh/site-functions"),
    (Shell::Fish, "fish/vendor_completions.d"),
];

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1) else {
        return ExitCode::from(2);
    };
    for page in pages().iter().filter(|page| programs().contains(&page.name) && page.name != "vserver") {
        println!("{} {}", if page.completed { "people" } else { "scripts" }, page.name);
    }
    match pages().into_iter().try_for_each(|page| write(page, Path::new(&dir))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn write(page: Page, dir: &Path) -> io::Result<()> {
    let man = dir.join("man/man8");
    fs::create_dir_all(&man)?;
    let mut text = Vec::new();
    clap_mangen::Man::new(page.command.clone()).section("8").render(&mut text)?;
    fs::write(man.join(format!("{}.8", page.name)), text)?;
    if !page.completed {
        return Ok(());
    }
    for (shell, place) in SHELLS {
        let place = dir.join(place);
        fs::create_dir_all(&place)?;
        let file = generate_to(shell, &mut page.command.clone(), page.name, &place)?;
        // bash-completion looks for the bare name of the command.
        if shell == Shell::Bash {
            fs::rename(file, place.join(page.name))?;
        }
    }
    Ok(())
}
