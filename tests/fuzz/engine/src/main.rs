//! One program for all readers: `VSERVER_FUZZ` names the one.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<vserver_fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("VSERVER_FUZZ").unwrap_or_default();
    vserver_fuzz::target(&name).expect("VSERVER_FUZZ names a reader; `cargo xtask fuzz` sets it")
});

fuzz_target!(|data: &[u8]| TARGET(data));
