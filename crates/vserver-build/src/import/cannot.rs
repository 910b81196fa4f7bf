//! What a guest cannot do, of all that a machine did.

use std::collections::BTreeSet;

use vserver_fs::GuestRoot;

use crate::Error;
use crate::tame::{self, Init, System};

/// Services that need the kernel for themselves, and what to do.
const SERVICES: [(&[&str], &str); 9] = [
    (
        &["nfs-kernel-server", "nfs-server", "nfs", "nfsserver"],
        "serving NFS: the kernel does that, for the whole host; serve it from the host, or with a server that is a program (nfs-ganesha)",
    ),
    (
        &["docker", "containerd", "crio", "lxc", "lxd", "podman"],
        "containers inside the guest: they need rights that a guest has not; make guests of them",
    ),
    (
        &["libvirtd", "virtqemud", "xend", "vz"],
        "virtual machines inside the guest: the processor's virtualisation is the host's",
    ),
    (
        &["openvpn", "openvpn-server", "wg-quick", "strongswan", "ipsec", "tinc"],
        "tunnels, unless the guest is given a device (docs/tunnels.md) or a network of its own",
    ),
    (&["drbd", "corosync", "pacemaker", "ocfs2", "glusterd"], "shared disks: they are the host's"),
    (&["keepalived", "heartbeat", "vrrpd", "ucarp"], "moving addresses: they are given from outside"),
    (
        &["isc-dhcp-server", "dhcpd", "dhcpd4", "isc-kea-dhcp4-server", "kea-dhcp4"],
        "answering DHCP, which needs raw sockets on an interface: give the guest a network of its own (docs/network.md)",
    ),
    (&["fail2ban", "denyhosts"], "blocking addresses in the packet filter, which is the host's"),
    (&["autofs", "automount"], "mounting on demand: mount it from outside, by the guest's fstab"),
];

/// One sentence each.
pub(super) fn of(root: &GuestRoot, system: &System, enabled: &BTreeSet<String>) -> Result<Vec<String>, Error> {
    let mut told = Vec::new();
    if system.init == Init::None {
        told.push("there is no /sbin/init in it: it can be entered and run commands, but starts nothing".to_owned());
    }
    told.extend(foreign_machine(root)?);
    for (names, what) in SERVICES {
        if let Some(name) = names.iter().find(|name| enabled.contains(**name)) {
            told.push(format!("{name}: {what}"));
        }
    }
    told.extend(mounts(root)?);
    for file in ["etc/modules", "etc/modprobe.conf"] {
        let modules = tame::text(root, file)?.unwrap_or_default();
        let modules: Vec<&str> =
            modules.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        if !modules.is_empty() {
            told.push(format!("/{file} loads {}: modules are loaded on the host", modules.join(", ")));
        }
    }
    let selinux = tame::text(root, "etc/selinux/config")?.unwrap_or_default();
    if selinux.lines().any(|line| line.trim() == "SELINUX=enforcing") {
        told.push("SELinux: the kernel's policies are the host's, labels of files are not kept".to_owned());
    }
    if tame::text(root, "etc/crypttab")?
        .is_some_and(|text| text.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#')))
    {
        told.push("/etc/crypttab opens encrypted disks: open them on the host".to_owned());
    }
    Ok(told)
}

fn mounts(root: &GuestRoot) -> Result<Vec<String>, Error> {
    let mut told = Vec::new();
    for line in tame::fstab_lines(root)? {
        let (source, target, kind) = (&line.source, &line.target, line.kind.as_str());
        match kind {
            "nfs" | "nfs4" | "cifs" | "smbfs" | "ceph" | "glusterfs" => told.push(format!(
                "{kind} {source} on {target}: mount it from outside, with a line in the guest's fstab on the host"
            )),
            _ if (source.starts_with("/dev/mapper/") || source.starts_with("/dev/md"))
                && target != "/"
                && kind != "swap" =>
            {
                told.push(format!(
                    "{source} on {target}: volumes are the host's; its content is part of the guest's tree now"
                ));
            }
            _ => {}
        }
    }
    Ok(told)
}

/// Programs for another processor. The machine is a field of the ELF header, as are class and byte order. elf(5).
fn foreign_machine(root: &GuestRoot) -> Result<Option<String>, Error> {
    const MACHINES: [(u16, &str); 8] = [
        (3, "x86 with 32 bits"),
        (62, "x86_64"),
        (40, "ARM with 32 bits"),
        (183, "aarch64"),
        (21, "ppc64"),
        (243, "RISC-V"),
        (22, "s390"),
        (8, "MIPS"),
    ];
    let own: &[u16] = if cfg!(target_arch = "aarch64") { &[183, 40] } else { &[62, 3] };
    for program in ["bin/sh", "usr/bin/sh", "bin/busybox", "sbin/init"] {
        if root.kind(program)? != Some(vserver_fs::Kind::File) {
            continue;
        }
        let mut head = [0; 20];
        use std::io::Read;
        let read = root.open_file(program)?.read(&mut head).map_err(Error::io("read", program))?;
        if read == head.len() && head.starts_with(b"\x7fELF") {
            let machine = u16::from_le_bytes([head[18], head[19]]);
            let name =
                MACHINES.iter().find(|(number, _)| *number == machine).map_or("another processor", |(_, name)| name);
            let told = format!("its programs are for {name}, which this host's processor does not run");
            return Ok((!own.contains(&machine)).then_some(told));
        }
    }
    Ok(None)
}
