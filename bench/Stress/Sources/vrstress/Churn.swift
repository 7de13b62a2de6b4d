import Dataplane
import NetTypes
import Synchronization

/// What stands during the whole run, and what one control thread keeps changing beside it; what decides about flows is in `Stateful.swift`.
enum Program {
    static func port(_ name: String) -> RouterOperation { .upsert(.port(PortSpec(name: name, driver: .loopback))) }

    static func vif(_ id: UInt32, _ port: String, vrf: UInt32, kind: VifSpec.Kind = .virtual, mtu: Int = 0, keepsFlows: Bool = true)
        -> RouterOperation
    {
        let isFabric = kind == .physical
        return .upsert(
            .vif(
                VifSpec(
                    id: .init(id), name: port, kind: kind, port: port, vrf: .init(vrf), mac: isFabric ? Frame.fabricMAC : .gateway, mtu: mtu,
                    addresses: isFabric ? [.v4(Frame.node)] : [.v4(IPv4Address(10, 1, 0, 1))], keepsFlows: keepsFlows)))
    }

    static func nextHop(_ id: UInt32, _ kind: NextHopSpec.Kind) -> RouterOperation { .upsert(.nextHop(NextHopSpec(id: .init(id), kind: kind))) }

    static func tunnel(_ encapsulation: Encapsulation) -> NextHopSpec.Kind {
        .tunnel(
            .init(
                encapsulation: encapsulation, source: .v4(Frame.node), destination: .v4(Frame.peer), vif: .init(0), destinationMAC: Frame.peerMAC,
                sourceMAC: Frame.fabricMAC))
    }

    static func route(_ vrf: UInt32, _ address: IPAddress, _ length: Int, _ nextHop: UInt32, label: UInt32? = nil) -> RouterOperation? {
        IPPrefix(masking: address, length: length).map {
            .upsert(.route(RouteSpec(vrf: .init(vrf), prefix: $0, nextHop: .init(nextHop), label: label, proxies: true)))
        }
    }

    /// vif 0 fabric, 3…6 workloads in VRF 1, 7 the host outside in VRF 3, 8 and 9 the clean wire in VRF 100, 10 for copies. Next hops 1, 2, 3 tunnels, 4 into the VRF, 5 the
    /// gateway, 10… workloads, 100… clean, 117 outside.
    static func base() -> [RouterOperation] {
        var dice = Dice(3)
        var out =
            stateful() + [
                port("fabric"), port("clean-a"), port("clean-b"), .upsert(.vrf(VRFSpec(id: .init(1), name: "blue"))),
                .upsert(.vrf(VRFSpec(id: .init(2), name: "red"))), .upsert(.vrf(VRFSpec(id: .init(100), name: "clean"))),
                vif(0, "fabric", vrf: 0, kind: .physical, keepsFlows: false), cleanVif(8, &dice), cleanVif(9, &dice),
                nextHop(1, tunnel(.vxlan)), nextHop(2, tunnel(.mplsOverUDP)), nextHop(3, tunnel(.mplsOverGRE)),
                nextHop(4, .vrf(.init(1), bridges: true)),
                .upsert(.label(LabelSpec(label: .init(16), nextHop: .init(4)))), .upsert(.vni(VNISpec(vni: .init(5001), nextHop: .init(4)))),
            ]
        for (index, workload) in Template.workloads.enumerated() {
            let id = UInt32(3 + index)
            out += [
                port("w\(index)"), workloadVif(index, &dice),
                nextHop(10 + id, .encap(vif: .init(id), destination: workload.mac, source: .gateway)),
                nextHop(20 + id, .encap(vif: .init(id), destination: nil, source: .gateway)),
                .upsert(.bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: workload.mac, nextHop: .init(20 + id)))),
                route(1, .v4(workload.ipv4), 32, 10 + id), route(1, .v6(workload.ipv6), 128, 10 + id),
            ].compactMap { $0 }
        }
        out.append(nextHop(5, .receive(vif: .init(3))))
        for (subnet, hop): (UInt8, UInt32) in [(2, 1), (3, 2), (4, 3)] {
            out += [route(1, .v4(IPv4Address(10, subnet, 0, 0)), 16, hop, label: hop == 1 ? 5001 : 77)].compactMap { $0 }
        }
        for (id, address) in [(UInt32(8), IPv4Address(10, 100, 0, 8)), (9, IPv4Address(10, 100, 0, 9))] {
            out += [
                nextHop(100 + id, .encap(vif: .init(id), destination: MACAddress(rawValue: 0x0200_0000_0300 | UInt64(id)), source: .gateway)),
                route(100, .v4(address), 32, 100 + id),
            ].compactMap { $0 }
        }
        return out + translations()
    }

    static func cleanFrame(from: UInt8, to: UInt8) -> [UInt8] {
        Frame.ethernet(
            to: .gateway, from: MACAddress(rawValue: 0x0200_0000_0300 | UInt64(from)), 0x0800,
            Frame.ipv4(IPv4Address(10, 100, 0, from), IPv4Address(10, 100, 0, to), 17, Frame.udp(from < to ? 1024 : 2048, 3000, size: 32)))
    }
}

