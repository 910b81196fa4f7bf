//! What is wrong with a configuration is told all at once, and no content of any file does harm.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;
use vserver_config::{Clash, Error, Severity, conflicts, list, list_enabled, list_old, read, survey};
use vserver_types::{ContextFlags, GuestName};

/// A configuration root with a guest `g` that has these files.
fn tree(files: &[(&str, &[u8])]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    add(root.path(), "g", files);
    root
}

fn add(root: &Path, name: &str, files: &[(&str, &[u8])]) {
    let dir = root.join(name);
    fs::create_dir(&dir).unwrap();
    symlink(format!("/nowhere/{name}"), dir.join("vdir")).unwrap();
    for (path, content) in files {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn guest() -> GuestName {
    "g".parse().unwrap()
}

/// The findings as lines, without the path of the root.
fn findings(root: &TempDir) -> Vec<String> {
    let prefix = format!("{}/g/", root.path().display());
    match read(root.path(), &guest()) {
        Ok((_, warnings)) => warnings.iter().map(|one| one.to_string().replace(&prefix, "")).collect(),
        Err(error) => error.to_string().replace(&prefix, "").lines().map(str::to_owned).collect(),
    }
}

#[test]
fn all_faults_come_at_once_with_file_line_and_hint() {
    let root = tree(&[
        ("context", b"70000\n"),
        ("bcapabilities", b"# ok\nNET_RAW\nCAP_SYS_ADMN\n"),
        ("interfaces/0/ip", b"1.2.3.999\n"),
        ("interfaces/0/nodev", b""),
        ("apps/init/style", b"sysvv\n"),
        ("apps/init/killseq", b"15 5 9\n"),
        ("rlimits/rss", b"1G\n"),
        ("fstab", b"none /proc proc defaults 0 0\nnone /tmp\n"),
        ("bcapabilites", b"x\n"),
    ]);
    let all = findings(&root);
    for line in [
        "bcapabilities:3: Unknown bcap 'CAP_SYS_ADMN' (did you mean 'sys_admin'?)",
        "context:1: '70000' is not a context number (a decimal number from 2 to 49151)",
        "apps/init/style:1: Unknown init-style 'sysvv' (did you mean 'sysv'?)",
        "fstab:2: it has 2 of four fields (a line has source, target, type and options)",
        "bcapabilites: warning: nothing reads this (did you mean 'bcapabilities'?)",
        "rlimits/rss:1: Invalid limit: '1G' has the unknown suffix 'G' (a number in C notation with at most one of K, M (1024), \
         k, m (1000) right after it, or 'inf')",
    ] {
        assert!(all.iter().any(|found| found == line), "{line} is not in {all:#?}");
    }
    assert!(all.iter().any(|found| found.starts_with("interfaces/0/ip:1: ")));
    assert!(all.iter().any(|found| {
        found.starts_with("apps/init/killseq:1: warning: '15 5 9' is not a signal, and none is sent for it")
    }));
    assert_eq!(all.len(), 8, "{all:#?}");
}

#[test]
fn a_missing_newline_is_a_warning_and_nothing_is_lost() {
    let root = tree(&[("bcapabilities", b"NET_RAW\nNET_ADMIN"), ("context", b"100"), ("apps/init/style", b"plain")]);
    let (config, warnings) = read(root.path(), &guest()).unwrap();
    assert_eq!((config.bcaps.value, config.context.unwrap().0), (1 << 13 | 1 << 12, 100));
    assert_eq!(warnings.len(), 3);
    assert!(warnings.iter().all(|warning| warning.severity == Severity::Warning));
}

#[test]
fn prefix_wins_over_mask_and_an_empty_line_hides_what_is_inherited() {
    let root = tree(&[
        ("interfaces/dev", b"eth0\n"),
        ("interfaces/prefix", b"24\n"),
        ("interfaces/0/ip", b"10.0.0.1\n"),
        ("interfaces/0/mask", b"255.0.0.0\n"),
        ("interfaces/1/ip", b"10.0.0.2\n"),
        ("interfaces/1/prefix", b"\n"),
        ("interfaces/2/ip", b"10.0.0.3\n"),
        ("interfaces/2/disabled", b""),
    ]);
    let config = read(root.path(), &guest()).unwrap().0;
    let addresses: Vec<_> = config.interfaces.iter().map(|interface| interface.address.to_string()).collect();
    assert_eq!(addresses, ["10.0.0.1/24", "10.0.0.2"]);
    assert_eq!(config.interfaces[0].broadcast.unwrap().to_string(), "10.0.0.255");
}

#[test]
fn a_guest_that_is_not_there_has_a_neighbour() {
    let root = tree(&[]);
    add(root.path(), "web1", &[]);
    let error = read(root.path(), &"web2".parse().unwrap()).unwrap_err();
    assert!(matches!(&error, Error::NoSuchGuest { nearest: Some(name), .. } if name == "web1"), "{error}");
    assert!(error.to_string().ends_with("did you mean 'web1'?"));
}

#[test]
fn lists_leave_out_what_is_no_guest() {
    let root = tree(&[]);
    add(root.path(), "off", &[("disabled", b"")]);
    add(root.path(), "web.~123~", &[]);
    fs::create_dir_all(root.path().join(".defaults")).unwrap();
    fs::create_dir(root.path().join("no-vdir")).unwrap();
    let names: Vec<_> = list(root.path()).unwrap().iter().map(GuestName::to_string).collect();
    assert_eq!(names, ["g", "off"]);
    assert!(list_enabled(root.path()).unwrap().is_empty(), "every vdir dangles");
    fs::remove_file(root.path().join("g/vdir")).unwrap();
    fs::create_dir(root.path().join("g/vdir")).unwrap();
    assert_eq!(list_enabled(root.path()).unwrap(), [guest()]);
    assert!(list(&root.path().join("nothing")).unwrap().is_empty());
    for old in ["old.conf", "g.conf", "-x.conf", ".conf"] {
        fs::write(root.path().join(old), "S_CONTEXT=7\n").unwrap();
    }
    let old: Vec<_> = list_old(root.path()).unwrap().iter().map(GuestName::to_string).collect();
    assert_eq!(old, ["old"], "a directory wins");
}

#[test]
fn two_guests_with_one_address_or_number_are_found() {
    let files: [(&str, &[u8]); 3] =
        [("context", b"100\n"), ("interfaces/0/ip", b"10.0.0.1\n"), ("interfaces/0/nodev", b"")];
    let root = tree(&files);
    add(root.path(), "h", &files);
    add(root.path(), "i", &[("context", b"101\n")]);
    let found = conflicts(root.path(), &guest()).unwrap();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|conflict| conflict.other.as_str() == "h"));
    assert!(matches!(found[0].what, Clash::Context(xid) if xid.0 == 100));
    assert_eq!(found[1].to_string(), "address 10.0.0.1 belongs to guest 'h' already");
    assert!(conflicts(root.path(), &"i".parse().unwrap()).unwrap().is_empty());
}

