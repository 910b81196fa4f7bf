//! Every configuration that the tree can say.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnetwork::Ipv4Network;
use proptest::option;
use proptest::prelude::*;
use vserver_config::{AppArmor, FstabEntry, GuestConfig, HZ, Interface, NetworkSpace, Tun, Userns, Uts, Vlan};
use vserver_types::{CgroupBase, ContextCaps, ContextFlags, FlagEdit, GuestAddress, NetCaps, NetFlags, Nid, Xid};

use crate::{disk, life, numbers};

/// Where it lies before it is put somewhere.
const DIR: &str = "/confdir/g";

/// A value of one line.
pub fn scalar() -> impl Strategy<Value = String> {
    "\\PC{1,14}"
}

/// A list's items.
pub fn items() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[^\\p{C}#]\\PC{0,8}", 0..4)
}

#[derive(Clone, Debug)]
struct Flags {
    bcaps: FlagEdit,
    umask: FlagEdit,
    ccaps: ContextCaps,
    cflags: ContextFlags,
    ncaps: NetCaps,
    nflags: NetFlags,
}

fn flags() -> impl Strategy<Value = Flags> {
    let edit = || prop_oneof![Just(FlagEdit::default()), (any::<u64>(), any::<u64>()).prop_map(edited)];
    let word = |usual: u64| prop_oneof![Just(usual), any::<u64>()];
    let usual = NetFlags::KERNEL_DEFAULT;
    (edit(), edit(), word(ContextCaps::SECURE), word(ContextFlags::START), word(NetCaps::SECURE), word(usual))
        .prop_map(|(bcaps, umask, ccaps, cflags, ncaps, nflags)| Flags {
            bcaps,
            umask,
            ccaps: ContextCaps(ccaps),
            cflags: ContextFlags(cflags),
            ncaps: NetCaps(ncaps),
            nflags: NetFlags(nflags),
        })
}

fn edited((value, mask): (u64, u64)) -> FlagEdit {
    FlagEdit { value: value & mask, mask }
}

fn uts() -> impl Strategy<Value = Uts> {
    let name = || option::of("\\PC{0,14}");
    (name(), name(), name(), name(), name(), name()).prop_map(
        |(sysname, nodename, release, version, machine, domainname)| Uts {
            sysname,
            nodename,
            release,
            version,
            machine,
            domainname,
        },
    )
}

fn interfaces() -> impl Strategy<Value = Vec<Interface>> {
    prop::collection::btree_map("if[0-9a-z]{1,2}", interface(), 0..4)
        .prop_map(|all| all.into_iter().map(|(dir, interface)| Interface { dir, ..interface }).collect())
}

fn interface() -> impl Strategy<Value = Interface> {
    let dev = option::of(prop_oneof!["[a-z]{1,6}", "[a-z]{1,4}\\.[0-9]{1,3}"]);
    let bcast = option::of(any::<Ipv4Addr>());
    let peer = option::of(any::<IpAddr>().prop_map(|ip| ip.to_string()));
    let more = (peer, option::of(scalar()), any::<bool>(), any::<bool>(), any::<bool>());
    (host(), option::of(0u8..=128), dev, option::of("[!-~]{1,6}"), bcast, more, option::of(tun())).prop_map(
        |(ip, prefix, dev, name, bcast, (peer, scope, nodev, up, vlan), tun)| {
            let prefix = prefix.map(|prefix| if ip.is_ipv4() { prefix % 33 } else { prefix });
            let computed = match (ip, prefix) {
                (IpAddr::V4(ip), Some(prefix @ 0..=30)) => Some(Ipv4Network::new(ip, prefix).unwrap().broadcast()),
                _ => None,
            };
            let nodev = nodev || dev.is_none();
            let tun = tun.filter(|_| !nodev);
            let parts = dev.as_ref().and_then(|dev| dev.split_once('.')).filter(|_| vlan && !nodev && tun.is_none());
            Interface {
                dir: String::new(),
                address: GuestAddress { ip, prefix },
                nodev,
                label: name.and_then(|name| dev.as_ref().map(|dev| format!("{dev}:{name}"))),
                broadcast: if ip.is_ipv4() { bcast.or(computed) } else { None },
                peer,
                scope,
                up,
                vlan: parts.map(|(parent, id)| Vlan { parent: parent.to_owned(), id: id.parse().unwrap() }),
                tun,
                dev,
            }
        },
    )
}

/// The address of one host.
fn host() -> impl Strategy<Value = IpAddr> {
    let v4 = (1u32..0xe000_0000).prop_map(|ip| IpAddr::V4(Ipv4Addr::from_bits(ip)));
    let v6 = (1u128..0xff << 120).prop_map(|ip| IpAddr::V6(ip.into()));
    prop_oneof![v4, v6]
}

fn tun() -> impl Strategy<Value = Tun> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let numbers = (option::of(0..u32::MAX), option::of(0..u32::MAX), option::of(any::<u16>()));
    (flags, numbers).prop_map(|((tap, nocsum, shared), (uid, gid, linktype))| Tun {
        tap,
        nocsum,
        shared,
        uid,
        gid,
        linktype,
    })
}

