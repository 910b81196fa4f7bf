//! `pkg`, and `vpkg`: the guest's own package tools, whichever they are. Source: util-vserver, `commands.md` §9.

use std::ffi::OsString;

use vserver_build::PackageStyle;
use vserver_types::Exit;

use crate::args::{PkgWords, VpkgArgs};
use crate::commands::tool::Tool;
use crate::commands::vserver::{Guest, How};
use crate::context::Context;
use crate::error::CliError;
use crate::printer::Printer;
use crate::resolve;

/// The guest's shell takes the first that is there.
const RPM_INSTALL: &str = r#"for tool in apt-get dnf yum urpmi; do
    command -v $tool >/dev/null || continue
    [ $tool = urpmi ] && exec urpmi "$@"
    exec $tool install "$@"
done
echo "none of apt-get, dnf, yum, urpmi is installed in this guest" >&2; exit 1"#;
/// A guest with no configuration file at all is fine.
const DEBIAN_CONFFILES: &str =
    r#"for list in /var/lib/dpkg/info/*.conffiles; do [ -e "$list" ] && cat "$list"; done; exit 0"#;

/// `vserver NAME pkg …`
pub fn run(args: &PkgWords, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let (host, name) = (&context.host, &guest.name);
    let refused = |why: &str| Err(CliError::Refused(format!("guest '{name}': {why}")));
    // That there is no such guest is said first.
    vserver_runtime::status(host, name).map_err(|error| guest.failed(error, context))?;
    let install = match (args.action.as_str(), args.packages.is_empty()) {
        ("install", false) => true,
        ("install", true) => return refused("pkg install needs the names of packages"),
        ("get-conffiles", true) => false,
        ("get-conffiles", false) => return refused("pkg get-conffiles takes no further words"),
        (other, _) => return refused(&format!("pkg has no '{other}'; it has install and get-conffiles")),
    };
    let Some(style) = vserver_build::package_style(&host.confdir, name)? else {
        let tool = context.printer.tool();
        let text = format!(
            "{tool}: guest '{name}': its kind of distribution is not known; write debian, redhat, mandrake or suse into \
             apps/pkgmgmt/style, and make apps/pkgmgmt/internal"
        );
        return Err(CliError::known(text, Exit::Usage));
    };
    let words: &[&str] = match (style, install) {
        (PackageStyle::Debian, true) => &["apt-get", "install"],
        (PackageStyle::Debian, false) => &["sh", "-c", DEBIAN_CONFFILES],
        (PackageStyle::Rpm, true) => &["sh", "-c", RPM_INSTALL, "vpkg"],
        (PackageStyle::Suse, true) => &["zypper", "install"],
        (PackageStyle::Rpm | PackageStyle::Suse, false) => &["rpm", "-qac"],
    };
    let debian = style == PackageStyle::Debian;
    let tool = if install { Tool::installer(words, debian) } else { Tool::question(words, debian) };
    let arguments: &[OsString] = if install { &args.packages } else { &[] };
    tool.run(arguments, guest, context)
}

/// `vpkg NAME …`
pub fn vpkg(args: &VpkgArgs, printer: Printer) -> Result<Exit, CliError> {
    let (root, name) = resolve::guest_word(&args.name)?;
    let guest = Guest { word: args.name.clone(), name, verbose: false, how: How::default() };
    run(&args.words, &guest, &Context::new(root.or_else(|| args.common.confdir.clone()), printer))
}
