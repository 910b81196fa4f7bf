//! Cgroup BPF: instructions, a small assembler, and the `bpf(2)` commands that load, attach, detach and list programs.
//!
//! Programs are generated here at run time instead of being compiled from C beforehand: a guest's numbers are written
//! into the code as constants, so no ELF loader and no compiler is needed, and a program is readable as
//! data in a unit test. Attachment is to a cgroup directory of the v2 hierarchy without a link object, so it outlives
//! the process that made it and ends with the directory.
//!
//! Source of numbers and layouts: `include/uapi/linux/bpf.h`, `Documentation/bpf/standardization/instruction-set.rst`.

mod asm;
mod bell;
mod btf;
mod call;
mod insn;
mod iter;
mod kinds;
mod link;
mod map;
mod storage;
mod table;

pub use asm::{AssembleError, Assembler, Label};
pub use bell::{Bell, bell_create};
pub use call::{AttachFlags, LoadError, prog_attach, prog_by_id, prog_detach, prog_load, prog_query, prog_replace};
pub use insn::{Alu, Cond, Insn, Reg, Size};
pub use iter::{iter_load, iter_program, iter_run};
pub use kinds::{AttachType, Helper, ProgType};
pub use link::{NetnsLink, iter_links, link_create, link_update, netns_links};
pub use map::{MapType, ProgInfo, map_by_id, map_create, map_name, map_read, map_write, prog_info};
pub use storage::{storage_create, storage_get};
pub use table::{socket_enter, table_get, table_keys, table_remove, table_set};
