//! From the options of `build` to the guest that is wished for.

use std::path::{Path, PathBuf};

use vserver_build::LimitWish;
use vserver_config::{Defaults, NewCpuSet, NewGuest, Style, Userns};
use vserver_disk::image::Wish;
use vserver_runtime::Host;
use vserver_types::{Bytes, Exit, GuestName, ParseError, Xid, XidKind};

use crate::args::{BuildArgs, NewGuestArgs};
use crate::error::CliError;

/// The guest as the options describe it, its context number chosen and checked, and what should be said about it.
pub fn new_guest(args: &BuildArgs, name: &GuestName, host: &Host) -> Result<(NewGuest, Vec<String>), CliError> {
    let cpuset = cpuset(args)?;
    let (mut guest, notes) = guest_of(&args.guest, name, host)?;
    guest.lockfile.clone_from(&args.lockfile);
    let pkgbase = args
        .pkgbase
        .as_deref()
        .map(|dir| std::path::absolute(dir).map_err(CliError::io(format!("cannot find '{}'", dir.display()))));
    guest.pkgbase = pkgbase.transpose()?;
    guest.cpuset = cpuset;
    Ok((guest, notes))
}

/// The same of the options that all ways to make a guest have.
pub fn guest_of(args: &NewGuestArgs, name: &GuestName, host: &Host) -> Result<(NewGuest, Vec<String>), CliError> {
    let mut guest = NewGuest::new(name.clone());
    guest.hostname.clone_from(&args.hostname);
    guest.flags.clone_from(&args.flags);
    guest.netdev.clone_from(&args.netdev);
    guest.interfaces = args.interface.iter().map(|text| interface(text)).collect::<Result<_, _>>()?;
    guest.netmask = word("--netmask", args.netmask.as_deref(), "a mask like 255.255.255.0")?;
    guest.netprefix = word("--netprefix", args.netprefix.as_deref(), "a length from 0 to 128")?;
    guest.netbcast = word("--netbcast", args.netbcast.as_deref(), "an IPv4 address")?;
    guest.init_style = args.initstyle.as_deref().map(str::parse::<Style>).transpose().map_err(bad)?;
    guest.userns = args.userns.as_deref().map(|word| if word == "off" { Userns::Off } else { Userns::Auto });
    guest.vdir = args.rootdir.as_ref().map(|dir| root_below(dir, name)).transpose()?;
    let addresses: Vec<_> = guest.interfaces.iter().map(|interface| interface.address.ip).collect();
    let shared = vserver_config::claimed(&host.confdir, name, None, &addresses)?;
    let notes = shared.iter().map(|clash| format!("{clash}; the two cannot run at the same time")).collect();
    guest.context = context(args, name, host)?;
    Ok((guest, notes))
}

/// What the guest may fill: a disk of its own, or a limit on the file system that it shares.
pub fn disk(args: &NewGuestArgs) -> Result<(Option<Wish>, LimitWish), CliError> {
    let size = |option: &str, text: Option<&str>| {
        let bytes = text
            .map(str::parse::<Bytes>)
            .transpose()
            .map_err(|error| CliError::Refused(format!("{option}: {error}; give a number with K, M, G or T")))?;
        Ok::<_, CliError>(bytes.map(|bytes| bytes.0))
    };
    let (disk, space) = (size("--disk", args.disk.as_deref())?, size("--space", args.space.as_deref())?);
    if space == Some(0) || args.inodes == Some(0) {
        return Err(CliError::Refused("a limit of 0 would leave no room for the guest itself".to_owned()));
    }
    let own = disk.map(|bytes| Wish { bytes, inodes: args.inodes, kind: None });
    let inodes = args.inodes.filter(|_| own.is_none());
    Ok((own, LimitWish { space: space.map(|bytes| bytes.div_ceil(1024)), inodes }))
}

/// The configuration root for `--confdir DIR`, where DIR is the guest's own directory and so must bear its name.
pub fn root_of(dir: &Path, name: &GuestName) -> Result<PathBuf, CliError> {
    let dir = std::path::absolute(dir).map_err(CliError::io(format!("cannot use '{}'", dir.display())))?;
    match (dir.file_name(), dir.parent()) {
        (Some(last), Some(root)) if last == name.as_str() => Ok(root.to_owned()),
        _ => Err(CliError::Refused(format!(
            "--confdir '{}' is the directory of guest '{name}' and must end in its name; for another configuration root \
             put --confdir before the name",
            dir.display()
        ))),
    }
}

fn root_below(dir: &Path, name: &GuestName) -> Result<PathBuf, CliError> {
    let dir = std::path::absolute(dir).map_err(CliError::io(format!("cannot use '{}'", dir.display())))?;
    Ok(dir.join(name.as_str()))
}

fn bad(error: ParseError) -> CliError {
    CliError::Refused(error.to_string())
}

fn interface(text: &str) -> Result<vserver_config::NewInterface, CliError> {
    let form = "[NAME=][DEV:|nodev:]IP[/LENGTH|/MASK]";
    text.parse().map_err(|error| CliError::Refused(format!("--interface '{text}': {error}; write {form}")))
}

fn word<T: std::str::FromStr>(option: &str, text: Option<&str>, what: &str) -> Result<Option<T>, CliError> {
    let parse = |text: &str| text.parse().map_err(|_| CliError::Refused(format!("{option} '{text}' is not {what}")));
    text.map(parse).transpose()
}

