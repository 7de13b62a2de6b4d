import Dataplane
import DataplaneAPI
import NetTypes
import SwiftProtobuf

// The router's values → replies. What is encoded here decodes to the same value (`Decode.swift`); the tests hold both to it.

extension Dataplane_V1_Port {
    init(_ spec: PortSpec) {
        self.init()
        name = spec.name
        switch spec.driver {
        case .pcap(let interface): pcap = .with { $0.interface = interface }
        case .pcapFile(let input, let output):
            pcapFile = .with {
                $0.input = input ?? ""; $0.output = output ?? ""
            }
        case .dpdk(let device, let members):
            dpdk = .with {
                $0.device = device; $0.members = members
            }
        case .loopback: loopback = Dataplane_V1_LoopbackDriver()
        case .replay(let file, let count):
            replay = .with {
                $0.file = file; $0.count = UInt64(count ?? 0)
            }
        case .sink: sink = Dataplane_V1_SinkDriver()
        }
        mtu = UInt32(clamping: spec.mtu)
        queues = UInt32(clamping: spec.queues)
        if let wanted = spec.spread { spread = wanted }
        cookie = spec.cookie
    }
    init(_ reading: PortReading) {
        self.init(reading.spec)
        deviceDriver = reading.driver
        deviceName = reading.device
        effectiveMtu = UInt32(clamping: reading.mtu)
        link =
            switch reading.link.state {
            case .unknown: .unspecified
            case .up: .up
            case .down: .down
            case .absent: .absent
            }
        linkSpeedMbps = UInt32(clamping: reading.link.speed)
        receiveQueues = UInt32(clamping: reading.receiveQueues)
        transmitQueues = UInt32(clamping: reading.transmitQueues)
        isSpread = reading.isSpread
        offloads = Dataplane_V1_PortOffload.list(reading.traits)
        stats = .with {
            $0.rxPackets = reading.statistics.receivedPackets
            $0.rxBytes = reading.statistics.receivedBytes
            $0.rxMissed = reading.statistics.receiveMissed
            $0.rxErrors = reading.statistics.receiveErrors
            $0.txPackets = reading.statistics.transmittedPackets
            $0.txBytes = reading.statistics.transmittedBytes
            $0.txErrors = reading.statistics.transmitErrors
            $0.txUncut = reading.statistics.transmittedUncut
        }
    }
}

extension Dataplane_V1_PortOffload {
    static func list(_ traits: PortTraits) -> [Dataplane_V1_PortOffload] {
        let all: KeyValuePairs<PortTraits, Dataplane_V1_PortOffload> = [
            .cutsSegments: .txTcpSegmentation, .cutsDatagrams: .txUdpSegmentation, .oversizedSegments: .rxUncutTcp,
            .unfinishedChecksums: .rxUnfinishedChecksums, .receiveHash: .rxHash,
        ]
        return all.filter { traits.contains($0.key) }.map(\.value)
    }
}

extension Dataplane_V1_VifKind {
    init(_ kind: VifSpec.Kind) {
        self =
            switch kind {
            case .host: .host
            case .agent: .agent
            case .physical: .physical
            case .virtual: .virtual
            case .vlan: .vlan
            case .monitoring: .monitoring
            }
    }
}

