import DataplaneAPI
import NetTypes

/// The layout of `vif --list`: a block per vif, indented by 12 columns, a blank line between blocks.
/// Only what the router keeps is shown.
struct VifLayout {
    var ports: [String: API.Port]
    /// Vif → the next hop that leads to its workload.
    var nextHops: [UInt32: UInt32]

    static let header = """
        Vrouter Interface Table

        Flags: P=Policy, X=Cross Connect, L3=Layer 3, L2=Layer 2
               D=DHCP, Dpdk=DPDK PMD Interface, As=Antispoof
               Ts=Tunnel Source Check, Rl=Reverse Path Loose, Rs=Reverse Path Strict
               Ur=Unreachables Sent
               Uuf=Unknown Unicast Flood, Ig=IGMP and MLD Trap


        """
    private static let indent = String(repeating: " ", count: 12)

    /// `rates`: per second, since the reading before.
    func block(_ vif: API.Vif, rates: VifRates? = nil) -> String {
        let port = ports[vif.port]
        var lines = ["vif0/\(vif.id)".padded(12) + "\(transport(port)): \(printable(vif.name))" + (nextHops[vif.id].map { " NH: \($0)" } ?? "")]
        func add(_ line: String) { lines.append(Self.indent + line) }
        add("Type:\(kind(vif.kind)) HWaddr:\(macText(vif.mac))\(addresses(vif))")
        add("Vrf:\(vif.vrf) Mcast Vrf:\(vif.vrf) Flags:\(flags(vif)) QOS:\(vif.qosMap == 0 ? "-1" : "\(vif.qosMap)")")
        if vif.hasVlan { add("Vlan Id:\(tags(vif.vlan)) Parent:vif0/\(vif.vlan.parent)") }
        if !vif.allowedPairs.isEmpty { add("Allowed:\(vif.allowedPairs.map(pair).joined(separator: ","))") }
        if vif.hasMonitors { add("Monitors:vif0/\(vif.monitors)") }
        if let port {
            add("Port:\(printable(port.name)) Driver:\(printable(driver(port)))\(mtu(vif) > 0 ? " MTU:\(mtu(vif))" : "")\(link(port))")
            let stats = port.stats
            if !port.offloads.isEmpty { add("Offloads:\(port.offloads.map(offload).joined(separator: ","))") }
            add("RX device packets:\(stats.rxPackets)  bytes:\(stats.rxBytes) errors:\(stats.rxErrors) missed:\(stats.rxMissed)")
        }
        add("RX packets:\(vif.stats.rxPackets)  bytes:\(vif.stats.rxBytes)")
        add("TX packets:\(vif.stats.txPackets)  bytes:\(vif.stats.txBytes) errors:\(vif.stats.txErrors)")
        add("Drops:\(vif.stats.drops)" + (vif.stats.spoofed > 0 ? " Invalid Source:\(vif.stats.spoofed)" : ""))
        if vif.keepsFlows { add(flows(vif)) }
        if !vif.fatFlows.isEmpty { add("FatFlow rules: " + vif.fatFlows.map(fatFlow).joined(separator: ", ")) }
        if let stats = port?.stats {
            let uncut = stats.txUncut > 0 ? " uncut:\(stats.txUncut)" : ""
            add("TX device packets:\(stats.txPackets)  bytes:\(stats.txBytes) errors:\(stats.txErrors)\(uncut)")
        }
        if let rates {
            add("RX rate   packets/s:\(rates.receivedPackets)  bits/s:\(rates.receivedBits)")
            add("TX rate   packets/s:\(rates.transmittedPackets)  bits/s:\(rates.transmittedBits)")
            add("Drop rate packets/s:\(rates.drops)")
        }
        return lines.joined(separator: "\n") + "\n\n"
    }

    /// `17:53`, `6:*`; and what address it ignores.
    private func fatFlow(_ rule: Dataplane_V1_FatFlowRule) -> String {
        let ignored =
            switch rule.ignoredAddress {
            case .none: ""
            case .remote: " - Remote IP ignored"
            case .local: " - Local IP ignored"
            case .UNRECOGNIZED(let value): " - \(value)"
            }
        return "\(rule.protocol):\(rule.port == 0 ? "*" : "\(rule.port)")\(ignored)"
    }

