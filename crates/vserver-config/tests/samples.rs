//! Configuration trees as found on hosts, and what a correct reader understands of them (`expected.json` beside each).

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod compare;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use compare::missing;
use serde_json::Value;
use tempfile::TempDir;
use vserver_config::{GuestConfig, Style, describe, list, read};
use vserver_types::{CapSet, Resource, ResourceLimit, Rlimit};

/// Links of the trees, kept as files that hold the target (see `samples/README.md`).
const LINKS: [&str; 10] =
    ["vdir", "cache", "run", "vdirbase", "cachebase", "run.rev", "00", "tty", "logfile", "refserver.00"];

/// One tree, copied with its links as links.
struct Sample {
    root: TempDir,
    expected: Value,
}

impl Sample {
    fn confdir(&self) -> PathBuf {
        self.root.path().join("etc/vservers")
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        let to = to.join(&name);
        if path.is_dir() {
            copy(&path, &to);
        } else if LINKS.contains(&name.to_str().unwrap()) {
            symlink(fs::read_to_string(&path).unwrap(), to).unwrap();
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

fn samples() -> Vec<Sample> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let mut trees: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    trees.retain(|path| path.is_dir());
    trees.sort();
    assert_eq!(trees.len(), 6, "a sample is missing");
    let sample = |tree: PathBuf| {
        let root = tempfile::tempdir().unwrap();
        copy(&tree, root.path());
        let expected = serde_json::from_slice(&fs::read(tree.join("expected.json")).unwrap()).unwrap();
        Sample { root, expected }
    };
    trees.into_iter().map(sample).collect()
}

/// The guest that each tree is about, with its expectations.
fn guests() -> Vec<(GuestConfig, Value)> {
    let main = |sample: Sample| {
        let name = sample.expected["guest"].as_str().unwrap().parse().unwrap();
        (read(&sample.confdir(), &name).unwrap_or_else(|error| panic!("{error}")).0, sample.expected)
    };
    // The last tree has no expectations of this form.
    samples().into_iter().filter(|sample| sample.expected.get("identity").is_some()).map(main).collect()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().map(|all| all.iter().map(|one| one.as_str().unwrap().to_owned()).collect()).unwrap_or_default()
}

fn optional(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn set(printed: &str) -> BTreeSet<String> {
    printed.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn every_guest_of_every_tree_can_be_read() {
    let mut count = 0;
    for sample in samples() {
        let confdir = sample.confdir();
        for name in list(&confdir).unwrap() {
            let (config, warnings) = read(&confdir, &name).unwrap_or_else(|error| panic!("{error}"));
            let _ = (config.limits(2, config.hz), config.process_limits());
            assert!(warnings.iter().all(|warning| !warning.message.contains("nothing reads")), "{warnings:?}");
            count += 1;
        }
    }
    assert_eq!(count, 9);
}

#[test]
fn identities_and_links() {
    for (config, expected) in guests() {
        let identity = &expected["identity"];
        assert_eq!(config.context.map(|xid| u64::from(xid.0)), identity["context"].as_u64(), "{}", config.name);
        assert_eq!(config.ncontext.map(|nid| u64::from(nid.0)), identity["ncontext"].as_u64());
        assert_eq!(Some(config.display_name), optional(&identity["display_name"]));
        assert_eq!(config.disabled, identity["disabled"].as_bool().unwrap());
        let links = &identity["links"];
        assert_eq!(config.vdir.to_str(), links["vdir"].as_str());
        assert_eq!(config.run_target.to_str(), links["run"].as_str());
        assert_eq!(config.cache.unwrap().to_str(), links["cache"].as_str());
        assert_eq!(config.uts.nodename, optional(&expected["uts"]["nodename"]));
    }
}

#[test]
fn init_styles_levels_and_commands() {
    for (config, expected) in guests() {
        let (init, wanted) = (&config.init, &expected["init"]);
        let style: Style = wanted["style"].as_str().unwrap().parse().unwrap();
        assert_eq!(init.style(), style, "{}", config.name);
        assert_eq!(init.runlevel_start, optional(&wanted["runlevel_start"]), "{}", config.name);
        assert_eq!(init.runlevel_stop, optional(&wanted["runlevel_stop"]), "{}", config.name);
        assert_eq!(init.mark, strings(&wanted["mark"]));
        assert_eq!(init.depends, strings(&wanted["depends"]));
        assert_eq!(init.sync, wanted["sync"].as_bool().unwrap());
        // One line of this environment comes from a sourced script.
        let environment = init.start_environment(Some("<caller's TERM>"));
        let wanted_environment: Vec<_> =
            strings(&wanted["environment"]).into_iter().filter(|line| !line.starts_with("APP_MODE")).collect();
        assert_eq!(environment, wanted_environment, "{}", config.name);
        if config.name.as_str() == "app5" {
            assert_eq!(init.cmd_start.clone().unwrap(), strings(&wanted["start"]));
            assert_eq!(init.cmd_stop.clone().unwrap(), strings(&wanted["stop"]));
        }
    }
}

#[test]
fn kill_sequences_and_times() {
    let number = |name: &str| match name {
        "TERM" => "15".to_owned(),
        "INT" => "2".to_owned(),
        "KILL" => "9".to_owned(),
        number => number.to_owned(),
    };
    for (config, expected) in guests() {
        let steps = config.init.killseq.iter();
        let tokens: Vec<String> = steps
            .flat_map(|step| [Some(step.signal.to_string()), step.wait.map(|wait| wait.as_secs().to_string())])
            .flatten()
            .collect();
        let wanted: Vec<_> = strings(&expected["init"]["killseq"]).iter().map(|token| number(token)).collect();
        assert_eq!(tokens, wanted, "{}", config.name);
        if let Some(seconds) = expected["vshelper"]["sync_timeout"].as_u64() {
            assert_eq!(config.init.sync_timeout.as_secs(), seconds);
        }
    }
}

#[test]
fn final_sets() {
    for (config, expected) in guests() {
        let wanted = |key: &str| strings(&expected[key]["final"]).into_iter().collect::<BTreeSet<_>>();
        assert_eq!(set(&CapSet::SECURE.edited(config.bcaps).to_string()), wanted("bcaps"), "{}", config.name);
        assert_eq!(set(&config.ccaps.to_string()), wanted("ccaps"), "{}", config.name);
        assert_eq!(set(&config.cflags.to_string()), wanted("cflags"), "{}", config.name);
        if expected.get("ncaps_final").is_some() {
            assert_eq!(config.ncaps.to_string(), strings(&expected["ncaps_final"]).join(","));
            let nflags = strings(&expected["nflags_final_with_kernel_default"]);
            assert_eq!(config.nflags.to_string(), nflags.join(","));
        }
    }
}

#[test]
fn addresses_and_interfaces() {
    for (config, expected) in guests() {
        let network = &expected["network"];
        let allowed: Vec<_> = config.interfaces.iter().map(|interface| interface.address.to_string()).collect();
        assert_eq!(allowed, strings(&network["allowed"]), "{}", config.name);
        assert_eq!(config.no_ncontext, !network["isolated"].as_bool().unwrap());
        assert_eq!(config.lback.map(|ip| ip.to_string()), optional(&network["lback"]));
        assert_eq!(config.bcast.map(|ip| ip.to_string()), optional(&network["bcast"]));
        for (interface, wanted) in config.interfaces.iter().zip(network["interfaces"].as_array().unwrap()) {
            assert_eq!(Some(interface.dir.as_str()), wanted["dir"].as_str());
            assert_eq!(interface.dev, optional(&wanted["dev"]));
            assert_eq!(interface.label, optional(&wanted["label"]));
            assert_eq!(interface.nodev, !wanted["managed"].as_bool().unwrap());
            assert_eq!(wanted["up"].as_bool().unwrap_or(true), interface.up);
            match wanted["bcast"].as_str() {
                Some("+") => {
                    assert_eq!(interface.broadcast.is_some(), interface.address.prefix.unwrap() <= 30);
                }
                given => assert_eq!(interface.broadcast.map(|ip| ip.to_string()).as_deref(), given),
            }
            let vlan = interface.vlan.as_ref().map(|vlan| (vlan.parent.as_str(), u64::from(vlan.id)));
            let wanted_vlan =
                wanted.get("vlan").map(|vlan| (vlan["parent"].as_str().unwrap(), vlan["id"].as_u64().unwrap()));
            assert_eq!(vlan, wanted_vlan);
        }
    }
}

#[test]
fn totals_of_a_guest() {
    let bound = |value: &Value| value.as_u64().map(Rlimit::Value);
    for (config, expected) in guests() {
        let wanted = expected["rlimits"].as_object().unwrap();
        assert_eq!(config.rlimits.len(), wanted.len(), "{}", config.name);
        for (name, value) in wanted {
            let wanted =
                ResourceLimit { min: bound(&value["min"]), soft: bound(&value["soft"]), hard: bound(&value["hard"]) };
            assert_eq!(config.rlimits[&Resource::from_name(name).unwrap()], wanted, "{name} of {}", config.name);
        }
        assert!(config.ulimits.is_empty());
        assert_eq!(config.nice.map(i64::from), expected["nice"].as_i64());
        let (limits, _) = config.limits(2, config.hz);
        let suggested = &expected["stock_kernel_suggestion"];
        assert_eq!(limits.memory.map(|bytes| bytes.0), suggested["memory.max"].as_u64());
        assert_eq!(limits.memory_high.map(|bytes| bytes.0), suggested["memory.high"].as_u64());
        assert_eq!(limits.pids, suggested["pids.max"].as_u64());
        if let Some(max) = suggested["cpu.max"].as_str() {
            let cpu = limits.cpu.unwrap();
            assert_eq!(format!("{} {}", cpu.quota.as_micros(), cpu.period.as_micros()), max);
            assert_eq!(cpu.burst.as_micros() as u64, suggested["cpu.max.burst_us"].as_u64().unwrap());
        }
    }
}

#[test]
fn mounts() {
    let names = |flags: u64| {
        let known = [("nodev", 4), ("bind", 4096), ("ro", 1), ("nosuid", 2), ("noexec", 8), ("noatime", 1024)];
        known
            .into_iter()
            .filter(|(_, bit)| flags & bit != 0)
            .map(|(name, _)| name.to_owned())
            .collect::<BTreeSet<_>>()
    };
    for (config, expected) in guests() {
        let all = ["fstab", "fstab_remote"].map(|key| expected[key].as_array().cloned().unwrap_or_default());
        let mut wanted = all.concat();
        wanted.retain(|entry| entry["noauto"] != true);
        assert_eq!(config.fstab.len(), wanted.len(), "{}", config.name);
        for (entry, wanted) in config.fstab.iter().zip(wanted) {
            assert_eq!(Some(entry.source.as_str()), wanted["source"].as_str());
            assert_eq!(Some(entry.target.as_str()), wanted["target"].as_str());
            assert_eq!(entry.fstype.as_deref(), wanted["type"].as_str());
            let options = entry.mount_options();
            assert_eq!(names(options.flags), strings(&wanted["flags"]).into_iter().collect(), "{}", entry.target);
            assert_eq!(Some(options.data.as_str()), wanted["data"].as_str());
            assert_eq!(options.direct, wanted["method"] == "direct");
            assert_eq!(options.remount, wanted["remount_needed"] == true);
            assert_eq!(entry.remote, wanted.get("context").is_some());
        }
    }
}

#[test]
fn control_files_of_a_guest_hide_those_of_the_host() {
    let sample = samples().pop().unwrap();
    let (confdir, expected) = (sample.confdir(), &sample.expected);
    for name in list(&confdir).unwrap() {
        let config = read(&confdir, &name).unwrap().0;
        let wanted = &expected["guests"][name.as_str()];
        let values = wanted["cgroup"]["values"].as_array().cloned().unwrap_or_default();
        let values: Vec<_> = values.iter().map(strings).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        assert_eq!(config.cgroup, values, "{name}");
        assert_eq!(config.context.map(|xid| u64::from(xid.0)), wanted["context"].as_u64());
    }
}

#[test]
fn the_rest_of_the_plain_guest() {
    let mail = guests().into_iter().find(|(config, _)| config.name.as_str() == "mail4").unwrap().0;
    assert_eq!(mail.personality, Some(0x0800_0008));
    assert_eq!(mail.shell.as_deref(), Some("/bin/zsh"));
    let unapplied: Vec<_> = mail.unapplied.iter().map(|one| one.setting.as_str()).collect();
    assert_eq!((mail.keepfds, unapplied), (true, vec!["keepfds"]));
}

#[test]
fn the_description_has_every_key_of_every_sample() {
    let mut out = Vec::new();
    for mut sample in samples() {
        let confdir = sample.confdir();
        // One line of this environment comes from a sourced script, which a reader does not run.
        if let Some(lines) = sample.expected.pointer_mut("/init/environment").and_then(Value::as_array_mut) {
            lines.retain(|line| !line.as_str().unwrap().starts_with("APP_MODE"));
        }
        // An empty directory, which version control does not keep.
        if sample.expected["guest"] == "a8" {
            fs::create_dir_all(confdir.join("a8/apps/vunify")).unwrap();
        }
        let of = |name: &str| {
            let (config, warnings) = read(&confdir, &name.parse().unwrap()).unwrap();
            describe(&confdir, &config, &warnings)
        };
        let name = sample.expected["guest"].as_str().unwrap();
        match sample.expected["guests"].as_object() {
            Some(guests) => {
                for (name, wanted) in guests {
                    let mut found = of(name);
                    found["context"] = found["identity"]["context"].clone();
                    missing(wanted, &found, name, &mut out);
                }
            }
            None => missing(&sample.expected, &of(name), name, &mut out),
        }
    }
    assert!(out.is_empty(), "{}", out.join("\n"));
}
