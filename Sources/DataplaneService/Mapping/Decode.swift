import Dataplane
import DataplaneAPI
import NetTypes

// Requests → the router's values. Everything a client may write passes here; nothing is taken unchecked.
// What needs a look into the tables (does the VRF exist?) is the router's to judge.

extension RouterOperation {
    init(_ message: Dataplane_V1_Operation) throws(FieldError) {
        switch message.operation {
        case .upsert(let object): self = .upsert(try RouterObject(object))
        case .delete(let key): self = .delete(try RouterKey(key))
        case nil: throw FieldReader(path: "").missing("operation", "upsert, delete")
        }
    }
}

extension RouterObject {
    init(_ message: Dataplane_V1_Object) throws(FieldError) {
        switch message.object {
        case .port(let port): self = .port(try PortSpec(port))
        case .vif(let vif): self = .vif(try VifSpec(vif))
        case .vrf(let vrf): self = .vrf(try VRFSpec(vrf))
        case .nextHop(let nextHop): self = .nextHop(try NextHopSpec(nextHop))
        case .route(let route): self = .route(try RouteSpec(route))
        case .bridgeEntry(let entry): self = .bridgeEntry(try BridgeEntrySpec(entry))
        case .label(let label): self = .label(try LabelSpec(label))
        case .vni(let vni): self = .vni(try VNISpec(vni))
        case .flow(let flow): self = .flow(try FlowSpec(flow))
        case .forwardingClass(let message): self = .forwardingClass(try ForwardingClassSpec(message))
        case .qosMap(let message): self = .qosMap(try QoSMapSpec(message))
        case .mirror(let mirror): self = .mirror(try MirrorSpec(mirror))
        case .policy(let policy): self = .policy(try PolicySpec(policy))
        case .addressGroup(let group): self = .addressGroup(try AddressGroupSpec(group))
        case .natRule(let rule): self = .natRule(try NATRuleSpec(rule))
        case .flowAgeing(let message): self = .flowAgeing(try FlowAgeingSpec(message))
        case nil:
            throw FieldReader(path: "upsert").missing(
                "object",
                "port, vif, vrf, next_hop, route, bridge_entry, label, vni, flow, forwarding_class, qos_map, mirror, policy, address_group, nat_rule, flow_ageing"
            )
        }
    }
}

extension RouterKey {
    init(_ message: Dataplane_V1_Key) throws(FieldError) {
        let reader = FieldReader(path: "delete")
        switch message.key {
        case .port(let name): self = .port(try reader.name(name, "port"))
        case .vif(let id): self = .vif(VifID(id))
        case .vrf(let id): self = .vrf(VRFID(id))
        case .nextHop(let id): self = .nextHop(NextHopID(id))
        case .route(let key):
            self = .route(VRFID(key.vrf), try FieldReader(path: "delete.route").prefix(key.address, key.prefixLength))
        case .bridgeEntry(let key): self = .bridgeEntry(VRFID(key.vrf), try FieldReader(path: "delete.bridge_entry").mac(key.mac, "mac"))
        case .label(let label): self = .label(try reader.mplsLabel(label, "label"))
        case .vni(let vni): self = .vni(try reader.vni(vni, "vni"))
        case .flow(let key): self = .flow(try FlowKeySpec(key, path: "delete.flow"))
        case .forwardingClass(let id): self = .forwardingClass(try reader.octet(id, "forwarding_class", most: 255))
        case .qosMap(let id): self = .qosMap(try reader.octet(id, "qos_map", most: 255))
        case .mirror(let id): self = .mirror(id)
        case .policy(let id): self = .policy(PolicyID(id))
        case .addressGroup(let id): self = .addressGroup(AddressGroupID(id))
        case .natRule(let id): self = .natRule(NATRuleID(id))
        case .flowAgeing(let key): self = .flowAgeing(try FlowAgeingID(key))
        case nil:
            throw reader.missing(
                "key",
                "port, vif, vrf, next_hop, route, bridge_entry, label, vni, flow, forwarding_class, qos_map, mirror, policy, address_group, nat_rule, flow_ageing"
            )
        }
    }
}