    /// `10.1.0.50/32`, with a MAC `10.1.0.50/32@00:00:5e:00:01:07`.
    private func pair(_ pair: Dataplane_V1_AllowedAddressPair) -> String {
        "\(addressText(pair.prefix.address))/\(pair.prefix.length)" + (pair.mac.isEmpty ? "" : "@" + macText(pair.mac))
    }

    /// What counts for the vif; limits where there are any; what was refused and evicted where anything was.
    private func flows(_ vif: API.Vif) -> String {
        let stats = vif.stats
        var text = "Flows:\(stats.flows)" + (vif.flowLimit > 0 ? " Limit:\(vif.flowLimit)" : "") + (vif.flowRate > 0 ? " Rate:\(vif.flowRate)/s" : "")
        if stats.flowLimitDrops > 0 { text += " Over limit:\(stats.flowLimitDrops)" }
        if stats.flowRateDrops > 0 { text += " Over rate:\(stats.flowRateDrops)" }
        if stats.flowShareDrops > 0 { text += " Over share:\(stats.flowShareDrops)" }
        return text + (stats.flowEvictions > 0 ? " Evicted:\(stats.flowEvictions)" : "")
    }

    /// `100`, `200.30`; `ad` marks an outer tag of 802.1ad where there is only that one, `q` one of 802.1Q where there are two.
    private func tags(_ tags: Dataplane_V1_VlanTags) -> String {
        let usual: Dataplane_V1_VlanProtocol = tags.innerID == 0 ? .customer : .service
        let mark = tags.protocol == usual || tags.protocol == .unspecified ? "" : tags.protocol == .service ? "ad" : "q"
        return "\(tags.id)\(mark)" + (tags.innerID == 0 ? "" : ".\(tags.innerID)")
    }

    func flags(_ vif: API.Vif) -> String {
        var out = ""
        if vif.keepsFlows { out += "P" }
        if vif.kind == .host { out += "X" }
        // Nothing is taken from a monitoring vif.
        if vif.kind != .monitoring { out += vif.bridges ? "L3L2" : "L3" }
        if vif.services { out += "D" }
        if case .dpdk = ports[vif.port]?.driver { out += "Dpdk" }
        if vif.antispoof { out += "As" }
        if vif.checksTunnelSource { out += "Ts" }
        if vif.reversePath == .loose { out += "Rl" }
        if vif.reversePath == .strict { out += "Rs" }
        if vif.sendsUnreachables { out += "Ur" }
        if vif.floodsUnknownUnicast { out += "Uuf" }
        if vif.trapsGroupReports { out += "Ig" }
        return out
    }

    private func reversePath(_ check: Dataplane_V1_ReversePathCheck) -> String {
        switch check {
        case .none: "none"
        case .loose: "loose"
        case .strict: "strict"
        case .UNRECOGNIZED(let value): "unknown(\(value))"
        }
    }

    private func kind(_ kind: Dataplane_V1_VifKind) -> String {
        switch kind {
        case .host: "Host"
        case .agent: "Agent"
        case .physical: "Physical"
        case .virtual: "Virtual"
        case .vlan: "Virtual(Vlan)"
        case .monitoring: "Monitoring"
        case .unspecified: "Invalid"
        case .UNRECOGNIZED(let value): "Unknown(\(value))"
        }
    }

    /// 0: not known.
    private func mtu(_ vif: API.Vif) -> UInt32 {
        if vif.mtu > 0 { return vif.mtu }
        guard let port = ports[vif.port] else { return 0 }
        return port.effectiveMtu > 0 ? port.effectiveMtu : port.mtu
    }

    private func transport(_ port: API.Port?) -> String {
        switch port?.driver {
        case .pcap: "OS"
        case .dpdk: "PMD"
        case .pcapFile: "File"
        case .loopback: "Loopback"
        case .replay: "Replay"
        case .sink: "Sink"
        case nil: "Port"
        }
    }

