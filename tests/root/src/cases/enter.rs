//! enter: a shell on a pty of the guest, never on the caller's.

use crate::fixture::{Fixture, Guest, Ran};
use crate::needs::Need;
use crate::tree;
use crate::trial::Trial;
use crate::typed::{session, session_without_prompt};

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("enter::pty_of_the_guest", pty_of_the_guest).needs(Need::Tool("script")).smoke(),
        Trial::new("enter::shell_of_the_guest_or_the_host", shell_of_the_guest_or_the_host),
        Trial::new("enter::the_proxy_can_be_switched_off", the_proxy_can_be_switched_off).needs(Need::Tool("script")),
        Trial::new("enter::status_of_the_shell", status_of_the_shell).needs(Need::Tool("script")),
        Trial::new("enter::window_size_and_job_control", window_size_and_job_control).needs(Need::Tool("script")),
        Trial::new("enter::without_a_terminal", without_a_terminal),
    ]
}

/// Types lines into `vserver NAME enter` on a terminal made by script(1); the whole session as text.
fn enter(host: &Fixture, guest: &Guest<'_>, before: &str, input: &str) -> Ran {
    session(&format!("{before} {}", line(host, guest)), input)
}

fn line(host: &Fixture, guest: &Guest<'_>) -> String {
    // Makes the link that the command line below names.
    drop(host.command("vserver"));
    let vserver = host.confdir().with_file_name("bin/vserver");
    let confdir = host.confdir();
    format!("{} --confdir {} {} enter", vserver.display(), confdir.display(), guest.name)
}

fn pty_of_the_guest() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let ran = enter(&host, &guest, "", "echo on $(tty) at $(hostname)\nexit\n");
    ran.ok().says(&format!("at {}.test", guest.name));
    assert!(ran.out.contains("on /dev/pts/") || ran.out.contains("on /dev/console"), "{}", ran.out);
}

fn status_of_the_shell() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    enter(&host, &guest, "", "exit 23\n").exits(23);
}

fn window_size_and_job_control() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let input = "stty size\nsleep 50 &\njobs\nkill %1\nexit\n";
    let ran = enter(&host, &guest, "stty rows 33 cols 101;", input);
    ran.says("33 101").says("sleep 50");
    assert!(!ran.out.contains("job control turned off"), "{}", ran.out);
    assert!(!ran.out.contains("can't access tty"), "{}", ran.out);
}

/// compat/behaviours.md §5.3: no terminal, no proxy; the shell reads what comes.
fn without_a_terminal() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let ran = host.tool_with_input("vserver", &[guest.name.as_str(), "enter"], b"echo I am $(hostname)\nexit 4\n");
    ran.exits(4).says(&format!("I am {}.test", guest.name));
}

/// compat/config-tree.md §3, §5.1: the guest's `shell`, else that of `.defaults/`.
fn shell_of_the_guest_or_the_host() {
    let host = Fixture::new();
    let guest = host.guest();
    for name in ["own", "shared"] {
        tree::write(&guest.root, &format!("bin/{name}"), &format!("#!/bin/sh\necho the {name} shell\n"), 0o755);
    }
    tree::write(&host.confdir().join(".defaults"), "shell", "/bin/shared\n", 0o644);
    guest.start();
    guest.v(&["enter"]).ok().says("the shared shell");
    guest.set("shell", "/bin/own\n");
    guest.v(&["enter"]).ok().says("the own shell");
}

/// compat/config-tree.md §3: `apps/vlogin/disable` leaves the shell without a terminal of the guest.
fn the_proxy_can_be_switched_off() {
    let host = Fixture::new();
    let guest = host.guest();
    tree::write(&host.confdir().join(".defaults"), "apps/vlogin/disable", "", 0o644);
    guest.start();
    session_without_prompt(&line(&host, &guest), "echo on $(tty)\nexit\n").ok().says("on not a tty");
}
