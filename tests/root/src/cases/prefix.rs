//! The context tools of commands.md §5: chains, contexts without a guest, changes of running ones.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::fixture::{Fixture, Guest, Ran, eventually, program};
use crate::leak;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("prefix::chain_of_context_addresses_and_nice", chain_of_context_addresses_and_nice).smoke(),
        Trial::new("prefix::chbind_holds_a_daemon_of_the_host", chbind_holds_a_daemon_of_the_host).smoke(),
        Trial::new("prefix::chbind_holds_io_uring", chbind_holds_io_uring),
        Trial::new("prefix::chcontext_makes_a_context", chcontext_makes_a_context),
        Trial::new("prefix::running_context_is_joined", running_context_is_joined),
        Trial::new("prefix::statuses", statuses),
        Trial::new("prefix::chain_gives_capabilities_up", chain_gives_capabilities_up),
        Trial::new("prefix::persistent_context_without_a_guest", persistent_context_without_a_guest),
        Trial::new("prefix::naddress_on_a_running_guest", naddress_on_a_running_guest).smoke(),
        Trial::new("prefix::nattribute_on_a_running_guest", nattribute_on_a_running_guest),
        Trial::new("prefix::vattribute_shows_and_changes", vattribute_shows_and_changes),
        Trial::new("prefix::vspace_and_vnamespace", vspace_and_vnamespace),
        Trial::new("prefix::vuname_shows_and_changes_names", vuname_shows_and_changes_names),
        Trial::new("prefix::vmemctrl_sets_the_bias", vmemctrl_sets_the_bias),
        Trial::new("prefix::vdevmap_on_a_running_guest", vdevmap_on_a_running_guest),
        Trial::new("prefix::what_has_no_counterpart", what_has_no_counterpart),
    ]
}

/// The directory of a context that was made from outside of every other.
fn directory(name: &str) -> PathBuf {
    leak::hierarchy_of("").join("vserver/.contexts").join(name)
}

/// The last process takes its context along.
#[track_caller]
fn gone(names: &[String]) {
    for name in names {
        eventually(&format!("{name} is gone"), Duration::from_secs(5), || !directory(name).exists());
    }
}

