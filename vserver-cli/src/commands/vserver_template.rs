//! `vserver-template`.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use vserver_build::Output;
use vserver_build::templates::{self, Template};
use vserver_types::Exit;

use crate::args::{TemplateVerb, VserverTemplateArgs};
use crate::commands::build::progress::Watch;
use crate::commands::import::report::size;
use crate::context::Context;
use crate::error::CliError;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Runs the verb.
pub fn run(args: &VserverTemplateArgs, context: &Context) -> Result<Exit, CliError> {
    let confdir = &context.host.confdir;
    match &args.verb {
        TemplateVerb::List { json } => list(*json, context)?,
        TemplateVerb::Refresh { names, older_than, debug } => refresh(names, *older_than, *debug, context)?,
        TemplateVerb::Delete { names } => names.iter().try_for_each(|name| templates::delete(confdir, name))?,
        TemplateVerb::Export { name, file } => {
            let output = if file == Path::new("-") { Output::Standard } else { Output::File(file.clone()) };
            watched(context, false, |watch| templates::export(confdir, name, &output, watch))?;
        }
        TemplateVerb::Import { file } => {
            let template = watched(context, false, |watch| templates::import(confdir, file, watch))?;
            context
                .printer
                .status(format_args!("template '{}' of {} is there", template.name, template.recipe.suite))?;
        }
    }
    Ok(Exit::Success)
}

fn watched<T>(
    context: &Context,
    debug: bool,
    work: impl FnOnce(&mut Watch<'_>) -> Result<T, vserver_build::Error>,
) -> Result<T, CliError> {
    let mut watch = Watch::new(&context.printer, debug);
    let done = work(&mut watch);
    watch.end();
    Ok(done?)
}

fn list(as_json: bool, context: &Context) -> Result<(), CliError> {
    let all = templates::list(&context.host.confdir)?;
    if as_json {
        let rows: Vec<_> = all.iter().map(|(template, whole)| object(template, *whole)).collect();
        return context.printer.json(&rows);
    }
    let mut text = format!("{:<28} {:>8} {:>10} {:>8} STATE    MADE OF\n", "NAME", "AGE", "SIZE", "FILES");
    for (template, whole) in &all {
        let state = if *whole { "whole" } else { "changed" };
        let made = [
            &[template.recipe.mirror.as_str()],
            &template.recipe.options.iter().map(String::as_str).collect::<Vec<_>>()[..],
        ];
        text.push_str(&format!(
            "{:<28} {:>6} d {:>10} {:>8} {state:<8} {}\n",
            template.name,
            template.age().as_secs() / DAY,
            size(template.bytes),
            template.objects,
            made.concat().join(" ")
        ));
    }
    context.printer.text(&text)
}

fn object(template: &Template, whole: bool) -> serde_json::Value {
    json!({
        "name": template.name,
        "suite": template.recipe.suite,
        "mirror": template.recipe.mirror,
        "options": template.recipe.options,
        "built": template.built,
        "age_seconds": template.age().as_secs(),
        "bytes": template.bytes,
        "objects": template.objects,
        "whole": whole,
    })
}

fn refresh(names: &[String], older_than: u32, debug: bool, context: &Context) -> Result<(), CliError> {
    let confdir = &context.host.confdir;
    let age = Duration::from_secs(u64::from(older_than) * DAY);
    let all = templates::list(confdir)?;
    let old = |name: &str| {
        all.iter().find(|(known, _)| known.name == name).is_none_or(|(known, whole)| !whole || known.age() >= age)
    };
    let known: Vec<String> = all.iter().map(|(known, _)| known.name.clone()).collect();
    let wanted = if names.is_empty() { &known } else { names };
    for name in wanted.iter().filter(|name| old(name)) {
        let template = watched(context, debug, |watch| templates::refresh(confdir, name, watch))?;
        context.printer.status(format_args!(
            "template '{name}' is new: {} in {} files",
            size(template.bytes),
            template.objects
        ))?;
    }
    Ok(())
}
