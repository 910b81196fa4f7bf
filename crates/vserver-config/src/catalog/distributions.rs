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
        "vserver-config::files_of_the_host_and_of_a_distribution",
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
    partly(
        "pkgs/<list>",
        Kind::Lines,
        "debootstrap installs them all with the rest; its options (--can-fail, --reinstall) are of methods that do not exist",
        "vserver-build::a_distributions_script_and_packages_are_used_and_words_that_could_be_options_are_refused",
    ),
    cannot("rpmlist.d/<list>", Kind::Lines, "not yet: of the build method rpm"),
    cannot("pubkeys/<key>", Kind::Data, "not yet: of the build methods rpm and yum"),
    cannot("{execdir,rpmlib,apt,rpm,yum,yum.repos.d}", Kind::Group, "not yet: of the build methods rpm and yum"),
    cannot("{apt.conf,vendor.conf}", Kind::Data, "of apt-rpm, which has no successor"),
];
