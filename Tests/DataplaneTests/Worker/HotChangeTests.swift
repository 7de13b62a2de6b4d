import CPlatform
import NetTypes
import Synchronization
import Testing

@testable import Dataplane

/// Traffic and change at full speed on worker threads: what no change concerns loses nothing, keeps the order of every flow, and counters conserve exactly.
@Suite(.serialized, .ownThread) struct HotChangeTests {
    /// Routes, next hops, bridge entries, labels, VNIs, flows, policies, address groups and translations that the traffic has no part in.
    private func unrelated(_ round: UInt32) -> [RouterOperation] {
        let prefix = IPPrefix(masking: .v4(IPv4Address(rawValue: 0x0B00_0000 | round % 8192 << 8)), length: 24)!
        let mac = MACAddress(rawValue: 0x0200_1100_0000 | UInt64(round % 1000)), hop = NextHopID(100 + round % 16)
        let key = FlowKeySpec(
            vrf: .init(1), source: .v4(IPv4Address(rawValue: 0x0C00_0000 | round)), destination: .v4(IPv4Address(12, 255, 0, 1)), proto: 17,
            sourcePort: UInt16(truncatingIfNeeded: round), destinationPort: 53)
        let remote = MACAddress(rawValue: 0x0200_0000_0999)
        return [
            .upsert(.nextHop(NextHopSpec(id: hop, kind: .encap(vif: .init(4), destination: round % 2 == 0 ? remote : nil, source: .gateway)))),
            .upsert(.route(RouteSpec(vrf: .init(1), prefix: prefix, nextHop: .init(1)))),
            .upsert(.bridgeEntry(BridgeEntrySpec(vrf: .init(1), mac: mac, nextHop: .init(1)))),
            .upsert(.label(LabelSpec(label: .init(100 + round % 100), nextHop: .init(1)))),
            .upsert(.vni(VNISpec(vni: .init(100 + round % 100), nextHop: .init(1)))),
            .upsert(.flow(FlowSpec(key: key, action: .drop))), .delete(.flow(key)),
            .delete(.vni(.init(100 + round % 100))), .delete(.label(.init(100 + round % 100))), .delete(.bridgeEntry(.init(1), mac)),
            .delete(.route(.init(1), prefix)),
        ] + (round % 4 == 0 ? undecided(round / 4) : [])
    }

    /// Of what decides about flows, and not about the traffic's: policies, a group that a vif's policy names, so that flows are looked at again, and translations in the traffic's own
    /// network. Each is made, becomes another, and goes.
    private func undecided(_ round: UInt32) -> [RouterOperation] {
        let slot = round % 8, group = AddressGroupID(100 + slot), policy = PolicyID(100 + slot), rule = NATRuleID(100 + slot), phase = round / 8 % 3
        let prefix = IPPrefix(masking: .v4(IPv4Address(rawValue: 0x0D00_0000 | round << 8)), length: 24)!
        let bystanders = AddressGroupSpec(id: Guard.bystanders, name: "bystanders", prefixes: [prefix])
        if phase == 2 {
            return [
                .delete(.natRule(rule)), .delete(.policy(policy)), .delete(.addressGroup(group)), .upsert(.addressGroup(bystanders)),
                .upsert(.addressGroup(AddressGroupSpec(id: Guard.sources, name: "sources", prefixes: [Guard.source, prefix]))),
            ]
        }
        let backend = NATRuleSpec.Backend(address: .v4(IPv4Address(10, 5, UInt8(phase), 1)), vrf: .init(1))
        return [
            .upsert(.addressGroup(AddressGroupSpec(id: group, name: "group", prefixes: [prefix]))),
            .upsert(
                .policy(
                    PolicySpec(
                        id: policy, name: "policy",
                        rules: [PolicyRule(remote: .group(group), service: .ports(proto: 6, destination: [80...80], source: []))]
                    ))),
            .upsert(
                .natRule(
                    NATRuleSpec(
                        id: rule, name: "rule",
                        kind: .destination(.init(vrf: .init(1), address: .v4(IPv4Address(10, 9, 0, UInt8(slot))), backends: [backend]))))),
            .upsert(.addressGroup(bystanders)),
        ]
    }