/// Every context that a test made has ended, and so has whoever waited for that.
#[track_caller]
fn settled() {
    let records = || fs::read_dir("/run/vserver/.contexts").map_or(0, Iterator::count);
    eventually("no record is left", Duration::from_secs(5), || records() == 0);
    std::thread::sleep(Duration::from_millis(100));
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn tool(host: &Fixture, name: &str, line: &str) -> Ran {
    host.tool(name, &words(line))
}

/// Our programs have to be found by name in the middle of a chain.
fn path_of(host: &Fixture, name: &str) -> String {
    host.command(name).get_program().to_string_lossy().into_owned()
}

fn probe() -> String {
    program("vserver-probe").display().to_string()
}

/// commands.md §1: each does its work in the calling process and then executes the rest.
fn chain_of_context_addresses_and_nice() {
    let host = Fixture::new();
    let (_, number) = host.fresh();
    let chbind = path_of(&host, "chbind");
    let line = format!("--xid {number} -- {chbind} --nid {number} --ip 127.0.3.1 -- nice -n 5 sh -c");
    let script = "nice; id -u; cat /proc/self/cgroup | grep ^0::";
    let ran = host.tool("chcontext", &[words(&line), vec![script.to_owned()]].concat());
    let expected = format!(
        "New security context is {number}\nNew network context is {number}\nAdding 127.0.3.1\n5\n0\n\
         0::/vserver/.contexts/x{number}/n{number}\n"
    );
    assert_eq!(ran.ok().out, expected, "{ran:?}");
    gone(&[format!("x{number}")]);
    // Silent ones say nothing at all.
    let line = format!("--silent --xid {number} -- {chbind} --silent --ip 127.0.3.1 -- nice -n 5 nice");
    let ran = tool(&host, "chcontext", &line);
    assert_eq!((ran.ok().out.as_str(), ran.err.as_str()), ("5\n", ""));
    gone(&[format!("x{number}")]);
    settled();
}

/// commands.md §5, chbind: a wildcard bind of a host's daemon becomes one to its address; others are refused.
fn chbind_holds_a_daemon_of_the_host() {
    let host = Fixture::new();
    let (_, number) = host.fresh();
    let probe = probe();
    let ask = |line: &str| tool(&host, "chbind", line).ok().out.trim().to_owned();
    let own = format!("--silent --nid {number} --ip 127.0.30.5 {probe}");
    assert_eq!(ask(&format!("{own} bind 0.0.0.0 8300")), "OK 127.0.30.5:8300");
    gone(&[format!("n{number}")]);
    assert_eq!(ask(&format!("{own} bind 127.0.30.6 8300")), "EADDRNOTAVAIL");
    gone(&[format!("n{number}")]);
    assert_eq!(ask(&format!("--silent --nid {number} --ip lo {probe} bind 0.0.0.0 8300")), "OK 127.0.0.1:8300");
    gone(&[format!("n{number}")]);
    // Without a number: one of the dynamic ones.
    let ran = tool(&host, "chbind", &format!("--ip 127.0.30.7/8 --ip 127.0.30.8 {probe} bind 127.0.30.8 8301"));
    let mut lines = ran.ok().out.lines();
    let dynamic = lines.next().unwrap().strip_prefix("New network context is ").unwrap().parse::<u32>().unwrap();
    assert!((49_152..65_535).contains(&dynamic));
    assert_eq!(lines.collect::<Vec<_>>(), ["Adding 127.0.30.7 127.0.30.8", "OK 127.0.30.8:8301"]);
    gone(&[format!("n{dynamic}")]);
    settled();
}

/// io_uring makes, binds and connects sockets without the calls of those names; guests do not have it, daemons of the host do.
/// What this kernel, or its `io_uring_disabled`, refuses without chbind it refuses with it.
fn chbind_holds_io_uring() {
    let host = Fixture::new();
    let (_, number) = host.fresh();
    let _heard = std::net::TcpListener::bind("127.0.30.9:8303").unwrap();
    let questions = [
        ("ring_socket 2 3 17", "OK", "EPERM"),
        ("ring_bind 127.0.30.6 8302", "127.0.30.6", "EADDRNOTAVAIL"),
        ("ring_bind 0.0.0.0 8302", "0.0.0.0", "127.0.30.5"),
        ("ring_connect 127.0.30.9 8303", "127.0.30.9", "ECONNREFUSED"),
    ];
    for (question, free, held) in questions {
        let without = std::process::Command::new(probe()).args(words(question)).output().unwrap();
        let without = String::from_utf8(without.stdout).unwrap().trim().to_owned();
        let line = format!("--silent --nid {number} --ip 127.0.30.5 {} {question}", probe());
        let with = tool(&host, "chbind", &line).ok().out.trim().to_owned();
        gone(&[format!("n{number}")]);
        if ["ENOSYS", "EPERM", "EINVAL"].contains(&without.as_str()) {
            assert_eq!(with, without, "{question}");
        } else {
            assert!(without == free || without == "127.0.0.1", "{question}: {without}");
            assert_eq!(with, held, "{question}");
        }
    }
    settled();
}

/// commands.md §5, chcontext: own names and mounts, capabilities taken away; the host keeps what it has.
fn chcontext_makes_a_context() {
    let host = Fixture::new();
    let (_, number) = host.fresh();
    let before = nix::unistd::gethostname().unwrap();
    let line = format!("--silent --xid {number} --hostname ctx.test --cap !NET_RAW --flag lock -- sh -c");
    let script =
        "uname -n; mount -t tmpfs none /tmp && grep -c ' /tmp tmpfs' /proc/mounts; grep CapBnd /proc/self/status";
    let ran = host.tool("chcontext", &[words(&line), vec![script.to_owned()]].concat());
    let lines: Vec<&str> = ran.ok().out.lines().collect();
    assert_eq!(lines[0], "ctx.test");
    let set = u64::from_str_radix(lines[2].split_whitespace().nth(1).unwrap(), 16).unwrap();
    assert_eq!(set & 1 << 13, 0, "{ran:?}");
    assert_ne!(set & 1, 0);
    assert_eq!(nix::unistd::gethostname().unwrap(), before);
    gone(&[format!("x{number}")]);
    // --secure: as a guest; what the original did not know is not granted (flags.md §2).
    let ran = tool(&host, "chcontext", "--silent --secure -- grep CapEff /proc/self/status");
    let set = u64::from_str_radix(ran.ok().out.split_whitespace().nth(1).unwrap(), 16).unwrap();
    assert_eq!(set & (1 << 21 | 1 << 12) | set >> 32, 0, "{set:x}");
    // The host's numbers run the command as it is.
    assert_eq!(tool(&host, "chcontext", "--xid 1 -- uname -n").ok().out.trim(), before.to_string_lossy());
    settled();
}

/// A process that stays in the context until it is killed.
fn sleeper(host: &Fixture, name: &str, line: &str) -> Child {
    let mut command = host.command(name);
    command.args(words(line)).args(["--", "sh", "-c", "echo in; exec sleep 60"]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut text = [0; 3];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut text).unwrap();
    child
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A static context that exists is joined with its namespaces, and other options are ignored.
fn running_context_is_joined() {
    let host = Fixture::new();
    let (_, number) = host.fresh();
    let child = sleeper(&host, "chcontext", &format!("--silent --xid {number} --hostname first.test"));
    let joined = tool(&host, "chcontext", &format!("--xid {number} --hostname second.test -- uname -n"));
    assert_eq!(joined.ok().out, "first.test\n");
    let migrated = tool(&host, "vcontext", &format!("--migrate --xid {number} -- grep ^0:: /proc/self/cgroup"));
    assert_eq!(migrated.ok().out, format!("0::/vserver/.contexts/x{number}\n"));
    tool(&host, "vcontext", &format!("--create --xid {number} -- true")).exits(254).says("File exists");
    let silent = tool(&host, "vcontext", &format!("--create --silentexist --xid {number} -- true"));
    assert_eq!(silent.exits(254).err.trim(), "");
    end(child);
    gone(&[format!("x{number}")]);
    tool(&host, "vcontext", &format!("--migrate --xid {number} -- true")).exits(255).says("vc_xidopt2xid");
    settled();
}

/// commands.md §1, Exit statuses: 255 before the command, then the command's own. Better than the original: a command that
/// ends with 254 is not run twice.
fn statuses() {
    let host = Fixture::new();
    let mark = host.scratch("marks").join("mark");
    for name in ["chcontext", "chbind"] {
        let script = format!("echo x >>{}; exit 254", mark.display());
        host.tool(name, &["--silent", "--", "sh", "-c", &script]).exits(254);
        assert_eq!(fs::read_to_string(&mark).unwrap(), "x\n", "{name}");
        fs::remove_file(&mark).unwrap();
        host.tool(name, &["--silent", "--", "/nonexistent"]).exits(255).says("No such file");
        host.tool(name, &["--nonsense", "--", "true"]).exits(255).says("--help");
        host.tool(name, &["--flag", "nonsense", "--", "true"]).exits(255).says("Unknown flag 'nonsense'");
        host.tool(name, &[] as &[&str]).exits(255);
    }
    tool(&host, "chbind", "--ip nonsense -- true").exits(255).says("'nonsense'");
    tool(&host, "chcontext", "--silent --disconnect -- true").exits(0);
    tool(&host, "chcontext", "--silent --disconnect -- /nonexistent").exits(255);
    tool(&host, "vcontext", "-- true").exits(255);
    tool(&host, "ncontext", "--migrate -- true").exits(255);
    tool(&host, "naddress", "--ip 127.0.0.1").exits(255);
    tool(&host, "naddress", "--add --remove --ip 127.0.0.1").exits(255);
    tool(&host, "vattribute", "--xid 0 --set --flag nonsense").exits(1).says("Unknown flag 'nonsense'");
    tool(&host, "nattribute", "--set --ncap nonsense").exits(1).says("Unknown ncap 'nonsense'");
    tool(&host, "vattribute", "--nonsense").exits(255);
    tool(&host, "vspace", "--enter 1 ").exits(255);
    tool(&host, "vcontext", "--create --xid 70000 -- true").exits(255).says("70000");
    tool(&host, "ncontext", "--create --nid nonsense -- true").exits(255).says("vc_nidopt2nid(\"nonsense\")");
    settled();
}

/// `vcontext --create -- vattribute --set … -- COMMAND`
fn chain_gives_capabilities_up() {
    let host = Fixture::new();
    let vattribute = path_of(&host, "vattribute");
    let line =
        format!("--create --silent -- {vattribute} --set --bcap ~KILL,~CHOWN -- grep CapEff /proc/self/status");
    let ran = tool(&host, "vcontext", &line);
    let set = u64::from_str_radix(ran.ok().out.split_whitespace().nth(1).unwrap(), 16).unwrap();
    assert_eq!(set & (1 << 5 | 1), 0, "{set:x}");
    let shown = tool(&host, "vcontext", &format!("--create --silent -- {vattribute} --get"));
    assert!(shown.ok().out.starts_with("bcapabilities:\nCHOWN,"), "{shown:?}");
    settled();
}

/// `persistent` without a guest: the context outlives its processes, and goes when the flag does.
fn persistent_context_without_a_guest() {
    let host = Fixture::new();
    let (_, number) = host.fresh();
    tool(&host, "chcontext", &format!("--silent --xid {number} --flag persistent -- true")).ok();
    std::thread::sleep(Duration::from_millis(300));
    assert!(directory(&format!("x{number}")).is_dir());
    let shown = tool(&host, "vattribute", &format!("--get --xid {number}"));
    shown.ok().says("flags:\npersistent\n");
    tool(&host, "vattribute", &format!("--set --xid {number} --flag ~persistent")).ok();
    gone(&[format!("x{number}")]);
    settled();
}

fn guest<'f>(host: &'f Fixture, address: &str) -> Guest<'f> {
    let guest = host.guest();
    fs::copy(program("vserver-probe"), guest.root.join("probe")).unwrap();
    guest.address(0, address, 8).start();
    guest
}