/// The number that was asked for if nobody has it, else the next free one; `None` if new guests get theirs at start.
fn context(args: &NewGuestArgs, name: &GuestName, host: &Host) -> Result<Option<Xid>, CliError> {
    let range = |error| CliError::Refused(format!("--context: {error}; use 2 to 49151"));
    let wanted = args.context.as_deref().map(str::parse::<Xid>).transpose().map_err(range)?;
    if let Some(xid) = wanted.filter(|xid| xid.kind() != XidKind::Static) {
        return Err(CliError::Refused(format!("--context {xid} is not between 2 and 49151")));
    }
    let live: Vec<Xid> = vserver_runtime::running(host)?.iter().map(|record| record.xid).collect();
    if let Some(xid) = wanted.filter(|xid| live.contains(xid)) {
        let text = format!("Context '{xid}' is already in use. Please select another one.");
        return Err(CliError::known(text, Exit::Failure));
    }
    if let Some(clash) = vserver_config::claimed(&host.confdir, name, wanted, &[])?.first() {
        return Err(CliError::Refused(format!("guest '{name}' cannot be built: {clash}; choose another --context")));
    }
    // Where there is a configuration already the build will say so; no number is spent on it.
    let refused = !args.force && host.confdir.join(name.as_str()).exists();
    if refused || wanted.is_some() || Defaults::new(&host.confdir).context_dynamic() {
        return Ok(wanted);
    }
    Ok(Some(vserver_config::next_context(&host.confdir, &live)?))
}

fn cpuset(args: &BuildArgs) -> Result<Option<NewCpuSet>, CliError> {
    let set = NewCpuSet {
        name: args.cpuset.clone().unwrap_or_default(),
        cpus: args.cpusetcpus.as_deref().map(|text| list("--cpusetcpus", text)).transpose()?,
        mems: args.cpusetmems.as_deref().map(|text| list("--cpusetmems", text)).transpose()?,
        virtualized: args.cpusetvirt,
    };
    if args.cpuset.is_none() && (set.cpus.is_some() || set.mems.is_some() || set.virtualized) {
        return Err(CliError::Refused("--cpusetcpus, --cpusetmems and --cpusetvirt need --cpuset NAME".to_owned()));
    }
    Ok(args.cpuset.is_some().then_some(set))
}

/// `LIST[:0|1]`
fn list(option: &str, text: &str) -> Result<(String, Option<bool>), CliError> {
    match text.split_once(':') {
        None => Ok((text.to_owned(), None)),
        Some((list, "0")) => Ok((list.to_owned(), Some(false))),
        Some((list, "1")) => Ok((list.to_owned(), Some(true))),
        Some((_, flag)) => {
            Err(CliError::Refused(format!("{option} '{text}': after ':' stands 0 or 1, not '{flag}'")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::args;
    use crate::printer::Printer;

    fn guest(words: &[&str]) -> Result<NewGuest, String> {
        let dir = std::env::temp_dir().join(format!("cli-wish-{}", std::process::id()));
        let host = Host { run_dir: dir.join("run"), ..Host::new(Some(dir)) };
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let args = args::parse(&Printer::new("vserver"), &words, Exit::Failure).map_err(|error| error.to_string())?;
        new_guest(&args, &"web1".parse().unwrap(), &host).map(|(guest, _)| guest).map_err(|error| error.to_string())
    }

    #[test]
    fn every_option_arrives() {
        let made = guest(&[
            "--context=40012",
            "--hostname",
            "web1.example.org",
            "--interface",
            "eth0:192.0.2.12/24",
            "--flags",
            "virt_mem,sched_hard",
            "--interface",
            "nodev:127.0.0.2",
            "--initstyle",
            "plain",
            "--cpuset",
            "a",
            "--cpusetcpus",
            "0-1:1",
            "--cpusetvirt",
            "--netprefix",
            "24",
            "--lockfile",
            "/run/x",
            "--rootdir",
            "/srv",
        ])
        .unwrap();
        assert_eq!(made.context, Some(Xid(40_012)));
        assert_eq!(made.interfaces.len(), 2);
        assert_eq!(made.init_style, Some(Style::Plain));
        assert_eq!(made.vdir.as_deref(), Some(Path::new("/srv/web1")));
        let set = made.cpuset.unwrap();
        assert_eq!((set.cpus, set.virtualized), (Some(("0-1".to_owned(), Some(true))), true));
        assert_eq!((made.netprefix, made.netmask), (Some(24), None));
    }

    #[test]
    fn faults_are_said() {
        for (words, part) in [
            (&["--context", "1"][..], "not between 2 and 49151"),
            (&["--context", "x"], "not a decimal number"),
            (&["--context", "5", "--interface", "eth0:1.2.3"], "address"),
            (&["--context", "5", "--initstyle", "upstart"], "init style"),
            (&["--context", "5", "--netmask", "24"], "--netmask '24'"),
            (&["--context", "5", "--cpusetcpus", "0"], "need --cpuset"),
            (&["--context", "5", "--cpuset", "a", "--cpusetcpus", "0:2"], "0 or 1"),
            (&["--context"], "value is required"),
        ] {
            let error = guest(words).unwrap_err();
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }

    #[test]
    fn the_guests_own_confdir_bears_its_name() {
        let name = "web1".parse().unwrap();
        assert_eq!(root_of(Path::new("/srv/etc/web1"), &name).unwrap(), Path::new("/srv/etc"));
        assert!(root_of(Path::new("/srv/etc/web2"), &name).is_err());
        assert!(root_of(Path::new("/"), &name).is_err());
    }
}
