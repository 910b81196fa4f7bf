//! One test as data: its name, its body, what it needs.

use std::time::Duration;

use crate::needs::Need;
use crate::warden;

/// A test. Its body runs as the main thread of a process of its own and fails by a panic.
pub struct Trial {
    /// Unique; `module::what_it_shows`, rows of the threat model as `security::e01_…`.
    pub name: &'static str,
    /// The test itself.
    pub body: fn(),
    /// What the machine must have.
    pub needs: Vec<Need>,
    /// Longest run before the warden ends it.
    pub deadline: Duration,
    /// Whether it runs in the machine's own network namespace: only for tests that fetch packages.
    pub host_network: bool,
    /// Whether it belongs to the smoke subset that the VM runs in CI.
    pub smoke: bool,
}

impl Trial {
    /// A test that needs nothing but root, within five minutes, in a network namespace with only `lo` (up). The time is for
    /// what hangs: on a quiet machine most take less than two seconds.
    pub fn new(name: &'static str, body: fn()) -> Self {
        let deadline = Duration::from_secs(300);
        Self { name, body, needs: Vec::new(), deadline, host_network: false, smoke: false }
    }

    /// Adds a need.
    pub fn needs(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    /// Allows another time than five minutes.
    pub fn within(mut self, seconds: u64) -> Self {
        self.deadline = Duration::from_secs(seconds);
        self
    }

    /// Runs it in the machine's network namespace. It must not configure anything there.
    pub fn on_host_network(mut self) -> Self {
        self.host_network = true;
        self
    }

    /// Puts it into the smoke subset.
    pub fn smoke(mut self) -> Self {
        self.smoke = true;
        self
    }

    /// For the harness. An unmet need is an ignored test at a desk and a failed one where `CI` is set: green must mean
    /// that it ran. What the kernel itself lacks is ignored there too, with the reason, and counted apart.
    pub fn into_mimic(self) -> libtest_mimic::Trial {
        let need = self.needs.iter().find(|need| need.unmet().is_some());
        let must_run = std::env::var_os("CI").is_some() && !need.is_some_and(Need::is_of_the_kernel);
        let unmet = need.and_then(Need::unmet);
        let (name, kind) = (self.name, if self.smoke { "smoke" } else { "" });
        match unmet {
            Some(reason) if must_run => libtest_mimic::Trial::test(name, move || Err(reason.into())),
            Some(reason) => libtest_mimic::Trial::test(name, || Ok(())).with_ignored_flag(true).with_kind(reason),
            None => libtest_mimic::Trial::test(name, move || warden::guard(&self)).with_kind(kind),
        }
    }
}
