//! What a guest cannot do to its cgroup, and which devices it cannot touch. Rows E12 and E13 of the threat model.

use std::fs;
use std::os::unix::fs::MetadataExt;

use vserver_cgroup::{Access, DeviceKind, DevicePolicy, DeviceRule};

use crate::support::{Guest, Player, v1_only};

const EPERM: &str = "1";

pub fn e12_delegated_directory() {
    let guest = Guest::new();
    guest.cgroup.delegate(1_131_072).unwrap();
    let mount = guest.layout.v2_mount().unwrap();
    let top = mount.join("vserver").join(&guest.name);
    let owner = |path: std::path::PathBuf| fs::metadata(path).unwrap().uid();
    for theirs in ["guest", "guest/cgroup.procs", "guest/cgroup.threads", "guest/cgroup.subtree_control"] {
        assert_eq!(owner(top.join(theirs)), 1_131_072, "{theirs}");
    }
    let inner = fs::read_dir(top.join("guest")).unwrap().map(|entry| entry.unwrap().path());
    let ours = inner.filter(|path| owner(path.clone()) == 0).count();
    assert!(ours > 5, "every other file stays the host's");
    assert_eq!(owner(top.join("cgroup.procs")), 0);
    assert_eq!(owner(top), 0);
}

pub fn e13_devices() {
    let guest = Guest::new();
    guest.cgroup.device_policy(&DevicePolicy::default()).unwrap();
    minimum_only(&mut guest.run(&["devices"]));
}

pub fn e13_devices_v1() {
    let guest = Guest::on_v1(v1_only());
    for _ in 0..2 {
        guest.cgroup.device_policy(&DevicePolicy::default()).unwrap();
    }
    minimum_only(&mut guest.run(&["devices"]));
    let mut more = DevicePolicy::default().with(null(Access::ALL));
    more.allow.retain(|rule| rule.minor != Some(9));
    guest.cgroup.device_policy(&more).unwrap();
    let mut player = guest.run(&["devices"]);
    let lines: Vec<String> = (0..6).map(|_| player.line()).collect();
    assert_eq!(lines[1], format!("/dev/urandom {EPERM}"));
    assert_eq!(lines[5], "mknod ok");
}

pub fn policy_replaced() {
    let guest = Guest::new();
    guest.cgroup.device_policy(&DevicePolicy { allow: Vec::new() }).unwrap();
    let policy = DevicePolicy { allow: vec![null(Access::READ | Access::MAKE)] };
    guest.cgroup.device_policy(&policy).unwrap();
    let mut player = guest.run(&["devices"]);
    let lines: Vec<String> = (0..6).map(|_| player.line()).collect();
    assert_eq!(lines[0], "/dev/null ok");
    assert_eq!(lines[1], format!("/dev/urandom {EPERM}"));
    assert_eq!((lines[4].as_str(), lines[5].as_str()), ("write 1", "mknod ok"));
}

fn null(access: Access) -> DeviceRule {
    DeviceRule { kind: DeviceKind::Char, major: Some(1), minor: Some(3), access, reason: "test" }
}

fn minimum_only(player: &mut Player) {
    assert_eq!(player.line(), "/dev/null ok");
    assert_eq!(player.line(), "/dev/urandom ok");
    assert_eq!(player.line(), format!("/dev/kmsg {EPERM}"));
    // A host may be without it.
    let memory = player.line();
    assert!(memory == format!("/dev/mem {EPERM}") || memory == "/dev/mem 2", "{memory}");
    assert_eq!(player.line(), "write ok");
    assert_eq!(player.line(), "mknod refused");
}
