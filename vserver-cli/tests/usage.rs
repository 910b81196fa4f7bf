//! What the programs say to command lines that are wrong or only ask for help: no root, no guest, no change.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as they do")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs `words` as the program that the first of them names, with an empty configuration root.
fn run(words: &[&str]) -> Output {
    let (tool, words) = words.split_first().unwrap();
    let confdir = std::env::temp_dir().join(format!("cli-usage-{}", std::process::id()));
    Command::new(env!("CARGO_BIN_EXE_vserver"))
        .args(["--applet", tool])
        .args(words)
        .env("VSERVER_RUNDIR", confdir.join(".run"))
        .env("VSERVER_CONFDIR", confdir)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The command line is refused with this status and with exactly this on standard error, and nothing else.
fn refused(words: &[&str], status: i32, stderr: &str) {
    let output = run(words);
    assert_eq!(text(&output.stderr), stderr, "{words:?}");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(status), ""), "{words:?}");
}

#[test]
fn wrong_command_lines_get_a_sentence_and_a_way_on() {
    refused(
        &["vserver", "-x"],
        2,
        "vserver: unexpected argument '-x' found\nTry 'vserver --help' for more information.\n",
    );
    refused(
        &["vserver", "web1", "stop", "now"],
        1,
        "vserver NAME stop: unexpected argument 'now' found\nTry 'vserver NAME stop --help' for more information.\n",
    );
    refused(
        &["vserver", "web1", "running", "x"],
        2,
        "vserver: unexpected argument 'x' found\nTry 'vserver --help' for more information.\n",
    );
    refused(
        &["vserver", "web1", "exec", "--"],
        2,
        "vserver: exec needs a command\nTry 'vserver --help' for more information.\n",
    );
    refused(
        &["vserver", "a b", "start"],
        1,
        "vserver: 'a b' is not a valid guest name: only letters, digits, '.', '_', '-' and '+' may be used\n",
    );
}