    /// What the router says it opened; before it has, what was asked for.
    private func driver(_ port: API.Port) -> String {
        if !port.deviceDriver.isEmpty { return "\(port.deviceDriver) \(port.deviceName)" }
        return switch port.driver {
        case .pcap(let driver): "pcap \(driver.interface)"
        case .dpdk(let driver): "dpdk \(([driver.device] + driver.members).joined(separator: " "))"
        case .pcapFile(let driver): "pcapFile \(driver.input.isEmpty ? "-" : driver.input) \(driver.output.isEmpty ? "-" : driver.output)"
        case .loopback: "loopback"
        case .replay(let driver): "replay \(driver.file)"
        case .sink: "sink"
        case nil: "-"
        }
    }

    /// Link, speed where there is one, queues where there are several.
    private func link(_ port: API.Port) -> String {
        var text = linkState(port).map { " Link:\($0.prefix(1).uppercased())\($0.dropFirst())" } ?? ""
        if port.link == .up, port.linkSpeedMbps > 0 { text += " Speed:\(port.linkSpeedMbps)" }
        if port.receiveQueues > 1 { text += " Queues:\(port.receiveQueues)" }
        if port.isSpread { text += " Spread" }
        return text
    }

    private func linkState(_ port: API.Port) -> String? {
        switch port.link {
        case .up: "up"
        case .down: "down"
        case .absent: "absent"
        case .unspecified, .UNRECOGNIZED: nil
        }
    }

    /// What the port leaves to its device (tx), and what that leaves to the router or tells it (rx).
    private func offload(_ offload: Dataplane_V1_PortOffload) -> String {
        switch offload {
        case .txTcpSegmentation: "tx-tcp-segmentation"
        case .txUdpSegmentation: "tx-udp-segmentation"
        case .rxUncutTcp: "rx-uncut-tcp"
        case .rxUnfinishedChecksums: "rx-unfinished-checksums"
        case .rxHash: "rx-hash"
        case .unspecified: "unspecified"
        case .UNRECOGNIZED(let value): "unknown(\(value))"
        }
    }

    /// The workload's addresses where there is a workload, else our own.
    private func addresses(_ vif: API.Vif) -> String {
        let own = vif.kind == .virtual || vif.kind == .vlan ? vif.workloadAddresses : vif.addresses
        let inet = own.filter { $0.count != 16 }.map(addressText), inet6 = own.filter { $0.count == 16 }.map(addressText)
        return " IPaddr:\(inet.isEmpty ? "0.0.0.0" : inet.joined(separator: ","))" + (inet6.isEmpty ? "" : " IP6addr:\(inet6.joined(separator: ","))")
    }

