//! check: faults first, then what becomes of each setting that the guest has.

use crate::fixture::Fixture;
use crate::tree;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("check::every_setting_has_a_verdict", every_setting_has_a_verdict),
        Trial::new("check::what_start_tells_is_what_check_said", what_start_tells_is_what_check_said),
    ]
}

/// Own ones and those of the host that reach the guest; flags after their file; `--quiet` leaves out what is honoured.
fn every_setting_has_a_verdict() {
    let host = Fixture::new();
    let guest = host.guest();
    let defaults = host.confdir().join(".defaults");
    tree::write(&defaults, "shell", "/bin/sh\n", 0o644);
    tree::write(&defaults, "netns/name", "x\n", 0o644);
    guest.set("cflags", "sched_hard\nvirt_mem\n").set("rlimits/nproc", "50\n").set("rlimits/locks", "5\n");
    guest.set("rlimits/core", "inf\n").set("nonetns", "").set("uts/machine", "vax\n").set("shel", "x\n");
    let ran = guest.v(&["check"]);
    ran.ok().says(&format!("{}/shel: warning: nothing reads this (did you mean 'shell'?)\n", guest.cfg.display()));
    for line in [
        "honoured cflags sched_hard: cpu.max with burst\n",
        "honoured cflags virt_mem: /proc/meminfo",
        "honoured rlimits/nproc: pids.max\n",
        "cannot   rlimits/locks: the kernel has no such total\n",
        "honoured rlimits/core: nothing of this value is lost\n",
        "cannot   uts/machine: a UTS namespace has its own host and domain name only",
        "honoured .defaults/shell: ",
    ] {
        let (verdict, rest) = line.split_at(9);
        let owner = if rest.starts_with('.') { String::new() } else { format!("{}/", guest.name) };
        ran.says(&format!("{verdict}{owner}{rest}"));
    }
    assert!(!ran.out.contains("cannot   .defaults/netns"), "{}", ran.out);
    let quiet = guest.v(&["check", "--quiet"]);
    quiet.ok().says("/shel: warning: ").says(&format!("cannot   {}/rlimits/locks: ", guest.name));
    assert!(!quiet.out.contains("honoured"), "{}", quiet.out);
    let json: serde_json::Value = serde_json::from_str(&guest.v(&["check", "--json"]).ok().out).unwrap();
    assert_eq!(json["guest"], guest.name);
    assert_eq!(json["findings"][0]["severity"], "warning");
    let settings = json["settings"].as_array().unwrap();
    let pids = settings.iter().find(|one| one["setting"] == "rlimits/nproc").unwrap();
    assert_eq!((&pids["verdict"], &pids["how"]), (&"honoured".into(), &"pids.max".into()));
    guest.set("context", "many\n");
    guest.v(&["check", "--quiet"]).exits(1).says("context:1: ");
    let json = guest.v(&["check", "--json"]);
    json.exits(1);
    assert!(serde_json::from_str::<serde_json::Value>(&json.out).unwrap()["findings"][0]["file"].is_string());
}

/// The two are made from one table.
fn what_start_tells_is_what_check_said() {
    let host = Fixture::new();
    let guest = host.guest();
    tree::write(&host.confdir().join(".defaults"), "keepfds", "", 0o644);
    guest.set("spaces/pid", "other\n").set("hostname", "x\n").set("rlimits/nofile", "90\n");
    guest.set("cgroup/net_cls.classid", "1\n");
    let (checked, started) = (guest.v(&["check", "--quiet"]), guest.v(&["start"]));
    checked.ok();
    started.ok();
    for (setting, verdict) in [
        (".defaults/keepfds", "cannot  "),
        ("hostname", "cannot  "),
        ("spaces/pid", "cannot  "),
        ("rlimits/nofile", "partly  "),
        ("cgroup/net_cls.classid", "cannot  "),
    ] {
        let owner = if setting.starts_with('.') { String::new() } else { format!("{}/", guest.name) };
        let prefix = format!("{verdict} {owner}{setting}: ");
        let line = checked.out.lines().find_map(|line| line.strip_prefix(&prefix));
        let how = line.unwrap_or_else(|| panic!("no {setting} in {}", checked.out));
        let degree = if verdict == "partly  " { "only partly enforced" } else { "not enforced" };
        started.says(&format!("{setting} is {degree}: {how}"));
    }
    guest.stop();
}
