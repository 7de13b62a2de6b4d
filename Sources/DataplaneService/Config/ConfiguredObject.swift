public import Dataplane
import NetTypes
public import StrictYAML

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// An object of the file's `objects` section, as the same value that the API makes of a request, with its place in the file.
public struct ConfiguredObject: Sendable {
    public var object: RouterObject
    /// `file:line:column: field`, for the message when the router refuses it.
    public var place: ConfigError

    /// All objects, in the order in which they depend on each other, whatever the order of the sections in the file.
    static func list(_ value: ConfigNode) throws(ConfigError) -> [ConfiguredObject] {
        let readers: KeyValuePairs<String, (ConfigNode) throws(ConfigError) -> RouterObject> = [
            "ports": port, "forwardingClasses": forwardingClass, "qosMaps": qosMap, "vrfs": vrf,
            "addressGroups": addressGroup, "policies": policy, "vifs": vif, "nextHops": nextHop, "routes": route,
            "bridge": bridgeEntry, "labels": label, "vnis": vni, "natRules": natRule, "mirrors": mirror,
        ]
        let sections = try value.mapping(keys: readers.map(\.key))
        var objects: [ConfiguredObject] = []
        for (key, read) in readers {
            for item in try sections[key]?.list() ?? [] { objects.append(ConfiguredObject(object: try read(item), place: item.error(""))) }
        }
        return objects
    }

    static func cookie(_ fields: ConfigMapping) throws(ConfigError) -> UInt64 { try fields["cookie"]?.integer(in: 0...UInt64.max) ?? 0 }
    static func number(_ value: ConfigNode) throws(ConfigError) -> UInt32 { try value.integer(in: 0...UInt32.max) }
    private static func addresses(_ value: ConfigNode?) throws(ConfigError) -> [IPAddress] {
        var out: [IPAddress] = []
        for item in try value?.list() ?? [] { out.append(try item.address()) }
        return out
    }
    private static func mtu(_ fields: ConfigMapping) throws(ConfigError) -> Int { try fields["mtu"]?.integer(in: 0...65_535) ?? 0 }
    private static func labelOrVNI(_ fields: ConfigMapping) throws(ConfigError) -> UInt32? { try fields["label"]?.integer(in: 0...VNI.maximum) }

    private static func port(_ value: ConfigNode) throws(ConfigError) -> RouterObject {
        let drivers = ["pcap", "pcapFile", "dpdk", "loopback", "replay", "sink"]
        let fields = try value.mapping(keys: ["name"] + drivers + ["mtu", "queues", "spread", "cookie"])
        let (key, details) = try fields.one(of: drivers)
        let driver: PortSpec.Driver
        switch key {
        case "pcap": driver = .pcap(interface: try details.mapping(keys: ["interface"]).required("interface").string())
        case "pcapFile":
            let files = try details.mapping(keys: ["input", "output"])
            let input = try files["input"]?.string(), output = try files["output"]?.string()
            guard input != nil || output != nil else { throw details.error("give input, output or both") }
            driver = .pcapFile(input: input, output: output)
        case "dpdk":
            let dpdk = try details.mapping(keys: ["device", "members"])
            var members: [String] = []
            for member in try dpdk["members"]?.list() ?? [] { members.append(try member.string()) }
            driver = .dpdk(device: try dpdk.required("device").string(), members: members)
        case "replay":
            let replay = try details.mapping(keys: ["file", "count"])
            driver = .replay(file: try replay.required("file").string(), count: try replay["count"]?.integer(in: 1...Int.max))
        default:
            _ = try details.mapping(keys: [])
            driver = key == "sink" ? .sink : .loopback
        }
        return .port(
            PortSpec(
                name: try fields.required("name").string(), driver: driver, mtu: try mtu(fields),
                queues: try fields["queues"]?.integer(in: 0...64) ?? 0, spread: try fields["spread"]?.boolean(),
                cookie: try cookie(fields)))
    }

    private static func forwardingClass(_ value: ConfigNode) throws(ConfigError) -> RouterObject {
        let fields = try value.mapping(keys: ["id", "dscp", "trafficClass", "vlanPriority", "cookie"])
        return .forwardingClass(
            ForwardingClassSpec(
                id: try fields.required("id").integer(in: 0...255), dscp: try fields.required("dscp").integer(in: 0...63),
                trafficClass: try fields.required("trafficClass").integer(in: 0...7),
                vlanPriority: try fields["vlanPriority"]?.integer(in: 0...7) ?? 0, cookie: try cookie(fields)))
    }

