//! Per-process limits of commands that are put into the guest: those that its first process has now, so that what
//! `vlimit` changed on a running guest holds for them too.

use vserver_sys::prlimit;
use vserver_types::{Resource, Rlimit, Ulimit};

/// Replaces `limits` by those of process `init`, as far as they can be read. Resources of setrlimit(2) have numbers
/// below 11; what has none there is left alone.
pub fn follow(init: i32, limits: &mut Vec<Ulimit>) {
    for resource in Resource::ALL.into_iter().filter(|resource| resource.number() < 11) {
        let Ok(found) = prlimit::get(init, resource.number()) else {
            continue;
        };
        let bound = |value| {
            if value == prlimit::INFINITY { Rlimit::Infinity } else { Rlimit::Value(value) }
        };
        limits.retain(|limit| limit.resource != resource);
        limits.push(Ulimit { resource, soft: Some(bound(found.soft)), hard: bound(found.hard) });
    }
}
