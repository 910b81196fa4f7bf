//! A guest has one terminal, its console; whoever waits on others waits in vain and starts again for ever.

use vserver_fs::GuestRoot;

use super::change::Change;
use super::system::{Init, System, names, text};
use crate::Error;

const WHY: &str = "there are no terminals but the console";

pub(crate) fn changes(root: &GuestRoot, system: &System) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    if let Some(old) = text(root, "etc/inittab")? {
        let new: String = old.lines().map(|line| inittab(line) + "\n").collect();
        if new != old {
            changes.push(Change::write("etc/inittab", new, WHY));
        }
    }
    match system.init {
        Init::Upstart => {
            for job in names(root, "etc/init")? {
                let name =
                    job.strip_suffix(".conf").filter(|name| name.starts_with("tty") || name.starts_with("serial"));
                if let Some(name) = name {
                    changes.push(Change::write(&format!("etc/init/{name}.override"), "manual\n", WHY));
                }
            }
        }
        Init::Systemd => {
            let dir = "etc/systemd/system/getty.target.wants";
            for unit in names(root, dir)?.into_iter().filter(|unit| unit != "console-getty.service") {
                changes.push(Change::remove(format!("{dir}/{unit}"), WHY));
            }
        }
        _ => {}
    }
    Ok(changes)
}

/// A line without a getty, unless that is on the console; and with a halt where three keys meant a reboot, since that is
/// how a guest is told to stop.
fn inittab(line: &str) -> String {
    let active = !line.trim_start().starts_with('#');
    let console = line.split(|c: char| !c.is_alphanumeric()).any(|word| word == "console");
    if active && line.contains("getty") && !console {
        return format!("#{line}");
    }
    if active && line.contains(":ctrlaltdel:") && line.contains("shutdown") {
        return line.replace(" -a", "").replace(" -r", " -h");
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_console_keeps_its_getty() {
        for gone in [
            "1:2345:respawn:/sbin/getty 38400 tty1",
            "tty1::respawn:/sbin/getty 38400 tty1",
            "T0:23:respawn:/sbin/getty -L ttyS0 9600 vt100",
        ] {
            assert_eq!(inittab(gone), format!("#{gone}"));
        }
        let keys = "ca:12345:ctrlaltdel:/sbin/shutdown -t1 -a -r now";
        assert_eq!(inittab(keys), "ca:12345:ctrlaltdel:/sbin/shutdown -t1 -h now");
        for kept in
            ["id:2:initdefault:", "#1:2345:respawn:/sbin/getty 38400 tty1", "co::respawn:/sbin/getty 38400 console"]
        {
            assert_eq!(inittab(kept), kept);
        }
    }
}