    private static func qosMap(_ value: ConfigNode) throws(ConfigError) -> RouterObject {
        let fields = try value.mapping(keys: ["id", "dscp", "trafficClass", "vlanPriority", "cookie"])
        return .qosMap(
            QoSMapSpec(
                id: try fields.required("id").integer(in: 1...255), dscp: try classes(fields["dscp"], most: 63),
                trafficClass: try classes(fields["trafficClass"], most: 7), vlanPriority: try classes(fields["vlanPriority"], most: 7),
                cookie: try cookie(fields)))
    }

    /// A list of `{from, class}`.
    private static func classes(_ value: ConfigNode?, most: UInt8) throws(ConfigError) -> [UInt8: UInt8] {
        var out: [UInt8: UInt8] = [:]
        for item in try value?.list() ?? [] {
            let entry = try item.mapping(keys: ["from", "class"])
            let from = try entry.required("from"), mark: UInt8 = try from.integer(in: 0...most)
            guard out[mark] == nil else { throw from.error("\(mark) is given twice") }
            out[mark] = try entry.required("class").integer(in: 0...255)
        }
        return out
    }

    private static func vrf(_ value: ConfigNode) throws(ConfigError) -> RouterObject {
        let fields = try value.mapping(keys: ["id", "name", "floodsUnknownUnicast", "learnsMACs", "macAgeing", "macLimit", "flowLimit", "cookie"])
        var spec = VRFSpec(
            id: VRFID(try number(fields.required("id"))), name: try fields.required("name").string(),
            floodsUnknownUnicast: try fields["floodsUnknownUnicast"]?.boolean() ?? false,
            learnsMACs: try fields["learnsMACs"]?.boolean() ?? false, macAgeing: try fields["macAgeing"].map(number) ?? 0,
            macLimit: try fields["macLimit"].map(number) ?? 0, cookie: try cookie(fields))
        spec.flowLimit = try fields["flowLimit"].map(number) ?? 0
        return .vrf(spec)
    }

    private static func vif(_ value: ConfigNode) throws(ConfigError) -> RouterObject {
        let fields = try value.mapping(keys: [
            "id", "name", "kind", "port", "vrf", "mac", "mtu", "addresses", "workloadMAC", "workloadAddresses", "keepsFlows", "bridges",
            "antispoof", "allowedPairs", "checksTunnelSource", "reversePath", "sendsUnreachables", "floodsUnknownUnicast", "trapsGroupReports",
            "services", "vlan", "qosMap", "ingressPolicies", "egressPolicies", "flowLimit", "flowRate", "fatFlows", "monitors", "cookie",
        ])
        let id = VifID(try number(fields.required("id"))), name = try fields.required("name").string()
        let kind: VifSpec.Kind = try fields.required("kind").choice([
            "host": .host, "agent": .agent, "physical": .physical, "virtual": .virtual, "vlan": .vlan, "monitoring": .monitoring,
        ])
        // A sub-interface has its parent's port.
        let port = kind != .vlan ? try fields.required("port").string() : try fields["port"]?.string() ?? ""
        var spec = VifSpec(
            id: id, name: name, kind: kind, port: port, vrf: VRFID(try fields["vrf"].map(number) ?? 0),
            mac: try fields.required("mac").macAddress(),
            mtu: try mtu(fields), addresses: try addresses(fields["addresses"]), workloadMAC: try fields["workloadMAC"]?.macAddress(),
            workloadAddresses: try addresses(fields["workloadAddresses"]), keepsFlows: try fields["keepsFlows"]?.boolean() ?? false,
            bridges: try fields["bridges"]?.boolean() ?? true, antispoof: try fields["antispoof"]?.boolean() ?? false,
            cookie: try cookie(fields))
        for item in try fields["allowedPairs"]?.list() ?? [] {
            let pair = try item.mapping(keys: ["prefix", "mac"])
            spec.allowedPairs.append(
                AllowedAddressPair(prefix: try pair.required("prefix").prefix(acceptsHost: true), mac: try pair["mac"]?.macAddress()))
        }
        spec.checksTunnelSource = try fields["checksTunnelSource"]?.boolean() ?? false
        spec.reversePath =
            try fields["reversePath"]?.choice([
                "none": ReversePathCheck.none, "loose": .loose, "strict": .strict,
            ]) ?? .none
        spec.sendsUnreachables = try fields["sendsUnreachables"]?.boolean() ?? false
        spec.floodsUnknownUnicast = try fields["floodsUnknownUnicast"]?.boolean() ?? false
        spec.trapsGroupReports = try fields["trapsGroupReports"]?.boolean() ?? false
        spec.services = try fields["services"]?.boolean() ?? false
        spec.vlan = try fields["vlan"].map(vlan)
        spec.monitors = try fields["monitors"].map(number).map { VifID($0) }
        spec.qosMap = try fields["qosMap"]?.integer(in: 0...255) ?? 0
        spec.ingressPolicies = try policyIDs(fields["ingressPolicies"])
        spec.egressPolicies = try policyIDs(fields["egressPolicies"])
        spec.flowLimit = try fields["flowLimit"].map(number) ?? 0
        spec.flowRate = try fields["flowRate"].map(number) ?? 0
        for item in try fields["fatFlows"]?.list() ?? [] { spec.fatFlows.append(try fatFlow(item)) }
        return .vif(spec)
    }

