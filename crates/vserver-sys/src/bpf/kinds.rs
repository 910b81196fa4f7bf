//! Kinds of programs, the places they attach to, and the helpers that ours call, with the kernel that brought each.

/// `enum bpf_prog_type`: what a program is given and may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ProgType {
    /// Sees each frame of a device (`struct __sk_buff`, beginning with its Ethernet header); 4.1.
    SchedCls = 3,
    /// Sees each packet (`struct __sk_buff`); 4.10.
    CgroupSkb = 8,
    /// Sees a socket being made or just bound (`struct bpf_sock`); 4.10.
    CgroupSock = 9,
    /// Sees what happens to TCP sockets (`struct bpf_sock_ops`); 4.13.
    SockOps = 13,
    /// Sees a device being opened or made (`struct bpf_cgroup_dev_ctx`); 4.15.
    CgroupDevice = 15,
    /// Sees and changes an address given by or to a program (`struct bpf_sock_addr`); 4.17.
    CgroupSockAddr = 18,
    /// Sees and changes a socket option (`struct bpf_sockopt`); 5.3.
    CgroupSockopt = 25,
    /// Runs beside functions of the kernel, or over its objects; 5.5.
    Tracing = 26,
    /// Chooses the socket for a packet that belongs to no connection (`struct bpf_sk_lookup`); 5.9.
    SkLookup = 30,
}

/// `enum bpf_attach_type`, those that concern us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum AttachType {
    /// Packets to a socket of the cgroup; 4.10.
    InetIngress = 0,
    /// Packets from a socket of the cgroup; 4.10.
    InetEgress = 1,
    /// `socket(AF_INET or AF_INET6)`; 4.10.
    InetSockCreate = 2,
    /// Steps in the life of a TCP socket; 4.13.
    SockOps = 3,
    /// Opening and making of device nodes; 4.15.
    Device = 6,
    /// `bind` of an `AF_INET` socket, before it happens; 4.17.
    Inet4Bind = 8,
    /// `bind` of an `AF_INET6` socket, before it happens; 4.17.
    Inet6Bind = 9,
    /// `connect` of an `AF_INET` socket; 4.17.
    Inet4Connect = 10,
    /// `connect` of an `AF_INET6` socket; 4.17.
    Inet6Connect = 11,
    /// After `bind` of an `AF_INET` socket; a refusal undoes it; 4.17.
    Inet4PostBind = 12,
    /// After `bind` of an `AF_INET6` socket; a refusal undoes it; 4.17.
    Inet6PostBind = 13,
    /// `sendto`/`sendmsg` of an unconnected `AF_INET` datagram; 4.18.
    Udp4Sendmsg = 14,
    /// `sendto`/`sendmsg` of an unconnected `AF_INET6` datagram; 4.18.
    Udp6Sendmsg = 15,
    /// The sender's address that `recvfrom`/`recvmsg` of `AF_INET` hands out; 5.2.
    Udp4Recvmsg = 19,
    /// The sender's address that `recvfrom`/`recvmsg` of `AF_INET6` hands out; 5.2.
    Udp6Recvmsg = 20,
    /// `getsockopt`; 5.3.
    Getsockopt = 21,
    /// `setsockopt`; 5.3.
    Setsockopt = 22,
    /// All objects of a kind, when somebody reads; 5.8.
    TraceIter = 28,
    /// What `getpeername` and `accept` hand out for `AF_INET`; 5.8.
    Inet4Getpeername = 29,
    /// What `getpeername` and `accept` hand out for `AF_INET6`; 5.8.
    Inet6Getpeername = 30,
    /// What `getsockname` hands out for `AF_INET`; 5.8.
    Inet4Getsockname = 31,
    /// What `getsockname` hands out for `AF_INET6`; 5.8.
    Inet6Getsockname = 32,
    /// A socket that `socket` or `accept` has made is closed; 5.9.
    InetSockRelease = 34,
    /// The search for the socket of a packet in a network namespace, by a link; 5.9.
    SkLookup = 36,
    /// Frames that come from a device (`BPF_TCX_INGRESS`, 6.6). As a filter of the queueing discipline clsact, which is how
    /// ours are attached, 4.5: the number is not looked at there.
    TcIngress = 46,
    /// Frames on their way to a device; otherwise the same.
    TcEgress = 47,
}

impl AttachType {
    /// The kind of program that this place takes.
    pub const fn prog_type(self) -> ProgType {
        match self {
            Self::TcIngress | Self::TcEgress => ProgType::SchedCls,
            Self::InetIngress | Self::InetEgress => ProgType::CgroupSkb,
            Self::InetSockCreate | Self::InetSockRelease | Self::Inet4PostBind | Self::Inet6PostBind => {
                ProgType::CgroupSock
            }
            Self::SockOps => ProgType::SockOps,
            Self::SkLookup => ProgType::SkLookup,
            Self::TraceIter => ProgType::Tracing,
            Self::Device => ProgType::CgroupDevice,
            Self::Getsockopt | Self::Setsockopt => ProgType::CgroupSockopt,
            Self::Inet4Bind
            | Self::Inet6Bind
            | Self::Inet4Connect
            | Self::Inet6Connect
            | Self::Udp4Sendmsg
            | Self::Udp6Sendmsg
            | Self::Udp4Recvmsg
            | Self::Udp6Recvmsg
            | Self::Inet4Getpeername
            | Self::Inet6Getpeername
            | Self::Inet4Getsockname
            | Self::Inet6Getsockname => ProgType::CgroupSockAddr,
        }
    }

