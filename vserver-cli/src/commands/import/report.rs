//! The report of an import, for people.

use vserver_build::{LeftOut, Survey};

/// Programs with set-id bits that are listed.
const SHOWN: usize = 8;

/// All of it.
pub fn text(survey: &Survey) -> String {
    let mut text = format!(
        "system     {}, init: {}\nhost name  {}\nsize       {} in {} files\n",
        tame(&survey.system.name),
        survey.system.init.name(),
        survey.hostname,
        size(survey.bytes),
        survey.objects
    );
    section(&mut text, "left out", survey.left_out.iter().map(left_out));
    section(&mut text, "rewritten", survey.rewritten.iter().cloned());
    section(&mut text, "cannot work", survey.cannot.iter().cloned());
    let ports = survey.ports.iter().map(|port| format!("{}/{} {}", port.number, port.protocol, port.service));
    section(&mut text, "ports that it will bind", ports);
    let more = survey.setid.len().saturating_sub(SHOWN);
    let setid = survey.setid.iter().take(SHOWN).cloned().chain((more > 0).then(|| format!("and {more} more")));
    section(&mut text, "programs with set-user-id or set-group-id", setid);
    text
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        text.push_str(&format!("{title}:\n"));
    }
    for line in lines {
        text.push_str(&format!("  {}\n", tame(&line)));
    }
}

fn left_out(left: &LeftOut) -> String {
    let LeftOut { path, reason, objects, bytes } = left;
    match (objects, bytes) {
        (Some(objects), Some(bytes)) => format!("{path} ({objects} names, {}): {reason}", size(*bytes)),
        _ => format!("{path}: {reason}"),
    }
}

/// With a unit.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Names come from the machine; a terminal must not obey them.
fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(size(5), "5 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(3 << 30), "3.0 GiB");
    }
}