fn bind(guest: &Guest<'_>, address: &str) -> String {
    guest.exec(&["/probe", "bind", address, "8310"]).ok().out.trim().to_owned()
}

/// Addresses come and go while the guest runs; `--set` clears first; a restart brings the configured ones back.
fn naddress_on_a_running_guest() {
    let host = Fixture::new();
    let guest = guest(&host, "127.9.31.1");
    let nid = guest.xid.to_string();
    assert_eq!(bind(&guest, "127.9.31.2"), "EADDRNOTAVAIL");
    let added = tool(&host, "naddress", &format!("--add --nid {nid} --ip 127.9.31.2/8 --ip 127.9.31.3"));
    assert_eq!(added.ok().out, "Adding 127.9.31.2 127.9.31.3\n");
    assert_eq!(bind(&guest, "127.9.31.2"), "OK 127.9.31.2:8310");
    let removed = tool(&host, "naddress", &format!("--remove --nid {} --ip 127.9.31.2", guest.name));
    assert_eq!(removed.ok().out, "Removing 127.9.31.2\n");
    assert_eq!(bind(&guest, "127.9.31.2"), "EADDRNOTAVAIL");
    assert_eq!(bind(&guest, "127.9.31.3"), "OK 127.9.31.3:8310");
    tool(&host, "naddress", &format!("--set --silent --nid {nid} --range 127.9.31.8-127.9.31.9")).ok();
    assert_eq!(bind(&guest, "0.0.0.0"), "OK 127.9.31.8:8310");
    assert_eq!(bind(&guest, "127.9.31.1"), "EADDRNOTAVAIL");
    guest.stop().start();
    assert_eq!(bind(&guest, "0.0.0.0"), "OK 127.9.31.1:8310");
    // A process of the host beside the guest, with its addresses.
    let line = format!("--silent --nid {nid} -- {} bind 0.0.0.0 8311", probe());
    assert_eq!(tool(&host, "chbind", &line).ok().out.trim(), "OK 127.9.31.1:8311");
    settled();
}

