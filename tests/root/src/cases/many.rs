//! Many guests by one command: the order of `depends`, summaries, statuses, time limits.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::fixture::{Fixture, Guest, eventually};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("many::fifty_stop_and_start_in_order", fifty_stop_and_start_in_order).within(1200),
        Trial::new("many::patterns_marks_and_statuses", patterns_marks_and_statuses).smoke(),
        Trial::new("many::partial_failure_is_six", partial_failure_is_six),
        Trial::new("many::time_limits", time_limits),
        Trial::new("many::an_interrupt_lets_nothing_more_begin", an_interrupt_lets_nothing_more_begin),
        Trial::new("many::start_vservers_as_documented", start_vservers_as_documented),
        Trial::new("many::wrapper_and_helpers_of_init_scripts", wrapper_and_helpers_of_init_scripts),
    ]
}

/// A guest that leaves files as it starts, as it begins to stop and before it ends: their times tell when.
fn clocked(host: &Fixture) -> Guest<'_> {
    let guest = host.guest();
    crate::tree::write(&guest.root, "etc/rc.start", "#!/bin/sh\necho up >>/var/log/up\n", 0o755);
    let stop = "#!/bin/sh\ntouch /var/log/going\nsleep 0.3\ntouch /var/log/down\n";
    crate::tree::write(&guest.root, "etc/rc.stop", stop, 0o755);
    guest
}

/// When a guest last left this file.
fn clock(guest: &Guest<'_>, what: &str) -> SystemTime {
    let file = guest.root.join("var/log").join(what);
    fs::metadata(&file).and_then(|file| file.modified()).unwrap_or_else(|_| panic!("{} was never {what}", guest.name))
}

/// When its supervisor, which comes with every start, began to listen.
fn started(guest: &Guest<'_>) -> SystemTime {
    fs::metadata(format!("/run/vserver/{}/control", guest.name)).unwrap().modified().unwrap()
}

/// What every script of the fifty waits, and how many of them the longest chain has.
const WAIT: Duration = Duration::from_secs(2);
const CHAIN: [usize; 6] = [0, 1, 3, 7, 15, 31];

/// Issue: `vserver --all stop && vserver --all start` with 50 guests and a depends graph: order held, time near the longest
/// chain. Each guest has scripts that wait, so that the chain is far shorter than all in turn.
fn fifty_stop_and_start_in_order() {
    let host = Fixture::new();
    let guests: Vec<_> = (0..50).map(|_| clocked(&host)).collect();
    let wait = host.scratch("wait").join("seconds");
    let scripts_wait = |time: Duration| fs::write(&wait, format!("{}\n", time.as_secs())).unwrap();
    scripts_wait(Duration::ZERO);
    for (guest, moment) in guests.iter().flat_map(|guest| ["pre-start", "pre-stop"].map(|moment| (guest, moment))) {
        let script = format!("#!/bin/sh\nexec sleep \"$(cat {})\"\n", wait.display());
        crate::tree::write(&guest.cfg, &format!("scripts/{moment}"), &script, 0o755);
    }
    // A heap: every guest needs its parent, and every third one the first of all, too. The longest chain is six long.
    let needs = |index: usize| -> Vec<usize> {
        let parent = (index > 0).then(|| (index - 1) / 2);
        parent.into_iter().chain((index % 3 == 2).then_some(0)).collect()
    };
    for (index, guest) in guests.iter().enumerate() {
        let lines = needs(index).iter().map(|need| format!("{}\n", guests[*need].name)).collect::<String>();
        guest.set("apps/init/depends", &lines);
        // Numbers of their own: those of the fixture are for ten guests.
        guest.set("context", &format!("{}\n", 42_000 + nix::unistd::getppid().as_raw() % 100 * 50 + index as i32));
    }
    host.v(&["--all", "start"]).ok().says("50 of 50 guests started");
    eventually("all have come up", Duration::from_secs(60), || {
        guests.iter().all(|guest| guest.root.join("var/log/up").exists())
    });
    scripts_wait(WAIT);
    let times = [("stop", "stopped"), ("start", "started")].map(|(verb, past)| {
        let begun = Instant::now();
        let ran = host.v(&["--all", verb]);
        ran.ok().says(&format!("50 of 50 guests {past}"));
        begun.elapsed()
    });
    eventually("all have come up again", Duration::from_secs(60), || {
        guests.iter().all(|guest| fs::read_to_string(guest.root.join("var/log/up")).unwrap() == "up\nup\n")
    });
    for (index, guest) in guests.iter().enumerate() {
        for need in needs(index) {
            let need = &guests[need];
            let ended = (clock(guest, "down"), clock(need, "going"));
            assert!(
                ended.0 <= ended.1,
                "{} ended at {:?}, its need {} was stopped before, at {:?}",
                guest.name,
                ended.0,
                need.name,
                ended.1
            );
            assert!(started(need) <= started(guest), "{} started before {}", guest.name, need.name);
        }
    }
    scripts_wait(Duration::ZERO);
    host.v(&["--all", "stop", "--kill"]).ok();
    let chain: Vec<_> = CHAIN.map(|index| &guests[index]).into();
    let alone = alone(&chain);
    host.v(&["--all", "stop", "--kill"]).ok();
    let judged = [("stop", times[0], alone[0]), ("start", times[1], alone[1])].map(judge);
    if let Some(file) = std::env::var_os("VSERVER_TEST_FIGURES") {
        fs::write(file, judged.concat()).unwrap();
    }
}

