//! Manifests, indexes and configurations: which layers, in which order, and what they are started with.

use std::io::Read;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use vserver_fs::GuestRoot;

use super::{open, refused};
use crate::Error;

/// Largest text of an image, in bytes.
const TEXT: u64 = 4 << 20;
/// Indexes in indexes that are followed.
const DEPTH: u32 = 4;
/// Most layers of an image.
const LAYERS: usize = 512;

/// A file of the layout, and the digest that it must have (an archive of docker names none).
pub(super) struct Blob {
    pub path: String,
    pub sha256: Option<String>,
}

/// An image.
pub(super) struct Image {
    /// Lowest first.
    pub layers: Vec<Blob>,
    pub config: Config,
}

/// What a container of the image would run.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Config {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<String>,
    user: String,
    working_dir: String,
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default, deserialize_with = "or_default")]
    config: Config,
}

#[derive(Clone, Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default, deserialize_with = "or_default")]
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// `null` is written where nothing is meant.
fn or_default<'de, D: serde::Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

impl Image {
    /// The image in a directory; `name` picks one of several.
    pub(super) fn find(place: &GuestRoot, name: Option<&str>) -> Result<Self, Error> {
        let image = if place.exists("index.json")? {
            Self::of_layout(place, name)?
        } else if place.exists("manifest.json")? {
            Self::of_docker(place, name)?
        } else {
            return Err(refused(
                "there is neither an index.json (OCI layout) nor a manifest.json (docker save) in it",
            ));
        };
        match image.layers.len() {
            0 => Err(refused("it has no layers")),
            LAYERS.. => Err(refused("it has more than 511 layers")),
            _ => Ok(image),
        }
    }

    fn of_layout(place: &GuestRoot, name: Option<&str>) -> Result<Self, Error> {
        let mut index: Index =
            parse(&text(place, &Blob { path: "index.json".into(), sha256: None }, "index")?, "index")?;
        for depth in 0..DEPTH {
            let chosen = choose(&index.manifests, name.filter(|_| depth == 0))?;
            let bytes = text(place, &blob(&chosen)?, "manifest")?;
            if let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) {
                let config = text(place, &blob(&manifest.config)?, "configuration")?;
                let layers = manifest.layers.iter().map(blob).collect::<Result<_, _>>()?;
                let file: ConfigFile = parse(&config, "configuration")?;
                return Ok(Self { layers, config: file.config });
            }
            index = parse(&bytes, "manifest")?;
        }
        Err(refused("its indexes have no end"))
    }

    fn of_docker(place: &GuestRoot, name: Option<&str>) -> Result<Self, Error> {
        let list = text(place, &Blob { path: "manifest.json".into(), sha256: None }, "manifest")?;
        let all: Vec<Saved> = parse(&list, "manifest")?;
        let names = || all.iter().flat_map(|saved| saved.repo_tags.clone()).collect::<Vec<_>>().join(", ");
        let saved = match (name, all.as_slice()) {
            (None, [one]) => Some(one),
            (None, _) => None,
            (Some(name), all) => all.iter().find(|saved| saved.repo_tags.iter().any(|tag| tag == name)),
        };
        let saved = saved.ok_or_else(|| refused(&format!("say by --image which of these is meant: {}", names())))?;
        // Their names are digests, in one way or the other; the format promises none.
        let plain = |path: &String| Blob { sha256: named_digest(path), path: path.clone() };
        let file: ConfigFile = parse(&text(place, &plain(&saved.config), "configuration")?, "configuration")?;
        Ok(Self { layers: saved.layers.iter().map(plain).collect(), config: file.config })
    }
}

impl Config {
    /// Entry point and arguments.
    pub(super) fn command(&self) -> Vec<String> {
        [self.entrypoint.clone().unwrap_or_default(), self.cmd.clone().unwrap_or_default()].concat()
    }

    /// What of it a guest does not do.
    pub(super) fn notes(&self, has_init: bool) -> Vec<String> {
        let mut notes = Vec::new();
        let command = self.command();
        if has_init {
            return notes;
        }
        if command.is_empty() {
            notes.push(
                "the image has neither an init nor a command: give the guest one in apps/init/cmd.start".to_owned(),
            );
        }
        if !matches!(self.user.as_str(), "" | "0" | "root" | "0:0" | "root:root") {
            notes.push(format!("the image wants to run as '{}'; the guest's first process is root", self.user));
        }
        if !matches!(self.working_dir.as_str(), "" | "/") {
            notes.push(format!(
                "the image wants to run in '{}'; the guest's first process begins in /",
                self.working_dir
            ));
        }
        notes
    }
}

/// `blobs/sha256/<digest>` or `<digest>.json`.
fn named_digest(path: &str) -> Option<String> {
    let last = path.rsplit('/').next()?;
    let last = last.strip_suffix(".json").unwrap_or(last);
    (last.len() == 64 && last.bytes().all(|b| b.is_ascii_hexdigit())).then(|| last.to_owned())
}

/// The one that is meant: by name, or the only one for this kind of machine.
fn choose(manifests: &[Descriptor], name: Option<&str>) -> Result<Descriptor, Error> {
    const NAME: &str = "org.opencontainers.image.ref.name";
    let own = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let fits = |one: &&Descriptor| one.platform.as_ref().is_none_or(|p| p.os == "linux" && p.architecture == own);
    let named =
        |one: &&Descriptor| name.is_none_or(|name| one.annotations.get(NAME).is_some_and(|known| known == name));
    let found: Vec<&Descriptor> = manifests.iter().filter(named).filter(fits).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(refused(&format!(
            "it has nothing for linux/{own}{}",
            name.map_or(String::new(), |name| format!(" by the name '{name}'"))
        ))),
        several => {
            let names: Vec<&str> =
                several.iter().filter_map(|one| one.annotations.get(NAME)).map(String::as_str).collect();
            Err(refused(&format!("say by --image which of these is meant: {}", names.join(", "))))
        }
    }
}

fn blob(descriptor: &Descriptor) -> Result<Blob, Error> {
    let digest = descriptor.digest.strip_prefix("sha256:").unwrap_or_default();
    match digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => Ok(Blob { path: format!("blobs/sha256/{digest}"), sha256: Some(digest.to_owned()) }),
        false => Err(refused(&format!("'{}' is no sha256 digest", descriptor.digest.escape_debug()))),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| refused(&format!("its {what} cannot be understood ({error})")))
}

fn text(place: &GuestRoot, blob: &Blob, what: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = open(place, &blob.path, what)?.take(TEXT + 1).read_to_end(&mut bytes);
    read.map_err(Error::io("read", &blob.path))?;
    if bytes.len() as u64 > TEXT {
        return Err(refused(&format!("its {what} is larger than 4 MiB")));
    }
    if blob.sha256.as_ref().is_some_and(|wanted| hex(&Sha256::digest(&bytes)) != *wanted) {
        return Err(changed(&blob.path));
    }
    Ok(bytes)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn changed(path: &str) -> Error {
    refused(&format!("'{path}' is not what its digest says: it is damaged, or was exchanged"))
}
