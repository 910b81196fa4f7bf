//! What a description says of files that no sample tree has, as `config-tree.md` gives their meaning.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};
use vserver_config::{describe, read};

/// A description of a guest `g1` that has these files; a name that ends in `@` is a link.
fn described(files: &[(&str, &str)]) -> Value {
    let tree = tempfile::tempdir().unwrap();
    let put = |file: &str, content: &str| {
        let path = tree.path().join(file.trim_end_matches('@'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match file.ends_with('@') {
            true => symlink(content, path).unwrap(),
            false => fs::write(path, content).unwrap(),
        }
    };
    put("g1/vdir@", "/vservers/g1");
    for (file, content) in files {
        let file = if file.starts_with(".defaults") { (*file).to_owned() } else { format!("g1/{file}") };
        put(&file, content);
    }
    of(tree.path())
}

fn of(confdir: &Path) -> Value {
    let (config, warnings) = read(confdir, &"g1".parse().unwrap()).unwrap_or_else(|error| panic!("{error}"));
    describe(confdir, &config, &warnings)
}

/// §5.5: −1 is unlimited, −2 is "keep", a number may be written in C notation, `disabled` skips the entry.
#[test]
fn disk_limits() {
    let found = described(&[
        ("context", "41\n"),
        ("dlimits/root/directory", "/vservers/g1\n"),
        ("dlimits/root/space_total", "0x100000\n"),
        ("dlimits/root/inodes_total", "-1\n"),
        ("dlimits/root/reserved", "5\n"),
        ("dlimits/old/directory", "/old\n"),
        ("dlimits/old/disabled", ""),
    ]);
    let root = json!({"dir": "root", "directory": "/vservers/g1", "space_total": 1_048_576, "inodes_total": "inf", "reserved": 5});
    assert_eq!(found["dlimits"], json!([root]));
}

/// §5.11: flags and one-line files of each device; no `apps/pkgmgmt` means the guest's own tools.
#[test]
fn devices_and_package_tools() {
    let found = described(&[
        ("apps/vdevmap/null/device", "/dev/null\n"),
        ("apps/vdevmap/null/open", ""),
        ("apps/vdevmap/null/flags", "3\n"),
    ]);
    let device = json!({"dir": "null", "create": false, "open": true, "remap": false, "device": "/dev/null", "target": null, "flags": 3});
    assert_eq!((&found["vdevmap"], &found["pkgmgmt"]), (&json!([device]), &json!("internal")));
    assert_eq!(described(&[("apps/pkgmgmt/style", "debian\n")])["pkgmgmt"], "external");
}

/// `behaviours.md` §3: each style's commands, and a signal for whatever has an init.
#[test]
fn commands_of_the_other_styles() {
    let init =
        |style: &str| described(&[("apps/init/style", style), ("apps/init/cmd.stop", "/bin/x\n")])["init"].clone();
    let minit = init("minit\n");
    assert_eq!(minit["protocol"], "fakeinit");
    assert_eq!((&minit["start"], &minit["stop_signal"]), (&json!(["/sbin/minit-start"]), &json!("INT")));
    assert_eq!(init("arch\n")["start"], json!(["/etc/rc.multi"]));
    assert_eq!(init("arch\n")["stop"], json!(["/bin/x"]));
    let gentoo = json!([["/lib/rcscripts/sh/init-vserver.sh", "default"], ["/lib/rc/sh/init-vserver.sh", "default"]]);
    assert_eq!(init("gentoo\n")["start_candidates"], gentoo);
    let flagged = described(&[("cflags", "fakeinit\n"), ("apps/init/cmd.start", "/sbin/x\n")])["init"].clone();
    let protocol = (&flagged["protocol"], &flagged["start"], &flagged["stop_signal"]);
    assert_eq!(protocol, (&json!("fakeinit"), &json!(["/sbin/x"]), &json!("INT")));
    assert_eq!(flagged["stop_candidates"], Value::Null);
}

/// §5.7: `0` is no namespace of its own, another word is the guest that it is shared with.
#[test]
fn spaces() {
    assert_eq!(
        described(&[("spaces/pid", "0\n"), ("spaces/mask", "1\n")])["spaces"],
        json!({"pid": null, "net": null, "mask": "1"})
    );
    assert_eq!(
        described(&[("spaces/pid", "\n"), ("spaces/net", "g2\n")])["spaces"],
        json!({"pid": "new", "net": "g2", "mask": null})
    );
}

/// §5.7: a file without a newline at its end counts as empty.
#[test]
fn a_space_without_newline_is_new() {
    assert_eq!(described(&[("spaces/pid", "g2")])["spaces"]["pid"], "new");
}

/// §5.3.3: a number of the second rate sets the idle-time mode, as the flag does.
#[test]
fn the_second_rate_is_in_use_when_it_is_given() {
    let global = |file| described(&[("sched/interval", "4\n"), (file, "2\n")])["sched"]["global"].clone();
    for file in ["sched/fill-rate2", "sched/interval2", "sched/idle-time"] {
        assert_eq!(global(file)["idle-time"], true, "{file}");
    }
    assert_eq!(global("sched/fill-rate")["idle-time"], Value::Null);
}

/// §5.10: the guest's directory of stores hides the host's as a whole; `method` and `blocks` are no stores.
#[test]
fn hash_stores() {
    let found = described(&[
        ("apps/vunify/hash/01@", "/srv/.hash"),
        ("apps/vunify/hash/blocks", "all\n"),
        (".defaults/apps/vunify/hash/00@", "/vservers/.hash"),
        (".defaults/apps/vunify/hash/method", "md5\n"),
    ]);
    let vunify = &found["vunify"];
    assert_eq!((&vunify["hash_dirs"], &vunify["hash_method"]), (&json!({"01": "/srv/.hash"}), &json!("sha1")));
}

/// §5.6: an address of a point-to-point link names its other end.
#[test]
fn the_other_end_of_a_link() {
    let ip = "interfaces/0";
    let found = described(&[
        (&format!("{ip}/ip"), "10.0.0.1\n"),
        (&format!("{ip}/dev"), "ppp0\n"),
        (&format!("{ip}/prefix"), "32\n"),
        (&format!("{ip}/peer"), "10.0.0.2\n"),
    ]);
    assert_eq!(
        found["network"]["host_commands_start"][0],
        "ip addr add 10.0.0.1/32 broadcast + dev ppp0 peer 10.0.0.2"
    );
}
