//! The guest, and what is to be said of it.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use vserver_cgroup::{Error, GuestCgroup, Layout, Memory};
use vserver_types::{CgroupBase, GuestName};

use crate::cpus::{self, Work};
use crate::files::File;
use crate::load::{self, Load};
use crate::memory::{self, Share, Whole};
use crate::sysinfo::Sysinfo;
use crate::tasks::Tasks;

/// How long a look at its threads counts: it costs more than all the rest.
const LOOK_LASTS: Duration = Duration::from_millis(500);

/// What of it is its own; the rest is the host's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    pub memory: bool,
    pub load: bool,
    pub uptime: bool,
}

/// A guest.
pub struct Guest {
    cgroup: GuestCgroup,
    own: Own,
    begun: Instant,
    /// When it started on the clock that counts from the host's boot, whole seconds as in its time namespace.
    boot: u64,
    load: Option<Load>,
    tasks: Option<(Instant, Tasks)>,
}

impl Guest {
    /// One that starts now.
    pub fn begin(name: &GuestName, base: &CgroupBase, own: Own) -> Result<Self, Error> {
        let layout = Layout::detect()?.with_base(base);
        let cgroup = GuestCgroup::open(&layout, name).ok_or(Error::Gone { name: name.to_string() })?;
        let begun = Instant::now();
        let load = own.load.then(|| Load::begin(begun));
        Ok(Self { cgroup, own, begun, boot: since_boot(), load, tasks: None })
    }

    /// How long until it wants to be looked at, if it does.
    pub fn pause(&self) -> Option<Duration> {
        Some(self.load?.next().saturating_duration_since(Instant::now()))
    }

    /// Looks at it if it is time.
    pub fn look(&mut self) {
        let (cgroup, now) = (&self.cgroup, Instant::now());
        if let Some(load) = &mut self.load {
            load.tell(now, || Tasks::look(cgroup));
        }
    }

    /// The text of a file.
    pub fn text(&mut self, file: File) -> Vec<u8> {
        match file {
            File::Meminfo => memory::meminfo(&host("meminfo"), &self.memory()).into(),
            File::Swaps => memory::swaps(&host("meminfo"), &self.memory()).into(),
            File::Stat => {
                let (host, tasks) = (host("stat"), self.tasks());
                cpus::stat(self.cpus(&host).len(), &self.work(&host), &tasks).into()
            }
            File::Cpuinfo => cpus::cpuinfo(&host("cpuinfo"), &self.cpus(&host("stat"))).into(),
            File::Online => cpus::list(self.cpus(&host("stat")).len()).into(),
            File::Loadavg => {
                let tasks = self.tasks();
                self.load.map_or_else(|| host("loadavg"), |load| load.text(&tasks)).into()
            }
            File::Sysinfo => self.sysinfo().bytes(),
        }
    }

    /// Where it is not counted, all that the host has is free.
    fn memory(&self) -> Memory {
        self.cgroup.memory().ok().flatten().unwrap_or_default()
    }

    fn cpus(&self, stat: &str) -> BTreeSet<u32> {
        cpus::usable(&cpus::online(stat), self.cgroup.cpus().ok().flatten())
    }

    fn tasks(&mut self) -> Tasks {
        let now = Instant::now();
        match self.tasks {
            // Before its first process there is nothing to remember.
            Some((when, tasks)) if tasks.total > 0 && now.duration_since(when) < LOOK_LASTS => tasks,
            _ => {
                let tasks = Tasks::look(&self.cgroup);
                self.tasks = Some((now, tasks));
                tasks
            }
        }
    }

    fn work(&self, stat: &str) -> Work {
        let (user, system) = self.cgroup.cpu_time().unwrap_or_default();
        let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")?.parse().ok()).unwrap_or(0);
        let begun = if self.own.uptime { boot + self.boot } else { boot };
        Work { elapsed: self.begun.elapsed(), user, system, begun }
    }

    fn sysinfo(&mut self) -> Sysinfo {
        let meminfo = host("meminfo");
        let memory = if self.own.memory { Share::of(Whole::of(&meminfo), &self.memory()) } else { whole(&meminfo) };
        let buffers = if self.own.memory { 0 } else { memory::value(&meminfo, "Buffers") };
        let loads = self.load.map_or_else(|| load::of_host(&host("loadavg")), |load| load.of_sysinfo());
        let uptime = since_boot() - if self.own.uptime { self.boot } else { 0 };
        Sysinfo { uptime, loads, memory, buffers, tasks: self.tasks().total as u64 }
    }
}

/// The host's memory.
fn whole(meminfo: &str) -> Share {
    let of = |key| memory::value(meminfo, key);
    Share {
        total: of("MemTotal"),
        free: of("MemFree"),
        shared: of("Shmem"),
        swap_total: of("SwapTotal"),
        swap_free: of("SwapFree"),
        ..Share::default()
    }
}

fn since_boot() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |now| now.tv_sec().unsigned_abs())
}

/// A file of the host's `/proc`, for the host's root.
fn host(name: &str) -> String {
    fs::read_to_string(format!("/proc/{name}")).unwrap_or_default()
}
