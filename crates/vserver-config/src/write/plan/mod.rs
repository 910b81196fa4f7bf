//! Which files must change so that a directory says what a configuration says. A setting that is read as wanted already
//! is left alone, however it is written.

mod devices;
mod disk;
mod flags;
mod identity;
mod init;
mod limits;
mod mounts;
mod network;
mod sched;

use std::path::Path;

use super::editor::{Changes, Editor};
use crate::error::Error;
use crate::model::GuestConfig;

/// The changes of the guest's directory `dir`, which says `now` (as far as it can be understood), that make it say
/// `wanted`. Whether they do is for the caller to try: not every value can be said.
pub(super) fn plan(dir: &Path, confdir: &Path, now: &GuestConfig, wanted: &GuestConfig) -> Result<Changes, Error> {
    let defaults = &confdir.join(".defaults");
    let mut editor = Editor::new(dir);
    identity::plan(&mut editor, now, wanted);
    flags::plan(&mut editor, now, wanted);
    init::plan(&mut editor, now, wanted);
    network::plan(&mut editor, defaults, now, wanted);
    limits::plan(&mut editor, defaults, now, wanted);
    sched::plan(&mut editor, now.sched.as_ref(), wanted.sched.as_ref());
    mounts::plan(&mut editor, now, wanted);
    disk::plan(&mut editor, now, wanted);
    devices::plan(&mut editor, now, wanted);
    editor.changes()
}

/// The settings in which two configurations of one guest differ. Where an entry of `fstab` stands in its file is no
/// setting, and what nothing applies is a finding.
pub(super) fn differences(one: &GuestConfig, other: &GuestConfig) -> Vec<&'static str> {
    let mut found = Vec::new();
    // A new field must be named here, and written by one of the modules above.
    macro_rules! compare {
        ($($field:ident),*) => {
            let GuestConfig { $($field,)* fstab: _, unapplied: _ } = one;
            $(if *$field != other.$field { found.push(stringify!($field)); })*
        };
    }
    compare!(
        name,
        dir,
        display_name,
        vdir,
        run_target,
        cache,
        context,
        ncontext,
        no_ncontext,
        disabled,
        shell,
        keepfds,
        noisy,
        userns,
        apparmor,
        bcaps,
        ccaps,
        cflags,
        ncaps,
        nflags,
        umask,
        init,
        uts,
        interfaces,
        network_space,
        traffic,
        lback,
        bcast,
        rlimits,
        ulimits,
        sched,
        hz,
        cpuset,
        cpuset_virtualized,
        cgroup,
        cgroup_base,
        nice,
        ionice,
        badness,
        personality,
        tag,
        dlimits,
        image,
        devices,
        sysctl
    );
    if !mounts::same(&one.fstab, &other.fstab) {
        found.push("fstab");
    }
    found
}
