//! Guests of the 2.4 kind: one file `NAME.conf` of shell variables. They are not started; each line is told where it goes
//! today. Source: `config-tree.md` §2, `commands.md` §12.

use std::path::Path;

use crate::reader::Reader;

/// Tells of every line of the file what replaces it. Nothing of it is given to a shell.
pub(super) fn tell(reader: &mut Reader, confdir: &Path, name: &str, file: &Path) {
    let dir = confdir.join(name);
    let hint = format!(
        "make the directory '{}' with a link 'vdir' to the guest's tree, and in it the files named below; once it is there, \
         this file is not looked at any more",
        dir.display()
    );
    reader.error(file, None, "guests of the 2.4 kind, one file each, are not supported", &hint);
    let text = reader.text(file).unwrap_or_default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let variable = line.split_once('=').filter(|(name, _)| is_name(name));
        let Some((variable, value)) = variable else {
            reader.warn(file, Some(number), "it is no variable", "what it does belongs into a file in scripts/");
            continue;
        };
        let place = place(variable, &bare(value));
        let hint = place.unwrap_or_else(|| "nothing replaces it; it was never read by the tools".to_owned());
        reader.warn(file, Some(number), format!("{} is not read", variable.escape_debug()), &hint);
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Without its quotes, and without a comment behind it.
fn bare(value: &str) -> String {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let bare = match quote {
        Some(quote) => value[1..].split(quote).next(),
        None => value.split([' ', '\t', ';', '#']).next(),
    };
    bare.unwrap_or_default().chars().filter(|c| !c.is_control()).collect()
}

/// What to write, and where.
fn place(variable: &str, value: &str) -> Option<String> {
    let to = |file: &str| Some(format!("write '{value}' to {file}"));
    let lines = |file: &str| {
        let words: Vec<&str> = value.split_whitespace().collect();
        Some(format!("write {} to {file}, each on a line", list(&words)))
    };
    const READ: [&str; 11] = [
        "IPROOT",
        "IPROOTDEV",
        "IPROOTMASK",
        "IPROOTBCAST",
        "S_CONTEXT",
        "S_HOSTNAME",
        "S_DOMAINNAME",
        "S_NICE",
        "S_FLAGS",
        "S_CAPS",
        "ULIMIT",
    ];
    match variable {
        name if value.trim().is_empty() && READ.contains(&name) => {
            Some("it is empty: write nothing for it".to_owned())
        }
        "IPROOT" if value == "0.0.0.0" => Some("make the file noncontext: all addresses of the host".to_owned()),
        "IPROOT" => Some(addresses(value)),
        "IPROOTDEV" => to("interfaces/dev"),
        "IPROOTMASK" => to("interfaces/mask"),
        "IPROOTBCAST" => to("interfaces/bcast"),
        "ONBOOT" if value == "yes" => Some("write 'default' to apps/init/mark".to_owned()),
        "ONBOOT" => Some("a guest without apps/init/mark is not started with the host".to_owned()),
        "PRIORITY" => Some("name the guests that it needs in apps/init/depends".to_owned()),
        "S_CONTEXT" => to("context"),
        "S_HOSTNAME" => to("uts/nodename"),
        "S_DOMAINNAME" => to("uts/domainname"),
        "S_NICE" => to("nice"),
        "S_FLAGS" => lines("cflags"),
        "S_CAPS" => lines("bcapabilities"),
        "ULIMIT" => Some(limits(value)),
        _ => None,
    }
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" and ")
}

/// `[DEVICE:]ADDRESS[/MASK] …`: each becomes an interface.
fn addresses(value: &str) -> String {
    let one = |(number, word): (usize, &str)| {
        let (dev, address) = word.split_once(':').map_or((None, word), |(dev, address)| (Some(dev), address));
        let (ip, length) = address.split_once('/').map_or((address, None), |(ip, length)| (ip, Some(length)));
        let mut files = vec![format!("'{ip}' to interfaces/{number}/ip")];
        files.extend(dev.map(|dev| format!("'{dev}' to interfaces/{number}/dev")));
        files.extend(length.map(|length| {
            let file = if length.contains('.') { "mask" } else { "prefix" };
            format!("'{length}' to interfaces/{number}/{file}")
        }));
        files.join(", ")
    };
    format!("write {}", value.split_whitespace().enumerate().map(one).collect::<Vec<_>>().join(", "))
}

/// The options of ulimit(1): `-H` and `-S`, then a letter and its number.
fn limits(value: &str) -> String {
    let (mut suffix, mut letter, mut files) = ("", None, Vec::new());
    for word in value.split_whitespace() {
        match (word.strip_prefix('-'), letter.take()) {
            (Some("H"), _) => suffix = ".hard",
            (Some("S"), _) => suffix = ".soft",
            (Some("HS" | "SH"), _) => suffix = "",
            (Some(option), _) => letter = Some(option),
            (None, Some(option)) => match resource(option) {
                Some((resource, unit)) => files.push(format!("'{word}'{unit} to ulimits/{resource}{suffix}")),
                None => files.push(format!("nothing for -{option}, which no file sets")),
            },
            (None, None) => {}
        }
    }
    format!("write {}", files.join(", "))
}

/// The file of a letter, and what its numbers count there: setrlimit(2) has bytes where ulimit(1) has KiB.
fn resource(option: &str) -> Option<(&'static str, &'static str)> {
    Some(match option {
        "u" => ("nproc", ""),
        "n" => ("nofile", ""),
        "t" => ("cpu", ""),
        "x" => ("locks", ""),
        "c" => ("core", " and a 'K' behind it"),
        "d" => ("data", " and a 'K' behind it"),
        "f" => ("fsize", " and a 'K' behind it"),
        "l" => ("memlock", " and a 'K' behind it"),
        "m" => ("rss", " and a 'K' behind it"),
        "s" => ("stack", " and a 'K' behind it"),
        _ => return None,
    })
}