extension PortSpec {
    init(_ message: Dataplane_V1_Port) throws(FieldError) {
        let reader = FieldReader(path: "upsert.port")
        let driver: Driver
        switch message.driver {
        case .pcap(let pcap): driver = .pcap(interface: try FieldReader(path: "upsert.port.pcap").name(pcap.interface, "interface"))
        case .pcapFile(let file):
            let files = FieldReader(path: "upsert.port.pcap_file")
            guard !file.input.isEmpty || !file.output.isEmpty else { throw files.error("input", "", "give input, output or both") }
            driver = .pcapFile(input: file.input.isEmpty ? nil : file.input, output: file.output.isEmpty ? nil : file.output)
        case .dpdk(let dpdk):
            let devices = FieldReader(path: "upsert.port.dpdk")
            var members: [String] = []
            for (index, member) in dpdk.members.enumerated() { members.append(try devices.name(member, "members[\(index)]")) }
            driver = .dpdk(device: try devices.name(dpdk.device, "device"), members: members)
        case .loopback: driver = .loopback
        case .replay(let replay):
            let fields = FieldReader(path: "upsert.port.replay")
            guard let count = Int(exactly: replay.count) else { throw fields.error("count", replay.count, "is larger than \(Int.max)") }
            driver = .replay(file: try fields.name(replay.file, "file"), count: count == 0 ? nil : count)
        case .sink: driver = .sink
        case nil: throw reader.missing("driver", "pcap, pcap_file, dpdk, loopback, replay, sink")
        }
        guard message.queues <= 64 else { throw reader.error("queues", message.queues, "a port has at most 64 receive queues") }
        self.init(
            name: try reader.name(message.name), driver: driver, mtu: try reader.mtu(message.mtu), queues: Int(message.queues),
            spread: message.hasSpread ? message.spread : nil, cookie: message.cookie)
    }
}

extension VifSpec {
    init(_ message: Dataplane_V1_Vif) throws(FieldError) {
        let reader = FieldReader(path: "upsert.vif")
        let kind: Kind =
            switch message.kind {
            case .host: .host
            case .agent: .agent
            case .physical: .physical
            case .virtual: .virtual
            case .vlan: .vlan
            case .monitoring: .monitoring
            case .unspecified: throw reader.error("kind", "", "missing: HOST, AGENT, PHYSICAL, VIRTUAL, VLAN or MONITORING")
            case .UNRECOGNIZED(let number): throw reader.error("kind", number, "no such kind of vif")
            }
        self.init(
            id: VifID(message.id), name: try reader.name(message.name), kind: kind,
            port: message.kind == .vlan ? message.port : try reader.name(message.port, "port"), vrf: VRFID(message.vrf),
            mac: try reader.mac(message.mac, "mac"), mtu: try reader.mtu(message.mtu),
            addresses: try reader.addresses(message.addresses, "addresses"),
            workloadMAC: try reader.optionalMAC(message.workloadMac, "workload_mac"),
            workloadAddresses: try reader.addresses(message.workloadAddresses, "workload_addresses"), keepsFlows: message.keepsFlows,
            bridges: message.bridges, antispoof: message.antispoof, cookie: message.cookie)
        for (index, pair) in message.allowedPairs.enumerated() {
            let reader = FieldReader(path: "upsert.vif.allowed_pairs[\(index)]")
            allowedPairs.append(
                AllowedAddressPair(
                    prefix: try FieldReader(path: "\(reader.path).prefix").prefix(pair.prefix.address, pair.prefix.length),
                    mac: try reader.optionalMAC(pair.mac, "mac")))
        }
        checksTunnelSource = message.checksTunnelSource
        reversePath =
            switch message.reversePath {
            case .none: .none
            case .loose: .loose
            case .strict: .strict
            case .UNRECOGNIZED(let number): throw reader.error("reverse_path", number, "no such check")
            }
        sendsUnreachables = message.sendsUnreachables
        floodsUnknownUnicast = message.floodsUnknownUnicast
        trapsGroupReports = message.trapsGroupReports
        monitors = message.hasMonitors ? VifID(message.monitors) : nil
        services = message.services
        vlan = message.hasVlan ? try VLANSpec(message.vlan) : nil
        qosMap = try reader.octet(message.qosMap, "qos_map", most: 255)
        ingressPolicies = message.ingressPolicies.map { PolicyID($0) }
        egressPolicies = message.egressPolicies.map { PolicyID($0) }
        flowLimit = message.flowLimit
        flowRate = message.flowRate
        for (index, rule) in message.fatFlows.enumerated() {
            fatFlows.append(try FatFlowRule(rule, FieldReader(path: "upsert.vif.fat_flows[\(index)]")))
        }
    }
}

extension VLANSpec {
    init(_ message: Dataplane_V1_VlanTags) throws(FieldError) {
        let reader = FieldReader(path: "upsert.vif.vlan")
        let tagProtocol: TagProtocol? =
            switch message.protocol {
            case .unspecified: nil
            case .customer: .customer
            case .service: .service
            case .UNRECOGNIZED(let number): throw reader.error("protocol", number, "no such VLAN protocol")
            }
        self.init(
            parent: VifID(message.parent), id: try reader.uint16(message.id, "id"),
            innerID: message.innerID == 0 ? nil : try reader.uint16(message.innerID, "inner_id"), tagProtocol: tagProtocol)
    }
}

