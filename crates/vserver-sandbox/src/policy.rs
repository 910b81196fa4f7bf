//! What a guest may have, as reviewed data with a reason per entry: capabilities, device nodes, `/proc`.

pub mod caps;
pub mod dev;
pub mod proc;
