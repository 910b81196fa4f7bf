//! What each command does: one file each.

pub mod after_exit;
pub mod build;
pub mod chcontext;
pub mod check;
pub mod delete;
pub mod exec;
pub mod generator;
pub mod list;
pub mod plan;
pub mod several;
pub mod start;
pub mod start_vservers;
pub mod status;
pub mod stop;
pub mod vkill;
pub mod vlimit;
pub mod vprocunhide;
pub mod vps;
pub mod vsched;
pub mod vserver;
pub mod vserver_stat;
pub mod vserver_wrapper;
pub mod vshelper;
