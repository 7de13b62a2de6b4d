import CPlatform
public import NetTypes
import Synchronization

// Read-back: what was programmed and what it did. Lists are in key order; `after` nil starts at the beginning; fewer than `limit` means the end.
extension Router {
    public func ports() -> [PortReading] {
        state.withLock { state in
            state.ports.values.sorted { $0.spec.name < $1.spec.name }.map {
                PortReading(
                    spec: $0.spec, statistics: $0.port.statistics(), device: $0.port.device, driver: $0.port.driver, mtu: $0.port.mtu,
                    link: $0.port.link(), receiveQueues: $0.port.receiveQueueCount, transmitQueues: $0.port.transmitQueueCount,
                    traits: $0.port.traits, isSpread: $0.ways.contains { $0?.isSpread ?? false })
            }
        }
    }

    public func vifs(after: VifID?, limit: Int) -> [VifReading] {
        state.withLock { state in
            page(state.vifs, after, limit).map { (id: VifID, spec: VifSpec) in
                var counters = counters(of: id)
                if let baseline = state.vifBaseline[id] { counters.subtract(baseline) }
                return VifReading(spec: spec, counters: counters, flows: tables.flows.vifQuotas.reading(id.rawValue))
            }
        }
    }

    public func vrfs(after: VRFID?, limit: Int) -> [VRFReading] {
        state.withLock { state in
            page(state.vrfs, after, limit).map { (id: VRFID, spec: VRFSpec) in
                let roots = tables.roots(id.rawValue)
                return VRFReading(
                    spec: spec, ipv4Routes: tables.routes.routeCount(roots.ipv4), ipv6Routes: tables.routes.routeCount(roots.ipv6),
                    bridgeEntries: tables.bridge.count(vrf: id.rawValue), flows: tables.flows.vrfQuotas.reading(id.rawValue))
            }
        }
    }

    public func nextHops(after: NextHopID?, limit: Int) -> [NextHopReading] {
        state.withLock { state in page(state.nextHops, after, limit).map { NextHopReading(spec: $1, references: tables.references[$0.rawValue]) } }
    }

    func page<Key: Comparable, Value>(_ table: [Key: Value], _ after: Key?, _ limit: Int) -> [(Key, Value)] {
        let keys = table.keys.filter { key in after.map { key > $0 } ?? true }.sorted().prefix(max(0, limit))
        return keys.compactMap { key in table[key].map { (key, $0) } }
    }

    public func routes(vrf: VRFID, isIPv4: Bool, after: IPPrefix?, limit: Int) -> [RouteSpec] {
        state.withLock { _ in
            let roots = tables.roots(vrf.rawValue)
            let root = isIPv4 ? roots.ipv4 : roots.ipv6
            guard root != RouteTable.none, limit > 0 else { return [] }
            var out: [RouteSpec] = []
            tables.routes.forEach(root, after: after.map { RouteKey($0) }) { key, index in
                guard let prefix = key.prefix(isIPv4: isIPv4) else { return true }
                let leaf = tables.leaves[index]
                out.append(
                    RouteSpec(
                        vrf: vrf, prefix: prefix, nextHop: NextHopID(leaf.nextHop),
                        label: leaf.label == RouteLeaf.noLabel ? nil : leaf.label, proxies: leaf.flags & RouteLeaf.proxies != 0,
                        mac: leaf.mac == 0 ? nil : MACAddress(rawValue: leaf.mac), cookie: leaf.cookie))
                return out.count < limit
            }
            return out
        }
    }

