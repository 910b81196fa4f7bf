//! What each command does: one file each.

pub mod after_exit;
pub mod build;
pub mod chain;
pub mod chbind;
pub mod chcontext;
pub mod check;
pub mod delete;
pub mod exec;
pub mod list;
pub mod naddress;
pub mod nattribute;
pub mod ncontext;
pub mod plan;
pub mod start;
pub mod status;
pub mod stop;
pub mod vattribute;
pub mod vcontext;
pub mod vkill;
pub mod vlimit;
pub mod vps;
pub mod vsched;
pub mod vserver;
pub mod vserver_stat;
pub mod vspace;
