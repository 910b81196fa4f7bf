//! What holds a guest to its devices and addresses: programs in its cgroup. The kernel's check and compilation of the
//! many address programs takes as long as all else that the launcher does, so they are loaded beside it. When the launcher
//! wants to fork, for which it must be alone, that stops between two of them; what is left is loaded, and all are
//! attached, while the guest is being built. The guest executes nothing before they are there.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vserver_cgroup::{DevicePolicy, DeviceProgram, GuestCgroup};
use vserver_config::NetworkSpace;
use vserver_net::{Held, Place, Programs, Steer};
use vserver_types::{Traffic, Unenforced};

use crate::beside::{Beside, Coming};
use crate::devices;
use crate::error::{Error, Result};
use crate::plan::{NetworkPlan, Plan};

/// Programs on their way into the kernel.
#[derive(Debug)]
pub struct Loading {
    programs: Coming<std::result::Result<Option<Programs>, vserver_net::Error>>,
    /// It shall stop as soon as it can.
    enough: Arc<AtomicBool>,
}

/// Programs that are not attached, and perhaps not all loaded; `None`: this kernel cannot count, and nobody asked for more.
#[derive(Debug)]
pub struct Ready(Option<Programs>);

impl Loading {
    /// Begins. A guest that has all of the host's addresses, or a stack of its own, is only counted and held to its rates.
    pub fn begin(beside: &Beside, network: Option<&NetworkPlan>, traffic: &Traffic) -> Self {
        let (policy, free) = (network.map(NetworkPlan::policy), *traffic == Traffic::default());
        let enough = Arc::new(AtomicBool::new(false));
        let hurried = Arc::clone(&enough);
        let programs = beside.ask(move || match policy {
            Some(policy) => {
                let mut programs = Programs::begin(&policy, Steer::Yes)?;
                programs.load_until(|| hurried.load(Ordering::Relaxed))?;
                Ok(Some(programs))
            }
            None => match Programs::load_meter() {
                Err(_) if free => Ok(None),
                loaded => loaded.map(Some),
            },
        });
        Self { programs, enough }
    }

    /// Lets it stop, and waits for that. Fails closed: without the programs a guest would have the host's addresses.
    pub fn finish(self, plan: &Plan) -> Result<Ready> {
        self.enough.store(true, Ordering::Relaxed);
        let programs = self.programs.wait(&plan.name, "the thread that loads its address programs")?;
        programs.map(Ready).map_err(Error::layer("hold the guest to its addresses", &plan.name))
    }
}

impl Ready {
    /// What the guest's keeper has to hold on to, if anything.
    pub fn steering(&self, plan: &Plan) -> Result<Option<Held>> {
        let copied = self.0.as_ref().map(Programs::steering).transpose();
        copied.map(Option::flatten).map_err(Error::layer("copy a descriptor", &plan.name))
    }

    /// Loads what is left of the programs, and attaches them. They belong to the cgroup directory and vanish with it. Returns what they cannot enforce.
    /// `early` is the program of the default device policy, if somebody has it.
    pub fn attach(self, plan: &Plan, cgroup: &GuestCgroup, early: Option<DeviceProgram>) -> Result<Vec<Unenforced>> {
        // The programs of the guest around hold for all below its cgroup; here nobody loads any.
        if !plan.around.is_host() {
            return Ok(Vec::new());
        }
        let rules: Vec<_> = plan.limits.raw.iter().cloned().chain(devices::rules(&plan.devices)).collect();
        let (devices, mut found) = DevicePolicy::default().with_raw(&rules);
        let early = early.filter(|_| devices == DevicePolicy::default());
        let restricted = early.map_or_else(|| cgroup.device_policy(&devices), |early| cgroup.device_program(&early));
        restricted.map_err(Error::layer("restrict the devices", &plan.name))?;
        if plan.network.is_none() && plan.space == NetworkSpace::Host {
            let reason = "the file 'noncontext' leaves all of the host's to the guest";
            found.push(Unenforced::none("addresses", reason));
        }
        let Some(programs) = self.0 else {
            return Ok(found);
        };
        if plan.network.is_none() && cgroup.v2_dir().is_none() {
            if plan.traffic != Traffic::default() {
                found.push(Unenforced::none(
                    "traffic",
                    "there is no cgroup v2 hierarchy to hold the guest to its rates",
                ));
            }
            return Ok(found);
        }
        programs.shape(&plan.traffic).map_err(Error::layer("hold the guest to its rates", &plan.name))?;
        let no_v2 = || {
            Error::Taken {
            name: plan.name.clone(),
            what: "there is no cgroup v2 hierarchy to hold it to its addresses; mount one, or make the file 'noncontext'"
                .to_owned(),
        }
        };
        let directory = cgroup.v2_dir().ok_or_else(no_v2)?;
        let addresses = programs.attach(directory.as_fd(), Place::New);
        found.extend(addresses.map_err(Error::layer("hold the guest to its addresses", &plan.name))?);
        Ok(found)
    }
}

/// How far a start is with them.
#[derive(Debug)]
pub enum Hold {
    /// Not attached yet.
    Loading(Loading),
    /// The guest is held to its addresses already, because something was mounted from there.
    Attached,
}
