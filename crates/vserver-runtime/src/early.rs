//! What a start needs and need not wait for: made beside it from the first moment on, while the configuration is read.

use vserver_cgroup::{DevicePolicy, DeviceProgram};
use vserver_sandbox::seccomp::{self, Filters, SeccompMode};
use vserver_types::{GuestName, Traffic};

use crate::beside::{Beside, Coming};
use crate::error::Result;
use crate::hold::Loading;
use crate::host::Host;
use crate::image::{self, Image};
use crate::list;
use crate::plan::{NetworkPlan, Plan};

/// On its way.
#[derive(Debug)]
pub struct Early {
    beside: Beside,
    made: Coming<Result<Made>>,
    filters: Option<Coming<std::result::Result<Filters, seccomp::Error>>>,
}

/// What every start needs whatever the guest is.
#[derive(Debug)]
pub struct Made {
    /// The supervisor's image, sealed.
    pub image: Image,
    /// The program of the device policy that guests have unless they are configured otherwise; `None` if this kernel does
    /// not take it, which is told to whoever attaches one.
    pub devices: Option<DeviceProgram>,
}

impl Early {
    /// Begins.
    pub fn begin(host: &Host, name: &GuestName) -> Result<Self> {
        let beside = Beside::begin(name)?;
        let host = host.clone();
        let made = beside.ask(move || {
            let image = image::seal(&host.supervisor, &list::running(&host)?)?;
            Ok(Made { image, devices: DeviceProgram::load(&DevicePolicy::default()).ok() })
        });
        Ok(Self { beside, made, filters: None })
    }

    /// Lets the filters of the guest's calls be made.
    pub fn compile(&mut self, calls: SeccompMode) {
        self.filters = Some(self.beside.ask(move || seccomp::filters(calls)));
    }

    /// Lets the programs that hold it to its addresses be loaded, as the last thing.
    pub fn load(&mut self, network: Option<&NetworkPlan>, traffic: &Traffic) -> Loading {
        let loading = Loading::begin(&self.beside, network, traffic);
        self.beside.no_more();
        loading
    }

    /// Waits for all of it, puts the filters into the plan, and leaves the caller alone, as a fork wants it.
    pub fn finish(self, plan: &mut Plan) -> Result<Made> {
        let made = self.made.wait(&plan.name, "the thread that seals its supervisor's image")??;
        if let Some(filters) = self.filters {
            plan.filter(filters.wait(&plan.name, "the thread that compiles its system call policy")?)?;
        }
        self.beside.end();
        Ok(made)
    }
}