/// A file that is there and not read is told, whatever it is instead of a file.
#[test]
fn what_cannot_be_read_is_told() {
    use std::os::unix::ffi::OsStrExt;
    let root =
        tree(&[("nicee/x", b""), ("context/x", b""), ("uts/nodename", b"a\0b\n"), ("interfaces/0/nodev", b"")]);
    let dir = root.path().join("g");
    symlink("nowhere", dir.join("badness")).unwrap();
    symlink("cflags", dir.join("cflags")).unwrap();
    nix::unistd::mkfifo(&dir.join("nice"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::write(dir.join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "").unwrap();
    symlink("/nowhere/else", dir.join("run")).unwrap();
    let mut all = findings(&root);
    all.sort();
    assert_eq!(
        all,
        [
            "badness: warning: it is a link that leads nowhere, and so is not read (make it a file, or remove it)",
            "caf\u{fffd}: warning: its name is not UTF-8 text, and so nothing reads it (rename it)",
            "cflags: warning: it is a link that leads nowhere, and so is not read (make it a file, or remove it)",
            "context: warning: nothing reads this (it is known as a file only)",
            "interfaces/0: no address is given (write it to 'ip')",
            "nice: warning: it is no regular file, and so is not read (make it a file, or remove it)",
            "nicee: warning: nothing reads this (did you mean 'nice'?)",
            "uts/nodename:1: its value has a control character (one line of text is allowed)",
        ]
    );
}

#[test]
fn what_nothing_applies_is_named() {
    let root = tree(&[("keepfds", b""), ("scripts/pre-start", b"exit 1\n")]);
    let config = read(root.path(), &guest()).unwrap().0;
    let names: Vec<_> = config.unapplied.iter().map(|setting| setting.setting.as_str()).collect();
    assert_eq!(names, ["keepfds"], "scripts are run");
}

#[test]
fn the_older_name_of_cflags_counts_alone_only() {
    let hard = |files: &[(&str, &[u8])]| {
        let config = read(tree(files).path(), &guest()).unwrap().0;
        config.cflags.contains(ContextFlags::SCHED_HARD)
    };
    assert!(hard(&[("flags", b"sched_hard\n")]));
    assert!(!hard(&[("flags", b"sched_hard\n"), ("cflags", b"hide_mount\n")]));
}

#[test]
fn an_older_name_of_nodev_is_told() {
    let root = tree(&[("interfaces/0/ip", b"10.0.0.1\n"), ("interfaces/0/only_ip", b"")]);
    let (config, warnings) = read(root.path(), &guest()).unwrap();
    assert!(config.interfaces[0].nodev);
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].message, "it is an obsolete name of nodev");
}

