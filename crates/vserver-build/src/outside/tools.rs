//! What the host's package tools are told, so that they work on the guest's tree below [`GUEST`] with data that lies
//! outside of it. Sources: apt.conf(5), dpkg(1) `--root`, rpm(8) `--root`, dnf(8) `--installroot`.

use std::path::{Path, PathBuf};

use vserver_runtime::{GUEST, Lent, Toolbox};

use super::Places;
use crate::Error;

/// A program of the host and what it finds.
#[derive(Clone, Debug)]
pub struct Job {
    /// The program and the arguments that come before the caller's.
    pub argv: Vec<String>,
    /// Variables of its environment.
    pub env: Vec<(String, String)>,
    /// What it finds beside the guest's tree.
    pub toolbox: Toolbox,
}

/// The database of rpm as the guest sees it.
const RPM_DATABASE: &str = "/var/lib/rpm";
/// What apt reads first.
const APT_CONF: &str = "/pkg/apt.conf";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `apt-get` and its like: dpkg's database is the guest's, because its scripts need it; what apt keeps is the host's.
pub fn apt(places: &Places, program: &'static str) -> Result<Job, Error> {
    installed(program, "apt")?;
    let mut job = Job::new(places, program);
    job.read("/pkg/apt/etc", places.require("aptetc", &["apt/etc", "/etc/apt"])?);
    job.write("/pkg/apt/state", places.make("aptstate", "apt/state")?);
    job.write("/pkg/apt/cache", places.make("aptcache", "apt/cache")?);
    // Not the host's own archives: what a guest puts there would be installed on the host.
    job.write("/pkg/apt/archives", places.make("aptarchives", "apt/archives")?);
    // Options come too late for where its own settings are read from.
    job.toolbox.files.push((APT_CONF.into(), b"Dir::Etc \"/pkg/apt/etc\";\n".to_vec()));
    job.env.push(("APT_CONFIG".to_owned(), APT_CONF.to_owned()));
    let options = [
        "Dir::Etc=/pkg/apt/etc".to_owned(),
        "Dir::State=/pkg/apt/state".to_owned(),
        format!("Dir::State::status={GUEST}/var/lib/dpkg/status"),
        "Dir::Cache=/pkg/apt/cache".to_owned(),
        "Dir::Cache::archives=/pkg/apt/archives".to_owned(),
        "Dir::Log=/pkg/apt/state".to_owned(),
        "APT::Sandbox::User=root".to_owned(),
        format!("DPkg::Options::=--root={GUEST}"),
    ];
    job.argv.extend(options.into_iter().flat_map(|option| ["-o".to_owned(), option]));
    Ok(job)
}

/// rpm(8), with the database of the host's.
pub fn rpm(places: &Places) -> Result<Job, Error> {
    installed("rpm", "rpm")?;
    let mut job = Job::new(places, "rpm");
    job.database(places)?;
    job.argv.extend(["--root", GUEST, "--dbpath", RPM_DATABASE].map(str::to_owned));
    Ok(job)
}

/// dnf(8), or yum where there is only that.
pub fn yum(places: &Places) -> Result<Job, Error> {
    let program = if find("dnf").is_some() || find("yum").is_none() { "dnf" } else { "yum" };
    installed(program, "dnf")?;
    let mut job = Job::new(places, program);
    job.database(places)?;
    let etc = places.require("yumetc", &["yum/etc", "/etc"])?;
    // Of the host's own /etc only what belongs to the tool.
    if etc == Path::new("/etc") {
        let known = ["yum.repos.d", "dnf", "yum.conf"].map(|name| (name, etc.join(name)));
        for (name, path) in known.into_iter().filter(|(_, path)| path.exists()) {
            job.read(&format!("/pkg/yum/etc/{name}"), path);
        }
    } else {
        job.read("/pkg/yum/etc", etc.clone());
    }
    job.write(&format!("{GUEST}/var/cache/dnf"), places.make("yumcache", "yum/cache")?);
    job.argv.push(format!("--installroot={GUEST}"));
    job.argv.push("--setopt=reposdir=/pkg/yum/etc/yum.repos.d".to_owned());
    if let Some(file) = ["yum.conf", "dnf/dnf.conf"].into_iter().find(|file| etc.join(file).is_file()) {
        job.argv.push(format!("--config=/pkg/yum/etc/{file}"));
    }
    Ok(job)
}

impl Job {
    fn new(places: &Places, program: &str) -> Self {
        let (mut path, mut env) = (PATH.to_owned(), vec![("HOME".to_owned(), "/root".to_owned())]);
        let mut job = Self { argv: vec![program.to_owned()], env: Vec::new(), toolbox: Toolbox::default() };
        if let Some(execdir) = places.find("execdir", &[]).filter(|dir| dir != Path::new("/")) {
            job.read("/pkg/exec", execdir);
            path = format!("/pkg/exec:{path}");
            env.push(("LD_LIBRARY_PATH".to_owned(), "/pkg/exec".to_owned()));
        }
        env.push(("PATH".to_owned(), path));
        job.env = env;
        job
    }

    fn read(&mut self, target: &str, source: PathBuf) {
        self.toolbox.lent.push(Lent { source, target: target.into(), writable: false });
    }

    fn write(&mut self, target: &str, source: PathBuf) {
        self.toolbox.lent.push(Lent { source, target: target.into(), writable: true });
    }

    fn database(&mut self, places: &Places) -> Result<(), Error> {
        self.write(&format!("{GUEST}{RPM_DATABASE}"), places.require("rpmstate", &["rpm/state", "var/lib/rpm"])?);
        if let Some(etc) = places.find("rpmetc", &["rpm/etc", "etc/rpm", "/etc/rpm"]) {
            self.read("/etc/rpm", etc);
        }
        if let Some(lib) = places.find("rpmlib", &[]) {
            self.read("/usr/lib/rpm", lib);
        }
        // Debian's rpm has its own in the user's home.
        self.toolbox.files.push(("/root/.rpmmacros".into(), format!("%_dbpath {RPM_DATABASE}\n").into_bytes()));
        Ok(())
    }
}

fn installed(program: &'static str, package: &'static str) -> Result<(), Error> {
    find(program).map(drop).ok_or(Error::Missing { program, package })
}

fn find(program: &str) -> Option<PathBuf> {
    PATH.split(':').map(|dir| Path::new(dir).join(program)).find(|path| path.is_file())
}
