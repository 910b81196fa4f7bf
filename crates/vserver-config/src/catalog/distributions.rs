//! `.distributions/<dist>/`: what a build takes for one distribution. Source: `config-tree.md` §4.

use super::setting::{Group, Kind, Setting, cannot, honoured, partly};

pub(super) const ALL: Group = Group { title: "For builds of one distribution", settings: SETTINGS };

const SETTINGS: &[Setting] = &[
    honoured(
        "debootstrap.{mirror,options}",
        Kind::Scalar,
        "of builds with this distribution or suite",
        "vserver-config::the_host_has_defaults",
    ),
    honoured(
        "debootstrap.script",
        Kind::Data,
        "debootstrap's script of that suite, unless -s names one",
        "vserver-build::a_distributions_script_and_packages_are_used_and_words_that_could_be_options_are_refused",
    ),
    honoured(
        "files/{hosts,nsswitch.conf,krb5.conf,krb.conf,krb.realms,ldap.conf,localtime,resolv.conf}",
        Kind::Data,
        "copied to a new guest's /etc unless it has the file",
        "host_settings::what_a_build_takes",
    ),
    cannot("devs", Kind::Lines, "a guest's /dev holds what every guest may have; vdevmap allows more"),
    honoured(
        "{initpre,initpost}",
        Kind::Program,
        "run on the host before and after the tree is filled, unless a guest could have written it",
        "programs::before_and_after_the_tree_is_filled",
    ),
    honoured(
        "template",
        Kind::Data,
        "the method template unpacks it first",
        "programs::a_distribution_has_an_archive",
    ),
    cannot("mirror", Kind::Scalar, "of the build method urpmi, which does not exist"),
    honoured(
        "pkgs/<list>",
        Kind::Lines,
        "each is one transaction of yum, zypper, apk and pacman (--can-fail, --reinstall); debootstrap installs them all with the rest",
        "methods::fedora_by_dnf",
    ),
    honoured(
        "rpmlist.d/<list>",
        Kind::Lines,
        "NAME.lst is a list of files for rpm, relative to itself or -b, NAME.cmd its options (--force, --nodeps)",
        "methods::lists_of_files_by_rpm",
    ),
    honoured(
        "pubkeys/<key>",
        Kind::Data,
        "keys that packages may be signed by, beside those of .distributions/.common/pubkeys",
        "methods::alpine_by_apk",
    ),
    honoured(
        "execdir",
        Kind::Directory,
        "its programs and libraries come before the host's",
        "methods::alpine_by_apk",
    ),
    honoured("yum.repos.d", Kind::Group, "the repositories of yum", "methods::fedora_by_dnf"),
    partly(
        "{rpm,yum}",
        Kind::Group,
        "rpm/macros and the lines of yum/yum.conf or yum/dnf.conf that hold no place",
        "methods::fedora_by_dnf",
    ),
    honoured(
        "{zypp.repos.d,apk,pacman}",
        Kind::Group,
        "the repositories of zypper, apk/repositories, pacman/pacman.conf",
        "methods::opensuse_by_zypper",
    ),
    cannot("{rpmlib,apt}", Kind::Group, "the tools are those of the host, or of execdir"),
    cannot("{apt.conf,vendor.conf}", Kind::Data, "of apt-rpm, whose work dnf does"),
];