    public func bridgeEntries(vrf: VRFID, after: MACAddress?, limit: Int) -> [BridgeEntryReading] {
        state.withLock { _ in
            guard limit > 0 else { return [] }
            var out: [BridgeEntryReading] = []
            let now = tables.learnClock.load(ordering: .relaxed)
            tables.bridge.forEach(vrf: vrf.rawValue, after: after?.rawValue) { mac, nextHop, label, cookie in
                let spec = BridgeEntrySpec(
                    vrf: vrf, mac: MACAddress(rawValue: mac), nextHop: NextHopID(nextHop), label: label == Packet.noLabel ? nil : label,
                    cookie: cookie)
                let known = tables.bridge.meta(vrf: vrf.rawValue, mac: mac)
                let learned = known.flatMap {
                    $0.meta.isLearned ? BridgeEntryReading.Learned(moves: $0.meta.moves, idleSeconds: Int(now &- min(now, $0.seen))) : nil
                }
                out.append(BridgeEntryReading(spec: spec, learned: learned))
                return out.count < limit
            }
            return out
        }
    }

    public func labels(after: Label?, limit: Int) -> [LabelSpec] {
        bindings(tables.labels, after?.rawValue, limit).map { LabelSpec(label: Label($0.key), nextHop: NextHopID($0.nextHop), cookie: $0.cookie) }
    }

    public func vnis(after: VNI?, limit: Int) -> [VNISpec] {
        bindings(tables.vnis, after?.rawValue, limit).map { VNISpec(vni: VNI($0.key), nextHop: NextHopID($0.nextHop), cookie: $0.cookie) }
    }

    private func bindings(_ table: IndexTable, _ after: UInt32?, _ limit: Int) -> [(key: UInt32, nextHop: UInt32, cookie: UInt64)] {
        state.withLock { _ in
            var out: [(key: UInt32, nextHop: UInt32, cookie: UInt64)] = []
            var at = after.map { $0 == .max ? nil : table.first(from: $0 + 1) } ?? table.first(from: 0)
            while let key = at, out.count < limit {
                out.append((key, table.lookup(key), table.cookie(key)))
                at = table.first(from: key + 1)
            }
            return out
        }
    }

    // MARK: - Status

    public func status() -> RouterStatus {
        state.withLock { state in
            var totals = RouterCounters()
            var drops: [UInt64] = Array(repeating: 0, count: 256)
            var readings: [WorkerReading] = []
            let queues = queueReadings(state)
            for worker in workers {
                let values = worker.counters.read()
                func field(_ field: WorkerCounters.Field) -> UInt64 { values[field.rawValue] }
                var counters = RouterCounters()
                counters.received = field(.received)
                counters.forwarded = field(.forwarded)
                counters.trapped = field(.trapped)
                counters.consumed = field(.consumed)
                counters.generated = field(.generated)
                counters.handedOver = field(.handedOver)
                counters.takenOver = field(.takenOver)
                for reason in DropReason.allCases {
                    let count = values[WorkerCounters.dropBase + Int(reason.rawValue)]
                    counters.dropped &+= count
                    drops[Int(reason.rawValue)] &+= count
                }
                totals.add(counters)
                readings.append(
                    WorkerReading(
                        id: worker.id, core: worker.core, counters: counters, polls: field(.polls), idlePolls: field(.idlePolls),
                        sleeps: field(.sleeps),
                        busyCycles: field(.busyCycles), bursts: field(.bursts), spread: field(.spread), pinError: worker.pinError,
                        queues: queues[worker.id],
                        drops: DropReason.allCases.map { ($0, values[WorkerCounters.dropBase + Int($0.rawValue)]) }.filter { $0.1 > 0 }))
            }
            return RouterStatus(
                uptimeNanoseconds: uptimeNanoseconds, totals: totals, workers: readings,
                drops: DropReason.allCases.map { ($0, drops[Int($0.rawValue)] &- state.dropBaseline[Int($0.rawValue)]) }, tables: usage(state),
                buffersInUse: pool.inUse, buffersCapacity: pool.capacity, tscHz: vr_tsc_hz(), learning: learningStatistics(state),
                rebalance: RebalanceReading(
                    policy: mesh == nil ? nil : configuration.rebalance, moves: state.balance.moves, latest: state.balance.latest),
                flows: flowStatistics(state))
        }
    }