    /// The name in `bpftool cgroup`, for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InetIngress => "cgroup_inet_ingress",
            Self::InetEgress => "cgroup_inet_egress",
            Self::InetSockCreate => "cgroup_inet_sock_create",
            Self::InetSockRelease => "cgroup_inet_sock_release",
            Self::SockOps => "cgroup_sock_ops",
            Self::SkLookup => "sk_lookup",
            Self::TraceIter => "trace_iter",
            Self::TcIngress => "tc_ingress",
            Self::TcEgress => "tc_egress",
            Self::Device => "cgroup_device",
            Self::Inet4Bind => "cgroup_inet4_bind",
            Self::Inet6Bind => "cgroup_inet6_bind",
            Self::Inet4Connect => "cgroup_inet4_connect",
            Self::Inet6Connect => "cgroup_inet6_connect",
            Self::Inet4PostBind => "cgroup_inet4_post_bind",
            Self::Inet6PostBind => "cgroup_inet6_post_bind",
            Self::Udp4Sendmsg => "cgroup_udp4_sendmsg",
            Self::Udp6Sendmsg => "cgroup_udp6_sendmsg",
            Self::Udp4Recvmsg => "cgroup_udp4_recvmsg",
            Self::Udp6Recvmsg => "cgroup_udp6_recvmsg",
            Self::Getsockopt => "cgroup_getsockopt",
            Self::Setsockopt => "cgroup_setsockopt",
            Self::Inet4Getpeername => "cgroup_inet4_getpeername",
            Self::Inet6Getpeername => "cgroup_inet6_getpeername",
            Self::Inet4Getsockname => "cgroup_inet4_getsockname",
            Self::Inet6Getsockname => "cgroup_inet6_getsockname",
        }
    }
}

/// Kernel functions that a program may call (`enum bpf_func_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Helper {
    /// `bpf_map_lookup_elem(map, key)`: the value, or null; a socket has to be released.
    MapLookup = 1,
    /// `bpf_map_update_elem(map, key, value, flags)`.
    MapUpdate = 2,
    /// `bpf_map_delete_elem(map, key)`: an error if there is none.
    MapDelete = 3,
    /// `bpf_redirect(device, flags)` from a filter of a device: the verdict that sends the frame out there; 4.2.
    Redirect = 23,
    /// `bpf_skb_load_bytes(ctx, offset, to, length)`: an error if the packet is shorter, wherever its bytes lie; 4.5.
    SkbLoadBytes = 26,
    /// `bpf_ktime_get_ns()`: nanoseconds that the host has been up, without sleep.
    KtimeGetNs = 5,
    /// `bpf_get_socket_cookie(ctx)`: the socket's number, unique while the system runs; 4.12.
    SocketCookie = 46,
    /// `bpf_setsockopt(ctx, level, name, value, length)`; from bind and connect 5.8.
    Setsockopt = 49,
    /// `bpf_getsockopt(ctx, level, name, value, length)`; from bind and connect 5.8.
    Getsockopt = 57,
    /// `bpf_bind(ctx, sockaddr, length)` from a connect program: chooses the source address; 4.17.
    Bind = 64,
    /// `bpf_sock_hash_update(ctx, map, key, flags)` from a program on TCP sockets: the socket in question; 4.18.
    SockHashUpdate = 70,
    /// `bpf_sk_lookup_tcp(ctx, tuple, length, netns, flags)`: the socket that would get a packet; 5.1 for addresses.
    SkLookupTcp = 84,
    /// `bpf_sk_lookup_udp(ctx, tuple, length, netns, flags)`; 5.1 for addresses.
    SkLookupUdp = 85,
    /// `bpf_sk_release(sock)`: due for every socket that a lookup found.
    SkRelease = 86,
    /// `bpf_sk_storage_get(map, sock, value, flags)`: what is noted at the socket, or null; with flag 1 it is made, of zeros if
    /// `value` is null. From bind 5.3, after bind 5.9.
    SkStorageGet = 107,
    /// `bpf_sk_assign(ctx, sock, flags)`: this socket gets the packet; 5.9 from a socket search.
    SkAssign = 124,
    /// `bpf_ringbuf_output(map, data, size, flags)`; 5.8.
    RingbufOutput = 130,
    /// `bpf_skc_to_tcp6_sock(sock)`: the kernel's own structure, or null; 5.9, needs BTF of the kernel.
    SkcToTcp6Sock = 136,
    /// `bpf_skc_to_udp6_sock(sock)`: the kernel's own structure, or null; 5.9, needs BTF of the kernel.
    SkcToUdp6Sock = 140,
    /// `bpf_get_retval()`: what the programs before this one have decided, 0 or an errno below it; 5.18, for programs of
    /// sockets 6.1.
    GetRetval = 186,
    /// `bpf_set_retval(retval)`: the errno of a refusal (otherwise `EPERM`); 5.18.
    SetRetval = 187,
}
