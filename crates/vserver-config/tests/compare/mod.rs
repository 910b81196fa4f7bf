//! What a description lacks of what is expected.

use serde_json::Value;

/// Keys that do not say what a reader understands of the tree (`samples/README.md`), with those that are about other
/// guests, about the kind of a mount's source, or about how a program of the host is called.
const APART: [&str; 6] = [
    "summary",
    "warnings",
    "stock_kernel_suggestion",
    "external_mount_options",
    "file_bind_if_source_is_file",
    "note",
];

/// What is wanted and not there, as paths.
pub fn missing(wanted: &Value, found: &Value, at: &str, out: &mut Vec<String>) {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            for (key, wanted) in wanted {
                if !APART.contains(&key.as_str()) && !key.ends_with("_note") && !key.ends_with("_original") {
                    missing(wanted, found.get(key).unwrap_or(&Value::Null), &format!("{at}.{key}"), out);
                }
            }
        }
        (Value::Array(all), Value::Array(found)) if all.len() == found.len() => {
            for (index, (wanted, found)) in all.iter().zip(found).enumerate() {
                missing(wanted, found, &format!("{at}[{index}]"), out);
            }
        }
        _ if wanted == found => {}
        _ => out.push(format!("{at}: wanted {wanted}, found {found}")),
    }
}
