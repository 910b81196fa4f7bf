//! The disk that is booted: Debian, our programs as `install` lays them, six guests; and an initrd that finds it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::shell::{capture, command, run, say};
use crate::{Outcome, busybox, debian, install};

/// Name, marks, depends. Names are in the wrong order on purpose: the alphabet must not be what orders them.
const GUESTS: &[(&str, &str, &str)] = &[
    ("a-web", "default\n", "m-app\n"),
    ("m-app", "default\n", "# first the database\nz-db\n"),
    // No mark: it starts because others need it.
    ("z-db", "", ""),
    ("late", "late\n", ""),
    // No mark: started by hand, and stopped with the host.
    ("byhand", "", ""),
    ("off", "default\n", ""),
];

/// Leaves its marks with the time of day, the clock that all guests share; the pause makes an order visible.
const RC_START: &str = "#!/bin/sh\ndate '+started %s' >>/var/log/boot\n";
const RC_STOP: &str = "#!/bin/sh\ndate '+stopping %s' >>/var/log/boot\nsleep 2\n\
                       date '+stopped %s' >>/var/log/boot\n";
const INITTAB: &str = "::sysinit:/etc/rc.start\n::respawn:/bin/sleep 86400\n::ctrlaltdel:/sbin/poweroff\n\
                       ::shutdown:/etc/rc.stop\n";

/// Looks around once everything is up, then switches the host off.
const EVIDENCE_UNIT: &str = "[Unit]\nDescription=Evidence\nWants=vserver.target\nAfter=vserver.target\n\n[Service]\n\
                             Type=exec\nExecStart=/usr/local/sbin/evidence\n\n[Install]\nWantedBy=multi-user.target\n";
const EVIDENCE: &str = r#"#!/bin/sh
dir=/var/log/evidence; mkdir -p $dir; cd $dir || exit 1
units() { systemctl --no-legend --plain --all list-units 'vserver*' 'util-vserver*' 'vprocunhide*' 'vservers*'; }
running() { vserver list | grep running | cut -d' ' -f1; }
timeout 240 systemctl is-system-running --wait >state
cat /proc/1/comm >pid1; uname -r >kernel; stat -fc %T /sys/fs/cgroup >cgroup
running >booted; units >units; systemctl --no-legend --plain --failed >failed
for guest in a-web m-app z-db; do
    echo $guest $(systemctl show -p ActiveEnterTimestampMonotonic --value "$(systemd-escape --template=vserver@.service $guest)")
done >entered
systemctl daemon-reload; systemctl daemon-reexec; sleep 2
running >reloaded; cat /sys/fs/cgroup/cgroup.subtree_control >controllers
vserver --version | head -1 >version; systemctl is-active vserverd.service vserverd.socket >daemon
systemctl stop vserver-mark@late.target
n=0; while vserver late running && [ $n -lt 60 ]; do sleep 1; n=$((n+1)); done; running >unmarked
systemctl start vserver-mark@late.target
MARK=late /etc/init.d/vservers-default stop; running >script; MARK=late /etc/init.d/vservers-default start
vserver byhand start >byhand 2>&1; running >before
sync
systemctl poweroff
"#;
const INIT: &str = "#!/bin/busybox sh\nbb=/bin/busybox\n$bb mkdir -p /proc /dev /root\n$bb mount -t proc none /proc\n\
                    $bb mount -t devtmpfs none /dev\nfor module in /modules/*; do $bb insmod $module; done\n\
                    n=0; while [ ! -b /dev/vda ] && [ $n -lt 100 ]; do $bb sleep 0.1; n=$((n+1)); done\n\
                    $bb mount -t ext4 /dev/vda /root || $bb poweroff -f\n$bb mount --move /dev /root/dev\n\
                    $bb umount /proc\nexec $bb switch_root /root /sbin/init\n";
/// What finds the disk, with all that these need; `autofs4` is systemd's.
const MODULES: [&str; 5] = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4", "autofs4"];

/// Makes `image` and `initrd` in `work`.
pub fn make(kernel: &Path, work: &Path) -> Outcome {
    let busybox = busybox::on_host().ok_or("a static busybox is needed: apt-get install busybox-static")?;
    let io = |error: std::io::Error| format!("could not make the image in {}: {error}", work.display());
    initrd(kernel, &busybox, work)?;
    debian::ensure_tree()?;
    let tree = work.join("tree");
    say("laying out the disk");
    run(command("cp", &["-a", "--reflink=auto"]).arg(debian::tree()).arg(&tree))?;
    install::run(&["--destdir", &tree.display().to_string(), "--prefix", "/usr"])?;
    host(&tree).map_err(io)?;
    for (name, mark, depends) in GUESTS {
        guest(&busybox, &tree, name, mark, depends)?;
    }
    fs::write(tree.join("etc/vservers/off/disabled"), "").map_err(io)?;
    let units = ["util-vserver.service", "vserver.target", "vserverd.service", "evidence.service"];
    // By the systemd inside: this machine may have none.
    run(command("chroot", &[&tree]).args(["systemctl", "enable", "-q"]).args(units))?;
    let units = ["vserver@x.service", "vserver-mark@x.target", "vservers.target", "vserverd.socket", "vserver.slice"];
    run(command("chroot", &[&tree]).args(["systemd-analyze", "verify", "--man=no"]).args(units))?;
    let image = work.join("image");
    run(command("truncate", &["-s", "2G"]).arg(&image))?;
    run(command("mkfs.ext4", &["-q", "-F", "-d"]).arg(&tree).arg(&image))?;
    fs::remove_dir_all(&tree).map_err(io)
}

