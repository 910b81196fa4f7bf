//! The report: what arrives, what stays behind, what is rewritten, and what will not work.

use std::path::Path;

use serde::Serialize;
use vserver_archive::Report;
use vserver_config::NewGuest;
use vserver_fs::GuestRoot;

use super::left_out::{EMPTIED, Filter, GONE};
use super::{Import, Port, Source, cannot, ports};
use crate::Error;
use crate::tame::{self, Change, System};

/// Something that stays behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The name below the root.
    pub path: String,
    /// Why.
    pub reason: String,
    /// How many objects; `None` if nobody counted.
    pub objects: Option<u64>,
    /// Bytes of them.
    pub bytes: Option<u64>,
}

/// What an import finds and does.
#[derive(Clone, Debug, Serialize)]
pub struct Survey {
    /// Distribution and init.
    #[serde(flatten)]
    pub system: System,
    /// The host name that the guest gets.
    pub hostname: String,
    /// Objects of the tree.
    pub objects: u64,
    /// Bytes of its files, holes counted.
    pub bytes: u64,
    /// What stays behind.
    pub left_out: Vec<LeftOut>,
    /// What is rewritten, a line each.
    pub rewritten: Vec<String>,
    /// What will not work, a sentence each.
    pub cannot: Vec<String>,
    /// Ports that its services will bind.
    pub ports: Vec<Port>,
    /// Set-user-id and set-group-id programs; the first hundred.
    pub setid: Vec<String>,
    /// The changes behind `rewritten`.
    #[serde(skip)]
    pub(crate) changes: Vec<Change>,
    #[serde(skip)]
    swap: Vec<String>,
}

/// Of a tree that has arrived, whole or hollow.
pub(crate) fn of(root: &GuestRoot, guest: &NewGuest, import: &Import, filter: &Filter<'_>) -> Result<Survey, Error> {
    let system = System::of(root)?;
    let known = guest.hostname.clone().map_or_else(|| tame::name_of_tree(root), |name| Ok(Some(name)))?;
    let hostname = known.unwrap_or_else(|| guest.name.to_string());
    let enabled = tame::enabled(root, &system)?;
    let mut survey = Survey {
        left_out: left_out(import, filter),
        rewritten: Vec::new(),
        cannot: cannot::of(root, &system, &enabled)?,
        ports: ports::of(root, &enabled)?,
        changes: Vec::new(),
        swap: swap_files(root)?,
        objects: 0,
        bytes: 0,
        setid: Vec::new(),
        hostname,
        system,
    };
    if !import.as_is {
        survey.changes = tame::machine(root, &survey.system, guest, &survey.hostname)?;
        survey.rewritten = survey.changes.iter().map(Change::told).collect();
        if !import.keep_identity {
            survey
                .rewritten
                .push("/etc/machine-id and the ssh host keys are made anew (--keep-identity keeps them)".to_owned());
        }
    }
    Ok(survey)
}

impl Survey {
    /// Adds size and owners, from the unpacker's count or by going through the tree.
    pub(crate) fn count(&mut self, root: &GuestRoot, report: Option<&Report>, all_ids: bool) -> Result<(), Error> {
        let counted;
        let report = match report {
            Some(report) => report,
            None => {
                counted = vserver_archive::measure(root)
                    .map_err(|source| Error::Unpack { tarball: root.path().to_owned(), source })?;
                &counted
            }
        };
        (self.objects, self.bytes) = (report.entries, report.bytes);
        self.setid.clone_from(&report.setid);
        if report.highest_id >= 65_536 && !all_ids {
            self.cannot.push(format!(
                "owners above 65535 (up to {}) are kept on disk, but are 'nobody' inside: import with --userns off to have \
                 them all",
                report.highest_id
            ));
        }
        Ok(())
    }

    /// Swap files have the names that the old fstab gave them.
    pub(crate) fn remove_swap(&self, root: &GuestRoot) -> Result<(), Error> {
        for file in &self.swap {
            if root.kind(file)? == Some(vserver_fs::Kind::File) {
                root.remove_file(file)?;
            }
        }
        Ok(())
    }
}

fn left_out(import: &Import, filter: &Filter<'_>) -> Vec<LeftOut> {
    if import.as_is {
        return Vec::new();
    }
    let rules =
        EMPTIED.iter().map(|(dir, why)| (dir, why, "/")).chain(GONE.iter().map(|(name, why)| (name, why, "")));
    let counted = !matches!(import.source, Source::Ssh(_));
    let told = rules.filter_map(|(rule, reason, end)| {
        let found = filter.left.get(rule).copied();
        // From afar nobody knows how much of it there is.
        let (objects, bytes) =
            if counted { found.map(|(count, bytes)| (Some(count), Some(bytes)))? } else { (None, None) };
        Some(LeftOut { path: format!("/{rule}{end}"), reason: (*reason).to_owned(), objects, bytes })
    });
    told.collect()
}

fn swap_files(root: &GuestRoot) -> Result<Vec<String>, Error> {
    let lines = tame::fstab_lines(root)?.into_iter();
    let files =
        lines.filter(|line| line.kind == "swap" && line.source.starts_with('/') && !line.source.starts_with("/dev/"));
    Ok(files
        .map(|line| line.source.trim_start_matches('/').to_owned())
        .filter(|path| !Path::new(path).has_root())
        .collect())
}
