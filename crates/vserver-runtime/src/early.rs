//! What every start needs whatever the guest is: made by a thread of its own from the first moment on, while the
//! configuration is read and one processor would have nothing to do.

use std::thread::JoinHandle;

use nix::sys::signal::SigSet;
use vserver_cgroup::{DevicePolicy, DeviceProgram};
use vserver_types::GuestName;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::image::{self, Image};
use crate::list;

/// On its way.
#[derive(Debug)]
pub struct Early(JoinHandle<Result<Made>>);

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// The supervisor's image, sealed.
    pub image: Image,
    /// The program of the device policy that guests have unless they are configured otherwise; `None` if this kernel does
    /// not take it, which is told to whoever attaches one.
    pub devices: Option<DeviceProgram>,
}

impl Early {
    /// Begins. No signal is for that thread: those that end the caller are held back later, or not at all.
    pub fn begin(host: &Host) -> Self {
        let host = host.clone();
        let before = SigSet::all().thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_SETMASK);
        let thread = std::thread::spawn(move || {
            let image = image::seal(&host.supervisor, &list::running(&host)?)?;
            Ok(Made { image, devices: DeviceProgram::load(&DevicePolicy::default()).ok() })
        });
        // Cannot fail: the mask is the one that was in force before.
        before.map(|before| before.thread_set_mask()).ok();
        Self(thread)
    }

    /// Waits for the end of the thread.
    pub fn finish(self, name: &GuestName) -> Result<Made> {
        self.0.join().unwrap_or_else(|_| {
            let what = "the thread that seals its supervisor's image panicked; report this".to_owned();
            Err(Error::Taken { name: name.clone(), what })
        })
    }
}