    private func bound(_ configured: Int, _ largest: Int) -> Int { configured > 0 ? min(configured, largest) : largest }

    private func usage(_ state: State) -> [TableUsage] {
        [
            TableUsage(name: "vif", used: state.vifs.count, capacity: configuration.vifCapacity, memoryBytes: tables.vifs.memoryBytes),
            TableUsage(name: "vrf", used: state.vrfs.count, capacity: configuration.vrfCapacity, memoryBytes: configuration.vrfCapacity * 8),
            TableUsage(
                name: "nexthop", used: state.nextHops.count, capacity: configuration.nextHopCapacity, memoryBytes: tables.nextHops.memoryBytes),
            // Routes are bounded by memory alone: capacity 0.
            TableUsage(
                name: "route", used: tables.routes.routeCount, capacity: configuration.routeCapacity,
                memoryBytes: tables.routes.memoryBytes + tables.leaves.memoryBytes),
            TableUsage(
                name: "bridge", used: tables.bridge.count, capacity: bound(configuration.bridgeCapacity, tables.bridge.capacity),
                memoryBytes: tables.bridge.memoryBytes),
            TableUsage(
                name: "label", used: tables.labels.count, capacity: bound(configuration.labelCapacity, Int(Label.maximum) + 1),
                memoryBytes: tables.labels.memoryBytes),
            TableUsage(
                name: "vni", used: tables.vnis.count, capacity: bound(configuration.vniCapacity, Int(VNI.maximum) + 1),
                memoryBytes: tables.vnis.memoryBytes),
            TableUsage(name: "flow", used: tables.flows.count, capacity: tables.flows.capacity, memoryBytes: tables.flows.memoryBytes),
            TableUsage(
                name: "mirror", used: state.observers.mirrors.count, capacity: Observers.mirrorCapacity,
                memoryBytes: state.observers.mirrors.count * 128),
            TableUsage(
                name: "capture", used: state.observers.captures.count, capacity: Observers.captureCapacity,
                memoryBytes: state.observers.captures.count * workers.count * CaptureRing.defaultSize),
            TableUsage(
                name: "forwarding_class", used: state.forwardingClasses.count, capacity: QoSTables.classCapacity,
                memoryBytes: state.forwardingClasses.count * 4),
            TableUsage(name: "qos_map", used: state.qosMaps.count, capacity: QoSTables.mapCapacity - 1, memoryBytes: state.qosMaps.count * 160),
            TableUsage(
                name: "policy", used: tables.policies.count, capacity: PolicyTable.capacity - 1, memoryBytes: tables.policies.memoryBytes),
            // Bounded by memory alone.
            TableUsage(
                name: "address_group", used: state.policies.groups.count, capacity: 0,
                memoryBytes: state.policies.groups.values.reduce(0) { $0 + $1.prefixes.count * MemoryLayout<IPPrefix>.stride }),
            TableUsage(
                name: "nat", used: state.nat.specs.count, capacity: Self.natCapacity,
                memoryBytes: tables.nat.memoryBytes + state.nat.specs.count * MemoryLayout<NATRuleSpec>.stride),
            TableUsage(
                name: "fragment", used: workers.reduce(0) { $0 + $1.fragments.inUse.load(ordering: .relaxed) },
                capacity: workers.reduce(0) { $0 + $1.fragments.capacity }, memoryBytes: workers.reduce(0) { $0 + $1.fragments.memoryBytes }),
        ]
    }

    /// Drop and vif counters read zero afterwards. The totals of the balance are never reset.
    public func clearCounters(drops: Bool, vifs: Bool) {
        state.withLock { state in
            if drops {
                var baseline = state.dropBaseline.map { _ in UInt64(0) }
                for worker in workers {
                    let values = worker.counters.read()
                    for reason in DropReason.allCases { baseline[Int(reason.rawValue)] &+= values[WorkerCounters.dropBase + Int(reason.rawValue)] }
                }
                state.dropBaseline = baseline
            }
            if vifs { for id in state.vifs.keys { state.vifBaseline[id] = counters(of: id) } }
        }
    }