/// A namespace with a name is made of files that whoever wants one writes.
fn network_space() -> impl Strategy<Value = NetworkSpace> {
    let other = "[a-f]{1,8}|[1-9][0-9]{1,4}".prop_map(NetworkSpace::Of);
    prop_oneof![Just(NetworkSpace::Host), Just(NetworkSpace::Own), other]
}

/// The entries of the three files in their order, each on the line where the first writing puts it.
fn fstab() -> impl Strategy<Value = Vec<FstabEntry>> {
    let entry = || {
        let option =
            prop::sample::select(vec!["defaults", "ro", "rw", "bind", "rbind", "size=16m", "x-mine", "nodev"]);
        let kind = option::of(prop::sample::select(vec!["tmpfs", "ext4", "nfs", "proc"]));
        let options = prop::collection::vec(option.prop_map(str::to_owned), 1..4);
        ("[!-\"$-~é][!-~]{0,8}", "/[!-~]{0,8}", kind, options, any::<u32>())
    };
    let file = || prop::collection::vec(entry(), 0..3);
    (file(), file(), file()).prop_map(|(fstab, local, remote)| {
        let mut all = Vec::new();
        for (name, entries) in [("fstab", fstab), ("fstab.local", local), ("fstab.remote", remote)] {
            all.extend((1..).zip(entries).map(|(line, (source, target, fstype, options, pass))| FstabEntry {
                source,
                target,
                fstype: fstype.map(str::to_owned),
                options,
                file: PathBuf::from(DIR).join(name),
                line,
                pass,
                remote: name == "fstab.remote",
            }));
        }
        all
    })
}

#[derive(Clone, Debug)]
struct Identity {
    display_name: String,
    vdir: PathBuf,
    run_target: PathBuf,
    cache: Option<PathBuf>,
    context: Option<Xid>,
    ncontext: Option<Nid>,
    shell: Option<String>,
    apparmor: AppArmor,
    marks: [bool; 5],
}

fn identity() -> impl Strategy<Value = Identity> {
    let path = || "/[a-z]{1,5}/[a-z]{1,5}".prop_map(PathBuf::from);
    let numbers = (option::of(2u32..=49151), option::of(2u32..=65535));
    let vdir = prop_oneof![path(), Just(PathBuf::from(DIR).join("vdir"))];
    (scalar(), vdir, path(), option::of(path()), numbers, (option::of(scalar()), apparmor()), any::<[bool; 5]>())
        .prop_map(|(display_name, vdir, run_target, cache, (context, ncontext), (shell, apparmor), marks)| Identity {
            display_name,
            vdir,
            run_target,
            cache,
            context: context.map(Xid),
            ncontext: ncontext.or(context).map(Nid),
            shell,
            apparmor,
            marks,
        })
}

fn apparmor() -> impl Strategy<Value = AppArmor> {
    let profile = "[a-z][a-z/ ]{0,8}[a-z]".prop_map(AppArmor::Profile);
    prop_oneof![Just(AppArmor::Own), Just(AppArmor::Off), profile]
}

/// A whole guest.
pub fn config() -> impl Strategy<Value = GuestConfig> {
    let network = (interfaces(), network_space(), option::of(any::<Ipv4Addr>()), option::of(any::<Ipv4Addr>()));
    let words = (identity().boxed(), flags().boxed(), life::init().boxed(), uts().boxed());
    (words, network.boxed(), numbers::numbers().boxed(), fstab().boxed(), disk::disk().boxed()).prop_map(
        |((identity, flags, init, uts), (interfaces, network_space, lback, bcast), numbers, fstab, disk)| {
            GuestConfig {
                name: "g".parse().unwrap(),
                dir: PathBuf::from(DIR),
                display_name: identity.display_name,
                vdir: identity.vdir,
                run_target: identity.run_target,
                cache: identity.cache,
                context: identity.context,
                ncontext: identity.ncontext,
                no_ncontext: identity.marks[0],
                disabled: identity.marks[1],
                shell: identity.shell,
                keepfds: identity.marks[2],
                noisy: identity.marks[3],
                userns: if identity.marks[4] { Userns::Off } else { Userns::Auto },
                apparmor: identity.apparmor,
                bcaps: flags.bcaps,
                ccaps: flags.ccaps,
                cflags: flags.cflags,
                ncaps: flags.ncaps,
                nflags: flags.nflags,
                umask: flags.umask,
                init,
                uts,
                interfaces,
                network_space,
                traffic: disk.traffic,
                lback,
                bcast,
                rlimits: numbers.rlimits,
                ulimits: numbers.ulimits,
                sched: numbers.sched,
                hz: HZ,
                cpuset: numbers.cpuset,
                cpuset_virtualized: numbers.cpuset_virtualized,
                cgroup: numbers.cgroup,
                cgroup_base: CgroupBase::default(),
                nice: numbers.nice,
                ionice: numbers.ionice,
                badness: numbers.badness,
                personality: numbers.personality,
                fstab,
                tag: disk.tag,
                dlimits: disk.dlimits,
                image: disk.image,
                devices: disk.devices,
                sysctl: numbers.sysctl,
                unapplied: Vec::new(),
            }
        },
    )
}
