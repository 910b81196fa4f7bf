//! Devices beyond those that every guest has: `apps/vdevmap`.

use crate::fixture::{Fixture, Guest};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "devices::a_device_is_opened_denied_and_put_in_the_place_of_another",
            a_device_is_opened_denied_and_put_in_the_place_of_another,
        ),
        Trial::new("devices::the_hosts_map_reaches_guests", the_hosts_map_reaches_guests),
        Trial::new("devices::what_cannot_be_is_told", what_cannot_be_is_told),
    ]
}

/// A device of the host that guests have not, and that can be opened without harm.
fn device() -> &'static str {
    let known = ["/dev/loop-control", "/dev/fuse", "/dev/net/tun"];
    known
        .into_iter()
        .find(|path| std::fs::File::open(path).is_ok())
        .expect("none of loop-control, fuse, tun is there")
}

fn opens(guest: &Guest<'_>, path: &str) -> bool {
    guest.sh(&format!("exec 3<{path}")).code == 0
}

/// compat/config-tree.md §5.11, which the original did not apply at start.
fn a_device_is_opened_denied_and_put_in_the_place_of_another() {
    let host = Fixture::new();
    for mode in ["auto", "off"] {
        let guest = host.guest();
        if mode == "off" {
            guest.set("userns", "off\n");
        }
        guest.start();
        assert!(!opens(&guest, device()) && opens(&guest, "/dev/full"));
        guest.stop();
        guest.set("apps/vdevmap/a/device", &format!("{}\n", device())).set("apps/vdevmap/a/open", "");
        guest.set("apps/vdevmap/b/device", "/dev/urandom\n").set("apps/vdevmap/b/flags", "0x12\n");
        guest.set("apps/vdevmap/b/target", "/dev/zero\n");
        guest.set("apps/vdevmap/c/device", "/dev/full\n");
        guest.start();
        assert!(opens(&guest, device()), "{mode}: what is mapped can be opened");
        assert_eq!(
            guest.sh("head -c 8 /dev/urandom | od -An -tx1 | tr -d ' \\n'").ok().out,
            "0".repeat(16),
            "{mode}"
        );
        guest.sh("head -c 8 /dev/random | od -An -tx1 | grep -v '00 00 00 00 00 00 00 00'").ok();
        assert!(!opens(&guest, "/dev/full"), "{mode}: what may be neither opened nor made is not there");
        // In classic mode a node is made by whoever may; the rule holds all the same.
        assert_ne!(guest.sh("mknod /tmp/full c 1 7 && exec 3</tmp/full").code, 0, "the policy refuses it");
        // What start gave, vdevmap can take away.
        let unset = ["--xid", &guest.name, "--unset", "--open", "--device", device()];
        host.tool("vdevmap", &unset).ok();
        assert!(!opens(&guest, device()), "{mode}: taken away from a running guest");
        guest.stop();
    }
}

fn the_hosts_map_reaches_guests() {
    let host = Fixture::new();
    let (plain, own) = (host.guest(), host.guest());
    let defaults = host.confdir().join(".defaults");
    crate::tree::write(&defaults, "apps/vdevmap/x/device", &format!("{}\n", device()), 0o644);
    crate::tree::write(&defaults, "apps/vdevmap/x/open", "", 0o644);
    own.set("apps/vdevmap/mine/device", &format!("{}\n", device()));
    for guest in [&plain, &own] {
        guest.start();
    }
    assert!(opens(&plain, device()));
    assert!(!opens(&own, device()), "what the guest says of a device counts");
}

fn what_cannot_be_is_told() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("apps/vdevmap/a/device", "/dev/no-such-device\n").set("apps/vdevmap/a/open", "");
    guest.set("apps/vdevmap/b/device", "/dev/pts/0\n").set("apps/vdevmap/b/create", "");
    guest.set("apps/vdevmap/b/remap", "").set("apps/vdevmap/b/target", "/dev/zero\n");
    let started = guest.v(&["start"]);
    started
        .ok()
        .says("apps/vdevmap/a is not enforced: '/dev/no-such-device' cannot be looked at")
        .says("no node is made");
    guest.stop();
    guest.v(&["check"]).ok().says("'/dev/no-such-device' cannot be looked at");
    guest.set("apps/vdevmap/c/open", "");
    guest.v(&["start"]).exits(1).says("apps/vdevmap/c/device").says("names no device");
    guest.v(&["check"]).exits(1).says("apps/vdevmap/c/device");
}