    /// The traffic passes by what two policies say, each by a group; a vif beside it has a policy whose group keeps changing, and so has, now and then, the traffic's own, which changes
    /// nothing for it.
    private enum Guard {
        static let sources = AddressGroupID(1), destinations = AddressGroupID(2), bystanders = AddressGroupID(3)
        static let source = IPPrefix("10.1.0.0/16")!

        static var objects: [RouterOperation] {
            let policies = [("from", destinations), ("to", sources), ("bystander", bystanders)].enumerated().map { index, each in
                PolicySpec(
                    id: .init(UInt32(1 + index)), name: each.0,
                    rules: [
                        PolicyRule(remote: .group(each.1), service: .ports(proto: 17, destination: [3000...3000], source: [])),
                        PolicyRule(action: .deny, remote: .group(bystanders)),
                    ])
            }
            func vif(_ id: UInt32, _ name: String, in ingress: [PolicyID], out egress: [PolicyID]) -> RouterOperation {
                var spec = VifSpec(id: .init(id), name: name, kind: .virtual, port: name, vrf: .init(1), mac: .gateway, keepsFlows: true)
                (spec.ingressPolicies, spec.egressPolicies) = (ingress, egress)
                return .upsert(.vif(spec))
            }
            return [
                .upsert(.addressGroup(AddressGroupSpec(id: sources, name: "sources", prefixes: [source]))),
                .upsert(.addressGroup(AddressGroupSpec(id: destinations, name: "destinations", prefixes: [IPPrefix("10.3.0.0/16")!]))),
                .upsert(.addressGroup(AddressGroupSpec(id: bystanders, name: "bystanders"))),
            ] + policies.map { .upsert(.policy($0)) } + [
                vif(3, "source", in: [], out: [.init(1)]), vif(4, "sink", in: [.init(2)], out: []),
                .upsert(.port(PortSpec(name: "aside", driver: .loopback))),
                vif(9, "aside", in: [.init(3)], out: [.init(3)]),
            ]
        }
    }

    /// At least this many changes take place beside every second's worth (a million) of packets.
    private static let changesPerMillion = 10_000

    @Test(arguments: [(1, false), (2, false), (2, true), (4, true)]) func unrelatedChangesCostNothing(workers: Int, spread: Bool) async throws {
        let total = 200_000
        let lab = try SequenceLab(total: total, workers: workers, spread: spread)
        lab.router.start()
        #expect(lab.router.apply(lab.objects + Guard.objects).allSatisfy { $0 == .ok })
        var round: UInt32 = 0, changes = 0
        func change() {
            var batch: [RouterOperation] = []
            for _ in 0..<8 {
                batch += unrelated(round)
                round += 1
            }
            let outcomes = lab.router.apply(batch)
            if !outcomes.allSatisfy({ $0 == .ok }) { Issue.record("\(outcomes.filter { $0 != .ok }.prefix(3))") }
            changes += batch.count
        }
        lab.source.isOpen.store(true, ordering: .releasing)
        let deadline = ContinuousClock.now + .seconds(60)
        while lab.sink.count.load(ordering: .acquiring) < total, ContinuousClock.now < deadline {
            change()
            #expect(lab.router.status().totals.isBalanced)
        }
        while changes < total * Self.changesPerMillion / 1_000_000 { change() }
        lab.router.stop()
        finish(lab, total: total)
        #expect(changes >= total * Self.changesPerMillion / 1_000_000, "\(changes) changes")
    }

