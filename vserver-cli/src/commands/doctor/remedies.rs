//! How a daemon is told to listen on the host's own address. By the name of its program, as the kernel has it.

/// Program and remedy; `ADDRESS` stands for the host's own.
const REMEDIES: &[(&[&str], &str)] = &[
    (&["sshd"], "ListenAddress ADDRESS in /etc/ssh/sshd_config"),
    (&["systemd"], "ListenStream=ADDRESS:PORT, after an empty ListenStream=, by systemctl edit of the socket unit"),
    (&["nginx"], "listen ADDRESS:PORT; in every server block"),
    (&["apache2", "httpd"], "Listen ADDRESS:PORT in ports.conf or httpd.conf"),
    (&["lighttpd"], "server.bind = \"ADDRESS\""),
    (&["haproxy"], "bind ADDRESS:PORT in every frontend"),
    (&["caddy"], "bind ADDRESS in the Caddyfile"),
    (&["squid"], "http_port ADDRESS:PORT"),
    (&["master"], "inet_interfaces = ADDRESS, localhost in Postfix' main.cf"),
    (&["exim", "exim4"], "local_interfaces = ADDRESS (Debian: dc_local_interfaces)"),
    (&["sendmail", "sendmail-mta"], "DAEMON_OPTIONS(`Addr=ADDRESS') in sendmail.mc"),
    (&["dovecot"], "listen = ADDRESS in dovecot.conf"),
    (&["named"], "listen-on { ADDRESS; }; and listen-on-v6 { none; }; in named.conf"),
    (&["unbound"], "interface: ADDRESS in unbound.conf"),
    (&["dnsmasq"], "listen-address=ADDRESS and bind-interfaces"),
    (&["systemd-resolve"], "LLMNR=no and MulticastDNS=no in resolved.conf"),
    (&["avahi-daemon"], "allow-interfaces= in avahi-daemon.conf, or no Avahi on such a host"),
    (&["rpcbind"], "-h ADDRESS in /etc/default/rpcbind, and the socket unit rpcbind.socket"),
    (&["rpc.mountd", "rpc.statd"], "host=ADDRESS in the section [nfsd], name= in [statd], of nfs.conf"),
    (&["mysqld", "mariadbd"], "bind-address = ADDRESS"),
    (&["postgres", "postmaster"], "listen_addresses = 'ADDRESS' in postgresql.conf"),
    (&["redis-server", "valkey-server"], "bind ADDRESS"),
    (&["memcached"], "-l ADDRESS"),
    (&["mongod"], "net.bindIp: ADDRESS"),
    (&["slapd"], "-h ldap://ADDRESS/"),
    (&["ntpd"], "interface ignore wildcard and interface listen ADDRESS in ntp.conf"),
    (&["chronyd"], "bindaddress ADDRESS, or port 0 for a client, in chrony.conf"),
    (&["snmpd"], "agentAddress udp:ADDRESS:161 in snmpd.conf"),
    (&["smbd", "nmbd"], "interfaces = ADDRESS and bind interfaces only = yes in smb.conf"),
    (&["cupsd"], "Listen ADDRESS:631 in cupsd.conf"),
    (&["vsftpd"], "listen_address=ADDRESS"),
    (&["proftpd"], "DefaultAddress ADDRESS and SocketBindTight on"),
    (&["rsyslogd"], "address=\"ADDRESS\" of the input in rsyslog.conf"),
    (&["inetd", "xinetd"], "ADDRESS:SERVICE (inetd), bind = ADDRESS (xinetd)"),
    (&["docker-proxy", "dockerd"], "\"ip\": \"ADDRESS\" in daemon.json, or -p ADDRESS:PORT:PORT"),
    (&["node_exporter", "prometheus-node"], "--web.listen-address=ADDRESS:9100"),
    (&["zabbix_agentd"], "ListenIP=ADDRESS"),
    (&["nrpe"], "server_address=ADDRESS"),
    (&["openvpn"], "local ADDRESS"),
    (&["dhclient", "dhcpcd", "dhcpd", "systemd-network"], "nothing: DHCP needs it, and guests do not bind its ports"),
];

/// What to do about `program` on `port`; something general for one that is not known.
pub fn remedy(program: Option<&str>, port: u16) -> String {
    let Some(program) = program else {
        return "it belongs to the kernel (NFS, WireGuard, …): use another port, or no guest may need this one"
            .to_owned();
    };
    // A process may add to its name: `nginx: master`.
    let program = program.split([':', ' ']).next().unwrap_or(program);
    let known = REMEDIES.iter().find(|(programs, _)| programs.contains(&program));
    match known {
        Some((_, remedy)) => remedy.replace("PORT", &port.to_string()),
        None => "let it listen on the host's own address instead of all".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_daemons_have_their_own_remedy() {
        assert_eq!(remedy(Some("sshd"), 22), "ListenAddress ADDRESS in /etc/ssh/sshd_config");
        assert_eq!(remedy(Some("nginx: master"), 80), "listen ADDRESS:80; in every server block");
        assert!(remedy(Some("own-server"), 80).starts_with("let it listen"));
        assert!(remedy(None, 2049).starts_with("it belongs to the kernel"));
        // The kernel keeps fifteen bytes of a name.
        assert!(REMEDIES.iter().flat_map(|(programs, _)| *programs).all(|name| name.len() <= 15));
    }
}