    private static func vlan(_ value: ConfigNode) throws(ConfigError) -> VLANSpec {
        let fields = try value.mapping(keys: ["parent", "id", "innerID", "protocol"])
        return VLANSpec(
            parent: VifID(try number(fields.required("parent"))), id: try fields.required("id").integer(in: 1...4094),
            innerID: try fields["innerID"]?.integer(in: 1...4094),
            tagProtocol: try fields["protocol"]?.choice(["customer": .customer, "service": .service]))
    }

    private static func nextHop(_ value: ConfigNode) throws(ConfigError) -> RouterObject {
        let kinds = ["discard", "receive", "encap", "tunnel", "resolve", "vrf", "ecmp", "indirect", "multicast"]
        let fields = try value.mapping(keys: ["id"] + kinds + ["cookie"])
        let (key, details) = try fields.one(of: kinds)
        let kind: NextHopSpec.Kind
        switch key {
        case "receive": kind = .receive(vif: VifID(try number(details.mapping(keys: ["vif"]).required("vif"))))
        case "resolve": kind = .resolve(vif: VifID(try number(details.mapping(keys: ["vif"]).required("vif"))))
        case "encap":
            let encap = try details.mapping(keys: ["vif", "destination", "source"])
            kind = .encap(
                vif: VifID(try number(encap.required("vif"))), destination: try encap["destination"]?.macAddress(),
                source: try encap["source"]?.macAddress() ?? .gateway)
        case "tunnel": kind = .tunnel(try tunnel(details))
        case "vrf":
            let vrf = try details.mapping(keys: ["id", "bridges", "routerMAC"])
            kind = .vrf(
                VRFID(try number(vrf.required("id"))), bridges: try vrf["bridges"]?.boolean() ?? false, routerMAC: try vrf["routerMAC"]?.macAddress())
        case "indirect": kind = .indirect(NextHopID(try number(details)))
        case "ecmp":
            // A list of members, or a mapping with the list and what the choice goes by.
            let ecmp = details.isList ? nil : try details.mapping(keys: ["members", "hash"])
            var fields: HashFields = .all
            if let chosen = try ecmp?["hash"]?.list() {
                fields = []
                for field in chosen {
                    fields.insert(
                        try field.choice([
                            "protocol": .proto, "source": .source, "sourcePort": .sourcePort, "destination": .destination,
                            "destinationPort": .destinationPort,
                        ]))
                }
            }
            let members = try members(ecmp?.required("members") ?? details)
            guard !members.isEmpty else { throw details.error("there is no member in the list") }
            kind = .ecmp(members, hash: fields)
        case "multicast": kind = .multicast(try multicast(details))
        default:
            _ = try details.mapping(keys: [])
            kind = .discard
        }
        return .nextHop(NextHopSpec(id: NextHopID(try number(fields.required("id"))), kind: kind, cookie: try cookie(fields)))
    }

    private static func members(_ value: ConfigNode?) throws(ConfigError) -> [NextHopSpec.Member] {
        var members: [NextHopSpec.Member] = []
        for item in try value?.list() ?? [] {
            let member = try item.mapping(keys: ["nextHop", "label"])
            members.append(.init(nextHop: NextHopID(try number(member.required("nextHop"))), label: try labelOrVNI(member)))
        }
        return members
    }

    private static func multicast(_ value: ConfigNode) throws(ConfigError) -> NextHopSpec.Multicast {
        let fields = try value.mapping(keys: ["vrf", "local", "evpn", "fabric", "vni"])
        var local: [NextHopID] = []
        for item in try fields["local"]?.list() ?? [] { local.append(NextHopID(try number(item))) }
        return NextHopSpec.Multicast(
            vrf: VRFID(try number(fields.required("vrf"))), local: local, evpn: try members(fields["evpn"]), fabric: try members(fields["fabric"]),
            vni: VNI(try fields["vni"]?.integer(in: 0...VNI.maximum) ?? 0))
    }

