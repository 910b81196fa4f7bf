//! The page: what happens in what order.

use std::path::PathBuf;

use vserver_config::{Defaults, NewGuest};
use vserver_fs::GuestRoot;

use crate::programs::{Moment, Programs};
use crate::request::{BuildRequest, Built, Method, Progress};
use crate::signals::Signals;
use crate::stage::{Stage, Target};
use crate::tools::Plan;
use crate::{Error, cache, clone, disk, import, init, limit, oci, skeleton, tame, template};

/// Limits that every new guest gets, visibly. The kernel would allow everything otherwise.
const LIMITS: [(&str, &str); 2] = [
    ("rlimits/rss", include_str!("../../../etc-templates/guest/rlimits/rss")),
    ("rlimits/nproc", include_str!("../../../etc-templates/guest/rlimits/nproc")),
];

/// Builds a guest: tree and configuration, or neither.
///
/// SIGINT, SIGTERM and SIGHUP are blocked in the calling thread meanwhile and end the build with
/// [`Error::Interrupted`]; a process with other threads must block them there too, or it dies of them without a trace
/// being removed.
///
/// # Errors
/// [`Error::Exists`] if there is a tree or a configuration of that name and neither `force` nor `accept_root` helps; and
/// whatever the method meets. After an error nothing is left, unless [`BuildRequest::keep`] is set.
pub fn build(request: &BuildRequest, progress: &mut dyn Progress) -> Result<Built, Error> {
    let signals = Signals::block()?;
    limit::judge(request)?;
    let target = Target::check(request)?;
    let subvolume = limit::is_wished(request) || vserver_config::subvolumes(&request.confdir);
    let mut stage = Stage::with(&target, subvolume)?;
    let outcome = furnish(request, &target, &mut stage, progress)
        .and_then(|()| fill(request, &stage, &signals, progress))
        .and_then(|filled| finish(request, &target, &mut stage, filled, &signals));
    outcome.map_err(|error| {
        let error = disk::explain(error, stage.root(), request.disk.map(|disk| disk.bytes));
        match request.keep {
            true => Error::Kept { path: stage.keep(&target), source: Box::new(error) },
            false => error,
        }
    })
}

/// What holds the tree: a disk of its own, or a file system that can hold it to its limit.
fn furnish(
    request: &BuildRequest,
    target: &Target,
    stage: &mut Stage,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    if let Some(wish) = &request.disk {
        progress.stage("making its disk");
        stage.give_disk(wish)?;
    }
    match limit::is_wished(request) {
        true => limit::check(request, target, stage.root()),
        false => Ok(()),
    }
}

/// What filling the tree has shown.
struct Filled {
    root: GuestRoot,
    notes: Vec<String>,
    /// The name that an imported machine had.
    hostname: Option<String>,
    /// What an image says of how it is started.
    image: Option<oci::Brought>,
}

fn fill(
    request: &BuildRequest,
    stage: &Stage,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Filled, Error> {
    let defaults = Defaults::new(&request.confdir);
    let root = GuestRoot::open(stage.root())?;
    if request.accept_root {
        crate::settle::refuse_shared(&root, "a build into a tree that is there")?;
    }
    let (mut notes, mut hostname, mut image) = (Vec::new(), None, None);
    let plan = Plan::of(&request.method, &defaults)?;
    let programs = Programs::new(request, stage, &defaults, plan.names());
    programs.check()?;
    if !matches!(request.method, Method::Clone(_)) {
        progress.stage("making directories");
        skeleton::directories(&root)?;
    }
    programs.run(Moment::Before, signals, progress)?;
    match &request.method {
        Method::Skeleton => {
            skeleton::devices(&root)?;
            notes.extend(skeleton::note());
        }
        Method::Template(arguments) => {
            notes = template::unpack(arguments, request, (stage, &root), signals, progress)?;
            if !arguments.keep_dev {
                skeleton::devices(&root)?;
            }
            tame::copied(&root, &request.guest)?;
        }
        Method::Oci(arguments) => {
            let brought = oci::fill(arguments, &root, stage, signals, progress)?;
            notes.clone_from(&brought.notes);
            skeleton::devices(&root)?;
            image = Some(brought);
        }
        Method::Import(arguments) => {
            let fetched = import::fetch(arguments, request, stage, false, signals, progress)?;
            progress.survey(&fetched.survey);
            notes = import::tame(arguments, &fetched, &root, stage, signals, progress)?;
            notes.extend(fetched.notes);
            if !arguments.as_is {
                skeleton::devices(&root)?;
                hostname = Some(fetched.survey.hostname);
            }
        }
        Method::Clone(arguments) => notes = clone::fill(arguments, &root, stage, request, signals, progress)?,
        Method::Debootstrap(_) | Method::Rsync(_) | Method::Fai(_) | Method::Packages(_) => {}
    }
    notes.extend(plan.perform(request, wish(request, &programs), stage, &root, signals, progress)?);
    if !matches!(&request.method, Method::Import(import) if import.as_is) {
        tame::common(&root, request, &defaults)?;
    }
    tame::give_access(&root, &request.access)?;
    programs.run(Moment::After, signals, progress)?;
    Ok(Filled { root, notes, hostname, image })
}

/// What an initpre has put into the tree is of this guest only. An initpost may write into any file, and a limit counts the
/// guest's own: such a guest has nothing in common with the template.
fn wish(request: &BuildRequest, programs: &Programs<'_>) -> cache::Use {
    cache::Use {
        age: request.template_age.filter(|_| !programs.has(Moment::Before)),
        share: !programs.has(Moment::After) && !limit::is_wished(request),
    }
}

fn finish(
    request: &BuildRequest,
    target: &Target,
    stage: &mut Stage,
    filled: Filled,
    signals: &Signals,
) -> Result<Built, Error> {
    let mut guest = complete(request, &filled.root)?;
    guest.hostname = guest.hostname.or(filled.hostname);
    if let Some(image) = &filled.image {
        image.furnish(&mut guest, request.guest.init_style);
    }
    guest.files.extend(target.image().map(|image| limit::line("disk/image", image.display())));
    guest.files.extend(limit::files(request, target));
    // What is open in the tree holds its disk.
    drop(filled.root);
    signals.check()?;
    let created = stage.commit(request, target, &guest)?;
    if let Some(base) = &guest.pkgbase {
        let place = base.join(guest.name.as_str());
        std::fs::create_dir_all(&place).map_err(Error::io("make the directory", &place))?;
    }
    let mut notes = filled.notes;
    notes.extend(created.notes);
    Ok(Built { root: target.root.clone(), config: created.dir, init_style: guest.init_style, notes })
}

/// The configuration as it will be written: what was asked for, and what the tree and our defaults add.
fn complete(request: &BuildRequest, root: &GuestRoot) -> Result<NewGuest, Error> {
    let mut guest = request.guest.clone();
    if guest.init_style.is_none() {
        guest.init_style = init::detect(root)?;
    }
    let mut add = |path: &str, content: &str| {
        if !guest.files.iter().any(|(known, _)| known.as_os_str() == path) {
            guest.files.push((PathBuf::from(path), content.as_bytes().to_vec()));
        }
    };
    for (path, content) in LIMITS {
        add(path, content);
    }
    if matches!(request.method, Method::Debootstrap(_) | Method::Packages(_)) {
        // Packages are managed from inside.
        add("apps/pkgmgmt/internal", "");
    }
    Ok(guest)
}
