//! `demo`: a real Debian guest with nginx and sshd, running on this host, in one command.

mod clean;
mod guest;
mod page;
mod traces;

use std::time::{Duration, Instant};

use crate::build::{PROGRAMS, release};
use crate::shell::{need_root, say};
use crate::{Outcome, packages};
use guest::{Demo, Kind};

/// The guest's name.
const NAME: &str = "demo";
/// Its context.
const XID: &str = "40007";
/// Its address: any of 127.0.0.0/8 is on `lo` already, so no network needs setting up.
const ADDRESS: &str = "127.0.7.1";

/// Runs the verb.
pub fn run(words: &[&str]) -> Outcome {
    match words {
        [] => show(),
        ["--clean"] => {
            need_root("demo --clean")?;
            clean::run(&Demo::new(release(PROGRAMS)?))
        }
        _ => Err(format!("`cargo xtask demo` knows no '{}'", words.join(" "))),
    }
}

fn show() -> Outcome {
    need_root("demo")?;
    let demo = Demo::new(release(PROGRAMS)?);
    let kind = match traces::kind() {
        Some(kind) if demo.exists() => {
            say("the guest `demo` is already built");
            kind
        }
        _ => make(&demo)?,
    };
    if demo.is_running() {
        say("the guest `demo` is already running");
    } else {
        say("vserver demo start");
        let begun = Instant::now();
        demo.vserver(&["start"])?;
        demo.wait_until_up(kind)?;
        say(&format!("up after {:.1} s", begun.elapsed().as_secs_f32()));
    }
    look(&demo, kind)?;
    println!("{}", what_next(kind));
    Ok(())
}

/// Builds the guest: Debian if it can be fetched, else from the host's busybox.
fn make(demo: &Demo) -> Result<Kind, String> {
    if demo.exists() {
        let why = "there is a guest called `demo` on this host that this command did not make";
        return Err(format!("{why}: remove it with `vserver demo delete` first"));
    }
    if let Err(why) = packages::ensure(&["debootstrap"]) {
        say(&why);
    } else {
        traces::begin(Kind::Debian)?;
        match demo.build_debian() {
            Ok(()) => return Ok(Kind::Debian),
            // A mirror that answers is not the reason: then the failure is one to be shown.
            Err(error) if page::mirror_answers() => return Err(error),
            Err(_) => {}
        }
    }
    say("Debian could not be fetched, so this is a smaller guest, from the host's busybox");
    traces::begin(Kind::Busybox)?;
    demo.build_busybox()?;
    Ok(Kind::Busybox)
}

/// Shows that it works.
fn look(demo: &Demo, kind: Kind) -> Outcome {
    say(&format!("its web page, fetched from the host: http://{ADDRESS}/"));
    let title = page::title(ADDRESS, Duration::from_secs(20))?;
    println!("   {title}");
    let command: &[&str] = match kind {
        Kind::Debian => &["systemctl", "is-active", "nginx.service", "ssh.service"],
        Kind::Busybox => &["ps"],
    };
    say(&format!("vserver demo exec {}", command.join(" ")));
    demo.vserver(&[&["exec"], command].concat())?;
    say("vserver-stat");
    demo.applet("vserver-stat", &[])?;
    say("vps ax, its part");
    demo.own_processes()
}

fn what_next(kind: Kind) -> String {
    let see = match kind {
        Kind::Debian => "systemctl status",
        Kind::Busybox => "top -b -n 1",
    };
    format!(
        "\nThe guest goes on running. Next (programs are in target/*/release, or `cargo xtask install` them):\n\n\
         \x20   vserver demo enter                     a root shell inside\n\
         \x20   vserver demo exec {see}\n\
         \x20   curl http://{ADDRESS}/                 its web page\n\
         \x20   vlimit --xid {XID} -a                  its limits\n\
         \x20   vserver demo stop; vserver demo start\n\
         \x20   cargo xtask demo --clean               remove every trace"
    )
}
