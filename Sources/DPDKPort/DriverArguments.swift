/// What the arguments of DPDK's software devices may be, as DPDK 22.11 documents them, and those that later releases added.
///
/// Several drivers take an argument they do not know, or a value they cannot read, for none at all and go on with their defaults
/// (net_tap0,ifce=x makes an interface dtap0). So they are checked here, before DPDK sees them. Devices of other drivers are DPDK's to judge.
enum DriverArguments {
    enum Value {
        case text
        case number(ClosedRange<Int>)
        case choice([String])
        case mac
        /// Name of a kernel interface.
        case interface
        /// Path of a Unix socket that this side makes or connects to.
        case socket
        /// A file that is read.
        case file

        static let flag = Value.choice(["0", "1"])
        static let queues = Value.number(1...64)
    }

    struct Driver {
        let name: String
        let arguments: KeyValuePairs<String, Value>
        var required: [String] = []
        /// The device is not of use without members.
        var joins = false
    }

    /// The driver of a vdev's name: EAL goes by the beginning of the name, too. nil: not described here.
    static func driver(of device: some StringProtocol) -> Driver? { all.first { device.hasPrefix($0.name) } }

    private static let all: [Driver] = [
        Driver(
            name: "net_af_packet",
            arguments: [
                "iface": .interface, "qpairs": .queues, "blocksz": .number(1...1 << 30), "framesz": .number(16...1 << 20),
                "framecnt": .number(1...1 << 24), "qdisc_bypass": .flag, "fanout_mode": .text,
            ], required: ["iface"]),
        Driver(
            name: "net_af_xdp",
            arguments: [
                "iface": .interface, "start_queue": .number(0...1023), "queue_count": .queues, "shared_umem": .flag, "xdp_prog": .file,
                "busy_budget": .number(0...65535), "force_copy": .flag, "use_cni": .flag, "use_pinned_map": .flag, "dp_path": .text,
            ], required: ["iface"]),
        Driver(
            name: "net_vhost",
            arguments: [
                "iface": .socket, "queues": .queues, "client": .flag, "iommu-support": .flag, "postcopy-support": .flag, "tso": .flag,
                "linear-buffer": .flag, "ext-buffer": .flag, "legacy-ol-flags": .flag,
            ], required: ["iface"]),
        Driver(
            name: "net_virtio_user",
            arguments: [
                "path": .socket, "mac": .mac, "cq": .flag, "queue_size": .number(64...32768), "queues": .queues, "iface": .interface, "server": .flag,
                "mrg_rxbuf": .flag, "in_order": .flag, "packed_vq": .flag, "speed": .number(0...1_000_000), "vectorized": .flag,
            ], required: ["path"]),
        Driver(
            name: "net_memif",
            arguments: [
                "id": .number(0...Int(UInt32.max)), "role": .choice(["server", "client"]), "bsize": .number(64...65535), "rsize": .number(1...14),
                "socket": .socket, "socket-abstract": .choice(["yes", "no"]), "owner-uid": .number(0...Int(UInt32.max)),
                "owner-gid": .number(0...Int(UInt32.max)), "mac": .mac, "zero-copy": .choice(["yes", "no"]), "secret": .text,
            ]),
        Driver(name: "net_tap", arguments: ["iface": .interface, "mac": .text, "remote": .interface, "persist": .text]),
        Driver(
            name: "net_bonding",
            arguments: [
                "slave": .text, "member": .text, "primary": .text, "mode": .number(0...6), "xmit_policy": .choice(["l2", "l23", "l34"]),
                "agg_mode": .choice(["count", "stable", "bandwidth"]), "socket_id": .number(0...64), "mac": .mac,
                "lsc_poll_period_ms": .number(1...60_000), "up_delay": .number(0...60_000), "down_delay": .number(0...60_000),
                "dedicated_queues": .text,
            ], required: ["mode"], joins: true),
        Driver(name: "net_null", arguments: ["size": .number(60...65535), "copy": .number(0...65535), "no-rx": .flag]),
        Driver(name: "net_ring", arguments: ["nodeaction": .text]),
        Driver(
            name: "net_pcap",
            arguments: [
                "rx_pcap": .file, "tx_pcap": .text, "rx_iface": .interface, "rx_iface_in": .interface, "tx_iface": .interface, "iface": .interface,
                "phy_mac": .flag, "infinite_rx": .flag, "eof": .flag,
            ]),
    ]
}

extension DeviceArguments {
    /// What is wrong with them, and what to do; nil when nothing is, or the driver is not known here.
    func fault(memberCount: Int = 0) -> String? {
        guard let driver = DriverArguments.driver(of: name) else { return nil }
        let known = driver.arguments.map(\.key)
        for (key, value) in list {
            guard let kind = driver.arguments.first(where: { $0.key == key })?.value else {
                let hint = Self.hint(for: String(key), among: known)
                return "\(driver.name) has no argument '\(key)'\(hint); it has \(known.isEmpty ? "none" : known.joined(separator: ", "))"
            }
            guard let value, !value.isEmpty else { return "'\(key)' of \(driver.name) has no value: write \(key)=…" }
            if let fault = kind.fault(String(value)) { return "'\(key)=\(value)' of \(driver.name): \(fault)" }
        }
        for key in driver.required where self[key] == nil { return "\(driver.name) needs the argument '\(key)': \(name),\(key)=…" }
        if driver.joins, memberCount == 0, self["slave"] == nil, self["member"] == nil {
            return "there is nothing to join; give the port `members`, such as [\"net_tap1,iface=tap1\", \"net_tap2,iface=tap2\"]"
        }
        if !driver.joins, memberCount > 0 { return "only net_bonding has members" }
        return nil
    }

    /// The one known word that begins as this one does, or has the same letters.
    private static func hint(for word: String, among known: [String]) -> String {
        let near = known.first { $0.sorted() == word.sorted() || $0.lowercased() == word.lowercased() || ($0.prefix(2) == word.prefix(2)) }
        return near.map { "; did you mean '\($0)'?" } ?? ""
    }
}

extension DriverArguments.Value {
    /// Why `text` is none; nil when it is one.
    fileprivate func fault(_ text: String) -> String? {
        switch self {
        case .text: return nil
        case .number(let range):
            guard let number = Int(text), range.contains(number) else { return "not a number within \(range.lowerBound)…\(range.upperBound)" }
        case .choice(let words):
            guard words.contains(text) else { return "not one of \(words.joined(separator: ", "))" }
        case .mac:
            let octets = text.split(separator: ":", omittingEmptySubsequences: false)
            guard octets.count == 6, octets.allSatisfy({ $0.count <= 2 && UInt8($0, radix: 16) != nil }) else {
                return "not a MAC address such as 02:00:00:00:01:0a"
            }
        case .interface:
            guard text.utf8.count <= 15 else { return "an interface's name has at most 15 characters" }
        case .socket:
            guard text.utf8.count <= 107 else { return "a socket's path has at most 107 octets" }
        case .file: return nil
        }
        return nil
    }
}
