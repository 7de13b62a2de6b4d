import CPlatform
import Controller
import DataplaneAPI
import NetTypes
import Overlay
import SwiftProtobuf
import Testing

@testable import Agent
@testable import Dataplane
@testable import DataplaneService

/// Three answers to one question, whether a first packet is forwarded and who says no: what a worker does with the packet, what the explanation says, and what `RandomSite` works out from
/// the objects as they were written. Between the text and the worker lies all of the product: parser, controller, agent, compiled policies, flow setup.
@Suite struct PolicyAgreementTests {
    struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
            return z ^ z >> 31
        }
    }

    /// Takes every frame.
    final class Sink: Dataplane.Port, @unchecked Sendable {
        override func transmit(queue: Int, pool: BufferPool, lane: Int, _ frames: UnsafeMutablePointer<vr_frame>, count: Int) -> Int {
            pool.release(lane: lane, frames, count: count)
            return count
        }
    }

    struct Node {
        var router: Router
        /// By port.
        var vifs: [String: VifID]
    }

    /// node1, as its agent programs it.
    static func node(_ site: RandomSite) throws -> Node {
        var model = ConfigModel()
        _ = try model.apply(YAMLDocuments.located(text: site.yaml, source: "site"), makeUID: { "u" })
        var config = ConfigStore()
        for object in ConfigDistribution.objects(for: "node1", model).values { config.update(object) }
        let configuration = try AgentConfiguration(
            yaml: """
                node: node1
                controllers: []
                xmpp: {password: secret, transport: plaintext}
                fabric: {interface: fabric0, address: 10.0.0.11/24, mac: "02:00:00:00:00:11"}
                """, source: "agent.yaml")
        let inputs = DesiredState.Inputs(
            configuration: configuration, fabricMAC: Fixture.fabricMAC, networks: config.networks, securityGroups: config.securityGroups,
            securityGroupMembers: config.securityGroupMembers, networkPolicies: config.networkPolicies, networkPeers: config.networkPeers,
            firewallPolicies: config.firewallPolicies, bindings: PortBinding.bind(ports: config.ports(of: "node1"), requests: [], reserved: []))
        var allocator = IdentifierAllocator()
        let desired = DesiredState(inputs, allocator: &allocator)
        let operations = try Difference.operations(desired: desired.objects, actual: [:], sweeps: true).map { operation in
            RouterOperation.upsert(try RouterObject(#require(operation.object)))
        }
        let router = Router(RouterConfiguration(flowCapacity: 1 << 14), pool: try HeapBufferPool(bufferSize: 4096, capacity: 256)) {
            spec throws(PortError) in
            Sink(name: spec.name, driver: "test", device: spec.name, mtu: 1500)
        }
        for (operation, outcome) in zip(operations, router.apply(operations)) { #expect(outcome == .ok, "\(operation)") }
        let vifs = desired.ports.compactMap { port in port.vif.map { (port.binding.name, $0) } }
        return Node(router: router, vifs: Dictionary(uniqueKeysWithValues: vifs))
    }

    /// The frame that a workload sends to its gateway.
    static func frame(_ sender: RandomSite.Port, _ flow: RandomSite.Flow) -> [UInt8] {
        func word(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 0xFF)] }
        let payload: [UInt8], ports: [UInt8] = word(flow.sourcePort) + word(flow.destinationPort)
        switch flow.proto {
        case 6: payload = ports + [0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xFF, 0xFF, 0, 0, 0, 0]
        case 17: payload = ports + [0, 12, 0, 0, 1, 2, 3, 4]
        case 1, 58: payload = [flow.type, 0, 0, 0, 0x12, 0x34, 0, 1, 1, 2, 3, 4]
        default: payload = [0, 0, 0x08, 0, 1, 2, 3, 4]
        }
        var frame: [UInt8] = Array(MACAddress.gateway.octets)
        frame += Array(MACAddress(sender.mac)!.octets)
        let source = flow.source.bytes, destination = flow.destination.bytes
        guard flow.source.isIPv4 else {
            frame += [0x86, 0xDD, 0x60, 0, 0, 0]
            frame += word(UInt16(payload.count))
            frame += [flow.proto, 64]
            frame += source
            frame += destination
            return frame + payload
        }
        var header: [UInt8] = [0x45, 0]
        header += word(UInt16(20 + payload.count))
        header += [0, 0, 0x40, 0, 64, flow.proto, 0, 0]
        header += source
        header += destination
        var sum: UInt32 = 0
        for index in stride(from: 0, to: 20, by: 2) { sum += UInt32(header[index]) << 8 | UInt32(header[index + 1]) }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        (header[10], header[11]) = (UInt8(~sum >> 8 & 0xFF), UInt8(~sum & 0xFF))
        frame += [0x08, 0x00]
        return frame + header + payload
    }

    /// What a worker does with the packet.
    static func worker(_ node: Node, _ vif: VifID, _ frame: [UInt8]) -> (isForwarded: Bool, drops: [DropReason]) {
        func drops() -> [DropReason: UInt64] {
            Dictionary(uniqueKeysWithValues: node.router.status().drops.filter { $0.packets > 0 }.map { ($0.reason, $0.packets) })
        }
        let before = drops(), forwarded = node.router.status().totals.forwarded
        #expect(node.router.send(OutgoingPacket(mode: .receive, vif: vif, packet: frame)) == .ok)
        node.router.run(turns: 2)
        let reasons = drops().filter { $0.value != before[$0.key] ?? 0 }.map(\.key)
        return (node.router.status().totals.forwarded == forwarded + 1, reasons)
    }

    @Test(arguments: 0..<8) func theThreeAgree(_ part: Int) throws {
        var random = Random(state: 20_261_121 + UInt64(part))
        var seen: [RandomSite.Verdict: Int] = [:]
        for round in 0..<8 {
            let site = RandomSite(&random), node = try Self.node(site)
            var asked: Set<RandomSite.Flow> = []
            for _ in 0..<120 {
                let (sender, flow) = site.flow(&random)
                // A packet of a flow that is there, or its answer, is nobody's first.
                var back = flow
                (back.source, back.destination, back.sourcePort, back.destinationPort) = (
                    flow.destination, flow.source, flow.destinationPort, flow.sourcePort
                )
                guard !asked.contains(back), asked.insert(flow).inserted, let vif = node.vifs[sender.name] else { continue }
                let expected = site.verdict(sender, flow), place = "part \(part), round \(round): \(sender.name) \(flow)\n\(site.yaml)"
                seen[expected, default: 0] += 1
                func question(_ vif: VifID, isIngress: Bool) -> PolicyQuestion {
                    let isICMP = flow.proto == 1 || flow.proto == 58
                    return PolicyQuestion(
                        vif: vif, isIngress: isIngress, proto: flow.proto, source: flow.source, destination: flow.destination,
                        sourcePort: flow.sourcePort, destinationPort: isICMP ? UInt16(flow.type) << 8 : flow.destinationPort)
                }
                // First the explanation: it changes nothing.
                let explanation = try #require(node.router.explain(question(vif, isIngress: false)))
                let outcome = explanation.outcome, worker = Self.worker(node, vif, Self.frame(sender, flow))
                #expect(worker.isForwarded == (expected == .forwarded), "worker \(worker), expected \(expected): \(place)")
                #expect((outcome.verdict == .forwarded) == worker.isForwarded, "explained \(outcome), worker \(worker): \(place)")
                let decider: FlowOutcome.Decider? =
                    switch expected {
                    case .forwarded: nil
                    case .spoofed: .antispoof
                    case .egress: .egress
                    case .ingress: .ingress
                    case .unreachable: .route
                    }
                #expect(outcome.decider == decider, "explained \(outcome), expected \(expected): \(place)")
                if expected == .egress || expected == .ingress {
                    #expect(worker.drops == [.flowActionDrop] && outcome.opinion?.action == .deny, "\(worker) \(outcome): \(place)")
                }
                // The rules as they were given say the same as the compiled ones.
                #expect((explanation.action == .pass) == explanation.opinions.allSatisfy { $0.action == .pass }, "\(place)")
                // Asked at the other end it is the same.
                if expected != .spoofed, let receiver = site.port(flow.destination), let other = node.vifs[receiver.name],
                    receiver.network == sender.network
                {
                    let there = try #require(node.router.explain(question(other, isIngress: true)))
                    #expect(there.outcome == outcome, "\(place)")
                    #expect((there.action == .pass) == there.opinions.allSatisfy { $0.action == .pass }, "\(place)")
                }
            }
        }
        // All of it happens.
        #expect(seen.count == 5 && seen.allSatisfy { $0.value > 25 }, "\(seen)")
    }
}