    func json(_ vif: API.Vif, rates: VifRates? = nil) -> JSON {
        let port = ports[vif.port]
        var members: [JSON.Member] = []
        func add(_ key: String, _ value: JSON) { members.append(.init(key: key, value: value)) }
        add("id", JSON(vif.id))
        add("name", JSON(vif.name))
        add("kind", JSON(kind(vif.kind).lowercased()))
        add("port", JSON(vif.port))
        add("driver", JSON(port.map(driver)))
        add("link", JSON(port.flatMap(linkState)))
        add("linkSpeedMbps", port.map { JSON($0.linkSpeedMbps) } ?? .null)
        add("receiveQueues", port.map { JSON($0.receiveQueues) } ?? .null)
        add("transmitQueues", port.map { JSON($0.transmitQueues) } ?? .null)
        add("spread", port.map { $0.hasSpread ? JSON($0.spread) : .null } ?? .null)
        add("isSpread", port.map { JSON($0.isSpread) } ?? .null)
        add("offloads", port.map { JSON(texts: $0.offloads.map(offload)) } ?? .null)
        add("vrf", JSON(vif.vrf))
        add("mac", JSON(macText(vif.mac)))
        add("mtu", JSON(mtu(vif)))
        add("addresses", JSON(texts: vif.addresses.map(addressText)))
        add("workloadMac", vif.workloadMac.isEmpty ? .null : JSON(macText(vif.workloadMac)))
        add("workloadAddresses", JSON(texts: vif.workloadAddresses.map(addressText)))
        add("keepsFlows", JSON(vif.keepsFlows))
        add("bridges", JSON(vif.bridges))
        add("antispoof", JSON(vif.antispoof))
        add("allowedPairs", JSON(texts: vif.allowedPairs.map(pair)))
        add("checksTunnelSource", JSON(vif.checksTunnelSource))
        add("reversePath", JSON(reversePath(vif.reversePath)))
        add("sendsUnreachables", JSON(vif.sendsUnreachables))
        add("floodsUnknownUnicast", JSON(vif.floodsUnknownUnicast))
        add("trapsGroupReports", JSON(vif.trapsGroupReports))
        add("services", JSON(vif.services))
        if vif.hasVlan {
            add(
                "vlan",
                [
                    "parent": JSON(vif.vlan.parent), "id": JSON(vif.vlan.id), "innerId": vif.vlan.innerID == 0 ? .null : JSON(vif.vlan.innerID),
                    "protocol": vif.vlan.protocol == .service ? "802.1ad" : "802.1Q",
                ])
        }
        if vif.hasMonitors { add("monitors", JSON(vif.monitors)) }
        add("flowLimit", vif.flowLimit == 0 ? .null : JSON(vif.flowLimit))
        add("flowRate", vif.flowRate == 0 ? .null : JSON(vif.flowRate))
        add("fatFlows", JSON(texts: vif.fatFlows.map(fatFlow)))
        add("qosMap", vif.qosMap == 0 ? .null : JSON(vif.qosMap))
        add("flags", JSON(flags(vif)))
        add("nextHop", JSON(nextHops[vif.id]))
        add("cookie", JSON(cookieText(vif.cookie)))
        add(
            "statistics",
            [
                "rxPackets": JSON(vif.stats.rxPackets), "rxBytes": JSON(vif.stats.rxBytes), "txPackets": JSON(vif.stats.txPackets),
                "txBytes": JSON(vif.stats.txBytes), "drops": JSON(vif.stats.drops), "txErrors": JSON(vif.stats.txErrors),
                "spoofed": JSON(vif.stats.spoofed), "flows": JSON(vif.stats.flows), "flowLimitDrops": JSON(vif.stats.flowLimitDrops),
                "flowRateDrops": JSON(vif.stats.flowRateDrops),
                "flowShareDrops": JSON(vif.stats.flowShareDrops), "flowEvictions": JSON(vif.stats.flowEvictions),
            ])
        if let stats = port?.stats {
            add(
                "portStatistics",
                [
                    "rxPackets": JSON(stats.rxPackets), "rxBytes": JSON(stats.rxBytes), "rxMissed": JSON(stats.rxMissed),
                    "rxErrors": JSON(stats.rxErrors),
                    "txPackets": JSON(stats.txPackets), "txBytes": JSON(stats.txBytes), "txErrors": JSON(stats.txErrors),
                    "txUncut": JSON(stats.txUncut),
                ])
        }
        if let rates {
            add(
                "rates",
                [
                    "rxPacketsPerSecond": JSON(rates.receivedPackets), "rxBitsPerSecond": JSON(rates.receivedBits),
                    "txPacketsPerSecond": JSON(rates.transmittedPackets), "txBitsPerSecond": JSON(rates.transmittedBits),
                    "dropsPerSecond": JSON(rates.drops),
                ])
        }
        return .object(members)
    }
}

/// Packets and bits per second between two readings.
struct VifRates: Hashable {
    var receivedPackets: UInt64, receivedBits: UInt64, transmittedPackets: UInt64, transmittedBits: UInt64, drops: UInt64

    init(_ before: Dataplane_V1_VifStats, _ after: Dataplane_V1_VifStats, seconds: Double) {
        receivedPackets = rate(before.rxPackets, after.rxPackets, over: seconds)
        receivedBits = rate(before.rxBytes, after.rxBytes, over: seconds / 8)
        transmittedPackets = rate(before.txPackets, after.txPackets, over: seconds)
        transmittedBits = rate(before.txBytes, after.txBytes, over: seconds / 8)
        drops = rate(before.drops, after.drops, over: seconds)
    }
}