#[test]
fn six_lines_are_a_bucket_too() {
    let root = tree(&[("schedule", b"3\n10\n500\n100\n1000\n0\n")]);
    let config = read(root.path(), &guest()).unwrap().0;
    let bucket = config.sched.unwrap().bucket;
    assert_eq!((bucket.fill_rate, bucket.interval, bucket.tokens_max), (Some(3), Some(10), Some(1000)));
    assert!(read(tree(&[("schedule", b"3\n10\n")]).path(), &guest()).is_err());
}

#[test]
fn both_spellings_of_an_exclusive_cpuset_count() {
    for (cpus, mems) in [("cpu_exclusive", "mem_exclusive"), ("cpus_exclusive", "mems_exclusive")] {
        let (cpus, mems) = (format!("cpuset/{cpus}"), format!("cpuset/{mems}"));
        let root = tree(&[("cpuset/cpus", b"0\n"), (&cpus, b"1\n"), (&mems, b"1\n")]);
        let set = read(root.path(), &guest()).unwrap().0.cpuset.unwrap();
        assert!(set.cpu_exclusive && set.mem_exclusive);
    }
}

/// What depends on the content: namespaces of another guest.
#[test]
fn shared_spaces_are_named() {
    let named = |files: &[(&str, &[u8])]| {
        let config = read(tree(files).path(), &guest()).unwrap().0;
        config.unapplied.into_iter().map(|one| one.setting).collect::<Vec<_>>()
    };
    assert_eq!(named(&[("spaces/pid", b"\n"), ("spaces/net", b"0\n")]), [""; 0]);
    assert_eq!(named(&[("spaces/pid", b"g2\n"), ("spaces/net", b"\n")]), ["spaces/pid"]);
    assert_eq!(named(&[("spaces/pid", b"g2")]), [""; 0], "without a newline it is empty");
}