extension Dataplane_V1_Vif {
    init(_ spec: VifSpec) {
        self.init()
        id = spec.id.rawValue
        name = spec.name
        kind = Dataplane_V1_VifKind(spec.kind)
        port = spec.port
        vrf = spec.vrf.rawValue
        mac = spec.mac.octets
        mtu = UInt32(clamping: spec.mtu)
        addresses = spec.addresses.map(\.octets)
        if let workload = spec.workloadMAC { workloadMac = workload.octets }
        workloadAddresses = spec.workloadAddresses.map(\.octets)
        keepsFlows = spec.keepsFlows
        bridges = spec.bridges
        antispoof = spec.antispoof
        allowedPairs = spec.allowedPairs.map { pair in
            .with {
                $0.prefix = Dataplane_V1_Prefix(pair.prefix)
                if let mac = pair.mac { $0.mac = mac.octets }
            }
        }
        checksTunnelSource = spec.checksTunnelSource
        reversePath =
            switch spec.reversePath {
            case .none: .none
            case .loose: .loose
            case .strict: .strict
            }
        sendsUnreachables = spec.sendsUnreachables
        floodsUnknownUnicast = spec.floodsUnknownUnicast
        trapsGroupReports = spec.trapsGroupReports
        if let watched = spec.monitors { monitors = watched.rawValue }
        services = spec.services
        if let tags = spec.vlan {
            vlan = .with {
                $0.parent = tags.parent.rawValue
                $0.id = UInt32(tags.id)
                $0.innerID = UInt32(tags.innerID ?? 0)
                $0.protocol = tags.tagProtocol == .service ? .service : .customer
            }
        }
        qosMap = UInt32(spec.qosMap)
        ingressPolicies = spec.ingressPolicies.map(\.rawValue)
        egressPolicies = spec.egressPolicies.map(\.rawValue)
        flowLimit = spec.flowLimit
        flowRate = spec.flowRate
        fatFlows = spec.fatFlows.map { Dataplane_V1_FatFlowRule($0) }
        cookie = spec.cookie
    }
    init(_ reading: VifReading) {
        self.init(reading.spec)
        stats = .with {
            $0.rxPackets = reading.counters.receivedPackets
            $0.rxBytes = reading.counters.receivedBytes
            $0.txPackets = reading.counters.transmittedPackets
            $0.txBytes = reading.counters.transmittedBytes
            $0.drops = reading.counters.drops
            $0.txErrors = reading.counters.transmitErrors
            $0.spoofed = reading.counters.spoofed
            $0.flows = UInt64(clamping: reading.flows.flows)
            $0.flowLimitDrops = reading.flows.overLimit
            $0.flowRateDrops = reading.flows.overRate
            $0.flowShareDrops = reading.flows.overShare
            $0.flowEvictions = reading.flows.evicted
        }
    }
}

extension Dataplane_V1_Vrf {
    init(_ spec: VRFSpec) {
        self.init()
        id = spec.id.rawValue
        name = spec.name
        floodsUnknownUnicast = spec.floodsUnknownUnicast
        learnsMacs = spec.learnsMACs
        macAgeingSeconds = spec.macAgeing
        macLimit = spec.macLimit
        flowLimit = spec.flowLimit
        cookie = spec.cookie
    }
    init(_ reading: VRFReading) {
        self.init(reading.spec)
        ipv4Routes = UInt64(clamping: reading.ipv4Routes)
        ipv6Routes = UInt64(clamping: reading.ipv6Routes)
        bridgeEntries = UInt64(clamping: reading.bridgeEntries)
        flows = UInt64(clamping: reading.flows.flows)
        flowLimitDrops = reading.flows.overLimit
    }
}

extension Dataplane_V1_NextHop {
    init(_ spec: NextHopSpec) {
        self.init()
        id = spec.id.rawValue
        cookie = spec.cookie
        switch spec.kind {
        case .discard: discard = Dataplane_V1_DiscardNextHop()
        case .receive(let vif): receive = .with { $0.vif = vif.rawValue }
        case .encap(let vif, let destination, let source):
            encap = .with {
                $0.vif = vif.rawValue
                if let destination { $0.destinationMac = destination.octets }
                $0.sourceMac = source.octets
            }
        case .tunnel(let spec):
            tunnel = .with {
                $0.encapsulation =
                    switch spec.encapsulation {
                    case .vxlan: .vxlan
                    case .mplsOverUDP: .mplsOverUdp
                    case .mplsOverGRE: .mplsOverGre
                    }
                $0.source = spec.source.octets
                $0.destination = spec.destination.octets
                $0.vif = spec.vif.rawValue
                $0.destinationMac = spec.destinationMAC.octets
                $0.sourceMac = spec.sourceMAC.octets
                $0.routerMac = spec.routerMAC.octets
            }
        case .resolve(let vif): resolve = .with { $0.vif = vif.rawValue }
        case .vrf(let id, let bridges, let routerMAC):
            vrf = .with {
                $0.vrf = id.rawValue
                $0.bridges = bridges
                if let routerMAC { $0.routerMac = routerMAC.octets }
            }
        case .indirect(let target): indirect = .with { $0.nextHop = target.rawValue }
        case .ecmp(let members, let fields):
            ecmp = .with {
                if fields != .all { $0.hashFields = HashFields.apiNames.filter { fields.contains($0.field) }.map(\.name) }
                $0.members = members.map { Dataplane_V1_EcmpMember($0) }
            }
        case .multicast(let spec):
            multicast = .with {
                $0.vrf = spec.vrf.rawValue
                $0.local = spec.local.map(\.rawValue)
                $0.evpn = spec.evpn.map { Dataplane_V1_EcmpMember($0) }
                $0.fabric = spec.fabric.map { Dataplane_V1_EcmpMember($0) }
                $0.vni = spec.vni.rawValue
            }
        }
    }
    init(_ reading: NextHopReading) {
        self.init(reading.spec)
        references = UInt64(clamping: reading.references)
    }
}

