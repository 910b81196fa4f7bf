//! Where the clients of the set `net` run, and how they get there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::stage::plant;
use crate::Outcome;
use crate::shell::{capture, command, find, run, say};

/// The host's address, on a bridge of this network namespace.
pub const SERVER: &str = "10.77.0.9";

/// A process of the host's as services are: in a cgroup of its own.
pub const IN_CGROUP: &str = "the host, in a cgroup";

/// The guest that has a goal.
pub const SHARED: &str = "ours, the host's stack";

type Enter = Box<dyn Fn() -> Command>;

/// A place from which the server is asked.
pub struct Place {
    /// Its name in the result.
    pub name: &'static str,
    /// Where the tools are, as seen from there.
    tools: PathBuf,
    enter: Enter,
    leave: Option<Enter>,
}

impl Place {
    /// What a program says there.
    pub fn ask(&self, program: &str, words: &[&str]) -> Result<String, String> {
        capture((self.enter)().arg(self.tools.join(program)).args(words))
    }
}

/// Puts the guest away, also after a failure of another.
impl Drop for Place {
    fn drop(&mut self) {
        if let Some(leave) = &self.leave {
            let _ = leave().stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

/// All of them, running; the host is the first.
pub fn places(bin: &Path, home: &Path, me: &Path) -> Result<Vec<Place>, String> {
    let tree = home.join("tree");
    plant(&tree)?;
    tools(&tree, me)?;
    // The host uses the same files.
    let host = |name: &'static str, enter: Enter| Place { name, tools: tree.join("tools"), enter, leave: None };
    let mut all = vec![host("host", Box::new(|| command("env", &[] as &[&str])))];
    // What differs from run to run, and what a cgroup alone costs, as every service of systemd has one.
    all.push(host("the host again", Box::new(|| command("env", &[] as &[&str]))));
    all.push(host(IN_CGROUP, in_cgroup()?));
    all.push(ours(bin, home, &tree, SHARED, "shared")?);
    all.push(ours(bin, home, &tree, "ours, a pair and a bridge", "pair")?);
    match find("lxc-start") {
        Some(_) => all.push(lxc(home, &tree)?),
        None => say("lxc is not installed, so it is not compared"),
    }
    Ok(all)
}

/// Enters a new directory of every hierarchy that costs processes something, as deep as a service in its slice; the stage takes
/// them away.
fn in_cgroup() -> Result<Enter, String> {
    let mounts = fs::read_to_string("/proc/mounts").map_err(|error| format!("/proc/mounts: {error}"))?;
    let mut enter = String::new();
    for line in mounts.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let [_, dir, kind, options, ..] = fields[..] else { continue };
        let costs = |word| ["cpu", "memory", "pids"].contains(&word);
        if kind == "cgroup2" || kind == "cgroup" && options.split(',').any(costs) {
            let dir = Path::new(dir).join("vserver-bench/service");
            fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
            enter += &format!("echo $$ > {}/cgroup.procs; ", dir.display());
        }
    }
    enter += "exec \"$@\"";
    Ok(Box::new(move || command("sh", &["-c", enter.as_str(), "sh"])))
}

/// iperf3 with its libraries, and this program, below `/tools` and where they are looked for.
fn tools(tree: &Path, me: &Path) -> Outcome {
    let iperf3 = find("iperf3").ok_or("this host has no iperf3")?;
    copy(me, &tree.join("tools/rate"))?;
    copy(&iperf3, &tree.join("tools/iperf3"))?;
    for line in capture(&mut command("ldd", &[&iperf3]))?.lines() {
        if let Some(library) = line.split_whitespace().find(|word| word.starts_with('/')) {
            copy(Path::new(library), &tree.join(library.trim_start_matches('/')))?;
        }
    }
    fs::create_dir_all(tree.join("tmp")).map_err(|error| format!("{}: {error}", tree.display()))
}

fn copy(from: &Path, to: &Path) -> Outcome {
    let parent = to.parent().ok_or("no directory")?;
    let copied = fs::create_dir_all(parent)
        .and_then(|()| fs::copy(from, to))
        .and_then(|_| fs::set_permissions(to, fs::Permissions::from_mode(0o755)));
    copied.map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

fn write(dir: &Path, files: &[(&str, &str)]) -> Outcome {
    for (file, content) in files {
        let path = dir.join(file);
        let written = fs::create_dir_all(path.parent().unwrap_or(dir)).and_then(|()| fs::write(&path, content));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn ours(bin: &Path, home: &Path, tree: &Path, name: &'static str, guest: &'static str) -> Result<Place, String> {
    let confdir = home.join("etc");
    let dir = confdir.join(guest);
    let number = if guest == "shared" { "48998\n" } else { "48997\n" };
    write(&dir, &[("context", number), ("apps/init/style", "plain\n")])?;
    if guest == "shared" {
        write(
            &dir,
            &[("interfaces/0/ip", "10.77.0.1\n"), ("interfaces/0/prefix", "32\n"), ("interfaces/0/dev", "lo\n")],
        )?;
    } else {
        write(&dir, &[("netns/interfaces/0/host", "v-bench\n"), ("netns/interfaces/0/guest", "eth0\n")])?;
        write(&dir, &[("netns/interfaces/0/bridge", "br77\n"), ("interfaces/0/dev", "eth0\n")])?;
        write(&dir, &[("interfaces/0/ip", "10.77.0.2\n"), ("interfaces/0/prefix", "24\n")])?;
    }
    let linked = symlink(tree, dir.join("vdir"));
    let linked = linked.and_then(|()| symlink(format!("/var/run/vservers/{guest}"), dir.join("run")));
    linked.map_err(|error| format!("{}: {error}", dir.display()))?;
    let program = bin.join("vserver");
    let vserver = move |words: &[&str]| {
        let mut vserver = command(&program, &[guest]);
        vserver.args(words).env("VSERVER_CONFDIR", &confdir);
        vserver
    };
    capture(&mut vserver(&["start"]))?;
    let again = vserver.clone();
    let leave: Enter = Box::new(move || again(&["stop", "--kill"]));
    Ok(Place { name, tools: "/tools".into(), enter: Box::new(move || vserver(&["exec"])), leave: Some(leave) })
}

/// LXC looks for the bridge in `/sys/class/net`, which must be that of this network namespace, with the cgroups in it.
fn own_sysfs(home: &Path) -> Outcome {
    let kept = home.join("cgroup");
    fs::create_dir_all(&kept).map_err(|error| format!("{}: {error}", kept.display()))?;
    let kept = kept.to_string_lossy();
    run(&mut command("mount", &["--rbind", "/sys/fs/cgroup", &kept]))?;
    run(&mut command("mount", &["-t", "sysfs", "sysfs", "/sys"]))?;
    let back = run(&mut command("mount", &["--rbind", &kept, "/sys/fs/cgroup"]));
    // What stays mounted below the home would be in the way of its removal.
    run(&mut command("umount", &["-l", &kept])).and(back)
}

fn lxc(home: &Path, tree: &Path) -> Result<Place, String> {
    own_sysfs(home)?;
    let path: PathBuf = home.join("lxc");
    let config = format!(
        "lxc.uts.name = bench\nlxc.rootfs.path = dir:{}\nlxc.net.0.type = veth\nlxc.net.0.link = br77\nlxc.net.0.flags = up\n\
         lxc.net.0.ipv4.address = 10.77.0.3/24\nlxc.apparmor.profile = unconfined\nlxc.init.cmd = /sbin/init\n\
         lxc.mount.auto = proc:mixed sys:mixed cgroup:mixed\nlxc.autodev = 1\nlxc.tty.max = 0\n",
        tree.display()
    );
    write(&path, &[("bench/config", &config)])?;
    let tool = move |name: &str| {
        let mut tool = command(name, &["-P"]);
        tool.arg(&path).args(["-n", "bench"]);
        tool
    };
    run(tool("lxc-start").stdout(Stdio::null()).stderr(Stdio::null()))?;
    let again = tool.clone();
    let enter: Enter = Box::new(move || {
        let mut attach = tool("lxc-attach");
        attach.arg("--");
        attach
    });
    let leave: Enter = Box::new(move || {
        let mut stop = again("lxc-stop");
        stop.arg("-k");
        stop
    });
    Ok(Place { name: "lxc, a pair and a bridge", tools: "/tools".into(), enter, leave: Some(leave) })
}
