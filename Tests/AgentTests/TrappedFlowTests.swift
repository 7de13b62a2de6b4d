import DataplaneAPI
import Foundation
import NetTypes
import Overlay
import SwiftProtobuf
import Synchronization
import Testing

@testable import Agent

/// What the agent says to flows that a rule wants decided. blue-a (10.1.0.10, fd00:1::10) and red-a (10.2.0.10) are ports of this node.
@Suite struct TrappedFlowTests {
    static func trap(
        vif: VifID, vrf: VRFID, _ source: String, _ destination: String, proto: UInt32 = 6, port: UInt32 = 80, generation: UInt32 = 1
    ) -> Dataplane_V1_Trap {
        .with {
            $0.reason = .flow
            $0.vif = vif.rawValue
            $0.flowKey.vrf = vrf.rawValue
            $0.flowKey.source = IPAddress(source)!.octets
            $0.flowKey.destination = IPAddress(destination)!.octets
            $0.flowKey.protocol = proto
            $0.flowKey.sourcePort = 40000
            $0.flowKey.destinationPort = port
            $0.flowKey.generation = generation
        }
    }
    private func desired(_ inputs: DesiredState.Inputs) -> DesiredState {
        var allocator = IdentifierAllocator()
        return DesiredState(inputs, allocator: &allocator)
    }
    private func knows(_ state: DesiredState, _ network: String, _ source: String, _ destination: String, proto: UInt32 = 6, port: UInt32 = 80) throws
        -> Bool
    {
        let vif = try #require(state.ports.first { $0.binding.port?.network == network }?.vif), vrf = try #require(state.vrfs[network])
        let trap = Self.trap(vif: vif, vrf: vrf, source, destination, proto: proto, port: port)
        return state.knows(try #require(TrappedFlow(trap)))
    }

    @Test func whereThereIsAWay() throws {
        let state = desired(Fixture.inputs(routes: [Fixture.route("blue", "10.1.0.12/32", label: 5001)]))
        #expect(try knows(state, "blue", "10.1.0.10", "10.1.0.12") && knows(state, "blue", "fd00:1::10", "fd00:1::10"))
        // An address that a port may send from although it is not its own (allowedAddressPairs): antispoofing knows.
        #expect(try knows(state, "blue", "10.1.0.77", "10.1.0.12"))
        // Nobody has it; there is no route; it is in another network.
        #expect(try !knows(state, "blue", "10.1.0.10", "10.1.0.99") && !knows(state, "blue", "10.1.0.10", "192.0.2.1"))
        #expect(try !knows(state, "blue", "10.1.0.10", "10.2.0.10"))
        let vrf = try #require(state.vrfs["blue"])
        func from(_ vif: VifID) throws -> Bool { state.knows(try #require(TrappedFlow(Self.trap(vif: vif, vrf: vrf, "10.1.0.12", "10.1.0.10")))) }
        #expect(try from(DesiredState.fabricVif) && !from(VifID(99)))
        #expect(TrappedFlow(Self.trap(vif: VifID(3), vrf: vrf, "10.1.0.12", "fd00::1")) == nil)
    }

    /// Addresses that stand for others, and those that a router leads to.
    @Test func whereAddressesAreTranslated() throws {
        var inputs = Fixture.inputs(routes: [Fixture.route("red", "192.0.2.0/24", label: 30)])
        #expect(try !knows(desired(inputs), "blue", "10.1.0.10", "192.0.2.1"))
        inputs.routers = [
            NetworkRouter(
                metadata: ObjectMetadata(name: "r"), externalNetwork: "red", networks: ["blue"], addresses: [IPAddress("10.2.0.201")!],
                nodes: [.init(name: inputs.configuration.node, block: 1, address: IPAddress("10.0.0.11")!)])
        ]
        inputs.floatingIPs = [FloatingIP(metadata: ObjectMetadata(name: "f"), network: "red", address: IPAddress("10.2.0.101")!, port: "blue-a")]
        let state = desired(inputs)
        #expect(try knows(state, "blue", "10.1.0.10", "192.0.2.1") && knows(state, "blue", "10.1.0.10", "10.2.0.10"))
        #expect(try !knows(state, "blue", "10.1.0.10", "198.51.100.1") && !knows(state, "blue", "fd00:1::10", "fd00:9::1"))
        // The floating IP, from its own network and through the router; one that there is none of.
        #expect(try knows(state, "red", "10.2.0.10", "10.2.0.101") && knows(state, "blue", "10.1.0.10", "10.2.0.101"))
        #expect(try !knows(state, "red", "10.2.0.10", "10.2.0.102"))
    }

    @Test func services() throws {
        var inputs = Fixture.inputs()
        var service = Service(
            metadata: ObjectMetadata(name: "s"), network: "blue", addresses: [IPAddress("10.96.0.1")!],
            ports: [.init(transport: .tcp, port: 80, targetPort: 8080)], backends: .names(["blue-a"]))
        // As the controller tells it.
        service.members = [.init(name: "blue-a", addresses: Fixture.blueA.addresses)]
        service.networks = ["blue"]
        inputs.services = [service]
        let state = desired(inputs)
        #expect(try knows(state, "blue", "10.1.0.10", "10.96.0.1") && !knows(state, "blue", "10.1.0.10", "10.96.0.2"))
    }

    @Test func whatIsRememberedOfRefusals() throws {
        var refused = RefusedFlows()
        for generation in 1...5000 {
            refused.append(
                try #require(TrappedFlow(Self.trap(vif: VifID(3), vrf: VRFID(1), "10.1.0.10", "10.1.0.99", generation: UInt32(generation)))))
        }
        #expect(refused.count == RefusedFlows.capacity)
        let gone = refused.removeAll { $0.key.generation % 2 == 0 }
        #expect(gone.count == RefusedFlows.capacity / 2 && gone.map(\.key.generation).min() == 906 && gone.map(\.key.generation).max() == 5000)
        #expect(refused.count == RefusedFlows.capacity / 2 && refused.removeAll { _ in false }.isEmpty)
    }
}

extension AgentTests {
    /// A trap with the reason flow is answered by a flow with its key; what was dropped for want of a way is taken back when there is one.
    @Test func trappedFlowsAreDecided() async throws {
        try await withWorld { world, port in
            configureBlue(world)
            try await withAgent(world, port) { agent in
                try await eventually("everything has been told") { await agent.status().dataplane.sweeps && remoteIsProgrammed(world) }
                let vif = VifID(try #require(world.dataplane.objects.values.first { $0.vif.name == "tap-blue-a" }).vif.id)
                func ask(_ trap: Dataplane_V1_Trap) async throws -> Dataplane_V1_FlowAction? {
                    let generation = trap.flowKey.generation
                    world.dataplane.state.withLock { $0.traps.append(trap) }
                    try await eventually("an answer") { world.dataplane.state.withLock { $0.flows[generation] != nil } }
                    let flow = world.dataplane.state.withLock { $0.flows[generation] }
                    #expect(flow?.key == trap.flowKey && flow?.cookie == agentCookie)
                    return flow?.action
                }
                let blue = VRFID(1)
                #expect(try await ask(TrappedFlowTests.trap(vif: vif, vrf: blue, "10.1.0.10", "10.1.0.12", generation: 7)) == .forward)
                #expect(try await ask(TrappedFlowTests.trap(vif: vif, vrf: blue, "10.1.0.10", "10.1.0.99", generation: 8)) == .drop)
                #expect(try await ask(TrappedFlowTests.trap(vif: VifID(99), vrf: blue, "10.1.0.10", "10.1.0.12", generation: 9)) == .drop)
                #expect(
                    try await ask(TrappedFlowTests.trap(vif: DesiredState.fabricVif, vrf: blue, "10.1.0.12", "10.1.0.10", generation: 10)) == .forward
                )
                // Somebody gets the address.
                world.controller.send(Fixture.route("blue", "10.1.0.99/32", label: 5001))
                try await eventually("the flow that was dropped is taken back") { world.dataplane.state.withLock { $0.flows[8] == nil } }
                #expect(world.dataplane.state.withLock { $0.flows.keys.sorted() } == [7, 9, 10])
            }
        }
    }
}
