//! `config`.

use vserver_config::Edit;
use vserver_types::Exit;

use crate::args::ConfigArgs;
use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Prints what is understood of the guest's configuration, as JSON; or changes files of it and prints which.
pub fn run(args: &ConfigArgs, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let (confdir, name) = (&context.host.confdir, &guest.name);
    let edits = edits(args)?;
    if edits.is_empty() {
        let (config, warnings) =
            vserver_config::read(confdir, name).map_err(|error| guest.failed(error.into(), context))?;
        context.printer.json(&vserver_config::describe(confdir, &config, &warnings))?;
        return Ok(Exit::Success);
    }
    let changed = vserver_config::edit(confdir, name, &edits).map_err(|error| guest.failed(error.into(), context))?;
    for file in changed {
        context.printer.line(file.display())?;
    }
    Ok(Exit::Success)
}

/// What is to be removed goes first, and what is added comes last.
fn edits(args: &ConfigArgs) -> Result<Vec<Edit>, CliError> {
    let mut edits: Vec<Edit> = args.unset.iter().cloned().map(Edit::Unset).collect();
    edits.extend(args.set.iter().map(|word| pair(word, Edit::Set)).collect::<Result<Vec<_>, _>>()?);
    edits.extend(args.drop.iter().map(|word| pair(word, Edit::Drop)).collect::<Result<Vec<_>, _>>()?);
    edits.extend(args.add.iter().map(|word| pair(word, Edit::Add)).collect::<Result<Vec<_>, _>>()?);
    Ok(edits)
}

fn pair(word: &str, edit: impl Fn(String, String) -> Edit) -> Result<Edit, CliError> {
    let (file, value) = word
        .split_once('=')
        .ok_or_else(|| CliError::usage("vserver NAME config", &format!("'{word}' is not FILE=VALUE"), Exit::Usage))?;
    Ok(edit(file.to_owned(), value.to_owned()))
}
