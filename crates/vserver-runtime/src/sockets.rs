//! How many internet sockets a guest may have: `rlimits/nsock`, and `vlimit --nsock` while it runs.

use std::os::fd::AsFd;

use vserver_cgroup::GuestCgroup;
use vserver_net::{SocketCount, Sockets};
use vserver_types::Unenforced;

use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::record::RunRecord;

const NO_V2: &str = "there is no cgroup v2 hierarchy to count them in";

/// Holds a guest that is about to be to its number, if it has one. The programs for its addresses are there already.
/// Returns what cannot be enforced.
pub fn hold(plan: &Plan, cgroup: &GuestCgroup) -> Result<Vec<Unenforced>> {
    let Some(most) = plan.sockets else { return Ok(Vec::new()) };
    let Some(directory) = cgroup.v2_dir() else {
        return Ok(vec![Unenforced::none("rlimits/nsock", NO_V2)]);
    };
    let begun = Sockets::begin(directory.as_fd(), Some(most));
    begun.map(|(_, found)| found).map_err(Error::layer("limit its sockets", &plan.name))
}

impl RunRecord {
    /// The guest's sockets, if they are counted.
    pub fn sockets(&self) -> Result<Option<SocketCount>> {
        let Some(directory) = self.counted()? else { return Ok(None) };
        let sockets =
            Sockets::of(directory.as_fd()).map_err(Error::layer("find what counts its sockets", &self.name))?;
        sockets.map(|sockets| sockets.count()).transpose().map_err(Error::layer("count its sockets", &self.name))
    }

    /// Lets the running guest have at most so many sockets from now on. Returns what cannot be enforced.
    pub fn limit_sockets(&self, most: Option<u64>) -> Result<Vec<Unenforced>> {
        let Some(directory) = self.cgroup_of_running()?.v2_dir() else {
            return Ok(vec![Unenforced::none("nsock", NO_V2)]);
        };
        let failed = || Error::layer("limit its sockets", &self.name);
        if let Some(sockets) = Sockets::of(directory.as_fd()).map_err(failed())? {
            return sockets.limit(most).map(|()| Vec::new()).map_err(failed());
        }
        if most.is_none() {
            return Ok(Vec::new());
        }
        let begun = Sockets::begin(directory.as_fd(), most);
        let (_, mut found) = begun.map_err(Error::layer("limit its sockets", &self.name))?;
        let reason =
            "sockets that the guest has already are not counted; with rlimits/nsock they are from its start on";
        found.push(Unenforced::partial("nsock", reason));
        Ok(found)
    }
}
