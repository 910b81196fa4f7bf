//! How a guest starts and stops. Source: `config-tree.md` §5.8.

use super::setting::{Group, Kind, Setting, honoured};

pub(super) const ALL: Group = Group { title: "Start and stop: `apps/init/`", settings: SETTINGS };

const SETTINGS: &[Setting] = &[
    honoured(
        "apps/init/style",
        Kind::Scalar,
        "sysv, plain, systemd (ours), minit, gentoo, openrc, arch, or an empty line",
        "styles::minit_gentoo_and_arch_have_their_commands",
    ),
    honoured(
        "apps/init/runlevel{,.start,.stop}",
        Kind::Scalar,
        "argument of the style's command, and in utmp",
        "life::sysv_runs_the_levels",
    ),
    honoured(
        "apps/init/cmd.start",
        Kind::Arguments,
        "in place of the style's",
        "styles::commands_replace_the_styles",
    ),
    honoured(
        "apps/init/cmd.stop",
        Kind::Arguments,
        "in place of the style's, for guests without an init",
        "styles::commands_replace_the_styles",
    ),
    honoured(
        "apps/init/cmd.prepare",
        Kind::Arguments,
        "run on the host in vdir before the start",
        "styles::commands_replace_the_styles",
    ),
    honoured(
        "apps/init/cmd.start-sync",
        Kind::Arguments,
        "run on the host after a start with --sync",
        "options::sync_runs_its_command",
    ),
    honoured(
        "apps/init/cmd.stop-sync",
        Kind::Arguments,
        "never needed: stop always knows when the guest has ended",
        "small::vshelper_sync_waits_for_the_end",
    ),
    honoured("apps/init/sync", Kind::Flag, "as --sync", "options::sync_runs_its_command"),
    honoured("apps/init/killseq", Kind::Arguments, "last signals of a stop", "styles::killseq_ends_what_is_left"),
    honoured("apps/init/mark", Kind::Lines, "groups for boot and --mark", "many::patterns_marks_and_statuses"),
    honoured(
        "apps/init/depends",
        Kind::Lines,
        "guests that start before and stop after it",
        "many::fifty_stop_and_start_in_order",
    ),
    honoured(
        "apps/init/environment",
        Kind::Arguments,
        "the whole environment of the first process",
        "standing::environment_is_exactly_the_file",
    ),
    honoured("apps/init/mtab", Kind::Data, "beginning of /etc/mtab", "fstab::mtab_lists_them"),
    honoured(
        "apps/init/tty",
        Kind::Link,
        "where late output goes with --defaulttty",
        "options::defaulttty_takes_late_output",
    ),
];
