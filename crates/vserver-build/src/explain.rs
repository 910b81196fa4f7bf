//! What package tools say, in one sentence: a signature that is not right, or a mirror that does not answer or stops.

use crate::Error;

/// What tools say of signatures, in small letters.
const SIGNATURES: [&str; 17] = [
    "gpg check failed",
    "is not signed",
    "signed by unknown key",
    "invalid release signature",
    "unknown trust",
    "missing required signature",
    "pgp signature",
    "signature verification failed",
    "untrusted signature",
    "public key for",
    "no key of the distribution",
    "nokey",
    "no public key",
    "signature check",
    "does not verify",
    "gpg error",
    "repomd.xml gpg signature",
];
/// Of mirrors and the network.
const FETCHES: [&str; 27] = [
    "could not resolve",
    "couldn't resolve",
    "temporary failure",
    "temporary error",
    "network is unreachable",
    "connection refused",
    "couldn't connect",
    "could not connect",
    "failed to connect",
    "connection reset",
    "connection timed out",
    "operation timed out",
    "transferred a partial file",
    "transfer closed",
    "unexpected end of file",
    "cannot download",
    "failed to download",
    "failed retrieving",
    "failed getting release file",
    "couldn't download",
    "couldn't retrieve",
    "error downloading",
    "download (curl) error",
    "connection closed",
    "failed to fetch",
    "timeout exceeded when accessing",
    "valid metadata not found",
];

/// The failure of a program, told by its cause if that is known. `source` is the suite or distribution.
pub(crate) fn fetching(error: Error, source: &str) -> Error {
    let Error::Program { program, tail, .. } = &error else { return error };
    let said = |causes: &[&str]| {
        let has = |line: &&String| causes.iter().any(|cause| line.to_lowercase().contains(cause));
        tail.iter().find(has).map(|line| line.trim().trim_end_matches(['.', ':']).to_owned())
    };
    let (program, source) = (*program, source.to_owned());
    if let Some(line) = said(&SIGNATURES) {
        return Error::Signature { program, distribution: source, line };
    }
    match said(&FETCHES) {
        Some(line) => Error::Fetch { program, distribution: source, line },
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> String {
        let tail = vec!["first".to_owned(), line.to_owned(), "Error: last".to_owned()];
        fetching(Error::Program { program: "dnf", status: "exit status: 1".to_owned(), tail }, "fedora").to_string()
    }

    #[test]
    fn the_cause_is_told_in_one_line() {
        for (line, part) in [
            ("Package a-1.rpm is not signed", "signature"),
            ("E: Release signed by unknown key (key id 1234)", "signature"),
            ("Curl error (18): Transferred a partial file for http://m/x", "mirror"),
            ("E: Couldn't download dists/x/Release", "mirror"),
            ("Timeout exceeded when accessing 'http://m/repodata/x-primary.xml.gz'", "mirror"),
        ] {
            let error = told(line);
            assert!(error.contains(part) && error.contains(line) && !error.contains('\n'), "{error}");
        }
        assert!(told("something else").contains("it said last"));
    }
}