/// What is not ours to install: the journal on disk, no waiting for terminals, the witness.
fn host(tree: &Path) -> std::io::Result<()> {
    for dir in ["var/log/journal", "usr/local/sbin", "etc/vservers/.defaults", "vservers"] {
        fs::create_dir_all(tree.join(dir))?;
    }
    symlink("/vservers", tree.join("etc/vservers/.defaults/vdirbase"))?;
    for unit in ["serial-getty@ttyS0.service", "getty.target", "nginx.service", "ssh.service"] {
        symlink("/dev/null", tree.join("etc/systemd/system").join(unit))?;
    }
    busybox::write(tree, "etc/hostname", "boot\n", 0o644)?;
    busybox::write(tree, "usr/local/sbin/evidence", EVIDENCE, 0o755)?;
    busybox::write(tree, "etc/systemd/system/evidence.service", EVIDENCE_UNIT, 0o644)
}

fn guest(busybox: &Path, tree: &Path, name: &str, mark: &str, depends: &str) -> Outcome {
    let root = tree.join("vservers").join(name);
    busybox::tree(busybox, &root)?;
    let cfg = tree.join("etc/vservers").join(name);
    let files = || -> std::io::Result<()> {
        busybox::write(&root, "etc/inittab", INITTAB, 0o644)?;
        busybox::write(&root, "etc/rc.start", RC_START, 0o755)?;
        busybox::write(&root, "etc/rc.stop", RC_STOP, 0o755)?;
        fs::create_dir_all(cfg.join("apps/init"))?;
        fs::create_dir_all(cfg.join("uts"))?;
        symlink(format!("/vservers/{name}"), cfg.join("vdir"))?;
        symlink(format!("/var/run/vservers/{name}"), cfg.join("run"))?;
        let xid = 40_000 + GUESTS.iter().position(|guest| guest.0 == name).unwrap_or_default();
        let settings = [("name", name), ("context", &xid.to_string()), ("apps/init/style", "plain")];
        for (file, value) in settings.into_iter().chain([("uts/nodename", name)]) {
            fs::write(cfg.join(file), format!("{value}\n"))?;
        }
        for (file, lines) in [("mark", mark), ("depends", depends)].into_iter().filter(|(_, lines)| !lines.is_empty())
        {
            fs::write(cfg.join("apps/init").join(file), lines)?;
        }
        Ok(())
    };
    files().map_err(|error| format!("could not make the guest {name}: {error}"))
}

fn initrd(kernel: &Path, busybox: &Path, work: &Path) -> Outcome {
    let modules = modules(kernel)?;
    let dir = work.join("initrd.d");
    let fill = || -> std::io::Result<()> {
        fs::create_dir_all(dir.join("bin"))?;
        fs::create_dir_all(dir.join("modules"))?;
        fs::copy(busybox, dir.join("bin/busybox"))?;
        for (index, module) in modules.iter().enumerate() {
            let name = module.file_name().unwrap_or_default().to_string_lossy();
            fs::copy(module, dir.join(format!("modules/{index:02}-{name}")))?;
        }
        busybox::write(&dir, "init", INIT, 0o755)
    };
    fill().map_err(|error| format!("could not fill {}: {error}", dir.display()))?;
    let pack = format!("find . | {} cpio -o -H newc 2>/dev/null >../initrd", busybox.display());
    run(Command::new("sh").args(["-c", &pack]).current_dir(&dir).stdin(Stdio::null()))?;
    fs::remove_dir_all(&dir).map_err(|error| format!("could not remove {}: {error}", dir.display()))
}

/// Files of the modules, each after those that it needs. Source: modules.dep(5).
fn modules(kernel: &Path) -> Result<Vec<PathBuf>, String> {
    let dirs = capture(Command::new("sh").args(["-c", "ls -d lib/modules/*"]).current_dir(kernel))?;
    let dir = kernel.join(dirs.trim());
    let deps = fs::read_to_string(dir.join("modules.dep")).map_err(|error| format!("no modules.dep: {error}"))?;
    let mut found: Vec<PathBuf> = Vec::new();
    for name in MODULES {
        let file = format!("/{name}.ko:");
        // What is built in has no line.
        let Some(line) = deps.lines().find(|line| line.contains(&file)) else { continue };
        let needs = line.split_whitespace().rev().map(|path| dir.join(path.trim_end_matches(':')));
        let new: Vec<PathBuf> = needs.filter(|path| !found.contains(path)).collect();
        found.extend(new);
    }
    Ok(found)
}
