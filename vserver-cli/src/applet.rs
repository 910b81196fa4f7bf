//! One file, several programs: which one, by the name it was called. The tables are split by what the programs are for.

mod disk;
mod helper;
mod info;
mod obsolete;
mod packages;
mod prefix;
mod unify;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use vserver_types::Exit;

use crate::args::{self, Common, StartVserversArgs, VserverTemplateArgs};
use crate::commands;
use crate::context::Context;
use crate::error::CliError;
use crate::manual;
use crate::printer::Printer;

/// One program.
#[derive(Debug)]
pub struct Applet {
    /// Its name, also that of its link.
    pub name: &'static str,
    /// The status of a failure of its own. Source: util-vserver, `commands.md` §1.
    pub failure: Exit,
    run: fn(&[OsString], Printer) -> Result<Exit, CliError>,
}

/// What starts, stops and boots guests; the first is the default.
const APPLETS: [Applet; 10] = [
    Applet { name: "vserver", failure: Exit::Failure, run: commands::vserver::run },
    Applet { name: "vserver-build", failure: Exit::Failure, run: vserver_build },
    Applet { name: "vserver-template", failure: Exit::Failure, run: vserver_template },
    Applet { name: "start-vservers", failure: Exit::Failure, run: start_vservers },
    Applet { name: "stop-vservers", failure: Exit::Failure, run: start_vservers },
    Applet { name: "vserver-switch", failure: Exit::Failure, run: vserver_switch },
    Applet { name: "vserver-wrapper", failure: Exit::Failure, run: vserver_wrapper },
    Applet { name: "vprocunhide", failure: Exit::Failure, run: vprocunhide },
    Applet { name: "vshelper", failure: Exit::Failure, run: vshelper },
    Applet { name: "systemd-vserver-generator", failure: Exit::Command(71), run: generator },
];

/// All of them, one table after the other.
pub fn all() -> impl Iterator<Item = &'static Applet> {
    APPLETS
        .iter()
        .chain(&prefix::APPLETS)
        .chain(&info::APPLETS)
        .chain(&disk::APPLETS)
        .chain(&unify::APPLETS)
        .chain(&packages::APPLETS)
        .chain(&helper::APPLETS)
        .chain(&obsolete::APPLETS)
}

impl Applet {
    /// The program that `argv` means, by the last part of its first word or by `--applet NAME` after it; and its arguments.
    pub fn choose(argv: &[OsString]) -> (&'static Applet, &[OsString]) {
        if let [_, flag, name, rest @ ..] = argv
            && flag == "--applet"
            && let Some(applet) = by_name(name)
        {
            return (applet, rest);
        }
        let called = argv.first().and_then(|word| Path::new(word).file_name());
        (called.and_then(by_name).unwrap_or(&APPLETS[0]), argv.get(1..).unwrap_or_default())
    }

    /// Runs it and says why if it failed.
    pub fn run(&self, words: &[OsString]) -> Exit {
        let printer = Printer::new(self.name);
        if let Some(told) = manual::plain(self.name).and_then(|plain| plain.tell(words, &printer)) {
            return told;
        }
        if let Err(error) = vserver_runtime::vars::confdir() {
            CliError::from(error).report(&printer);
            return Exit::Failure;
        }
        (self.run)(words, printer).unwrap_or_else(|error| {
            error.report(&printer);
            error.exit(self.failure)
        })
    }
}

fn by_name(name: &OsStr) -> Option<&'static Applet> {
    all().find(|applet| name == applet.name)
}

fn context(common: &Common, printer: Printer) -> Context {
    Context::new(common.confdir.clone(), printer)
}

fn vserver_build(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    commands::build::by_itself(words, &Context::new(None, printer))
}

fn vserver_template(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VserverTemplateArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::vserver_template::run(&args, &context(&args.common, printer))
}

fn start_vservers(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: StartVserversArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::start_vservers::run(&args, &context(&args.common, printer))
}

fn vserver_switch(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: args::VserverSwitchArgs = args::parse(&printer, words, Exit::Usage)?;
    commands::vserver_switch::run(&args, &context(&args.common, printer))
}

fn vserver_wrapper(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: args::VserverWrapperArgs = args::parse(&printer, words, Exit::Usage)?;
    commands::vserver_wrapper::run(&args, &context(&args.common, printer))
}

fn vprocunhide(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: args::VprocunhideArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::vprocunhide::run(&args, &context(&args.common, printer))
}

fn vshelper(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: args::VshelperArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::vshelper::run(&args, &context(&args.common, printer))
}

fn generator(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: args::GeneratorArgs = args::parse(&printer, words, Exit::Command(64))?;
    commands::generator::run(&args, &context(&args.common, printer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(words: &[&str]) -> (&'static str, usize) {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let (applet, rest) = Applet::choose(&words);
        (applet.name, rest.len())
    }

    #[test]
    fn the_name_decides() {
        assert_eq!(chosen(&["/usr/sbin/vps", "ax"]), ("vps", 1));
        assert_eq!(chosen(&["vserver", "web1", "start"]), ("vserver", 2));
        assert_eq!(chosen(&["target/anything"]), ("vserver", 0));
        assert_eq!(chosen(&["vserver", "--applet", "vkill", "-s", "9"]), ("vkill", 2));
        assert_eq!(chosen(&["vserver", "--applet", "nonsense"]), ("vserver", 2));
        assert_eq!(chosen(&[]), ("vserver", 0));
    }
}