/// Flags of a network context hold at once.
fn nattribute_on_a_running_guest() {
    let host = Fixture::new();
    let guest = guest(&host, "127.9.32.1");
    let get = || tool(&host, "nattribute", &format!("--get --nid {}", guest.name)).ok().out.clone();
    let defaults = "single_ip,lback_remap,hide_netif,hide_lback,state_admin";
    assert_eq!(get(), format!("ncapabilities:\nraw_icmp\nnflags:\n{defaults}\n"));
    assert_eq!(bind(&guest, "127.0.0.1"), "OK 127.0.0.1:8310");
    tool(&host, "nattribute", &format!("--set --nid {} --flag ~hide_lback,~lback_remap --ncap ^12", guest.name)).ok();
    assert_eq!(bind(&guest, "127.0.0.1"), "EADDRNOTAVAIL");
    assert_eq!(get(), "ncapabilities:\nraw_icmp,^12\nnflags:\nsingle_ip,hide_netif,state_admin\n");
}

/// What is shown is what is in force; what cannot change before a restart is said, and the status tells.
fn vattribute_shows_and_changes() {
    let host = Fixture::new();
    let guest = guest(&host, "127.9.33.1");
    let get = || tool(&host, "vattribute", &format!("--get --xid {}", guest.xid)).ok().out.clone();
    let shown = get();
    assert!(shown.starts_with("bcapabilities:\nCHOWN,DAC_OVERRIDE,"), "{shown}");
    let rest = "\nccapabilities:\nset_utsname,raw_icmp,audit_control\n\
                flags:\nfakeinit,virt_uptime,hide_netif,state_admin,sc_helper\numask:\nfs\n";
    assert!(shown.ends_with(rest), "{shown}");
    let set = |what: &str| tool(&host, "vattribute", &format!("--set --xid {} {what}", guest.name));
    set("--flag private,lock").ok();
    assert!(get().contains("flags:\nlock,private,fakeinit,"));
    assert_ne!(guest.exec(&["true"]).code, 0);
    set("--flag ~private --ccap ~raw_icmp").ok();
    set("--bcap SYS_TIME --flag igneg_nice").exits(1).says("bcapabilities SYS_TIME, cflags igneg_nice");
    assert!(!get().contains("igneg_nice") && !get().contains("SYS_TIME"));
    tool(&host, "vattribute", "--get --xid nonsense").exits(1).says("vc_xidopt2xid(\"nonsense\")");
}

