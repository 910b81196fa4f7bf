//! Whom `vserver-info` is asked about.

use std::fs::{self, File};
use std::path::PathBuf;

use nix::sched::{CloneFlags, setns};
use nix::sys::utsname::uname;
use vserver_config::GuestConfig;
use vserver_runtime::RunRecord;
use vserver_types::{GuestName, Xid};

use crate::context::Context;
use crate::error::CliError;
use crate::resolve;

/// A guest, as far as it is known; none of it for the host.
#[derive(Default)]
pub struct Subject {
    /// Its name.
    pub name: Option<GuestName>,
    /// Its configuration directory, if there is one.
    pub dir: Option<PathBuf>,
    /// What is known of it while it runs.
    pub record: Option<RunRecord>,
    config: Option<GuestConfig>,
}

impl Subject {
    /// By number of a running context, by name or by directory. A word that means nothing gives nothing.
    pub fn find(word: &str, context: &Context) -> Result<Self, CliError> {
        let running = vserver_runtime::running(&context.host)?;
        if let Ok(xid) = word.parse::<Xid>() {
            let found = running.into_iter().find(|record| record.xid == xid);
            return Ok(found.map(Self::of_record).unwrap_or_default());
        }
        let Ok((root, name)) = resolve::guest_word(word) else {
            return Ok(Self::default());
        };
        let root = root.unwrap_or_else(|| context.host.confdir.clone());
        let root = fs::canonicalize(&root).unwrap_or(root);
        let record = running.into_iter().find(|record| record.name == name);
        let dir = Some(root.join(name.as_str())).filter(|dir| dir.is_dir());
        let config = vserver_config::read(&root, &name).ok().map(|(config, _)| config);
        let name = (dir.is_some() || record.is_some()).then_some(name);
        Ok(Self { name, dir, record, config })
    }

    /// By a process of its, as the host counts them; 0 and `-` mean this one. `None`: there is no such process.
    pub fn of_process(word: &str, context: &Context) -> Result<Option<Self>, CliError> {
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        let pid = if word == "-" { 0 } else { word.parse::<i32>().unwrap_or(-1) };
        let bases = vserver_runtime::cgroup_bases(&context.host)?;
        let Ok(owner) = vserver_monitor::owner(if pid == 0 { own } else { pid }, &bases) else {
            return Ok(None);
        };
        let Some(name) = owner else {
            return Ok(Some(Self::default()));
        };
        let record = vserver_runtime::running(&context.host)?.into_iter().find(|record| record.name == name);
        Ok(record.map(Self::of_record))
    }

    fn of_record(record: RunRecord) -> Self {
        let dir = Some(record.confdir.join(record.name.as_str())).filter(|dir| dir.is_dir());
        let config = vserver_config::read(&record.confdir, &record.name).ok().map(|(config, _)| config);
        Self { name: Some(record.name.clone()), dir, record: Some(record), config }
    }

    /// The number of its context; the host's is 0.
    pub fn xid(&self) -> u32 {
        self.record.as_ref().map_or(0, |record| record.xid.0)
    }

    /// The number of its network context; the host's is 0.
    pub fn nid(&self) -> u32 {
        self.record.as_ref().map_or(0, |record| record.nid.0)
    }

    /// The number that its files are counted by: the content of `tag`, else its context's.
    pub fn tag(&self) -> u32 {
        let file = self.dir.as_ref().and_then(|dir| fs::read_to_string(dir.join("tag")).ok());
        file.and_then(|text| text.trim().parse().ok()).unwrap_or_else(|| self.xid())
    }

    /// The number that it runs under, else, unless `fixed` says no, the one in its configuration.
    pub fn context(&self, fixed: Option<&str>) -> Option<String> {
        let refused =
            fixed.is_some_and(|word| ["0", "f", "false", "n", "no"].contains(&word.to_lowercase().as_str()));
        let running = self.record.as_ref().map(|record| record.xid);
        let configured = || self.config.as_ref().and_then(|config| config.context).filter(|_| !refused);
        running.or_else(configured).map(|xid| xid.to_string())
    }

    /// Its root directory: the link in its configuration or, with `1`, where that leads.
    pub fn root(&self, resolved: Option<&str>) -> Option<String> {
        let link = self.dir.as_ref()?.join("vdir");
        let path = if resolved == Some("1") { fs::canonicalize(&link).ok()? } else { link };
        Some(path.display().to_string())
    }

    /// A directory below `apps`.
    pub fn app(&self, name: Option<&str>) -> Option<String> {
        let dir = self.dir.as_ref()?.join("apps").join(name?);
        dir.is_dir().then(|| dir.display().to_string())
    }

    /// Its names as uname(2) gives them inside: one of them, or all seven, each followed by a blank. This process joins
    /// the guest's UTS namespace for it and stays there.
    pub fn uts(&self, which: Option<&str>) -> Result<Option<String>, CliError> {
        let (Some(record), Some(dir)) = (&self.record, &self.dir) else {
            return Ok(None);
        };
        let failed = || CliError::io(format!("cannot join the UTS namespace of guest '{}'", record.name));
        let space = File::open(format!("/proc/{}/ns/uts", record.init)).map_err(failed())?;
        setns(space, CloneFlags::CLONE_NEWUTS).map_err(|errno| failed()(errno.into()))?;
        let uts = uname().map_err(|errno| failed()(errno.into()))?;
        let text = |name: &std::ffi::OsStr| name.to_string_lossy().into_owned();
        let all = [
            ("context", dir.display().to_string()),
            ("sysname", text(uts.sysname())),
            ("nodename", text(uts.nodename())),
            ("release", text(uts.release())),
            ("version", text(uts.version())),
            ("machine", text(uts.machine())),
            ("domainname", text(uts.domainname())),
        ];
        Ok(match which {
            None => Some(all.map(|(_, value)| value + " ").concat()),
            Some(which) => all.into_iter().find(|(name, _)| *name == which).map(|(_, value)| value),
        })
    }
}