    /// What happens in a second of a million packets: ten thousand changes of every kind, among them ports that have traffic of their own and come and go with it, vifs, queues that
    /// change hands and spreading that is switched, the measured traffic's own too. The packets are let through in step with the changes, so that it is the same on a slow machine.
    @Test(arguments: [(1, nil), (2, false), (2, true), (3, nil)] as [(Int, Bool?)])
    func aMillionPacketsBesideTenThousandChanges(workers: Int, spread: Bool?) async throws {
        #if DEBUG
        let total = 200_000
        #else
        let total = 1_000_000
        #endif
        let wanted = total * Self.changesPerMillion / 1_000_000, perChange = total / wanted
        let noise = NoisePorts()
        // Fewer buffers than a ring between two workers has places: the noise can make the router drop nothing for want of room.
        let lab = try SequenceLab(total: total, workers: workers, spread: spread, buffers: 480, other: noise.port)
        lab.router.start()
        #expect(lab.router.apply(lab.objects + Guard.objects + noise.objects).allSatisfy { $0 == .ok })
        var round: UInt32 = 0, changes = 0
        func change() {
            var batch = unrelated(round)
            let extra = "extra\(round % 3)", vif = VifID(10 + round % 3)
            batch += [
                .upsert(.port(PortSpec(name: extra, driver: .loopback))),
                .upsert(.vif(VifSpec(id: vif, name: extra, kind: .virtual, port: extra, vrf: .init(1), mac: .gateway, mtu: Int(1000 + round % 500)))),
            ]
            if round % 2 == 1 { batch += [.delete(.vif(vif)), .delete(.port(extra))] }
            // Under its own traffic: what it brings is forwarded while it is whole, and dropped while it has no vif.
            let loud = "noise\(round / 4 % 2)", loudVif = VifID(20 + round / 4 % 2)
            switch round % 4 {
            case 0: batch.append(.upsert(.port(PortSpec(name: loud, driver: .loopback, spread: [nil, true, false][Int(round / 4 % 3)]))))
            case 1: batch.append(.upsert(.vif(VifSpec(id: loudVif, name: loud, kind: .virtual, port: loud, vrf: .init(1), mac: .gateway))))
            case 2: batch.append(.delete(.vif(loudVif)))
            default: batch.append(.delete(.port(loud)))
            }
            if round % 16 == 5 {
                batch.append(.upsert(.port(PortSpec(name: "source", driver: .loopback, spread: [spread, nil][Int(round / 16 % 2)]))))
            }
            let outcomes = lab.router.apply(batch)
            if !outcomes.allSatisfy({ $0 == .ok }) { Issue.record("\(outcomes.filter { $0 != .ok }.prefix(3))") }
            changes += batch.count
            for port in ["source", "sink", "drain"] where workers > 1 && (round + UInt32(port.count)) % 8 == 0 {
                #expect(lab.router.assign(port: port, queue: 0, worker: Int(round / 8) % workers) == .ok)
                changes += 1
            }
            round += 1
            lab.source.allowance.store(changes * perChange, ordering: .relaxed)
        }
        lab.source.allowance.store(0, ordering: .relaxed)
        lab.source.isOpen.store(true, ordering: .releasing)
        let deadline = ContinuousClock.now + .seconds(60)
        while changes < wanted || lab.sink.count.load(ordering: .acquiring) < total, ContinuousClock.now < deadline {
            change()
            if round % 16 == 0 { #expect(lab.router.status().totals.isBalanced) }
            // In step, both ways: the changes wait for the packets that they let through.
            while lab.sink.count.load(ordering: .acquiring) < min(total, changes * perChange), ContinuousClock.now < deadline { await Task.yield() }
        }
        lab.router.stop()
        #expect(changes >= wanted)
        let heard = noise.received, drained = Int(noise.drain.statistics().transmittedPackets)
        #expect(heard > 0)
        finish(lab, total: total, heard: heard, drained: drained)
    }

    /// Ports and vifs come and go, queues change hands and spreading is switched, the source's and the sink's own among them.
    @Test(arguments: [2, 3]) func queuesChangeHandsUnderTraffic(workers: Int) async throws {
        let total = 600_000
        let lab = try SequenceLab(total: total, workers: workers)
        lab.router.start()
        #expect(lab.router.apply(lab.objects).allSatisfy { $0 == .ok })
        lab.source.isOpen.store(true, ordering: .releasing)
        var round: UInt32 = 0, moves = 0
        let deadline = ContinuousClock.now + .seconds(60)
        while lab.sink.count.load(ordering: .acquiring) < total, ContinuousClock.now < deadline {
            round += 1
            #expect(lab.router.assign(port: "source", queue: 0, worker: Int(round) % workers) == .ok)
            #expect(lab.router.assign(port: "sink", queue: 0, worker: Int(round / 3) % workers) == .ok)
            let extra = "extra\(round % 5)", vif = VifID(10 + round % 5)
            let outcomes = lab.router.apply([
                .upsert(.port(PortSpec(name: "source", driver: .loopback, spread: [nil, true, false][Int(round % 3)]))),
                .upsert(.port(PortSpec(name: extra, driver: .loopback))),
                .upsert(.vif(VifSpec(id: vif, name: extra, kind: .virtual, port: extra, vrf: .init(1), mac: .gateway))),
                .delete(.vif(vif)), .delete(.port(extra)),
            ])
            if !outcomes.allSatisfy({ $0 == .ok }) { Issue.record("\(outcomes)") }
            moves += 2
            await Task.yield()
        }
        lab.router.stop()
        finish(lab, total: total)
        // At least the first round was under traffic; how many more depends on the machine.
        #expect(moves >= 2)
    }

    private func finish(_ lab: SequenceLab, total: Int, heard: Int = 0, drained: Int = 0, _ location: SourceLocation = #_sourceLocation) {
        let status = lab.router.status()
        #expect(lab.sink.count.load(ordering: .acquiring) == total, sourceLocation: location)
        #expect(lab.sink.disorder.load(ordering: .relaxed) == 0, sourceLocation: location)
        #expect(lab.source.collisions.load(ordering: .relaxed) == 0 && lab.sink.collisions.load(ordering: .relaxed) == 0, sourceLocation: location)
        #expect(
            status.totals.isBalanced && status.totals.received == UInt64(total + heard) && status.totals.forwarded == UInt64(total + drained)
                && status.totals.handedOver == status.totals.takenOver, "\(status.totals) \(status.drops.filter { $0.packets > 0 })",
            sourceLocation: location)
        #expect(status.workers.allSatisfy { $0.counters.isBalanced } && status.buffersInUse == 0, sourceLocation: location)
    }
}

