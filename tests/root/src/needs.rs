//! What a test needs from the machine beyond root.

use std::path::Path;
use std::sync::OnceLock;

/// Something that a machine may lack.
#[derive(Clone, Debug)]
pub enum Need {
    /// A program in `PATH`.
    Tool(&'static str),
    /// A kernel that makes VLAN devices.
    Vlans,
    /// A kernel that makes tun devices.
    Tun,
    /// A kernel with SCTP, built in or to be loaded.
    Sctp,
    /// A kernel without.
    NoSctp,
    /// A kernel with loop devices.
    Loop,
    /// A kernel with FUSE.
    Fuse,
    /// A kernel with this type of file systems, built in or loaded.
    FileSystem(&'static str),
    /// A kernel that holds projects to quotas.
    Quotas,
    /// A kernel that does not.
    NoQuotas,
    /// A kernel that uses AppArmor.
    AppArmor,
    /// A kernel that does not.
    NoAppArmor,
    /// A mirror of Debian, which the host's apt reaches.
    Mirror,
    /// This workspace's probe program, built beside us.
    #[allow(dead_code)]
    Probe,
}

impl Need {
    /// Whether nothing that could be installed would meet it: such a test says nothing about this machine.
    pub fn is_of_the_kernel(&self) -> bool {
        matches!(
            self,
            Self::Vlans
                | Self::Tun
                | Self::Sctp
                | Self::NoSctp
                | Self::Loop
                | Self::Fuse
                | Self::FileSystem(_)
                | Self::Quotas
                | Self::NoQuotas
                | Self::AppArmor
                | Self::NoAppArmor
        )
    }

    /// Why it is not met, or nothing.
    pub fn unmet(&self) -> Option<String> {
        match self {
            Self::Tool(tool) if !in_path(tool) => Some(format!("needs the program {tool}")),
            Self::Vlans if !makes(VLAN) => Some("not applicable: this kernel has no VLAN devices (8021q)".into()),
            Self::Tun if !makes("ip tuntap add dev t mode tun") => {
                Some("not applicable: this kernel has no tun devices (tun)".into())
            }
            Self::Sctp if !has_sctp() => {
                Some("not applicable: this kernel has no SCTP (cargo xtask vm sctp::)".into())
            }
            Self::NoSctp if has_sctp() => Some("not applicable: this kernel has SCTP".into()),
            Self::Loop if !Path::new("/dev/loop-control").exists() => {
                Some("not applicable: this kernel has no loop devices (loop)".into())
            }
            Self::Fuse if !Path::new("/dev/fuse").exists() => {
                Some("not applicable: this kernel has no FUSE (fuse)".into())
            }
            Self::FileSystem(kind) if !knows(kind) => {
                Some(format!("not applicable: this kernel has no {kind} (cargo xtask vm block_mounts::)"))
            }
            Self::Quotas if !has_quotas() => {
                Some("not applicable: this kernel has no quotas (cargo xtask vm disk::)".into())
            }
            Self::NoQuotas if has_quotas() => Some("not applicable: this kernel has quotas".into()),
            Self::AppArmor if !has_apparmor() => {
                Some("not applicable: this kernel has no AppArmor (cargo xtask vm apparmor::)".into())
            }
            Self::NoAppArmor if has_apparmor() => Some("not applicable: this kernel has AppArmor".into()),
            Self::Mirror if !reaches_a_mirror() => {
                Some("needs a mirror of Debian, and apt-get reaches none (no network?)".into())
            }
            Self::Probe if !crate::fixture::program("vserver-probe").exists() => {
                Some("needs vserver-probe (cargo build --release -p vserver-probe)".into())
            }
            _ => None,
        }
    }
}

/// On a device that takes them.
const VLAN: &str = "ip tuntap add dev t mode tap && ip link add link t name t.1 type vlan id 1";

/// Tried in a network namespace of its own.
fn makes(device: &str) -> bool {
    let tried = std::process::Command::new("unshare").args(["-n", "sh", "-c", device]).output();
    tried.is_ok_and(|output| output.status.success())
}

fn knows(kind: &str) -> bool {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    known.lines().any(|line| line.split_whitespace().last() == Some(kind))
}

/// Tried once, on an ext4 in a mount namespace of its own: a kernel has the files of quotas in /proc/sys also where it has
/// none of their formats.
fn has_quotas() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let script = "set -e; image=$(mktemp); trap 'rm $image' EXIT; truncate -s 16M $image
        mkfs.ext4 -q -F -O project,quota $image; mount -o loop,prjquota $image /mnt";
    let tried = || std::process::Command::new("unshare").args(["-m", "sh", "-c", script]).output();
    *FOUND.get_or_init(|| tried().is_ok_and(|output| output.status.success()))
}

fn has_sctp() -> bool {
    vserver_sys::socket::has_sctp().unwrap_or(false)
}

fn has_apparmor() -> bool {
    std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.trim() == "Y")
}

/// Tried once, with a small package.
fn reaches_a_mirror() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let script = "set -e; dir=$(mktemp -d); trap 'rm -r $dir' EXIT; cd $dir
        apt-get -q -o Acquire::Retries=0 -o Acquire::http::Timeout=10 download netbase";
    let tried = || std::process::Command::new("sh").args(["-c", script]).output();
    *FOUND.get_or_init(|| tried().is_ok_and(|output| output.status.success()))
}

fn in_path(tool: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/sbin"]).any(|dir| Path::new(dir).join(tool).exists())
}
