//! The method oci: an image layout (OCI image specification 1.1) or the archive that `docker save` writes, as a directory
//! or a tar archive. Every blob is compared with its digest before it is used; layers are unpacked like any archive.

mod image;
mod layer;

use std::fs::File;
use std::path::{Path, PathBuf};

use vserver_archive::{All, Options};
use vserver_config::{NewGuest, Style};
use vserver_fs::GuestRoot;

use crate::request::{OciImage, Progress};
use crate::signals::Signals;
use crate::stage::Stage;
use crate::tame::{self, Init, System};
use crate::{Error, template};
use image::{Config, Image};

/// What the image has brought.
pub(crate) struct Brought {
    pub notes: Vec<String>,
    config: Config,
    has_init: bool,
}

/// Fills the tree from the layers, lowest first.
pub(crate) fn fill(
    arguments: &OciImage,
    root: &GuestRoot,
    stage: &Stage,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<Brought, Error> {
    let dir = directory(&arguments.image, stage, signals, progress)?;
    let place = GuestRoot::open(&dir)?;
    let image = Image::find(&place, arguments.name.as_deref())?;
    let mut notes = Vec::new();
    for (number, blob) in image.layers.iter().enumerate() {
        progress.stage(&format!("layer {} of {}", number + 1, image.layers.len()));
        notes.extend(layer::apply(&place, blob, root, signals, progress)?);
    }
    let system = System::of(root)?;
    tame::apply(root, &tame::image(root, &system)?)?;
    notes.extend(crate::copy::identity(root, stage, crate::copy::HostKeys::default(), signals, progress)?);
    notes.extend(image.config.notes(system.init != Init::None));
    Ok(Brought { notes, config: image.config, has_init: system.init != Init::None })
}

/// The layout as a directory: unpacked into the stage, if it is an archive.
fn directory(image: &Path, stage: &Stage, signals: &Signals, progress: &mut dyn Progress) -> Result<PathBuf, Error> {
    if image.is_dir() {
        return image.canonicalize().map_err(Error::io("find the image", image));
    }
    let dir = stage.dir().join("oci");
    std::fs::create_dir(&dir).map_err(Error::io("make the directory", &dir))?;
    progress.stage(&format!("unpacking {}", image.display()));
    let options = Options { ids: u64::from(u32::MAX), ..Options::default() };
    template::one(image, &options, &GuestRoot::open(&dir)?, &mut All, signals, progress)?;
    Ok(dir)
}

impl Brought {
    /// What an image without an init starts with, as the guest's configuration.
    pub(crate) fn furnish(&self, guest: &mut NewGuest, wished: Option<Style>) {
        if self.has_init || self.config.command().is_empty() {
            return;
        }
        let mut add = |path: &str, lines: &[String]| {
            if !guest.files.iter().any(|(known, _)| known == Path::new(path)) {
                guest.files.push((PathBuf::from(path), (lines.join("\n") + "\n").into_bytes()));
            }
        };
        add("apps/init/cmd.start", &self.config.command());
        if !self.config.env.is_empty() {
            add("apps/init/environment", &self.config.env);
        }
        // A first process that takes no notice of a signal would otherwise be waited for as long as an init.
        add("apps/vshelper/sync-timeout", &["10".to_owned()]);
        guest.init_style = wished.or(Some(Style::Plain));
    }
}

/// A blob, opened; `what` is for messages.
fn open(place: &GuestRoot, path: &str, what: &str) -> Result<File, Error> {
    place.open_file(path).map_err(|error| match error.is_not_found() {
        true => refused(&format!("its {what} '{path}' is missing")),
        false => error.into(),
    })
}

fn refused(reason: &str) -> Error {
    Error::Wish { reason: format!("the image cannot be used: {reason}") }
}