/// commands.md §5: new namespaces with the status of the command; the mounts of a guest from outside.
fn vspace_and_vnamespace() {
    let host = Fixture::new();
    let guest = guest(&host, "127.9.34.1");
    host.tool("vspace", &["--new", "--pid", "--", "sh", "-c", "exit $(($$ + 2))"]).exits(3);
    let own = fs::read_link("/proc/self/ns/uts").unwrap();
    let other = tool(&host, "vspace", "--new --default -- readlink /proc/self/ns/uts");
    assert_ne!(other.ok().out.trim(), own.to_string_lossy());
    let name = tool(&host, "vspace", &format!("--enter {} --uts -- uname -n", guest.xid));
    assert_eq!(name.ok().out.trim(), format!("{}.test", guest.name));
    let mounts = tool(&host, "vnamespace", &format!("-e {} -- /bin/cat /etc/inittab", guest.name));
    mounts.ok().says("::sysinit:/etc/rc.start");
    tool(&host, "vspace", "--enter nonsense --uts -- true").exits(255);
}

/// commands.md §5, vuname: all seven in order, `context` is the configuration path, a tag by its beginning.
fn vuname_shows_and_changes_names() {
    let host = Fixture::new();
    let guest = guest(&host, "127.9.35.1");
    let config = guest.cfg.display().to_string();
    let show = |line: &str| tool(&host, "vuname", &format!("--xid {} {line}", guest.xid)).ok().out.clone();
    assert_eq!(show("context"), format!("{config}\n"));
    assert_eq!(show("-g NODE context"), format!("{}.test {config}\n", guest.name));
    let host_names = nix::sys::utsname::uname().unwrap();
    let release = host_names.release().to_string_lossy();
    let all = show("");
    let words: Vec<&str> = all.trim_end_matches('\n').split(' ').collect();
    assert_eq!(
        (words[0], words[1], words[2], words[3]),
        (&*config, "Linux", &*format!("{}.test", guest.name), &*release)
    );
    let line = format!("-s --xid {} -t nodename=new.test -t domain=nis.test", guest.xid);
    tool(&host, "vuname", &line).ok();
    assert_eq!(guest.exec(&["uname", "-n"]).ok().out, "new.test\n");
    assert_eq!(show("domainname"), "nis.test\n");
    assert_eq!(nix::unistd::gethostname().unwrap(), host_names.nodename());
    let dir = host.scratch("uts");
    fs::write(dir.join("nodename"), "third.test\n").unwrap();
    // What stands behind it runs with the host's names.
    let chained = tool(&host, "vuname", &format!("--dir {} --xid {} -- uname -n", dir.display(), guest.xid));
    assert_eq!(chained.ok().out.trim(), host_names.nodename().to_string_lossy());
    assert_eq!(show("nodename"), "third.test\n");
    tool(&host, "vuname", &format!("--dir /nonexistent --missingok --xid {}", guest.xid)).ok();
    tool(&host, "vuname", &format!("--xid {} nonsense", guest.xid)).exits(255).says("Tag 'nonsense' not recognized");
    tool(&host, "vuname", &format!("-s --xid {} -t release=2.4", guest.xid)).exits(255).says("release");
    tool(&host, "vuname", "nodename").exits(255).says("--xid");
    let (_, number) = host.fresh();
    assert_eq!(tool(&host, "vuname", &format!("--xid {number} context nodename")).ok().out, "??? ???\n");
    let child = sleeper(&host, "chcontext", &format!("--silent --xid {number} --hostname bare.test"));
    assert_eq!(tool(&host, "vuname", &format!("--xid {number} context nodename")).ok().out, "??? bare.test\n");
    end(child);
    settled();
}