extension Dataplane_V1_EcmpMember {
    init(_ spec: NextHopSpec.Member) {
        self.init()
        nextHop = spec.nextHop.rawValue
        if let label = spec.label { self.label = label }
    }
}

extension Dataplane_V1_Route {
    init(_ spec: RouteSpec) {
        self.init()
        vrf = spec.vrf.rawValue
        prefix = spec.prefix
        nextHop = spec.nextHop.rawValue
        if let label = spec.label { self.label = label }
        proxies = spec.proxies
        if let mac = spec.mac { self.mac = mac.octets }
        cookie = spec.cookie
    }
}

extension Dataplane_V1_BridgeEntry {
    init(_ spec: BridgeEntrySpec) {
        self.init()
        vrf = spec.vrf.rawValue
        mac = spec.mac.octets
        nextHop = spec.nextHop.rawValue
        if let label = spec.label { self.label = label }
        cookie = spec.cookie
    }
}

extension Dataplane_V1_BridgeEntry {
    init(_ reading: BridgeEntryReading) {
        self.init(reading.spec)
        guard let learned = reading.learned else { return }
        self.learned = true
        moves = UInt32(clamping: learned.moves)
        idleSeconds = UInt32(clamping: learned.idleSeconds)
    }
}

extension Dataplane_V1_LabelEntry {
    init(_ spec: LabelSpec) {
        self.init()
        label = spec.label.rawValue
        nextHop = spec.nextHop.rawValue
        cookie = spec.cookie
    }
}

extension Dataplane_V1_VniEntry {
    init(_ spec: VNISpec) {
        self.init()
        vni = spec.vni.rawValue
        nextHop = spec.nextHop.rawValue
        cookie = spec.cookie
    }
}

extension Dataplane_V1_FlowKey {
    init(_ spec: FlowKeySpec) {
        self.init()
        vrf = spec.vrf.rawValue
        source = spec.source.octets
        destination = spec.destination.octets
        self.protocol = UInt32(spec.proto)
        sourcePort = UInt32(spec.sourcePort)
        destinationPort = UInt32(spec.destinationPort)
        if let wanted = spec.generation { generation = wanted }
    }
}

extension Dataplane_V1_FlowTranslation {
    init(_ translation: FlowTranslation) {
        self.init()
        if let address = translation.source { source = address.octets }
        if let address = translation.destination { destination = address.octets }
        if let port = translation.sourcePort { sourcePort = UInt32(port) }
        if let port = translation.destinationPort { destinationPort = UInt32(port) }
        if let other = translation.vrf { vrf = other.rawValue }
    }
}

extension Dataplane_V1_Flow {
    init(_ spec: FlowSpec) {
        self.init()
        key = Dataplane_V1_FlowKey(spec.key)
        action =
            switch spec.action {
            case .forward: .forward
            case .drop: .drop
            case .nat: .nat
            case .hold: .hold
            }
        if let given = spec.translation { translation = Dataplane_V1_FlowTranslation(given) }
        qosMap = UInt32(spec.qosMap)
        mirror = UInt32(spec.mirror)
        cookie = spec.cookie
    }
    init(_ reading: FlowReading) {
        self.init(reading.spec)
        index = reading.index
        if let reverse = reading.reverseIndex { reverseIndex = reverse }
        generation = reading.generation
        packets = reading.packets
        bytes = reading.bytes
        tcpState = reading.tcpState
        ingressVif = reading.ingressVif.rawValue
        nextHop = reading.nextHop.rawValue
        idleSeconds = UInt32(clamping: reading.idleSeconds)
        isForward = reading.isForward
        udpSourcePort = UInt32(reading.udpSourcePort)
        dropReason = reading.dropReason?.label ?? ""
        evicted = reading.isEvicted
        ownerVif = reading.owner.rawValue
        fat = reading.isFat
    }
}
