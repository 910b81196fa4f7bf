//! Programs whose command line is a few fixed words: their texts as data.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};
use vserver_types::Exit;

use crate::manual;
use crate::printer::Printer;

/// The texts of one program.
#[derive(Debug)]
pub(crate) struct Plain {
    /// The program.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// What stands after its name.
    pub usage: &'static str,
    /// A command line that works.
    pub example: &'static str,
    /// Whether people call it by its name; others lie in `lib/util-vserver`.
    pub completed: bool,
    /// Whether `--help` and `--version` are its own and not for a program that it runs.
    pub answers: bool,
}

/// One that scripts call by its path.
const fn helper(name: &'static str, about: &'static str, usage: &'static str, example: &'static str) -> Plain {
    Plain { name, about, usage, example, completed: false, answers: true }
}

/// One that runs another program, which gets every word.
const fn wrapper(name: &'static str, about: &'static str, example: &'static str) -> Plain {
    Plain { name, about, usage: "[ARGUMENTS]", example, completed: true, answers: false }
}

/// An init script of the host by its name, held to addresses.
const fn service(name: &'static str, example: &'static str) -> Plain {
    let about = "Runs the init script of this name held to the addresses IP in /etc/vservices/NAME.conf";
    Plain { name, about, usage: "{start|stop|restart|status}", example, completed: false, answers: true }
}

/// One that is answered with this sentence.
const fn obsolete(name: &'static str, about: &'static str, example: &'static str) -> Plain {
    Plain { name, about, usage: "", example, completed: false, answers: true }
}

