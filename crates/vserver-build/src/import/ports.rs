//! Which ports the services of a tree will bind, by what starts at boot and by its configuration. What a program decides
//! by itself nobody can tell from outside, so this is a list to compare with other guests', not a promise.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use vserver_fs::GuestRoot;

use crate::Error;
use crate::tame::{names_in, text};

/// A port that will be bound.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Port {
    /// 1 to 65535.
    pub number: u16,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Who binds it.
    pub service: String,
}

/// A service: its names, where ports stand in its configuration, behind which word, and what it binds if nothing does.
struct Known {
    names: &'static [&'static str],
    files: &'static [&'static str],
    word: &'static str,
    usual: &'static [u16],
    udp: bool,
}

const fn known(
    names: &'static [&'static str],
    files: &'static [&'static str],
    word: &'static str,
    usual: &'static [u16],
) -> Known {
    Known { names, files, word, usual, udp: false }
}

/// A directory stands for all files in it.
const TABLE: [Known; 26] = [
    known(&["ssh", "sshd", "openssh"], &["etc/ssh/sshd_config", "etc/ssh/sshd_config.d"], "port", &[22]),
    known(
        &["nginx"],
        &["etc/nginx/nginx.conf", "etc/nginx/conf.d", "etc/nginx/http.d", "etc/nginx/sites-enabled"],
        "listen",
        &[80],
    ),
    known(
        &["apache2", "httpd", "apache"],
        &[
            "etc/apache2/ports.conf",
            "etc/apache2/listen.conf",
            "etc/httpd/conf/httpd.conf",
            "etc/httpd/conf.d",
            "etc/apache2/httpd.conf",
        ],
        "listen",
        &[80],
    ),
    known(&["lighttpd"], &["etc/lighttpd/lighttpd.conf"], "server.port", &[80]),
    known(&["haproxy"], &["etc/haproxy/haproxy.cfg"], "bind", &[]),
    known(&["caddy"], &[], "", &[80, 443]),
    known(
        &["mysql", "mysqld", "mariadb"],
        &["etc/mysql/my.cnf", "etc/my.cnf", "etc/mysql/mariadb.conf.d", "etc/mysql/mysql.conf.d", "etc/my.cnf.d"],
        "port",
        &[3306],
    ),
    known(&["postgresql"], &["etc/postgresql"], "port", &[5432]),
    known(&["redis-server", "redis"], &["etc/redis/redis.conf", "etc/redis.conf"], "port", &[6379]),
    known(&["memcached"], &["etc/memcached.conf"], "-p", &[11211]),
    known(&["mongod", "mongodb"], &["etc/mongod.conf"], "port:", &[27017]),
    known(&["postfix", "exim4", "exim", "sendmail", "opensmtpd"], &[], "", &[25]),
    known(&["dovecot"], &[], "", &[110, 143, 993, 995]),
    known(&["vsftpd", "proftpd", "pure-ftpd"], &["etc/vsftpd.conf", "etc/vsftpd/vsftpd.conf"], "listen_port", &[21]),
    known(&["squid", "squid3"], &["etc/squid/squid.conf"], "http_port", &[3128]),
    known(&["smbd", "samba", "smb"], &[], "", &[139, 445]),
    known(&["rsync", "rsyncd"], &["etc/rsyncd.conf"], "port", &[873]),
    known(&["cups", "cupsd"], &["etc/cups/cupsd.conf"], "listen", &[631]),
    known(&["rpcbind", "portmap"], &[], "", &[111]),
    known(&["tomcat9", "tomcat10", "tomcat"], &[], "", &[8080]),
    known(&["elasticsearch"], &[], "", &[9200]),
    known(&["rabbitmq-server"], &[], "", &[5672]),
    known(&["slapd"], &[], "", &[389]),
    Known { udp: true, ..known(&["named", "bind9", "unbound", "dnsmasq", "pdns"], &[], "", &[53]) },
    Known { udp: true, ..known(&["snmpd"], &[], "", &[161]) },
    Known { udp: true, ..known(&["tftpd-hpa"], &[], "", &[69]) },
];