/// One control thread's changes: all kinds of objects, many of them refused. What concerns the clean wire leaves it as it is.
struct Churn {
    var dice: Dice
    /// Distinguishes the ports and ids of the control threads.
    let lane: UInt32
    let trapped: TrappedFlows
    var findings = Findings()
    var capture: Capture?
    /// The last records of the policy log, by worker.
    var logged: [Int: UInt64] = [:]
    private(set) var operations = 0
    private(set) var refused = 0

    init(lane: Int, seed: UInt64, trapped: TrappedFlows) {
        self.lane = UInt32(lane)
        self.trapped = trapped
        dice = Dice(seed &+ UInt64(lane) &* 1_000_003)
    }

    mutating func step(_ router: Router) {
        var batch: [RouterOperation] = []
        for _ in 0...dice.roll(16) { batch.append(change()) }
        let outcomes = router.apply(batch)
        operations += outcomes.count
        refused += outcomes.count { $0 != .ok }
        if dice.roll(8) == 0 { read(router) }
        if dice.roll(8) == 0 { observe(router) }
        if dice.roll(16) == 0 { listAndRemove(router) }
        if dice.roll(8) == 0 {
            _ = router.assign(
                port: ["fabric", "w0", "w2", "clean-a", "clean-b"][dice.roll(5)], queue: dice.roll(2), worker: dice.roll(3) == 0 ? nil : dice.roll(4))
        }
        if dice.roll(4) == 0 {
            _ = router.send(
                OutgoingPacket(
                    mode: dice.roll(2) == 0 ? .transmit : .receive, vif: .init(UInt32(3 + dice.roll(4))),
                    packet: Template.workload(dice.roll(4))[0].octets))
        }
    }

    private mutating func address() -> IPAddress {
        dice.roll(4) == 0
            ? .v6(IPv6Address(high: 0xFD00_0001_0000_0000 | UInt64(dice.roll(64)), low: UInt64(dice.roll(256))))
            : .v4(IPv4Address(10, UInt8(1 + dice.roll(8)), UInt8(dice.roll(4)), UInt8(dice.roll(64))))
    }