const PLAIN: &[Plain] = &[
    Plain {
        name: "vrsetup",
        about: "Vroot devices are gone; quotas are set on the host: dlimits/ and vdlimit",
        usage: "[-d|-I|-D] VROOTDEVICE [DEVICE]",
        example: "vdlimit --xid web1 --set space_total=4194304 /vservers",
        completed: false,
        answers: true,
    },
    wrapper("vtop", "Runs top, which shows the processes of all contexts", "vtop -b -n 1"),
    wrapper("vpstree", "Runs pstree, which shows the processes of all contexts", "vpstree -p"),
    helper(
        "exec-cd",
        "Runs a command in a directory below the working directory, which links cannot lead out of",
        "[--] DIR COMMAND [ARGUMENTS]",
        "cd /vservers/web1 && exec-cd /var/log /bin/ls",
    ),
    helper(
        "exec-ulimit",
        "Runs a command with the limits that the files of a directory hold",
        "DIR COMMAND [ARGUMENTS]",
        "exec-ulimit /etc/vservers/web1/ulimits /bin/sh",
    ),
    helper(
        "exec-remount",
        "Runs a command; /proc and /sys are fresh in every guest already",
        "[--mtab FILE] MOUNTPOINT... -- COMMAND [ARGUMENTS]",
        "exec-remount proc -- /bin/true",
    ),
    helper(
        "lockfile",
        "Holds a lock for a script until a hang-up or until its parent ends",
        "[--] LOCKFILE FIFO [SECONDS]",
        "lockfile /run/lock/x /tmp/fifo 60 &",
    ),
    helper(
        "chroot-sh",
        "Does a file operation below the working directory, which links cannot lead out of",
        "(cat|append|truncate|testfile|rm|mkdir|chmod|link|mv|realpath) ARGUMENTS",
        "cd /vservers/web1 && chroot-sh cat /etc/hostname",
    ),
    helper(
        "save_ctxinfo",
        "Writes the context number of a guest to its run file and runs a command",
        "CFGDIR COMMAND [ARGUMENTS]",
        "save_ctxinfo /etc/vservers/web1 /bin/true",
    ),
    helper(
        "fakerunlevel",
        "Writes a runlevel to a utmp file below the working directory",
        "RUNLEVEL UTMP",
        "cd /vservers/web1 && fakerunlevel 3 /var/run/utmp",
    ),
    helper("filetime", "Says how old a file is: [N days, ]HH:MM", "[--] FILE", "filetime /var/run/vservers/web1"),
    helper(
        "mask2prefix",
        "Exits with the length of the prefix of a mask",
        "MASK",
        "mask2prefix 255.255.255.0; echo $?",
    ),
    helper(
        "check-unixfile",
        "Says whether files end with a newline and are of a sensible size",
        "[--] FILE...",
        "check-unixfile /etc/vservers/web1/context",
    ),
    helper(
        "chain-echo",
        "Writes a text to a file and runs a command",
        "FILE TEXT COMMAND [ARGUMENTS]",
        "chain-echo /tmp/x hello /bin/cat /tmp/x",
    ),
    helper(
        "vshelper-sync",
        "Waits until whoever writes a fifo is done",
        "[--] FIFO SECONDS",
        "vshelper-sync /var/run/vshelper/web1 30",
    ),
    helper("readlink", "Prints where a link leads", "LINK", "readlink /etc/vservers/web1/vdir"),
    helper(
        "sigexec",
        "Runs a command with every signal at its default",
        "[--] COMMAND [ARGUMENTS]",
        "sigexec -- /bin/sh -c 'kill -CHLD $$'",
    ),
    helper("bash-wrapper", "Runs bash with all arguments", "[ARGUMENTS]", "bash-wrapper -c 'echo $BASH_VERSION'"),
    helper(
        "vsysvwrapper",
        "Runs an init script of the host held to the addresses IP in /etc/vservices/SERVICE.conf",
        "SERVICE [ARGUMENTS]",
        "vsysvwrapper sshd start",
    ),
    service("v_gated", "v_gated start"),
    service("v_httpd", "v_httpd start"),
    service("v_named", "v_named start"),
    service("v_portmap", "v_portmap start"),
    service("v_sendmail", "v_sendmail start"),
    service("v_smb", "v_smb start"),
    service("v_sshd", "v_sshd start"),
    service("v_xinetd", "v_xinetd start"),
    obsolete(
        "capchroot",
        "it is gone; use `chroot`, or `vserver NAME suexec USER COMMAND`",
        "vserver web1 suexec 33 id",
    ),
    obsolete("chbind-compat", "it is gone; use `chbind`", "chbind --ip 192.0.2.12 -- id"),
    obsolete("chcontext-compat", "it is gone; use `chcontext`", "chcontext --xid web1 -- id"),
    obsolete("vlogin", "it is no program of its own; use `vserver NAME enter`", "vserver web1 enter"),
    obsolete("rebootmgr", "it is gone; a guest reboots and halts itself without help", "vserver web1 exec reboot"),
    obsolete("vreboot", "it is gone; `reboot` inside a guest restarts that guest", "vserver web1 exec reboot"),
    obsolete("vhalt", "it is gone; `poweroff` inside a guest stops that guest", "vserver web1 exec poweroff"),
    obsolete("vserver-copy", "it is gone; use `vserver NAME copy NEW`", "vserver web1 copy web2"),
    obsolete("vserverkillall", "it is gone; use `vkill --xid NAME`", "vkill --xid web1"),
    obsolete("vservers-legacy", "it is gone; use `start-vservers`", "start-vservers --all --start"),
    obsolete(
        "distrib-info",
        "it is gone; `vserver NAME build` takes the distribution after -d",
        "vserver web1 build --help",
    ),
    obsolete("save_s_context", "it is gone; a start writes the run file itself", "vserver web1 start"),
    obsolete("showperm", "it is gone; use `lsattr -d` and `stat`", "lsattr -d /vservers"),
    obsolete("parserpmdump", "it is gone; use `vserver NAME exec rpm -qa`", "vserver web1 exec rpm -qa"),
    obsolete("listdevip", "it is gone; use `ip -br address`", "ip -br address"),
    obsolete("ifspec", "it is gone; use `ip address`", "ip address show dev eth0"),
    obsolete("rootshell", "it is gone; use `vserver NAME enter`", "vserver web1 enter"),
];

/// The texts of a program, if it is one of these.
pub(crate) fn plain(name: &str) -> Option<&'static Plain> {
    PLAIN.iter().find(|plain| plain.name == name)
}

impl Plain {
    /// A definition like those of `args`.
    pub fn command(&self) -> Command {
        let words =
            Arg::new("words").action(ArgAction::Append).trailing_var_arg(true).allow_hyphen_values(true).hide(true);
        Command::new(self.name)
            .version(env!("CARGO_PKG_VERSION"))
            .about(self.about)
            .override_usage(format!("{} {}", self.name, self.usage).trim_end().to_owned())
            .after_help(format!("Example: {}", self.example))
            .arg(words)
    }

    /// Answers `--help` and `--version` as the first word; `None`: the words are for the program.
    pub fn tell(&self, words: &[OsString], printer: &Printer) -> Option<Exit> {
        let first = words.first().filter(|_| self.answers)?;
        let text = match first.to_str()? {
            "--help" => self.command().render_help().to_string(),
            "--version" => manual::version(&format!("{} {} -- {}", self.name, env!("CARGO_PKG_VERSION"), self.about)),
            _ => return None,
        };
        Some(if printer.text(&text).is_ok() { Exit::Success } else { Exit::Failure })
    }
}
