//! Ours and the programs that make hard links of equal files, as they are called and measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::ours::NAME;
use super::{fclones, time};
use crate::shell::{capture, command, find, say};

/// A program, and how it is called.
pub struct Tool {
    /// Its name in the result.
    pub name: &'static str,
    /// Its words.
    pub argv: Vec<String>,
}

/// Ours, and the peers that are installed. All may ignore times, and compare what they link.
pub fn all(bin: &Path, home: &Path, copies: &Path, trees: &[PathBuf]) -> Vec<Tool> {
    let copies = copies.to_string_lossy().into_owned();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).chain([copies.clone()]).collect();
    let mut ours: Vec<String> =
        vec![bin.join("vserver").to_string_lossy().into_owned(), "--applet".into(), "vhashify".into()];
    ours.extend(["--ignore-mtime".into(), "--manually".into(), "--destination".into(), format!("{copies}/.hash")]);
    for place in trees {
        ours.extend([place.to_string_lossy().into_owned(), home.join("none").to_string_lossy().into_owned()]);
    }
    let mut tools = vec![
        Tool { name: NAME, argv: ours },
        Tool { name: "jdupes", argv: words(&["jdupes", "-q", "-r", "-L"]) },
        Tool { name: "rdfind", argv: words(&["rdfind", "-makehardlinks", "true", "-makeresultsfile", "false"]) },
        Tool { name: "hardlink", argv: words(&["hardlink", "-q", "-t"]) },
    ];
    for tool in tools.iter().filter(|tool| tool.name != NAME && find(tool.name).is_none()) {
        say(&format!("{} is not installed, so it is not compared", tool.name));
    }
    tools.retain(|tool| tool.name == NAME || find(tool.name).is_some());
    match fclones::program() {
        Ok(fclones) => {
            let fclones = fclones.display();
            let script = format!(
                "'{fclones}' --quiet group --hidden --no-ignore '{copies}' | '{fclones}' --quiet link >/dev/null"
            );
            tools.push(Tool { name: "fclones", argv: vec!["sh".into(), "-c".into(), script] });
        }
        Err(why) => say(&format!("fclones is not installed, so it is not compared: {why}")),
    }
    tools
}

/// Milliseconds, and the most memory in kB.
pub fn timed(tool: &Tool, home: &Path) -> Result<(f64, f64), String> {
    let out = home.join("memory");
    let mut command = Command::new("time");
    command.args(["-f", "%M", "-o"]).arg(&out).args(&tool.argv).stdin(Stdio::null()).stdout(Stdio::null());
    let time = time(&mut command)?;
    let memory = fs::read_to_string(&out).ok().and_then(|text| text.trim().parse().ok());
    Ok((time, memory.ok_or("time(1) has not said how much memory was used")?))
}

/// What directories take together, in MiB.
pub fn space(dirs: &[PathBuf]) -> Result<f64, String> {
    let said = capture(command("du", &["-s", "-c", "-B1"]).args(dirs))?;
    let total = said.lines().last().and_then(|line| line.split_whitespace().next());
    let bytes = total.and_then(|word| word.parse::<f64>().ok());
    Ok(bytes.ok_or("du has not said how much there is")? / f64::from(1 << 20))
}