    /// Since start, all workers together.
    func counters(of id: VifID) -> VifCounters {
        var out = VifCounters()
        for worker in workers {
            let table = worker.vifCounters
            out.receivedPackets &+= table.read(id.rawValue, .receivedPackets)
            out.receivedBytes &+= table.read(id.rawValue, .receivedBytes)
            out.transmittedPackets &+= table.read(id.rawValue, .transmittedPackets)
            out.transmittedBytes &+= table.read(id.rawValue, .transmittedBytes)
            out.drops &+= table.read(id.rawValue, .drops)
            out.transmitErrors &+= table.read(id.rawValue, .transmitErrors)
            out.spoofed &+= table.read(id.rawValue, .spoofed)
        }
        return out
    }
}

extension VifCounters {
    mutating func subtract(_ other: VifCounters) {
        receivedPackets &-= other.receivedPackets
        receivedBytes &-= other.receivedBytes
        transmittedPackets &-= other.transmittedPackets
        transmittedBytes &-= other.transmittedBytes
        drops &-= other.drops
        transmitErrors &-= other.transmitErrors
        spoofed &-= other.spoofed
    }
}

extension RouterCounters {
    mutating func add(_ other: RouterCounters) {
        received &+= other.received
        forwarded &+= other.forwarded
        dropped &+= other.dropped
        trapped &+= other.trapped
        consumed &+= other.consumed
        generated &+= other.generated
        handedOver &+= other.handedOver
        takenOver &+= other.takenOver
    }
}

extension FlowReading {
    init(index: UInt32, _ entry: FlowEntry, reverse: FlowEntry?, hash: FlowHash, now: UInt32) {
        var key = entry.key
        let action: FlowAction =
            switch entry.action {
            case FlowTable.releasedToForward, FlowTable.askAction: entry.flags.contains(.translates) ? .nat : .forward
            case FlowTable.releasedToDrop: .drop
            default: FlowAction(rawValue: entry.action) ?? .drop
            }
        var translation: FlowTranslation?
        if action == .nat, let new = reverse?.key.reversed.spec {
            let old = entry.key.spec
            let isEcho = entry.proto == IPProtocol.icmp.rawValue || entry.proto == IPProtocol.icmpv6.rawValue
            translation = FlowTranslation(
                source: new.source == old.source ? nil : new.source, destination: new.destination == old.destination ? nil : new.destination,
                sourcePort: new.sourcePort == old.sourcePort ? nil : new.sourcePort,
                destinationPort: isEcho || new.destinationPort == old.destinationPort ? nil : new.destinationPort,
                vrf: new.vrf == old.vrf ? nil : new.vrf)
        }
        var spec = FlowSpec(key: entry.key.spec, action: action, translation: translation, cookie: entry.cookie)
        spec.qosMap = entry.qosMap
        spec.mirror = entry.mirror
        self.init(
            spec: spec, index: index,
            reverseIndex: reverse == nil ? nil : entry.reverse, generation: entry.generation, packets: entry.packets, bytes: entry.bytes,
            tcpState: entry.proto == IPProtocol.tcp.rawValue && !entry.flags.contains(.fat)
                ? FlowTCP.letters(entry.tcpState, reverse: reverse?.tcpState ?? []) : "",
            ingressVif: VifID(entry.ingressVif),
            nextHop: NextHopID(entry.nextHop), idleSeconds: Int(now &- entry.lastSeen) / 1000, isForward: entry.flags.contains(.forward),
            udpSourcePort: Worker.entropyPort(UInt32(truncatingIfNeeded: hash(&key) &>> 32) | 1),
            dropReason: action == .drop ? FlowDropReason(rawValue: entry.dropReason & ~FlowEntry.refused) ?? .unknown : nil,
            owner: VifID(entry.owner), isFat: entry.flags.contains(.fat))
    }
}