/// Endless traffic beside the measured one: replay ports noise… that send to a port drain, and quiet ports for every other name.
private final class NoisePorts: Sendable {
    let drain = CountingPort(name: "drain")
    private let loud = Mutex<[ReplayPort]>([])
    private let frames = (0..<64).map { flow in
        var frame = SequenceFrame.make(destinationSubnet: 4)
        frame[35] = UInt8(flow)
        return frame
    }

    @Sendable func port(_ name: String) -> Port {
        if name == "drain" { return drain }
        guard name.hasPrefix("noise") else { return LoopbackPort(name: name) }
        let port = ReplayPort(name: name, frames: frames)
        loud.withLock { $0.append(port) }
        return port
    }

    var objects: [RouterOperation] {
        [
            .upsert(.port(PortSpec(name: "drain", driver: .sink))),
            .upsert(.vif(VifSpec(id: .init(5), name: "drain", kind: .virtual, port: "drain", vrf: .init(1), mac: .gateway))),
            .upsert(.nextHop(NextHopSpec(id: .init(2), kind: .encap(vif: .init(5), destination: Frames.mac, source: .gateway)))),
            .upsert(.route(RouteSpec(vrf: .init(1), prefix: IPPrefix("10.4.0.0/16")!, nextHop: .init(2)))),
        ]
    }
    private enum Frames { static let mac = MACAddress(rawValue: 0x0200_0000_0333) }

    /// By every port of the run. Ask when no worker runs.
    var received: Int { loud.withLock { $0.reduce(0) { $0 + $1.receivedCount } } }
}
