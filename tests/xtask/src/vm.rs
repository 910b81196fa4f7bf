//! `vm`: the root tests on a pure cgroup v2 host: Debian's own kernel under qemu's TCG, over this very file system.

pub mod boot;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::build::{PROGRAMS, release};
use crate::shell::{KEEP, capture, command, need_root, run as show, say};
use crate::test::{self, Tally};
use crate::{Outcome, debian, packages};

/// The VM needs these on the host; the kernel itself is not installed here, only unpacked.
const PACKAGES: &[&str] = &[
    "qemu-system-x86",
    "kmod",
    "e2fsprogs",
    "xfsprogs",
    "btrfs-progs",
    "debootstrap",
    "python3-venv",
    "busybox-static",
    "strace",
    "iproute2",
    "zstd",
    "xz-utils",
    "bzip2",
    "dump",
    "apparmor",
    "quota",
    "dosfstools",
    "genisoimage",
];

/// Runs inside as root. `/tmp` there is an overlay and `/` is 9p, neither of which can be mapped, and a tmpfs only from
/// Linux 6.3 on: trees lie on an ext4 image in memory. So do the programs that every test executes many times: 9p asks
/// the host for each page again.
const INSIDE: &str = r#"#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec >"$1/log" 2>&1
for module in loop ext4 xfs btrfs quota_v2 vfat nls_cp437 nls_iso8859-1 nls_ascii isofs overlay veth tun 8021q sctp fuse; do modprobe $module; done
mount -t tmpfs -o size=1800m none /mnt && truncate -s 1400m /mnt/image && mkfs.ext4 -q /mnt/image && mkdir /mnt/trees &&
    mount -o loop /mnt/image /mnt/trees || exit 1
cp -r "$1/bin" /mnt/bin || exit 1
busybox=$(readlink -f /bin/busybox) && cp "$busybox" /mnt/busybox && mount --bind /mnt/busybox "$busybox" || exit 1
cd /
smoke=$2; export VSERVER_TEST_DEBIAN="$3"; shift 3
export VSERVER_TEST_TREES=/mnt/trees
if [ "$smoke" = 1 ]; then export VSERVER_TEST_SMOKE=1; fi
/mnt/bin/vserver-root-tests "$@"
echo "vm: the tests ended with $?"
sync
"#;

/// Runs the verb.
pub fn run(words: &[&str]) -> Outcome {
    need_root("vm")?;
    match words {
        [] => test::verdict(tests(false, "")?),
        ["boot"] => boot::run(),
        ["--smoke"] => test::verdict(tests(true, "")?),
        [filter] if !filter.starts_with('-') => test::verdict(tests(false, filter)?),
        _ => Err(format!("`cargo xtask vm` knows no '{}'", words.join(" "))),
    }
}

/// Runs the root tests whose names contain `filter`, or the smoke subset, inside.
pub fn tests(smoke: bool, filter: &str) -> Result<Tally, String> {
    let home = Path::new(KEEP).join("vm");
    ensure_qemu()?;
    let kernel = kernel(&home)?;
    let venv = virtme(&home)?;
    let debian = if smoke { String::new() } else { debian::ensure_tarball()?.display().to_string() };
    let bin = release(&[PROGRAMS, &["vserver-probe", "vserver-root-tests"]].concat())?;
    let work = home.join(format!("run-{}", std::process::id()));
    lay_out(&bin, &work).map_err(|error| format!("could not fill {}: {error}", work.display()))?;
    let begun = Instant::now();
    say(&format!("booting {}", kernel.display()));
    let arguments = format!("'{}' '{debian}' --test-threads 2 {}", u8::from(smoke), filter);
    let log = std::thread::scope(|scope| {
        let booted = scope.spawn(|| boot(&kernel, &venv, &work, &arguments));
        follow(&work.join("log"), || booted.is_finished())
    });
    let _ = fs::remove_dir_all(&work);
    say(&format!("the VM took {:.0} s", begun.elapsed().as_secs_f32()));
    Ok(verdict(&log))
}

/// qemu's own exit status says nothing about what ran inside. A VM that ended before its tests did is a failure.
fn verdict(log: &str) -> Tally {
    let mut tally = Tally::default();
    log.lines().for_each(|line| tally += test::verdicts(line));
    let ended_well = log.lines().any(|line| line == "vm: the tests ended with 0");
    tally.failed = tally.failed.max(u64::from(!ended_well));
    tally
}

