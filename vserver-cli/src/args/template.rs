//! `vserver-template`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::Common;

/// Shows and keeps the trees that builds by debootstrap clone
#[derive(Parser, Debug)]
#[command(
    name = "vserver-template",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- trees that builds clone"),
    after_help = "The first build of a suite with its packages keeps a template, the next ones clone it (build --fresh does neither).\n\
                  Examples: vserver-template list\n          vserver-template refresh --older-than 7"
)]
pub struct VserverTemplateArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub verb: TemplateVerb,
}

/// What is done.
#[derive(Subcommand, Debug)]
pub enum TemplateVerb {
    /// All templates, with age, size and what they were made of
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Build templates anew; the old ones are used until the new ones are complete
    Refresh {
        /// Which; all of them without a name
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Only those that are at least as old
        #[arg(long, value_name = "DAYS", default_value_t = 0)]
        older_than: u32,
        /// Show what debootstrap says
        #[arg(long)]
        debug: bool,
    },
    /// Remove templates; guests that were cloned from them are not touched
    Delete {
        /// Which
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// Pack a template for another host
    Export {
        /// Which
        #[arg(value_name = "NAME")]
        name: String,
        /// The archive, compressed as its name ends (.gz, .xz, .bz2, .zst); - for standard output
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Take a template that was packed on another host
    Import {
        /// The archive; - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}
