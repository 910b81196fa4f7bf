//! `apps/init/`.

use std::time::Duration;

use proptest::option;
use proptest::prelude::*;
use vserver_config::{Init, KillStep, Style};

use crate::strategy::{items, scalar};

fn command() -> impl Strategy<Value = Option<Vec<String>>> {
    option::of(prop::collection::vec("[^\\n\\x00]{1,8}", 1..4))
}

fn seconds() -> impl Strategy<Value = Duration> {
    any::<u32>().prop_map(|seconds| Duration::from_secs(seconds.into()))
}

/// Only the last step may be without a wait.
fn killseq() -> impl Strategy<Value = Vec<KillStep>> {
    (prop::collection::vec((1..=64, seconds()), 0..4), any::<bool>()).prop_map(|(steps, open)| {
        let last = steps.len();
        let step = |(at, (signal, wait))| KillStep { signal, wait: Some(wait).filter(|_| !open || at + 1 < last) };
        steps.into_iter().enumerate().map(step).collect()
    })
}

/// A style has levels of its own, which a file can change and not take away.
fn levels() -> impl Strategy<Value = (Option<Style>, Option<String>, Option<String>)> {
    let style = option::of(prop::sample::select(&Style::NAMES[..]).prop_map(|(_, style)| style));
    (style, option::of(scalar()), option::of(scalar())).prop_map(|(style, start, stop)| {
        let (own_start, own_stop) = match style.unwrap_or(Style::Sysv) {
            Style::Sysv => (Some("3"), Some("6")),
            Style::Arch => (Some("3"), None),
            Style::Gentoo | Style::Openrc => (Some("default"), None),
            Style::Plain | Style::Systemd | Style::Minit | Style::Empty => (None, None),
        };
        (style, start.or(own_start.map(str::to_owned)), stop.or(own_stop.map(str::to_owned)))
    })
}

pub fn init() -> impl Strategy<Value = Init> {
    let commands = (command(), command(), command(), command(), command());
    let environment = prop::collection::vec("[^\\n\\x00=]{1,6}=[^\\n\\x00]{0,8}", 0..4);
    (levels(), any::<bool>(), commands, killseq(), environment, (items(), items()), any::<bool>(), seconds())
        .prop_map(
            |(
                (style, runlevel_start, runlevel_stop),
                fakeinit,
                commands,
                killseq,
                environment,
                lists,
                sync,
                timeout,
            )| Init {
                style,
                fakeinit,
                runlevel_start,
                runlevel_stop,
                cmd_start: commands.0,
                cmd_stop: commands.1,
                cmd_prepare: commands.2,
                cmd_start_sync: commands.3,
                cmd_stop_sync: commands.4,
                killseq,
                environment,
                mark: lists.0,
                depends: lists.1,
                sync,
                sync_timeout: timeout,
            },
        )
}