/// What is wrong with a link is told of its file.
#[test]
fn links_of_a_namespace_are_judged() {
    let faults = |files: &[(&str, &str)]| {
        let at = |(file, text): &(&str, &str)| (format!("netns/interfaces/0/{file}"), text.to_string());
        let files: Vec<(String, String)> = files.iter().map(at).collect();
        let files: Vec<(&str, &[u8])> = files.iter().map(|(file, text)| (file.as_str(), text.as_bytes())).collect();
        let (_, mut found) = survey(tree(&files).path(), &guest()).unwrap();
        // None of these has an address, which is another test's matter.
        found.retain(|one| !one.message.ends_with("it can send from none"));
        found.into_iter().map(|one| one.message).collect::<Vec<_>>()
    };
    assert_eq!(faults(&[("host", "vx\n"), ("mtu", "1400\n"), ("mac", "02:00:00:00:00:01\n")]), [""; 0]);
    assert_eq!(faults(&[("mtu", "1400\n")]), ["the host's end of the pair has no name"]);
    let long = faults(&[("host", "averylongdevice0\n")]);
    assert_eq!(long, ["'averylongdevice0' cannot be the name of a device"]);
    let kind = faults(&[("host", "vx\n"), ("type", "wireguard\n")]);
    assert_eq!(kind, ["'wireguard' is no kind of link that can be made"]);
    let parent = faults(&[("type", "macvlan\n")]);
    assert_eq!(parent, ["it is not said on which of the host's devices it is"]);
    let mode = faults(&[("type", "macvlan\n"), ("parent", "eth0\n"), ("mode", "l3\n")]);
    assert_eq!(mode, ["'l3' is no mode of this kind of link"]);
    let vlan = faults(&[("type", "vlan\n"), ("parent", "eth0\n"), ("vlan", "4095\n")]);
    assert_eq!(vlan, ["'4095' is not a VLAN number"]);
    let both = faults(&[("host", "vx\n"), ("bridge", "br0\n"), ("routed", "")]);
    assert_eq!(both, ["it has a bridge and is routed"]);
    let small = faults(&[("host", "vx\n"), ("mtu", "67\n")]);
    assert_eq!(small, ["'67' is not a size of packets"]);
    let plug = faults(&[("host", "vx\n"), ("switch", "averylongname\n")]);
    assert_eq!(plug, ["'averylongname' cannot be the name of a switch"]);
    let two = faults(&[("host", "vx\n"), ("switch", "lan\n"), ("routed", "")]);
    assert_eq!(two, ["it is plugged into a switch and leads somewhere else, too"]);
    let none = faults(&[("host", "vx\n"), ("switch", "lan\n"), ("vlan", "0\n")]);
    assert_eq!(none, ["a port of a switch is in no VLAN of the number 0"]);
    let alone = faults(&[("host", "vx\n"), ("vlan", "7\n")]);
    assert_eq!(alone, ["it has no effect on a link of the type veth"]);
    let trunk =
        |lines: &'static str| faults(&[("host", "vx\n"), ("switch", "lan\n"), ("vlan", "7\n"), ("trunk", lines)]);
    assert_eq!(trunk("100-109\n8\n# more\n4094\n"), [""; 0]);
    let wrong = trunk("0\n4095\n9-8\nten\n");
    assert_eq!(wrong[0], "'0' is not a VLAN number, and no two of them in order");
    assert_eq!(wrong.len(), 4, "{wrong:?}");
    assert_eq!(trunk("8\n8\n"), ["VLAN 8 is named twice"]);
    assert_eq!(trunk("20-30\n25-40\n"), ["VLAN 25 is named twice"]);
    assert_eq!(trunk("5-9\n"), ["VLAN 7 is the one without tags (file 'vlan') and cannot have tags, too"]);
    for other in [[("host", "vx\n"), ("routed", "")], [("type", "macvlan\n"), ("parent", "eth0\n")]] {
        let alone = faults(&[&other[..], &[("trunk", "8\n")]].concat());
        assert_eq!(alone, ["only a port of a switch or bridge carries several VLANs"]);
    }
    assert_eq!(faults(&[("host", "vx\n"), ("bridge", "br0\n"), ("trunk", "8\n")]), [""; 0]);
    let nat = faults(&[("type", "macvlan\n"), ("parent", "eth0\n"), ("masquerade", "")]);
    assert_eq!(nat, ["a macvlan does not lead through the host, which therefore cannot translate"]);
    let address = faults(&[("host", "vx\n"), ("forward", "tcp 80\n")]);
    assert_eq!(address, ["no address of interfaces/ is on device 'geth0'"]);
    let lines = faults(&[("host", "vx\n"), ("forward", "tcp 80\nicmp 1\ntcp 192.0.2.1:80\n")]);
    assert_eq!(lines[..2], ["'icmp 1' is no port to forward", "port 80 is forwarded twice"]);
    let held = faults(&[("host", "vx\n"), ("antispoof", "on\n")]);
    assert_eq!(held, ["'on' is not what a guest can be held to"]);
    let group = faults(&[("host", "vx\n"), ("mac", "01:00:00:00:00:01\n")]);
    assert_eq!(group, ["'01:00:00:00:00:01' is not the Ethernet address of one device"]);
    let far = faults(&[("host", "vx\n"), ("gateway", "192.0.2.1\nfe80::1\n")]);
    assert_eq!(far, ["no address of interfaces/ on device 'geth0' has 192.0.2.1 in its network"]);
}