fn boot(kernel: &Path, venv: &Path, work: &Path, arguments: &str) {
    // A test's name is a plain word, so it needs no quoting here.
    let inside = format!("sh {0}/inside {0} {arguments}", work.display());
    let path =
        format!("{}:{}:/usr/sbin:/sbin", venv.join("bin").display(), std::env::var("PATH").unwrap_or_default());
    let mut vng = command(venv.join("bin/vng"), &["--run"]);
    vng.arg(kernel).args(["--disable-kvm", "--cpus", "2", "-m", "3G", "--user", "root", "--rw", "--exec", &inside]);
    // What these guard against is the processor, which is emulated; they cost much there.
    vng.args(["--append", "mitigations=off"]);
    // Its status is that of the console, which it does not always find: the log has the verdict. And it opens its
    // output by name, which would empty a file: it gets a pipe.
    let _ = vng.env("PATH", path).current_dir(work).output();
}

/// Shows the log line by line as it is written, until it is over; all of it.
fn follow(log: &Path, is_over: impl Fn() -> bool) -> String {
    let mut shown = 0;
    loop {
        let over = is_over();
        let text = fs::read(log).unwrap_or_default();
        let whole =
            if over { text.len() } else { text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1) };
        print!("{}", String::from_utf8_lossy(text.get(shown..whole).unwrap_or_default()));
        shown = whole.max(shown);
        if over {
            return String::from_utf8_lossy(&text).into_owned();
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn lay_out(bin: &Path, work: &Path) -> std::io::Result<()> {
    let _ = fs::remove_dir_all(work);
    fs::create_dir_all(work.join("bin"))?;
    for program in
        ["vserver", "vserverd", "vserver-supervisor", "vserver-view", "vserver-probe", "vserver-root-tests"]
    {
        fs::copy(bin.join(program), work.join("bin").join(program))?;
    }
    fs::write(work.join("inside"), INSIDE)
}

/// A qemu of another release may be in the way of this one's: then apt is told to take both from the same.
fn ensure_qemu() -> Outcome {
    let Err(why) = packages::ensure(PACKAGES) else {
        return Ok(());
    };
    let policy = capture(&mut command("apt-cache", &["madison", "qemu-utils"])).unwrap_or_default();
    let version = policy.lines().next().and_then(|line| line.split('|').nth(1)).map(str::trim).unwrap_or_default();
    if version.is_empty() {
        return Err(why);
    }
    say(&format!("qemu-utils of another release is in the way; installing {version} instead"));
    let mut apt = command("apt-get", &["install", "-q", "-y", "--no-install-recommends", "--allow-downgrades"]);
    apt.args(PACKAGES).arg(format!("qemu-utils={version}")).env("DEBIAN_FRONTEND", "noninteractive");
    show(&mut apt).map_err(|_| why)
}

/// Debian's kernel and its modules, unpacked beside the host's, which stay as they are.
fn kernel(home: &Path) -> Result<PathBuf, String> {
    let tree = home.join("kernel");
    if let Some(found) = kernel_in(&tree) {
        return Ok(found);
    }
    let meta = capture(&mut command("apt-cache", &["depends", "linux-image-amd64"]))?;
    let package = meta.lines().find_map(|line| line.trim().strip_prefix("Depends: ")).map(str::to_owned);
    let package = package.ok_or("apt knows no linux-image-amd64")?;
    say(&format!("fetching {package}"));
    fs::create_dir_all(home).map_err(|error| format!("could not make {}: {error}", home.display()))?;
    show(command("apt-get", &["download", "-q", &package]).current_dir(home))
        .map_err(|_| format!("the kernel package {package} could not be fetched (no network?)"))?;
    show(
        Command::new("sh").current_dir(home).args(["-c", "dpkg -x linux-image-*.deb kernel && rm linux-image-*.deb"]),
    )?;
    let found = kernel_in(&tree).ok_or("the kernel package held no kernel")?;
    let version = found.file_name().map(|name| name.to_string_lossy().replace("vmlinuz-", "")).unwrap_or_default();
    let depmod = crate::shell::find("depmod").unwrap_or_else(|| "depmod".into());
    show(command(depmod, &["-b"]).arg(&tree).arg(version))?;
    Ok(found)
}

fn kernel_in(tree: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(tree.join("boot")).ok()?.flatten().map(|entry| entry.path());
    entries
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
}

/// virtme-ng in an environment of its own.
fn virtme(home: &Path) -> Result<PathBuf, String> {
    let venv = home.join("venv");
    if venv.join("bin/vng").exists() {
        return Ok(venv);
    }
    say("fetching virtme-ng");
    let why = |_| "virtme-ng could not be installed by pip (no network?)".to_owned();
    show(command("python3", &["-m", "venv"]).arg(&venv)).map_err(why)?;
    show(&mut command(venv.join("bin/pip"), &["install", "-q", "virtme-ng"])).map_err(why)?;
    Ok(venv)
}
