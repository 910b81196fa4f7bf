//! From a plan to a guest that runs, or to nothing.

use std::os::fd::AsFd;

use vserver_config::Flavour;
use vserver_fs::GuestRoot;
use vserver_sys::landlock;
use vserver_types::{GuestName, Unenforced};

use super::Start;
use crate::change::running;
use crate::early::Early;
use crate::error::{Error, Result};
use crate::hold::Loading;
use crate::host::Host;
use crate::launch::{self, LANDLOCK_SCOPES, Launched, Wishes};
use crate::plan::Plan;
use crate::prepare::Prepared;
use crate::record::RunRecord;
use crate::{mounts, netns, prepare, shared, teardown};

impl Start<'_> {
    pub(super) fn raise(&mut self, plan: Plan, early: Early, loading: Loading) -> Result<Launched> {
        let mut record =
            RunRecord::new(self.name.clone(), plan.xid, plan.nid, self.host.confdir.clone(), plan.run_file.clone());
        record.id_base = plan.id_base;
        record.stop_timeout = plan.stop_timeout.as_secs();
        record.rescue = self.options.rescue.is_some();
        record.errand = self.options.errand.is_some();
        let mut network = None;
        let prepared = prepare::prepare(self.host, plan, record, loading, &mut network, self.interrupts);
        let result = prepared.and_then(|prepared| self.launch(prepared, early));
        if result.is_err()
            && let Some(mut record) = RunRecord::load(self.host, self.name)?
        {
            netns::undo_with(&mut record, network.as_ref());
            // The first failure is the one to report; what could not be undone stays in the record for the next command.
            teardown::teardown(self.host, &record).ok();
        }
        result
    }

    fn launch(&mut self, mut prepared: Prepared, early: Early) -> Result<Launched> {
        self.warnings.append(&mut prepared.warnings);
        self.scripts.run(Flavour::PreStart, &prepared.plan.tree)?;
        self.hear_scripts(&mut prepared.plan);
        // A script may have mounted something, even on the tree itself.
        prepared.carried = mounts::below(&prepared.plan.tree, self.name)?;
        let tree = GuestRoot::open(&prepared.plan.tree).map_err(Error::layer("open the tree", self.name))?;
        prepared.layers = shared::layers(self.host, &tree, &mut prepared)?;
        prepared.tree = tree.as_fd().try_clone_to_owned().map_err(Error::io("keep open", &prepared.plan.tree))?;
        let scope = landlock::abi() >= LANDLOCK_SCOPES;
        prepared.record.unenforced.extend((!scope).then(no_landlock));
        if self.interrupts.came() {
            return Err(self.interrupted());
        }
        let wishes = Wishes { scope, strict: self.options.strict };
        launch::launch(self.host, prepared, wishes, (early, self.stage), self.interrupts)
    }
}

fn no_landlock() -> Unenforced {
    let reason = "this kernel has no Landlock scopes (Linux 6.12): guests on the host's network can reach each other's \
                  abstract unix sockets; give guests that you do not trust a network namespace";
    Unenforced::none("abstract unix sockets", reason)
}

/// `sched_pause`: the guest's first process has stopped itself before its program, or is about to. `vattribute --set
/// --flag ~sched_pause` lets it go.
pub(super) fn await_hold(host: &Host, name: &GuestName) -> Result<()> {
    let cgroup = running(host, name)?.cgroup_of_running()?;
    cgroup.await_frozen().map_err(Error::layer("put it on hold", name))
}