    private static func tunnel(_ value: ConfigNode) throws(ConfigError) -> NextHopSpec.Tunnel {
        let fields = try value.mapping(keys: ["encapsulation", "source", "destination", "vif", "destinationMAC", "sourceMAC", "routerMAC"])
        let source = try fields.required("source").address()
        let destination = try fields.required("destination")
        guard try destination.address().isIPv4 == source.isIPv4 else { throw destination.error("is not of the family of the source \(source)") }
        return NextHopSpec.Tunnel(
            encapsulation: try fields.required("encapsulation").choice([
                "vxlan": .vxlan, "mplsOverUDP": .mplsOverUDP, "mplsOverGRE": .mplsOverGRE,
            ]),
            source: source, destination: try destination.address(), vif: VifID(try number(fields.required("vif"))),
            destinationMAC: try fields.required("destinationMAC").macAddress(), sourceMAC: try fields.required("sourceMAC").macAddress(),
            routerMAC: try fields["routerMAC"]?.macAddress() ?? .gateway)
    }

    private static func route(_ value: ConfigNode) throws(ConfigError) -> RouterObject {
        let fields = try value.mapping(keys: ["vrf", "prefix", "nextHop", "label", "proxies", "mac", "cookie"])
        return .route(
            RouteSpec(
                vrf: VRFID(try number(fields.required("vrf"))), prefix: try fields.required("prefix").prefix(acceptsHost: true),
                nextHop: NextHopID(try number(fields.required("nextHop"))), label: try labelOrVNI(fields),
                proxies: try fields["proxies"]?.boolean() ?? false, mac: try fields["mac"]?.macAddress(), cookie: try cookie(fields)))
    }

    private static func bridgeEntry(_ value: ConfigNode) throws(ConfigError) -> RouterObject {
        let fields = try value.mapping(keys: ["vrf", "mac", "nextHop", "label", "cookie"])
        return .bridgeEntry(
            BridgeEntrySpec(
                vrf: VRFID(try number(fields.required("vrf"))), mac: try fields.required("mac").macAddress(),
                nextHop: NextHopID(try number(fields.required("nextHop"))), label: try labelOrVNI(fields), cookie: try cookie(fields)))
    }

    private static func label(_ value: ConfigNode) throws(ConfigError) -> RouterObject {
        let fields = try value.mapping(keys: ["label", "nextHop", "cookie"])
        return .label(
            LabelSpec(
                label: Label(try fields.required("label").integer(in: 0...Label.maximum)), nextHop: NextHopID(try number(fields.required("nextHop"))),
                cookie: try cookie(fields)))
    }

    private static func vni(_ value: ConfigNode) throws(ConfigError) -> RouterObject {
        let fields = try value.mapping(keys: ["vni", "nextHop", "cookie"])
        return .vni(
            VNISpec(
                vni: VNI(try fields.required("vni").integer(in: 0...VNI.maximum)), nextHop: NextHopID(try number(fields.required("nextHop"))),
                cookie: try cookie(fields)))
    }

    /// `sources` are numbers of vifs, or `{vif, direction}`.
    private static func mirror(_ value: ConfigNode) throws(ConfigError) -> RouterObject {
        let destinations = ["file", "vif", "vxlan", "erspan"]
        let fields = try value.mapping(keys: ["id", "sources"] + destinations + ["snapLength", "cookie"])
        var sources: [MirrorSpec.Source] = []
        for item in try fields.required("sources").list() {
            guard item.isMapping else {
                sources.append(.init(vif: VifID(try number(item))))
                continue
            }
            let source = try item.mapping(keys: ["vif", "direction"])
            sources.append(
                .init(
                    vif: VifID(try number(source.required("vif"))),
                    direction: try source["direction"]?.choice(["received": .received, "sent": .sent, "both": .both]) ?? .both))
        }
        guard !sources.isEmpty else { throw try fields.required("sources").error("there is no vif in the list") }
        let (key, details) = try fields.one(of: destinations)
        let destination: MirrorSpec.Destination
        switch key {
        case "file":
            let file = try details.mapping(keys: ["path", "maximumSize", "maximumFiles"])
            let path = try file.required("path").string()
            destination = .file(
                path: path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path,
                maximumSize: try file["maximumSize"]?.integer(in: 0...Int.max) ?? 0,
                maximumFiles: try file["maximumFiles"]?.integer(in: 1...1000) ?? 1)
        case "vxlan":
            let vxlan = try details.mapping(keys: ["nextHop", "vni"])
            destination = .vxlan(NextHopID(try number(vxlan.required("nextHop"))), VNI(try vxlan.required("vni").integer(in: 1...VNI.maximum)))
        case "erspan":
            let erspan = try details.mapping(keys: ["nextHop", "session"])
            destination = .erspan(NextHopID(try number(erspan.required("nextHop"))), session: try erspan.required("session").integer(in: 0...1023))
        default: destination = .vif(VifID(try number(details)))
        }
        return .mirror(
            MirrorSpec(
                id: try number(fields.required("id")), sources: sources, destination: destination,
                snapLength: try fields["snapLength"]?.integer(in: 0...131_072) ?? 0, cookie: try cookie(fields)))
    }
}
