//! `vm boot`: Debian 12 with systemd as PID 1 really boots under qemu, starts marked guests through the units that
//! `install` lays, and powers off. What happened is read from its disk afterwards, and judged.
//!
//! ```text
//!  Debian tree + install + guests ─ mkfs.ext4 -d ─► image ─ qemu ─► image ─ debugfs ─► evidence ─ judge ─► faults
//! ```

mod evidence;
mod image;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::shell::{KEEP, say};

/// TCG is slow, and the machine may be busy.
const LONGEST: Duration = Duration::from_secs(900);

/// Runs the scenario.
pub fn run() -> Outcome {
    let home = Path::new(KEEP).join("vm");
    super::ensure_qemu()?;
    let kernel = super::kernel(&home)?;
    let work = home.join(format!("boot-{}", std::process::id()));
    let result = in_directory(&home, &kernel, &work);
    // What failed is kept to be looked at.
    if result.is_ok() {
        let _ = fs::remove_dir_all(&work);
    }
    result
}

fn in_directory(home: &Path, kernel: &Path, work: &Path) -> Outcome {
    let io = |error: std::io::Error| format!("could not work in {}: {error}", work.display());
    fs::create_dir_all(work).map_err(io)?;
    image::make(&home.join("kernel"), work)?;
    say("booting Debian 12 with systemd; it powers off by itself");
    let took = boot(kernel, work).map_err(io)?;
    let found = evidence::read(work)?;
    println!("{}", found.shown());
    let faults = found.faults();
    let Some(took) = took else {
        let serial = fs::read_to_string(work.join("serial")).unwrap_or_default();
        let last: Vec<&str> = serial.lines().rev().take(25).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        return Err(format!(
            "it did not power off within {} s; its console:\n{}",
            LONGEST.as_secs(),
            last.join("\n")
        ));
    };
    say(&format!("from power on to power off: {:.0} s", took.as_secs_f32()));
    if faults.is_empty() {
        println!("boot: guests started and stopped in order, and the host powered off cleanly");
        return Ok(());
    }
    Err(format!("{}\n(kept: {})", faults.join("\n"), work.display()))
}

/// How long it ran; `None` if it had to be ended.
fn boot(kernel: &Path, work: &Path) -> std::io::Result<Option<Duration>> {
    let drive = format!("file={},if=virtio,format=raw,cache=unsafe", work.join("image").display());
    let serial = format!("file:{}", work.join("serial").display());
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536"]);
    qemu.args(["-display", "none", "-nodefaults", "-no-reboot", "-serial", &serial, "-drive", &drive]);
    qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(work.join("initrd"));
    qemu.args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off systemd.show_status=1 rw"]);
    qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(work.join("qemu.log"))?);
    let (begun, mut child) = (Instant::now(), qemu.spawn()?);
    while child.try_wait()?.is_none() {
        if begun.elapsed() > LONGEST {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(Some(begun.elapsed()))
}