/// All must take about as long as the chain waits and works. What they work beside it, two cores do at the same time, and
/// others use this machine, too: at most it is as much as all would work in turn. Far less it is than all in turn.
fn judge((verb, time, alone): (&str, Duration, Duration)) -> String {
    let links = CHAIN.len() as u32;
    let work = alone / links;
    let (chain, serial) = (WAIT * links + alone, (WAIT + work) * 50);
    let text = format!(
        "50 guests: {verb} {:.2} s; the longest chain of them ({links}): {:.2} s; one by one: {:.2} s\n",
        time.as_secs_f32(),
        chain.as_secs_f32(),
        serial.as_secs_f32()
    );
    assert!(time >= WAIT * links, "sooner than the order allows: {text}");
    assert!(time <= chain + work * 50 + Duration::from_secs(10), "{text}");
    assert!(time < serial * 3 / 5, "{text}");
    text
}

/// How long a chain takes by itself, without any order to be found: its stop and its start.
fn alone(chain: &[&Guest<'_>]) -> [Duration; 2] {
    for guest in chain {
        guest.start();
    }
    let begun = Instant::now();
    for guest in chain.iter().rev() {
        guest.stop();
    }
    let stopped = begun.elapsed();
    for guest in chain {
        guest.start();
    }
    [stopped, begun.elapsed() - stopped]
}

fn patterns_marks_and_statuses() {
    let host = Fixture::new();
    let (one, two, off) = (host.guest(), host.guest(), host.guest());
    one.set("apps/init/mark", "default\nlate\n").set("apps/init/depends", &format!("{}\n", two.name));
    off.set("disabled", "");
    let all = format!("{}*", one.name.trim_end_matches('0'));

    host.v(&[&all, "status"]).exits(3);
    host.v(&["--mark", "default", "start"])
        .ok()
        .says(&format!("{}: started", two.name))
        .says("2 of 2 guests started");
    assert!(one.is_running() && two.is_running(), "what a marked guest needs is started, too");
    host.v(&[&all, "status"]).exits(6).says(&format!("Vserver '{}' is running", one.name)).says("is stopped");
    host.v(&["--mark", "default", "running"]).ok();
    let again = host.v(&["--all", "start"]);
    again.ok().says(&format!("{}: already running", one.name)).says("0 of 2 guests started, 2 already ran");
    assert!(!off.is_running(), "a disabled guest is not started with all");

    let inside = host.v(&["--mark", "late", "exec", "uname", "-n"]);
    assert_eq!(inside.ok().out, format!("{0}: {0}.test\n", one.name));
    let json: Value = serde_json::from_str(&host.v(&["--json", "--mark", "late", "status"]).ok().out).unwrap();
    assert_eq!(json[0]["output"]["state"], "running");
    assert_eq!(json[0]["name"], one.name.as_str());

    let json: Value = serde_json::from_str(&host.v(&["--all", "status", "--json"]).exits(6).out).unwrap();
    let states: Vec<_> =
        json.as_array().unwrap().iter().map(|row| row["output"]["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["running", "running", "stopped"], "by name");

    let (first, second) = (one.init(), two.init());
    host.v(&["--all", "condrestart"]).ok();
    assert!(one.init() != first && two.init() != second && !off.is_running());
    let stopped = host.v(&["--silent", "--all", "stop"]);
    assert_eq!((stopped.ok().out.as_str(), stopped.err.as_str()), ("", ""));
    host.v(&["--all", "running"]).exits(1);

    host.v(&["nobody*", "start"]).exits(5).says("no guest has a name like 'nobody*'");
    host.v(&["[", "start"]).exits(2).says("not a pattern");
    host.v(&["--mark", "nobodys", "start"]).ok().says("no guest is meant by that");
    host.v(&["--all", "enter"]).exits(2).says("one guest at a time");
    host.v(&["--all", "explode"]).exits(2).says("Usage:");
    host.v(&["--all"]).exits(2);
    host.v(&["--all", "list"]).exits(2);
    fs::remove_file(off.cfg.join("disabled")).unwrap();
    fs::rename(&off.root, off.root.with_extension("away")).unwrap();
    host.v(&["--all", "start"]).ok().says(&format!("{}: left out: its vdir leads nowhere", off.name));
    host.v(&["--all", "stop"]).ok();
    host.v(&["--all", "--jobs", "0", "start"]).exits(2).says("--jobs");
}

/// compat/behaviours.md §8: if a dependency fails, its dependents are not started, others continue.
fn partial_failure_is_six() {
    let host = Fixture::new();
    let (good, broken, needs, lost) = (host.guest(), host.guest(), host.guest(), host.guest());
    fs::remove_file(broken.root.join("sbin/init")).unwrap();
    needs.set("apps/init/depends", &format!("{}\n", broken.name));
    lost.set("apps/init/depends", "nobody\n");
    let ran = host.v(&["--all", "start"]);
    ran.exits(6).says(&format!("{}: not started: it depends on '{}'", needs.name, broken.name));
    ran.says(&format!("{}: not started: it depends on 'nobody'", lost.name)).says("1 of 4 guests started");
    assert!(good.is_running() && !needs.is_running() && !lost.is_running());
    host.v(&["--all", "stop"]).ok().says("1 of 4 guests stopped, 3 did not run");
    good.set("apps/init/depends", &format!("{}\n", broken.name));
    let ran = host.v(&["--all", "start"]);
    ran.exits(1).says("0 of 4 guests started, failed: ");
    // A circle is told, named, and cut.
    good.set("apps/init/depends", &format!("{}\n", good.name));
    let circle = format!("{0} -> {0}", good.name);
    host.v(&["--all", "start"]).exits(6).says(&circle);
    assert!(good.is_running());
    host.v(&["--json", "--all", "stop"]).ok().says("\"outcome\": \"already\"").says("\"outcome\": \"done\"");
}

fn time_limits() {
    let host = Fixture::new();
    let slow = host.guest_of_style("sysv");
    crate::tree::write(&slow.root, "etc/init.d/rc", "#!/bin/sh\n[ $1 = 6 ] && exit 0\nsleep 600\n", 0o755);
    let quick = host.guest();
    let usual = Instant::now();
    quick.start().stop();
    // A machine may be slow, but the quick one is never that late.
    let limit = 2 + 4 * usual.elapsed().as_secs();
    let begun = Instant::now();
    let ran = host.v(&["--all", "--timeout", &limit.to_string(), "start"]);
    ran.exits(6).says(&format!("{}: it took longer than {limit} s", slow.name));
    ran.says(&format!("failed: {}", slow.name));
    assert!(begun.elapsed() < Duration::from_secs(600), "the slow one was waited for");
    assert!(quick.is_running() && !slow.is_running(), "what had begun is undone");
    host.v(&["--timeout", "1", &format!("{}*", slow.name), "start"]).exits(1).says("0 of 1 guests started");
    // An init that shuts down for ever.
    crate::tree::write(&quick.root, "etc/rc.stop", "#!/bin/sh\nsleep 600\n", 0o755);
    let ran = host.v(&["--all", "--timeout", "1", "stop"]);
    ran.ok().says(&format!("{}: it did not stop in time and was killed", quick.name));
    assert!(!quick.is_running());
}

fn an_interrupt_lets_nothing_more_begin() {
    let host = Fixture::new();
    let slow = host.guest_of_style("sysv");
    crate::tree::write(
        &slow.root,
        "etc/init.d/rc",
        "#!/bin/sh\n[ $1 = 6 ] && exit 0\ntouch /begun\nsleep 600\n",
        0o755,
    );
    let waits = host.guest();
    waits.set("apps/init/depends", &format!("{}\n", slow.name));
    let mut command = host.command("vserver");
    command.args(["--all", "start"]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    eventually("the slow one has begun", Duration::from_secs(20), || slow.root.join("begun").exists());
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let ran = crate::fixture::Ran::from(child.wait_with_output().unwrap());
    ran.exits(130).says(&format!("{}: not started, interrupted", waits.name));
    assert!(!slow.is_running() && !waits.is_running());
}

/// compat/commands.md §10.
fn start_vservers_as_documented() {
    let host = Fixture::new();
    let (one, two, three) = (host.guest(), host.guest(), host.guest());
    one.set("apps/init/mark", "default\n");
    two.set("apps/init/mark", "other\n");
    let start = |words: &[&str]| host.tool("start-vservers", words);
    start(&[]).ok();
    start(&["-m", "default", "-j", "6", "--all", "--start"]).ok();
    assert!(one.is_running() && !two.is_running() && !three.is_running());
    start(&["--unmarked"]).ok();
    assert!(three.is_running() && !two.is_running());
    start(&["--stop", "--mark", "default", &three.name]).ok();
    assert!(!one.is_running() && !three.is_running(), "names, and what the filters let through");
    start(&["--marked", "--stopped"]).ok();
    assert!(one.is_running() && two.is_running());
    host.tool("stop-vservers", &["--running", "-j", "1"]).ok();
    assert!(!one.is_running() && !two.is_running());
    start(&["nobody", &one.name]).ok().says("there is no guest 'nobody'");
    fs::remove_file(two.root.join("sbin/init")).unwrap();
    start(&["--all"]).exits(2);
    start(&["--stopped", "--all"]).exits(1);
    start(&["--test"]).exits(1).says("--test");
    host.tool("stop-vservers", &["--all"]).ok();
}

/// compat/commands.md §10: the lock file tells the status; 2 of start-vservers is success.
fn wrapper_and_helpers_of_init_scripts() {
    let host = Fixture::new();
    let (one, broken) = (host.guest(), host.guest());
    one.set("apps/init/mark", "night\n");
    broken.set("apps/init/mark", "night\n");
    fs::remove_file(broken.root.join("sbin/init")).unwrap();
    let lock = host.scratch("lock").join("vservers-night");
    let wrapper = |verb: &str| {
        let mut command = host.command("vserver-wrapper");
        command.arg(verb).env("MARK", "night").env("NUMPARALLEL", "2").env("LOCKFILE", &lock);
        crate::fixture::Ran::from(command.output().unwrap())
    };
    wrapper("status").exits(1);
    wrapper("condrestart").ok();
    assert!(!one.is_running());
    wrapper("start").ok().says("Starting vservers of type 'night'...");
    wrapper("status").ok();
    let init = one.init();
    wrapper("condrestart").ok();
    assert_ne!(one.init(), init);
    wrapper("stop").ok();
    wrapper("status").exits(1);
    assert!(!one.is_running());
    wrapper("explode").exits(2);

    host.tool("vprocunhide", &[] as &[&str]).ok().says("nothing to do: ");
    one.start();
    let (init, xid) = (one.init(), one.xid.to_string());
    host.tool("vshelper", &["startup", &xid]).ok();
    host.tool("vshelper", &["restart", &xid]).ok();
    assert!(one.is_running() && one.init() != init);
    host.tool("vshelper", &["explode", &xid]).exits(1).says("'explode'");
    host.tool("vshelper", &["halt", &xid]).ok();
    assert!(!one.is_running());
    host.tool("vshelper", &["halt", &xid]).ok();
    host.tool("vshelper", &["halt"]).exits(1);
}