/// commands.md §5, vmemctrl: every process has the bias; get prints the number.
fn vmemctrl_sets_the_bias() {
    let host = Fixture::new();
    let guest = guest(&host, "127.9.36.1");
    tool(&host, "vmemctrl", &format!("--set --xid {} --badness 700", guest.xid)).ok();
    assert_eq!(tool(&host, "vmemctrl", &format!("--get --xid {}", guest.name)).ok().out, "700\n");
    assert_eq!(guest.sh("cat /proc/1/oom_score_adj").ok().out, "700\n");
    tool(&host, "vmemctrl", &format!("--set --xid {}", guest.xid)).exits(255);
}

/// commands.md §5, vdevmap: a device that the guest's policy has not can be made, and then not any more.
fn vdevmap_on_a_running_guest() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("userns", "off\n");
    guest.set("bcapabilities", "MKNOD\n");
    // Of all numbers one that every kernel has and that no guest may use by default.
    let number = nix::sys::stat::makedev(1, 11);
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    let device = host.scratch("dev").join("kmsg");
    nix::sys::stat::mknod(&device, nix::sys::stat::SFlag::S_IFCHR, mode, number).unwrap();
    guest.start();
    let make = || guest.sh("rm -f /tmp/kmsg; mknod /tmp/kmsg c 1 11").code == 0;
    assert!(!make());
    let line = |verb: &str| format!("--xid {} --{verb} --create --device {}", guest.name, device.display());
    tool(&host, "vdevmap", &line("set")).ok();
    assert!(make());
    tool(&host, "vdevmap", &line("unset")).ok();
    assert!(!make());
    let bad = |rest: &str| tool(&host, "vdevmap", &format!("--xid {} --set {rest}", guest.name));
    bad("--device /dev/nonexistent").exits(1).says("No such file");
    bad("--device /etc/passwd").exits(1).says("not a device");
    bad("--remap --target /dev/null --device /dev/zero").exits(1).says("--remap");
}

/// vtag runs the command only with --silent; reducecap only shows; capchroot refuses.
fn what_has_no_counterpart() {
    let host = Fixture::new();
    tool(&host, "vtag", "--create --tag 5 -- true").exits(255).says("project id");
    tool(&host, "vtag", "--migrate --tag 5 --silent -- echo ran").ok().says("ran\n");
    tool(&host, "reducecap", "-- true").exits(255).says("chcontext");
    let table = tool(&host, "reducecap", "--show");
    let first = table.ok().out.lines().next().unwrap().to_owned();
    assert_eq!(first, "            Capability Effective  Permitted  Inheritable");
    tool(&host, "capchroot", "/ true").exits(1);
}