/// Sorted by number.
pub(super) fn of(root: &GuestRoot, enabled: &BTreeSet<String>) -> Result<Vec<Port>, Error> {
    let mut found = BTreeSet::new();
    for known in &TABLE {
        let Some(name) = known.names.iter().find(|name| enabled.contains(**name)) else { continue };
        let mut numbers = BTreeSet::new();
        for text in texts(root, known.files)? {
            numbers.extend(text.lines().filter_map(|line| port(line, known.word)));
        }
        if numbers.is_empty() {
            numbers.extend(known.usual);
        }
        let protocol = if known.udp { "udp" } else { "tcp" };
        found.extend(numbers.into_iter().map(|number| Port { number, protocol, service: (*name).to_owned() }));
    }
    found.extend(sockets(root, enabled)?);
    if ["inetd", "openbsd-inetd", "xinetd", "inetutils-inetd"].iter().any(|name| enabled.contains(*name)) {
        found.extend(inetd(root)?);
    }
    Ok(found.into_iter().collect())
}

/// All files, and those of directories, two levels deep (PostgreSQL keeps one for each version and cluster).
fn texts(root: &GuestRoot, files: &[&str]) -> Result<Vec<String>, Error> {
    let mut all = Vec::new();
    let mut todo: Vec<(String, u32)> = files.iter().map(|file| ((*file).to_owned(), 0)).collect();
    while let Some((path, depth)) = todo.pop() {
        if let Some(text) = text(root, &path)? {
            all.push(text);
        } else if depth < 3 {
            todo.extend(names_in(root, &path)?.into_iter().map(|name| (format!("{path}/{name}"), depth + 1)));
        }
    }
    Ok(all)
}

/// `Port 22`, `listen [::]:80 default_server;`, `port = 3306`, `Listen 192.0.2.1:443`, `bind *:80`.
fn port(line: &str, word: &str) -> Option<u16> {
    let line = line.trim();
    let head = line.get(..word.len()).filter(|head| !word.is_empty() && head.eq_ignore_ascii_case(word))?;
    let rest = line[head.len()..].strip_prefix([' ', '\t', '='])?.trim_start_matches([' ', '\t', '=']);
    let value = rest.split([' ', '\t', ';', '#', ',']).next()?.trim_matches(['"', '\'']);
    value.rsplit(':').next()?.parse().ok().filter(|number| *number > 0)
}

/// Sockets that systemd itself binds.
fn sockets(root: &GuestRoot, enabled: &BTreeSet<String>) -> Result<Vec<Port>, Error> {
    let mut found = Vec::new();
    for unit in enabled.iter().filter(|name| name.ends_with(".socket")) {
        for dir in ["etc/systemd/system", "lib/systemd/system", "usr/lib/systemd/system"] {
            let Some(text) = text(root, &format!("{dir}/{unit}"))? else { continue };
            for (word, protocol) in [("ListenStream", "tcp"), ("ListenDatagram", "udp")] {
                let numbers = text.lines().filter_map(|line| port(line, word));
                found.extend(numbers.map(|number| Port { number, protocol, service: unit.clone() }));
            }
            break;
        }
    }
    Ok(found)
}

/// inetd.conf(5), its names by services(5) of the tree.
fn inetd(root: &GuestRoot) -> Result<Vec<Port>, Error> {
    let services = text(root, "etc/services")?.unwrap_or_default();
    let mut numbers = BTreeMap::new();
    for line in services.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some((number, protocol))) =
            (words.next(), words.next().and_then(|word| word.split_once('/')))
        {
            numbers.insert((name, protocol), number.parse::<u16>().ok());
        }
    }
    let mut found = Vec::new();
    for line in text(root, "etc/inetd.conf")?.unwrap_or_default().lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (Some(name), Some(protocol)) = (words.first(), words.get(2)) else { continue };
        let protocol = if protocol.starts_with("udp") { "udp" } else { "tcp" };
        let number = name.parse().ok().or_else(|| numbers.get(&(*name, protocol)).copied().flatten());
        found.extend(number.map(|number| Port { number, protocol, service: format!("inetd ({name})") }));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_behind_words() {
        for (line, word, number) in [
            ("Port 2222", "port", Some(2222)),
            ("#Port 22", "port", None),
            ("    listen [::]:443 ssl default_server;", "listen", Some(443)),
            ("listen 80;", "listen", Some(80)),
            ("listen unix:/run/x;", "listen", None),
            ("Listen 192.0.2.1:8080", "listen", Some(8080)),
            ("port = 3307", "port", Some(3307)),
            ("port=3308", "port", Some(3308)),
            ("portable = 1", "port", None),
            ("ListenStream=0.0.0.0:631", "ListenStream", Some(631)),
            ("ListenStream=/run/x.sock", "ListenStream", None),
            ("bind *:8443 ssl", "bind", Some(8443)),
            ("-p 11212", "-p", Some(11212)),
        ] {
            assert_eq!(port(line, word), number, "{line}");
        }
    }
}
