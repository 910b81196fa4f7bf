//! Up to a plan: the guest's tree comes into sight, and the scripts have their say.

use vserver_config::{Flavour, GuestConfig};

use super::Start;
use crate::choose::{choose_xid, cpus};
use crate::early::Early;
use crate::errand::Errand;
use crate::error::Result;
use crate::hold::Loading;
use crate::init_style::{self, First};
use crate::inspect::{judge, judge_disk, judge_links};
use crate::plan::Plan;
use crate::settings::StopPlan;
use crate::workshop;
use crate::{disk, mounts, quotas};

impl Start<'_> {
    /// Up to the point where the guest's tree can be looked at. A script may have changed the configuration.
    pub(super) fn begin(&mut self, config: GuestConfig) -> Result<GuestConfig> {
        let ran = self.scripts.run(Flavour::Initialize, &self.directory())?;
        let config = if ran { vserver_config::read(&self.host.confdir, self.name)?.0 } else { config };
        mounts::check(&config, self.interrupts)?;
        judge_disk(&config)?;
        if let Some(image) = &config.image {
            self.warnings.extend(quotas::mount(image, &config)?);
        }
        if let Some(root) = mounts::plan(&config).0.root {
            self.warnings.extend(mounts::mount_root(&root, &config.vdir, self.name, self.interrupts)?);
        }
        judge(&config)?;
        Ok(config)
    }

    /// The filters and the address programs, which take the longest, begin to be made as soon as it is known what they are.
    pub(super) fn plan(&mut self, config: &GuestConfig, early: &mut Early) -> Result<(Plan, Loading)> {
        let xid = choose_xid(self.host, config)?;
        let made = match &self.options.errand {
            Some(Errand::Beside(toolbox)) => Some(workshop::make(self.host, config, xid, toolbox)?),
            _ => None,
        };
        let moved = made.as_ref().map(|made| made.config_for(config));
        let (own, config) = (config, moved.as_ref().unwrap_or(config));
        let mut plan = Plan::from_config(config, xid, cpus(), self.options.rescue.as_ref())?;
        early.compile(plan.calls);
        let loading = early.load(plan.network.as_ref(), &plan.traffic);
        if let Some(made) = made {
            (plan.workshop, plan.disk) = (Some(made.workshop), disk::plan(own).0);
        }
        if self.options.trace_sysv {
            init_style::trace_sysv(&mut plan.init);
        }
        self.tell_scripts(&plan);
        self.scripts.run(Flavour::PrepreStart, &self.directory())?;
        judge_links(config)?;
        self.hear_scripts(&mut plan);
        Ok((plan, loading))
    }

    fn tell_scripts(&mut self, plan: &Plan) {
        self.scripts.define("INITSTYLE", &plan.init.style);
        self.scripts.define("N_CONTEXT", plan.nid);
        self.scripts.define_array("OPTS_ENV", plan.environment.clone());
        let (First::Init(first) | First::Reaper(first)) = &plan.init.first;
        self.scripts.define_array("INITCMD_START", first.clone());
        if let StopPlan::Command(stop) = &plan.init.stop {
            self.scripts.define_array("INITCMD_STOP", stop.clone());
        }
    }

    pub(super) fn hear_scripts(&mut self, plan: &mut Plan) {
        plan.environment = self.scripts.array("OPTS_ENV").to_vec();
        let start = self.scripts.array("INITCMD_START");
        let (First::Init(first) | First::Reaper(first)) = &mut plan.init.first;
        if !start.is_empty() {
            *first = start.to_vec();
        }
        if let StopPlan::Command(stop) = &mut plan.init.stop {
            *stop = self.scripts.array("INITCMD_STOP").to_vec();
        }
        self.warnings.extend(self.scripts.without_effect());
    }
}