/// A guest with DHCP has to say so, or its link is of no use; a pair that is left to scripts is not judged.
#[test]
fn a_link_that_can_send_from_no_address_is_told() {
    let silent = |files: &[(&str, &[u8])]| {
        let (_, found) = survey(tree(files).path(), &guest()).unwrap();
        found.iter().any(|one| one.message.ends_with("'eth0', so it can send from none"))
    };
    const HOST: (&str, &[u8]) = ("netns/interfaces/0/host", b"vx\n");
    const GUEST: (&str, &[u8]) = ("netns/interfaces/0/guest", b"eth0\n");
    const BRIDGE: (&str, &[u8]) = ("netns/interfaces/0/bridge", b"br0\n");
    assert!(silent(&[HOST, GUEST, BRIDGE]));
    assert!(!silent(&[HOST, GUEST]));
    assert!(!silent(&[HOST, GUEST, BRIDGE, ("netns/interfaces/0/antispoof", b"mac\n")]));
    let ip: (&str, &[u8]) = ("interfaces/0/ip", b"10.0.0.1\n");
    assert!(!silent(&[HOST, GUEST, BRIDGE, ip, ("interfaces/0/dev", b"eth0\n")]));
    let flag: (&str, &[u8]) = ("interfaces/0/vlandev", b"");
    assert!(!silent(&[HOST, GUEST, BRIDGE, ip, ("interfaces/0/dev", b"eth0.7\n"), flag]));
}

/// An own flag, else one of all interfaces, else the host's; `novlandev` denies what is farther away.
#[test]
fn nearer_flags_of_vlans_win() {
    let vlan = |dev: &[u8], flags: &[&str], host: bool| {
        let root = tree(&[("interfaces/0/ip", b"10.0.0.1\n"), ("interfaces/0/dev", dev)]);
        flags.iter().for_each(|flag| fs::write(root.path().join("g/interfaces").join(flag), "").unwrap());
        if host {
            fs::create_dir_all(root.path().join(".defaults/interfaces")).unwrap();
            fs::write(root.path().join(".defaults/interfaces/vlandev"), "").unwrap();
        }
        let config = read(root.path(), &guest()).unwrap().0;
        config.interfaces[0].vlan.as_ref().map(|vlan| (vlan.parent.clone(), vlan.id))
    };
    let made = Some(("eth0".to_owned(), 12));
    for (flags, host, wanted) in [
        (&[][..], false, false),
        (&[], true, true),
        (&["novlandev"], true, false),
        (&["0/novlandev"], true, false),
        (&["vlandev"], false, true),
        (&["vlandev", "0/novlandev"], false, false),
        (&["vlandev", "novlandev"], false, true),
        (&["0/vlandev", "0/novlandev", "novlandev"], false, true),
    ] {
        assert_eq!(vlan(b"eth0.12\n", flags, host), made.clone().filter(|_| wanted), "{flags:?} {host}");
    }
    assert_eq!(vlan(b"eth0\n", &["vlandev"], true), None);
}

/// `config-tree.md` §5.5: all four members are required; −1 is unlimited; `disabled` skips. §1.3: a missing newline is
/// accepted with a warning.
#[test]
fn disk_limits_have_four_members() {
    let good: [(&str, &[u8]); 6] = [
        ("context", b"100\n"),
        ("dlimits/0/directory", b"/vservers\n"),
        ("dlimits/0/space_total", b"0x100000"),
        ("dlimits/0/inodes_total", b"-1\n"),
        ("dlimits/0/reserved", b"5\n"),
        ("dlimits/1/disabled", b""),
    ];
    let root = tree(&good);
    let (config, warnings) = read(root.path(), &guest()).unwrap();
    let [limit] = config.dlimits.as_slice() else { panic!("{:?}", config.dlimits) };
    assert_eq!(limit.directory, Path::new("/vservers"));
    assert_eq!((limit.space, limit.inodes, limit.reserved), (Some(1_048_576), None, 5));
    assert_eq!((warnings.len(), config.project()), (1, Some(100)));
    let root = tree(&[
        ("tag", b"0\n"),
        ("dlimits/0/directory", b"/\n"),
        ("dlimits/0/space_total", b"1G\n"),
        ("dlimits/0/inodes_total", b"-3\n"),
        ("dlimits/0/reserved", b"101\n"),
        ("dlimits/1/directory", b"relative\n"),
        ("dlimits/1/space_totl", b"1\n"),
        ("disk/image", b"web1.ext4\n"),
    ]);
    let all = findings(&root);
    for line in [
        "tag:1: '0' is not a tag (a tag is a decimal number from 1 to 65534)",
        "dlimits/0/space_total:1: '1G' is not a limit (a number in C notation without a suffix (space in KiB), or -1 for none)",
        "dlimits/0/reserved:1: '101' is not a percentage (a number from 0 to 100)",
        "dlimits/1/space_totl: warning: nothing reads this (did you mean 'space_total'?)",
        "disk/image:1: 'web1.ext4' is not an absolute path of the host",
    ] {
        assert!(all.iter().any(|found| found == line), "{line} is not in {all:#?}");
    }
    assert_eq!(all.iter().filter(|line| line.contains("dlimits/1/") && line.contains("does not exist")).count(), 3);
}

