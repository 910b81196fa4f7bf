//! What was done with an archive, and what was not.

/// Entries listed in the report; more are only counted.
const LISTED: usize = 100;

/// Something that was left out on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The entry.
    pub entry: String,
    /// What of it, and why.
    pub reason: String,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Objects that were made, or written into an archive.
    pub entries: u64,
    /// Bytes of data of files.
    pub bytes: u64,
    /// The first hundred things that were left out.
    pub skipped: Vec<Skipped>,
    /// How many were left out altogether.
    pub skipped_total: u64,
    /// The first hundred files with a set-user-id or set-group-id bit.
    pub setid: Vec<String>,
    /// How many there are altogether.
    pub setid_total: u64,
    /// The highest number of an owner or group.
    pub highest_id: u64,
}

impl Report {
    pub(crate) fn skip(&mut self, entry: String, reason: String) {
        self.skipped_total += 1;
        if self.skipped.len() < LISTED {
            self.skipped.push(Skipped { entry, reason });
        }
    }

    pub(crate) fn setid(&mut self, entry: impl FnOnce() -> String) {
        self.setid_total += 1;
        if self.setid.len() < LISTED {
            self.setid.push(entry());
        }
    }
}
