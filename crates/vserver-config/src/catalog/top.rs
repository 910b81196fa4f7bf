//! The configuration root. Source: `config-tree.md` §2.

use super::setting::{Group, Kind, Setting, cannot, honoured};

pub(super) const ALL: Group = Group { title: "The root of the tree", settings: SETTINGS };

const SETTINGS: &[Setting] = &[
    honoured(
        "<guest>",
        Kind::Directory,
        "one guest; what is no guest's name or has no vdir is left out",
        "vserver-config::lists_leave_out_what_is_no_guest",
    ),
    cannot(
        "<guest>.conf",
        Kind::Data,
        "a guest of the 2.4 kind, refused; check tells for each line the file that replaces it",
    )
    .seen_in("vserver-config::a_guest_that_is_one_file_is_told_line_by_line"),
    honoured(".defaults", Kind::Group, "what all guests share", "vserver-config::the_host_has_defaults"),
    honoured(
        ".switches",
        Kind::Group,
        "switches that guests plug into, a directory each",
        "switch::private_and_with_the_host",
    ),
    honoured(
        ".switches/<name>",
        Kind::Directory,
        "ours: a switch without files of its own is private",
        "switch::private_and_with_the_host",
    ),
    honoured(".switches/<name>/uplink", Kind::Scalar, "ours: the host's device that leads outside", "switch::public"),
    honoured(
        ".switches/<name>/address",
        Kind::Lines,
        "ours: addresses of the host on it, with prefix",
        "switch::private_and_with_the_host",
    ),
    honoured(".distributions", Kind::Group, "what builds take", "vserver-config::the_host_has_defaults"),
];