    private mutating func change() -> RouterOperation {
        let hop = dice.roll(3) == 0 ? UInt32(40 + dice.roll(20)) : [0, 1, 2, 3, 5, 13, 14, 15, 16][dice.roll(9)]
        let vrf = UInt32(1 + dice.roll(2))
        switch dice.roll(44) {
        case 27...: return statefulChange()
        case 0..<6:
            let length = 17 + dice.roll(15)
            return Program.route(vrf, address(), length, hop, label: dice.roll(2) == 0 ? 5001 : nil) ?? Program.port("w0")
        case 6..<11:
            guard let prefix = IPPrefix(masking: address(), length: 17 + dice.roll(15)) else { return Program.port("w0") }
            return .delete(.route(.init(vrf), prefix))
        case 11: return Program.nextHop(40 + UInt32(dice.roll(20)), kind())
        case 12: return .delete(.nextHop(.init(UInt32(40 + dice.roll(20)))))
        case 13:
            return .upsert(
                .bridgeEntry(
                    BridgeEntrySpec(vrf: .init(vrf), mac: MACAddress(rawValue: 0x0200_0000_0200 | UInt64(dice.roll(128))), nextHop: .init(hop))))
        case 14: return .delete(.bridgeEntry(.init(vrf), MACAddress(rawValue: 0x0200_0000_0200 | UInt64(dice.roll(128)))))
        case 15: return .upsert(.label(LabelSpec(label: .init(UInt32(1000 + dice.roll(8))), nextHop: .init(hop))))
        case 16: return .delete(.label(.init(UInt32(1000 + dice.roll(8)))))
        case 17: return .upsert(.vni(VNISpec(vni: .init(UInt32(6000 + dice.roll(8))), nextHop: .init(dice.roll(2) == 0 ? 4 : hop))))
        case 18: return .delete(.vni(.init(UInt32(6000 + dice.roll(8)))))
        case 19, 20:
            if dice.roll(6) == 0 {
                return .upsert(.flow(FlowSpec(key: flow(), action: .nat, translation: FlowTranslation(destinationPort: UInt16(3000 + dice.roll(2))))))
            }
            var spec = FlowSpec(key: flow(), action: dice.roll(4) == 0 ? .drop : .forward)
            (spec.qosMap, spec.mirror) = (UInt8(dice.roll(3)), UInt8(dice.roll(3)))
            return .upsert(.flow(spec))
        case 21: return .delete(.flow(flow()))
        case 22:
            let id = UInt32(10 + dice.roll(8))
            return dice.roll(2) == 0 ? .upsert(.vrf(VRFSpec(id: .init(id), name: "vrf\(id)"))) : .delete(.vrf(.init(id)))
        case 23:
            return Program.workloadVif(dice.roll(4), mtu: [0, 1400, 900][dice.roll(3)], keepsFlows: dice.roll(6) != 0, &dice)
        case 24:
            // These concern the clean wire too, and still must not cost it a packet.
            let name = ["fabric", "w0", "w1", "clean-a", "clean-b"][dice.roll(5)]
            return .upsert(.port(PortSpec(name: name, driver: .loopback, spread: [nil, true, false][dice.roll(3)])))
        case 25:
            let name = "extra\(lane)-\(dice.roll(3))"
            return dice.roll(2) == 0 ? Program.port(name) : .delete(.port(name))
        default:
            let index = UInt32(dice.roll(3)), id = 20 + lane * 10 + index
            return dice.roll(2) == 0 ? Program.vif(id, "extra\(lane)-\(index)", vrf: 1) : .delete(.vif(.init(id)))
        }
    }

    private mutating func kind() -> NextHopSpec.Kind {
        switch dice.roll(6) {
        case 0: Program.tunnel(Encapsulation.allCases[dice.roll(3)])
        case 1: .ecmp((0...dice.roll(8)).map { _ in .init(nextHop: .init(UInt32(1 + dice.roll(3))), label: 5001) })
        case 2: .vrf(.init(UInt32(1 + dice.roll(2))), bridges: dice.roll(2) == 0)
        case 3: .resolve(vif: .init(0))
        case 4: .encap(vif: .init(UInt32(3 + dice.roll(4))), destination: dice.roll(2) == 0 ? Frame.peerMAC : nil, source: .gateway)
        default: .encap(vif: .init(20 + lane * 10 + UInt32(dice.roll(3))), destination: Frame.peerMAC, source: .gateway)
        }
    }

    /// One that the traffic has too, as likely as not.
    private mutating func flow() -> FlowKeySpec {
        let isTCP = dice.roll(2) == 0
        return FlowKeySpec(
            vrf: .init(1), source: .v4(Template.workloads[dice.roll(4)].ipv4), destination: .v4(Template.workloads[dice.roll(4)].ipv4),
            proto: isTCP ? 6 : 17,
            sourcePort: UInt16(1024 + dice.roll(32)), destinationPort: isTCP ? 80 : UInt16(2000 + dice.roll(4)))
    }

    private mutating func read(_ router: Router) {
        switch dice.roll(6) {
        case 0:
            var from: UInt32? = 0
            while let start = from {
                let page = router.flows(from: start, limit: 256)
                from = page.next
            }
        case 1: _ = router.routes(vrf: .init(1), isIPv4: dice.roll(2) == 0, after: nil, limit: 500)
        case 2: _ = router.bridgeEntries(vrf: .init(1), after: nil, limit: 500)
        case 3: _ = router.vifs(after: nil, limit: 100).count + router.nextHops(after: nil, limit: 100).count
        case 4: _ = router.ports()
        default: router.clearCounters(drops: true, vifs: true)
        }
    }
}
