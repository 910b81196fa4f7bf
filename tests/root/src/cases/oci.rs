//! build -m oci: layers with whiteouts, from a layout and from an archive of docker; and images that lie.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::needs::Need;
use crate::tree;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("oci::layers_become_a_guest_that_serves", layers_become_a_guest_that_serves)
            .needs(Need::Tool("sha256sum"))
            .smoke(),
        Trial::new("oci::images_that_lie_leave_nothing", images_that_lie_leave_nothing)
            .needs(Need::Tool("sha256sum")),
    ]
}

const PAGE: &str = "from the second layer\n";

/// Two layers: a busybox, and over it a web page, with a file and the content of a directory taken away.
fn layers(dir: &Path) -> Vec<PathBuf> {
    let (one, two) = (dir.join("one"), dir.join("two"));
    tree::busybox(&one);
    // An image has no init of its own.
    fs::remove_dir_all(one.join("sbin")).unwrap();
    fs::remove_file(one.join("bin/init")).unwrap_or_default();
    tree::write(&one, "srv/index.html", "from the first layer\n", 0o644);
    tree::write(&one, "srv/old", "x", 0o644);
    tree::write(&one, "opt/a/b", "x", 0o644);
    tree::write(&two, "srv/index.html", PAGE, 0o644);
    tree::write(&two, "srv/.wh.old", "", 0o644);
    tree::write(&two, "opt/.wh..wh..opq", "", 0o644);
    tree::write(&two, "opt/new", "x", 0o644);
    let pack = |root: &Path, name: &str, option: &str| {
        let file = dir.join(name);
        let packed = Command::new("tar").arg(option).arg(&file).arg("-C").arg(root).arg(".").status().unwrap();
        assert!(packed.success());
        file
    };
    vec![pack(&one, "one.tar.gz", "-czf"), pack(&two, "two.tar", "-cf")]
}

fn config() -> Value {
    let port = "8089";
    json!({ "architecture": "amd64", "os": "linux", "config": {
        "Entrypoint": ["/bin/httpd"],
        "Cmd": ["-f", "-p", port, "-h", "/srv"],
        "Env": ["PATH=/bin:/sbin", "GREETING=hello"],
        "User": "",
    }})
}

fn digest(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

/// Puts a file among the blobs; its descriptor.
fn blob(layout: &Path, file: &Path) -> Value {
    let sum = digest(file);
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    fs::copy(file, blobs.join(&sum)).unwrap();
    json!({ "digest": format!("sha256:{sum}"), "size": file.metadata().unwrap().len(), "mediaType": "x" })
}

fn text(dir: &Path, name: &str, content: &Value) -> PathBuf {
    let file = dir.join(name);
    fs::write(&file, content.to_string()).unwrap();
    file
}

/// An OCI image layout, with an index for two kinds of machines.
fn layout(dir: &Path) -> PathBuf {
    let layout = dir.join("layout");
    let layers: Vec<Value> = layers(dir).iter().map(|file| blob(&layout, file)).collect();
    let config = blob(&layout, &text(dir, "config.json", &config()));
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
    let mut own = blob(&layout, &text(dir, "manifest.json", &manifest));
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    own["platform"] = json!({ "os": "linux", "architecture": machine });
    let mut other = own.clone();
    other["platform"]["architecture"] = "s390x".into();
    text(&layout, "index.json", &json!({ "schemaVersion": 2, "manifests": [other, own] }));
    fs::write(layout.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
    layout
}

fn docker(dir: &Path) -> PathBuf {
    let saved = dir.join("saved");
    fs::create_dir_all(&saved).unwrap();
    for file in layers(dir) {
        fs::rename(&file, saved.join(file.file_name().unwrap())).unwrap();
    }
    text(&saved, "config.json", &config());
    let list = json!([{ "Config": "config.json", "RepoTags": ["web:1"], "Layers": ["one.tar.gz", "two.tar"] }]);
    text(&saved, "manifest.json", &list);
    let file = dir.join("saved.tar");
    assert!(Command::new("tar").arg("-cf").arg(&file).arg("-C").arg(&saved).arg(".").status().unwrap().success());
    file
}

fn layers_become_a_guest_that_serves() {
    let host = Fixture::new();
    let images = [layout(&host.scratch("layout")), docker(&host.scratch("docker"))];
    for image in images {
        let (name, xid) = host.fresh();
        let (context, word) = (xid.to_string(), image.to_str().unwrap().to_owned());
        let address = ["--interface", "nodev:127.0.9.4/8"];
        let method = ["-m", "oci", "--", "-s", &word];
        host.v(&[&[name.as_str(), "build", "--context", &context], &address[..], &method].concat()).ok();
        let root = host.trees().join(&name);
        assert_eq!(fs::read_to_string(root.join("srv/index.html")).unwrap(), PAGE);
        assert!(!root.join("srv/old").exists() && !root.join("srv/.wh.old").exists());
        assert_eq!(fs::read_dir(root.join("opt")).unwrap().count(), 1, "the directory was emptied first");
        host.v(&[&name, "start"]).ok();
        let get = "i=0; while ! wget -qO- http://127.0.9.4:8089/index.html; do i=$((i+1)); [ $i -lt 50 ] || exit 1; sleep 0.2; done";
        host.v(&[&name, "exec", "sh", "-c", get]).ok().says(PAGE.trim());
        host.v(&[&name, "exec", "sh", "-c", "tr '\\0' '\\n' </proc/1/environ"]).ok().says("GREETING=hello");
        host.v(&[&name, "stop"]).ok();
        host.v(&["--silent", &name, "delete"]).ok();
    }
}

fn images_that_lie_leave_nothing() {
    let host = Fixture::new();
    let (name, xid) = host.fresh();
    let context = xid.to_string();
    let refused = |image: &Path, says: &str| {
        let words = [name.as_str(), "build", "--context", &context, "-m", "oci", "--", "-s", image.to_str().unwrap()];
        host.v(&words).exits(1).says(says);
        assert!(!host.confdir().join(&name).exists());
        assert_eq!(fs::read_dir(host.trees()).unwrap().count(), 0, "{says}");
    };
    let base = host.scratch("lies");
    let fresh = |word: &str| {
        let dir = base.join(word);
        fs::create_dir_all(&dir).unwrap();
        layout(&dir)
    };
    let exchanged = fresh("exchanged");
    let largest = fs::read_dir(exchanged.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    let largest = largest.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&largest, bytes).unwrap();
    refused(&exchanged, "is not what its digest says");
    let missing = fresh("missing");
    fs::remove_dir_all(missing.join("blobs")).unwrap();
    refused(&missing, "is missing");
    let outside = fresh("outside");
    fs::remove_file(outside.join("index.json")).unwrap();
    symlink("/etc/hostname", outside.join("index.json")).unwrap();
    refused(&outside, "the image cannot be used");
    let path = json!({ "manifests": [{ "digest": "sha256:../../../../etc/passwd" }] });
    fs::remove_file(outside.join("index.json")).unwrap();
    text(&outside, "index.json", &path);
    refused(&outside, "is no sha256 digest");
    text(&outside, "index.json", &json!({ "manifests": [] }));
    refused(&outside, "it has nothing for linux/");
    let empty = base.join("empty");
    fs::create_dir_all(&empty).unwrap();
    refused(&empty, "neither an index.json");
}