extension VRFSpec {
    init(_ message: Dataplane_V1_Vrf) throws(FieldError) {
        self.init(
            id: VRFID(message.id), name: try FieldReader(path: "upsert.vrf").name(message.name),
            floodsUnknownUnicast: message.floodsUnknownUnicast, learnsMACs: message.learnsMacs, macAgeing: message.macAgeingSeconds,
            macLimit: message.macLimit, cookie: message.cookie)
        flowLimit = message.flowLimit
    }
}

extension RouteSpec {
    init(_ message: Dataplane_V1_Route) throws(FieldError) {
        let reader = FieldReader(path: "upsert.route")
        self.init(
            vrf: VRFID(message.vrf), prefix: try reader.prefix(message.address, message.prefixLength), nextHop: NextHopID(message.nextHop),
            label: message.hasLabel ? try reader.labelOrVNI(message.label, "label") : nil, proxies: message.proxies,
            mac: try reader.optionalMAC(message.mac, "mac"), cookie: message.cookie)
    }
}

extension BridgeEntrySpec {
    init(_ message: Dataplane_V1_BridgeEntry) throws(FieldError) {
        let reader = FieldReader(path: "upsert.bridge_entry")
        self.init(
            vrf: VRFID(message.vrf), mac: try reader.mac(message.mac, "mac"), nextHop: NextHopID(message.nextHop),
            label: message.hasLabel ? try reader.labelOrVNI(message.label, "label") : nil, cookie: message.cookie)
    }
}

extension LabelSpec {
    init(_ message: Dataplane_V1_LabelEntry) throws(FieldError) {
        self.init(
            label: try FieldReader(path: "upsert.label").mplsLabel(message.label, "label"), nextHop: NextHopID(message.nextHop),
            cookie: message.cookie)
    }
}

extension VNISpec {
    init(_ message: Dataplane_V1_VniEntry) throws(FieldError) {
        self.init(vni: try FieldReader(path: "upsert.vni").vni(message.vni, "vni"), nextHop: NextHopID(message.nextHop), cookie: message.cookie)
    }
}

extension FlowKeySpec {
    init(_ message: Dataplane_V1_FlowKey, path: String) throws(FieldError) {
        let reader = FieldReader(path: path)
        let source = try reader.address(message.source, "source")
        let destination = try reader.address(message.destination, "destination")
        guard source.isIPv4 == destination.isIPv4 else {
            throw reader.error("destination", destination, "is not of the family of the source \(source)")
        }
        guard let proto = UInt8(exactly: message.protocol) else {
            throw reader.error("protocol", message.protocol, "an IP protocol number is at most 255")
        }
        self.init(
            vrf: VRFID(message.vrf), source: source, destination: destination, proto: proto,
            sourcePort: try reader.uint16(message.sourcePort, "source_port"),
            destinationPort: try reader.uint16(message.destinationPort, "destination_port"))
        if message.hasGeneration { generation = message.generation }
    }
}

extension FlowSpec {
    init(_ message: Dataplane_V1_Flow) throws(FieldError) {
        let reader = FieldReader(path: "upsert.flow")
        guard message.hasKey else { throw reader.error("key", "", "missing") }
        let action: FlowAction =
            switch message.action {
            case .forward: .forward
            case .drop: .drop
            case .nat: .nat
            case .hold: throw reader.error("action", "HOLD", "is the router's own; program FORWARD, DROP or NAT")
            case .unspecified: throw reader.error("action", "", "missing: FORWARD, DROP or NAT")
            case .UNRECOGNIZED(let number): throw reader.error("action", number, "no such action")
            }
        self.init(
            key: try FlowKeySpec(message.key, path: "upsert.flow.key"), action: action,
            translation: message.hasTranslation ? try FlowTranslation(message.translation, path: "upsert.flow.translation") : nil,
            cookie: message.cookie)
        qosMap = try reader.octet(message.qosMap, "qos_map", most: 255)
        mirror = try reader.octet(message.mirror, "mirror", most: 255)
    }
}

extension FlowTranslation {
    init(_ message: Dataplane_V1_FlowTranslation, path: String) throws(FieldError) {
        let reader = FieldReader(path: path)
        self.init(
            source: message.source.isEmpty ? nil : try reader.address(message.source, "source"),
            destination: message.destination.isEmpty ? nil : try reader.address(message.destination, "destination"),
            sourcePort: message.hasSourcePort ? try reader.uint16(message.sourcePort, "source_port") : nil,
            destinationPort: message.hasDestinationPort ? try reader.uint16(message.destinationPort, "destination_port") : nil,
            vrf: message.hasVrf ? VRFID(message.vrf) : nil)
    }
}