#[test]
fn without_sched_hard_a_fill_rate_is_a_weight() {
    let root = tree(&[("sched/fill-rate", b"1\n"), ("sched/interval", b"2\n"), ("sched/tokens-min", b"5\n")]);
    let config = read(root.path(), &guest()).unwrap().0;
    let (limits, lost) = config.limits(4, 250);
    assert_eq!((limits.cpu, limits.cpu_weight), (None, Some(200)));
    assert_eq!(lost.len(), 1);
}

#[test]
fn a_bucket_counts_the_cpus_of_the_cpuset_or_the_one_named() {
    let hard: [(&str, &[u8]); 2] = [("cflags", b"sched_hard\n"), ("sched/fill-rate", b"1\n")];
    let quota = |more: &[(&str, &[u8])]| {
        let root = tree(&[&hard[..], more].concat());
        let config = read(root.path(), &guest()).unwrap().0;
        config.limits(4, config.hz).0.cpu.unwrap().quota.as_millis()
    };
    assert_eq!(quota(&[]), 100, "25 % of each of four");
    assert_eq!(quota(&[("cpuset/cpus", b"1\n")]), 25);
    assert_eq!(quota(&[("sched/cpu-id", b"0\n")]), 25);
    assert_eq!(quota(&[("sched/interval", b"8\n"), ("cpuset/cpus", b"0-1\n")]), 25);
}

#[test]
fn limits_come_from_pages() {
    let root = tree(&[("rlimits/as.hard", b"256K\n"), ("rlimits/rss.hard", b"128K\n"), ("rlimits/nofile", b"100\n")]);
    let config = read(root.path(), &guest()).unwrap().0;
    let (limits, lost) = config.limits(1, 250);
    assert_eq!(limits.memory.unwrap().to_string(), "512M");
    assert_eq!(limits.swap.unwrap().to_string(), "512M");
    let lost: Vec<_> = lost.iter().map(|one| one.setting.as_str()).collect();
    assert_eq!(lost, ["rlimits/as", "rlimits/nofile"]);
    let processes = config.process_limits();
    assert_eq!(processes.len(), 11);
    let root = tree(&[("rlimits/rss", b"1024\n")]);
    let limits = read(root.path(), &guest()).unwrap().0.limits(1, 250).0;
    assert_eq!((limits.memory.unwrap().0, limits.memory_high, limits.swap.unwrap().0), (4 << 20, None, 0));
}

/// A file of each kind of reader.
const FILES: [&str; 27] = [
    "context",
    "ncontext",
    "name",
    "bcapabilities",
    "cflags",
    "nflags",
    "personality",
    "badness",
    "rlimits/rss.hard",
    "ulimits/nofile",
    "sched/fill-rate",
    "sched/cpu/interval",
    "schedule",
    "nice",
    "ionice/class",
    "cpuset/cpus",
    "cgroup/cpu.max",
    "uts/nodename",
    "fstab",
    "interfaces/0/ip",
    "interfaces/0/mask",
    "interfaces/prefix",
    "apps/init/style",
    "apps/init/killseq",
    "apps/init/environment",
    "userns",
    "apparmor",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_content_of_any_file_makes_a_panic(
        files in prop::collection::vec((prop::sample::select(&FILES[..]), content()), 1..6)
    ) {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(path, content)| (*path, content.as_slice())).collect();
        let root = tree(&files);
        match read(root.path(), &guest()) {
            Ok((config, _)) => {
                let (limits, _) = config.limits(3, config.hz);
                let _ = (config.process_limits(), config.init.start_environment(None));
                let _: Vec<_> = config.fstab.iter().map(vserver_config::FstabEntry::mount_options).collect();
                if let Some(cpu) = limits.cpu {
                    prop_assert!(cpu.burst <= cpu.quota);
                }
            }
            Err(Error::Invalid { diagnostics }) => {
                prop_assert!(diagnostics.iter().any(|finding| finding.severity == Severity::Error));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

/// Noise, text, and text that is nearly right.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        ".{0,60}".prop_map(String::into_bytes),
        "[-0-9a-z^~!,./ \t\\\\\n#:]{0,40}\n?".prop_map(String::into_bytes),
        "-?[0-9]{1,22}[KMkm]?\n".prop_map(String::into_bytes),
    ]
}