#[test]
fn an_unknown_verb_gets_the_usage_line() {
    for words in [&["vserver"][..], &["vserver", "web1"], &["vserver", "web1", "frobnicate"]] {
        let output = run(words);
        let stderr = text(&output.stderr);
        assert!(
            stderr.starts_with("Usage: ") && stderr.contains(" <vserver> {start|stop|suexec|restart|"),
            "{stderr}"
        );
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn a_missing_guest_is_5() {
    for verb in
        ["start", "stop", "restart", "status", "running", "enter", "delete", "check", "unify", "hashify", "flatten"]
    {
        let output = run(&["vserver", "web9", verb]);
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with("Can not find a vserver-setup at '/"), "{verb}: {stderr}");
        assert!(stderr.contains("/web9/'.\n"), "{verb}: {stderr}");
        assert_eq!(output.status.code(), Some(5), "{verb}");
    }
    assert_eq!(run(&["vserver", "web9", "exec", "true"]).status.code(), Some(5));
}

#[test]
fn the_other_tools_refuse_with_their_own_status() {
    let hint = "number or the name of a running context\nTry";
    refused(
        &["vlimit", "-a"],
        255,
        &format!("vlimit: --xid is needed: the {hint} 'vlimit --help' for more information.\n"),
    );
    refused(
        &["vsched"],
        255,
        &format!("vsched: --xid is needed: the {hint} 'vsched --help' for more information.\n"),
    );
    refused(
        &["vlimit", "--rss", "5G"],
        255,
        "vlimit: '5G' is not a limit for rss: a number with k, K, m or M, or inf\nTry 'vlimit --help' for more information.\n",
    );
    refused(&["vkill"], 1, "vkill: No pid specified\n");
    refused(&["vkill", "-s", "FOO", "1"], 1, "vkill: Invalid signal specified: 'FOO'\n");
    refused(
        &["chcontext", "--xid", "1"],
        255,
        "chcontext: a command is needed\nTry 'chcontext --help' for more information.\n",
    );
    let stat = run(&["vserver-stat", "extra"]);
    assert_eq!(stat.status.code(), Some(1));
    assert_eq!(run(&["vps", "--json", "ax"]).status.code(), Some(254));
}

#[test]
fn help_has_an_example_and_version_its_line() {
    for tool in [
        "vserver",
        "vserver-stat",
        "vps",
        "vkill",
        "chcontext",
        "vlimit",
        "vsched",
        "chbind",
        "vcontext",
        "ncontext",
        "vattribute",
        "nattribute",
        "naddress",
        "vspace",
        "vnamespace",
        "vuname",
        "vmemctrl",
        "vdevmap",
        "vtag",
        "reducecap",
    ] {
        let help = run(&[tool, "--help"]);
        assert!(text(&help.stdout).contains("Example"), "{tool}");
        let version = run(&[tool, "--version"]);
        let expected = format!("{tool} {} -- ", env!("CARGO_PKG_VERSION"));
        assert!(text(&version.stdout).starts_with(&expected), "{tool}: {}", text(&version.stdout));
        assert_eq!((help.status.code(), version.status.code()), (Some(0), Some(0)));
    }
    for verb in ["start", "stop", "status", "running", "build", "plan", "check", "config"] {
        let help = run(&["vserver", "web1", verb, "--help"]);
        assert!(text(&help.stdout).contains("Example"), "{verb}");
        assert_eq!(help.status.code(), Some(0), "{verb}");
    }
}

#[test]
fn a_link_decides_which_program_it_is() {
    let dir = std::env::temp_dir().join(format!("cli-links-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let link = dir.join("vkill");
    std::os::unix::fs::symlink(Path::new(env!("CARGO_BIN_EXE_vserver")), &link).unwrap();
    let output = Command::new(&link).output().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(text(&output.stderr), "vkill: No pid specified\n");
}

#[test]
fn chcontext_1_is_the_host_and_passes_everything_on() {
    let output = run(&["chcontext", "--xid", "1", "sh", "-c", "echo \"$0 $1\"; exit 7", "--xid", "--help"]);
    assert_eq!((text(&output.stdout), output.status.code()), ("--xid --help\n", Some(7)));
    let missing = run(&["chcontext", "--ctx", "0", "/no/such/program"]);
    assert!(text(&missing.stderr).starts_with("chcontext: cannot execute '/no/such/program': No such file"));
    assert_eq!(missing.status.code(), Some(255));
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let script = format!("{} --help; echo $? >&2", env!("CARGO_BIN_EXE_vserver"));
    let mut child =
        Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(text(&child.wait_with_output().unwrap().stderr), "0\n");
}

/// A root that is not there has not no guests: it is the wrong one, or there never was a guest.
#[test]
fn a_configuration_root_that_is_not_there_is_told() {
    for words in [
        &["list"][..],
        &["list", "--json"],
        &["--all", "status"],
        &["--mark", "x", "stop"],
        &["web*", "start"],
        &["doctor", "network"],
    ] {
        let output = run(&[&["vserver", "--confdir", "/nonexistent/root"], words].concat());
        let said = text(&output.stderr);
        assert!(
            said.starts_with("vserver: the configuration root '/nonexistent/root' cannot be read: No such"),
            "{said}"
        );
        assert_eq!((output.status.code(), said.lines().count(), text(&output.stdout)), (Some(1), 1, ""), "{words:?}");
    }
    let file = run(&["vserver", "--confdir", "/dev/null", "list"]);
    assert!(
        text(&file.stderr).contains("'/dev/null' cannot be read: it is not a directory; "),
        "{}",
        text(&file.stderr)
    );
}

/// The descriptor is the caller's own: what the caller writes after it comes after it.
#[test]
fn the_outcome_of_a_wait_stands_where_the_caller_is() {
    let file = tempfile::tempfile().unwrap();
    let script = format!("echo a; {} --applet vwait 0 --status-fd 1; echo b", env!("CARGO_BIN_EXE_vserver"));
    let mut command = Command::new("sh");
    command.args(["-c", &script]).stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(Stdio::null());
    assert!(command.status().unwrap().success());
    let mut told = String::new();
    std::io::Seek::rewind(&mut &file).unwrap();
    std::io::Read::read_to_string(&mut &file, &mut told).unwrap();
    assert_eq!(told, "a\nERROR 22\nb\n");
}

/// No number is too large to be answered in words.
#[test]
fn huge_numbers_make_no_panic() {
    for number in ["18446744073709551615", "99999999999999999999999", "-1", "4294967295"] {
        for words in [
            &["vserver", "--all", "--timeout", number, "check"][..],
            &["vserver", "--all", "--jobs", number, "check"],
            &["start-vservers", "--all", "--timeout", number],
            &["vwait", "--timeout", number, "nobody"],
            &["vlimit", "--xid", number, "--rss", number],
            &["vattribute", "--get", "--xid", number],
            &["vsched", "--xid", number, "--fill-rate", number],
            &["vserver-info", number, "XID"],
        ] {
            let output = run(words);
            let said = text(&output.stderr);
            assert!(!said.contains("panicked") && output.status.code() != Some(101), "{words:?}: {said}");
        }
    }
}

/// The file by which util-vserver's scripts find everything.
#[test]
fn the_root_of_utilvservers_variables_counts_after_our_own() {
    let dir = std::env::temp_dir().join(format!("cli-vars-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("etc/web1")).unwrap();
    std::fs::write(dir.join("vars"), format!("__SYS='{}'\n__CONFDIR=\"$__SYS/etc\"\n", dir.display())).unwrap();
    let ran = |vars: &str, own: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vserver"));
        command.args(["web1", "status"]).env("UTIL_VSERVER_VARS", dir.join(vars)).env_remove("VSERVER_CONFDIR");
        if let Some(own) = own {
            command.env("VSERVER_CONFDIR", dir.join(own));
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        (output.status.code(), text(&output.stderr).to_owned())
    };
    let (found, own, missing) = (ran("vars", None), ran("vars", Some("nowhere")), ran("nothing", None));
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(found.0, Some(3), "{}", found.1);
    assert_eq!(own.0, Some(5), "{}", own.1);
    assert_eq!(missing.0, Some(1));
    assert!(missing.1.contains("UTIL_VSERVER_VARS (unset it, or correct it)"), "{}", missing.1);
    assert_eq!(missing.1.lines().count(), 1, "{}", missing.1);
}
