//! A package tool for one guest, whether it runs or not: the guest's own, or, where its packages are managed from the
//! host, the host's on the guest's tree. Source: util-vserver, `commands.md` §9.

use std::ffi::OsString;

use vserver_build::outside::{self, Job, Places};
use vserver_runtime::{Command, Errand, User};
use vserver_types::Exit;

use crate::commands::exec::environment;
use crate::commands::vserver::{Guest, text};
use crate::context::Context;
use crate::error::CliError;

/// The guest's shell chooses: newer distributions have only dnf, which takes yum's words.
const YUM: &str = r#"command -v dnf >/dev/null && exec dnf "$@"; exec yum "$@""#;

/// A tool.
pub struct Tool {
    /// What runs in the guest, before the caller's arguments.
    inside: Vec<OsString>,
    outside: Outside,
}

/// What does the same from the host.
#[derive(Clone, Copy)]
enum Outside {
    /// It looks at the guest only, with the guest's own programs.
    Same,
    Apt(&'static str),
    Rpm,
    Yum,
    /// Nothing does.
    Nothing,
}

impl Tool {
    /// The one that this word names: a tool for several guests, or a verb. For `vurpm` the first argument is the program.
    pub fn named<'a>(word: &str, arguments: &'a [OsString]) -> (Self, &'a [OsString]) {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect();
        let (inside, outside) = match word {
            "vapt-get" => {
                let program = std::env::var_os("APT_GET").unwrap_or_else(|| "apt-get".into());
                (vec![program], Outside::Apt("apt-get"))
            }
            "apt-get" => (words(&[word]), Outside::Apt("apt-get")),
            "apt-cache" => (words(&[word]), Outside::Apt("apt-cache")),
            "apt-config" => (words(&[word]), Outside::Apt("apt-config")),
            "vrpm" | "rpm" => (words(&["rpm"]), Outside::Rpm),
            "vyum" => (words(&["sh", "-c", YUM, "vyum"]), Outside::Yum),
            "vemerge" => (words(&["emerge"]), Outside::Nothing),
            "vupdateworld" => (words(&["emerge", "world", "--update", "--deep", "--newuse"]), Outside::Nothing),
            "vesync" => (words(&["emerge", "--metadata"]), Outside::Nothing),
            "vdispatch-conf" => (words(&["dispatch-conf"]), Outside::Nothing),
            "chkconfig" => (words(&[word]), Outside::Same),
            _ => {
                let (program, rest) = arguments.split_first().map_or((None, arguments), |(p, rest)| (Some(p), rest));
                let inside = program.cloned().into_iter().collect();
                return (Self { inside, outside: Outside::Nothing }, rest);
            }
        };
        (Self { inside, outside }, arguments)
    }

    /// What installs packages, of a guest whose tools are told by `inside`; the host's are apt, or dnf.
    pub fn installer(inside: &[&str], debian: bool) -> Self {
        let outside = if debian { Outside::Apt("apt-get") } else { Outside::Yum };
        Self { inside: inside.iter().map(OsString::from).collect(), outside }
    }

    /// What asks the database, which the guest's programs can do unless it is rpm's on the host.
    pub fn question(inside: &[&str], debian: bool) -> Self {
        let outside = if debian { Outside::Same } else { Outside::Rpm };
        Self { inside: inside.iter().map(OsString::from).collect(), outside }
    }

    /// Runs it and gives its status.
    pub fn run(&self, arguments: &[OsString], guest: &Guest, context: &Context) -> Result<Exit, CliError> {
        let (host, name) = (&context.host, &guest.name);
        // That there is no such guest is said first.
        vserver_runtime::status(host, name).map_err(|error| guest.failed(error, context))?;
        let external = outside::is_external(&host.confdir.join(name.as_str()));
        let places = Places::of(&host.confdir, name);
        let job = match self.outside {
            _ if !external => None,
            Outside::Same => None,
            Outside::Apt(program) => Some(outside::apt(&places, program)?),
            Outside::Rpm => Some(outside::rpm(&places)?),
            Outside::Yum => Some(outside::yum(&places)?),
            Outside::Nothing => {
                let tool = self.inside.first().map(|word| word.to_string_lossy()).unwrap_or_default();
                let why =
                    "its packages are managed from the host (apps/pkgmgmt), which is done with apt, rpm and dnf only";
                let how = format!("to use the guest's own tools, say `vserver {name} pkgmgmt internalize`");
                return Err(CliError::Refused(format!("guest '{name}': {tool} is not run: {why}; {how}")));
            }
        };
        let (errand, command) = match job {
            Some(job) => beside(job, self.program_arguments(), arguments)?,
            None => {
                let argv = self.inside.iter().chain(arguments).map(text).collect::<Result<Vec<_>, _>>()?;
                (Errand::Inside, Command { argv, env: environment(), user: User::Root })
            }
        };
        vserver_runtime::run_errand(host, name, errand, &command).map_err(|error| guest.failed(error, context))
    }

    /// Of the words inside those that the host's program gets too: `install`, `-qac`.
    fn program_arguments(&self) -> &[OsString] {
        match self.inside.first().and_then(|word| word.to_str()) {
            Some("sh") | None => &[],
            Some(_) => &self.inside[1..],
        }
    }
}

/// The host's program, with the caller's environment but for what it must not take from there.
fn beside(job: Job, own: &[OsString], arguments: &[OsString]) -> Result<(Errand, Command), CliError> {
    let mut argv = job.argv;
    for word in own.iter().chain(arguments) {
        argv.push(text(word)?);
    }
    let mut env = environment();
    env.retain(|(name, _)| !job.env.iter().any(|(own, _)| own == name));
    env.extend(job.env);
    Ok((Errand::Beside(job.toolbox), Command { argv, env, user: User::Root }))
}
