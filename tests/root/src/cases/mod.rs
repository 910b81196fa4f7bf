//! The tests of this product's verbs and promises, one file per subject.

mod address;
mod antispoof;
mod apparmor;
mod bad_input;
mod block_mounts;
mod build;
mod burst;
mod catalog;
mod cgroup_base;
mod check;
mod daemon;
mod debian;
mod devices;
pub mod disk;
mod disk_own;
mod disk_quotas;
mod doctor;
mod duplicate;
mod each;
mod edges;
mod enter;
mod exec;
mod family;
mod firewall;
mod flags;
mod flags_net;
mod fstab;
mod helper;
mod hide_netif;
mod host_address;
mod host_settings;
mod image_mounts;
mod import;
mod interrupt;
mod killed_rename;
mod killed_unify;
mod late_mount;
mod life;
mod limits;
mod loop_places;
mod many;
mod memory;
mod methods;
mod naddress;
mod nat;
mod netns;

mod oci;
mod outside;
mod own_proc;
mod packages;
mod prefix;
mod proc_net;
mod programs;
mod prolific;
mod reboot;
mod removal;
mod samples;
mod scripts;
mod sctp;
mod small;
mod snapshots;
mod sockets;
mod standing;
mod start_options;
mod strict;
mod styles;
mod switch;
mod templates;
mod traffic;
mod transcripts;
mod transports;
mod tun;
mod unify;
mod watch;

use crate::trial::Trial;

/// Each file's.
const FILES: &[fn() -> Vec<Trial>] = &[
    life::tests,
    exec::tests,
    each::tests,
    edges::tests,
    enter::tests,
    reboot::tests,
    removal::tests,
    doctor::tests,
    duplicate::tests,
    limits::tests,
    burst::tests,
    catalog::tests,
    cgroup_base::tests,
    check::tests,
    many::tests,
    memory::tests,
    watch::tests,
    transcripts::tests,
    traffic::tests,
    transports::tests,
    tun::tests,
    unify::tests,
    snapshots::tests,
    sockets::tests,
    killed_unify::tests,
    interrupt::tests,
    killed_rename::tests,
    apparmor::tests,
    bad_input::tests,
    block_mounts::tests,
    build::tests,
    host_address::tests,
    host_settings::tests,
    image_mounts::tests,
    loop_places::tests,
    import::tests,
    methods::tests,
    oci::tests,
    templates::tests,
    debian::tests,
    devices::tests,
    disk::tests,
    disk_own::tests,
    disk_quotas::tests,
    address::tests,
    antispoof::tests,
    naddress::tests,
    nat::tests,
    netns::tests,
    switch::tests,
    strict::tests,
    outside::tests,
    own_proc::tests,
    packages::tests,
    daemon::tests,
    prefix::tests,
    prolific::tests,
    proc_net::tests,
    programs::tests,
    firewall::tests,
    flags::tests,
    flags_net::tests,
    hide_netif::tests,
    scripts::tests,
    sctp::tests,
    samples::tests,
    styles::tests,
    start_options::tests,
    standing::tests,
    small::tests,
    helper::tests,
    family::tests,
    fstab::tests,
    late_mount::tests,
];

/// All of them.
pub fn tests() -> Vec<Trial> {
    FILES.iter().flat_map(|tests| tests()).collect()
}
