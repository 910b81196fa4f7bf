//! The host's own package sources: one-line files and deb822 files. sources.list(5).

use std::fs;
use std::path::Path;

/// One source of binary packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The archive.
    pub uri: String,
    /// Suite, as in `bookworm` or `bookworm-security`.
    pub suite: String,
    /// As in `main`.
    pub components: Vec<String>,
}

/// Sources of the host in the order in which apt reads them; what cannot be read or understood is left out.
pub fn host_sources(etc_apt: &Path) -> Vec<Source> {
    let mut sources =
        fs::read_to_string(etc_apt.join("sources.list")).map(|text| one_line(&text)).unwrap_or_default();
    let mut files: Vec<_> = fs::read_dir(etc_apt.join("sources.list.d"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.sort();
    for path in files {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        match path.extension().and_then(|e| e.to_str()) {
            Some("list") => sources.extend(one_line(&text)),
            Some("sources") => sources.extend(deb822(&text)),
            _ => {}
        }
    }
    sources
}

/// The archive for a suite: one that has it, a whole Debian archive by its path before others; else any whole archive,
/// for that holds all suites.
pub(crate) fn mirror(sources: &[Source], suite: &str) -> Option<String> {
    let usable = |s: &&Source| is_fetchable(&s.uri) && s.components.iter().any(|c| c == "main");
    let usable: Vec<&Source> = sources.iter().filter(usable).collect();
    let whole = |s: &Source| s.uri.trim_end_matches('/').ends_with("/debian");
    let find = |wanted: &dyn Fn(&Source) -> bool| usable.iter().find(|s| wanted(s));
    find(&|s| s.suite == suite && whole(s))
        .or_else(|| find(&|s| s.suite == suite))
        .or_else(|| find(&whole))
        .map(|s| s.uri.clone())
}

/// The archive of the security updates for a suite.
pub(crate) fn security(sources: &[Source], suite: &str) -> Option<String> {
    let name = format!("{suite}-security");
    let exact = sources.iter().find(|s| s.suite == name && is_fetchable(&s.uri));
    let other = || sources.iter().find(|s| s.suite.ends_with("-security") && is_fetchable(&s.uri));
    exact.or_else(other).map(|s| s.uri.clone())
}

fn is_fetchable(uri: &str) -> bool {
    ["http://", "https://", "file:"].iter().any(|scheme| uri.starts_with(scheme))
}

/// `deb [option=value …] uri suite component…`
fn one_line(text: &str) -> Vec<Source> {
    let parse = |line: &str| {
        let line = line.split('#').next()?.trim().strip_prefix("deb")?;
        let line = line.strip_prefix([' ', '\t'])?.trim_start();
        let line = if line.starts_with('[') { line.split_once(']')?.1 } else { line };
        let mut words = line.split_ascii_whitespace();
        let (uri, suite) = (words.next()?.to_owned(), words.next()?.to_owned());
        Some(Source { uri, suite, components: words.map(str::to_owned).collect() })
    };
    text.lines().filter_map(parse).collect()
}

/// Paragraphs of `Field: value`, a value going on in lines that begin with a blank.
fn deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')).chain([""]) {
        if line.trim().is_empty() {
            sources.extend(paragraph(&fields));
            fields.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.to_owned()));
        }
    }
    sources
}

fn paragraph(fields: &[(String, String)]) -> Vec<Source> {
    let words = |name: &str| -> Vec<String> {
        let value = fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        value.unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect()
    };
    if words("enabled").iter().any(|word| word == "no") || !words("types").iter().any(|word| word == "deb") {
        return Vec::new();
    }
    let components = words("components");
    let mut sources = Vec::new();
    for uri in words("uris") {
        for suite in words("suites") {
            sources.push(Source { uri: uri.clone(), suite, components: components.clone() });
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sources.list.d")).unwrap();
        fs::write(
            dir.path().join("sources.list"),
            "# deb http://a/debian x main\ndeb-src http://b/debian sid main\n\
             deb [arch=amd64 signed-by=/k] http://mirror.example/debian/ trixie main contrib # comment\n",
        )
        .unwrap();
        fs::write(
            dir.path().join("sources.list.d/debian.sources"),
            "Types: deb deb-src\n# a comment\nURIs: http://mirror.example/debian\nSuites: bookworm\n  bookworm-updates\n\
             Components: main\n\nTypes: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\n\
             Components: main\n\nTypes: deb\nEnabled: no\nURIs: http://no\nSuites: x\nComponents: main\n",
        )
        .unwrap();
        let sources = host_sources(dir.path());
        let suites: Vec<_> = sources.iter().map(|s| s.suite.as_str()).collect();
        assert_eq!(suites, ["trixie", "bookworm", "bookworm-updates", "bookworm-security"]);
        assert_eq!(mirror(&sources, "bookworm").as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(mirror(&sources, "bullseye").as_deref(), Some("http://mirror.example/debian/"));
        assert_eq!(security(&sources, "bookworm").as_deref(), Some("http://mirror.example/debian-security"));
        assert_eq!(mirror(&[], "bookworm"), None);
        assert!(host_sources(Path::new("/nonexistent")).is_empty());
    }
}
