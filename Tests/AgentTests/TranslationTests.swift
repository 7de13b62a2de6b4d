import DataplaneAPI
import NetTypes
import Overlay
import SwiftProtobuf
import Testing

@testable import Agent

/// Floating IPs, services and routers as rules and routes. blue-a is a port of this node (10.1.0.10, fd00:1::10) in blue; red is the external network.
@Suite struct TranslationTests {
    func desired(_ inputs: DesiredState.Inputs) -> DesiredState {
        var allocator = IdentifierAllocator()
        return DesiredState(inputs, allocator: &allocator)
    }
    func rules(_ state: DesiredState) -> [String: Dataplane_V1_NatRule] {
        Dictionary(
            uniqueKeysWithValues: state.objects.values.compactMap { if case .natRule(let rule)? = $0.object { (rule.name, rule) } else { nil } })
    }
    let red = VRFID(2), blue = VRFID(1)

    @Test func floatingIP() throws {
        var inputs = Fixture.inputs(ports: [Fixture.blueA])
        inputs.floatingIPs = [
            FloatingIP(metadata: ObjectMetadata(name: "f"), network: "red", address: IPAddress("10.2.0.101")!, port: "blue-a"),
            FloatingIP(metadata: ObjectMetadata(name: "elsewhere"), network: "red", address: IPAddress("10.2.0.102")!, port: "blue-b"),
        ]
        let state = desired(inputs), rules = rules(state)
        #expect(Set(rules.keys) == ["floating/f/in", "floating/f/out"])
        let incoming = try #require(rules["floating/f/in"]?.destination), outgoing = try #require(rules["floating/f/out"]?.source)
        #expect(incoming.vrf == 2 && incoming.address == IPAddress("10.2.0.101")!.octets && !incoming.hasPorts && incoming.backends.count == 1)
        #expect(incoming.backends[0].address == IPAddress("10.1.0.10")!.octets && incoming.backends[0].vrf == 1)
        #expect(outgoing.vrf == 1 && outgoing.outsideVrf == 2 && outgoing.prefix.length == 32 && outgoing.address == incoming.address)
        // Known in the external network, and told with a label that leads into it.
        let prefix = IPPrefix("10.2.0.101/32")!
        let route = try #require(state.objects[.route(red, prefix)]?.route)
        #expect(route.nextHop == 0 && route.proxies)
        let export = try #require(state.exports.first { $0.route.destination == .inet(prefix) })
        #expect(export.route.vrf == "red")
        let hop = try #require(export.route.nextHops.first)
        if hop.encapsulations == [.mplsOverUDP] {
            let label = try #require(state.objects[.label(Label(hop.label))]?.label)
            #expect(state.objects.nextHop(label.nextHop) == .vrf(.with { $0.vrf = 2 }))
        } else {
            #expect(state.objects[.vni(VNI(hop.label))] != nil)
        }
        // All that it takes is there.
        #expect(export.needs.allSatisfy { state.objects[$0] != nil })
        // Without the port, nothing.
        inputs.bindings = []
        #expect(self.rules(desired(inputs)).isEmpty)
    }

    @Test func router() throws {
        var inputs = Fixture.inputs(ports: [Fixture.blueA])
        let other = IPAddress("10.0.0.12")!
        inputs.routers = [
            NetworkRouter(
                metadata: ObjectMetadata(name: "r"), externalNetwork: "red", networks: ["blue"], addresses: [IPAddress("10.2.0.201")!],
                nodes: [
                    .init(name: inputs.configuration.node, block: 1, address: IPAddress("10.0.0.11")!), .init(name: "zz", block: 0, address: other),
                ])
        ]
        inputs.networks["red"]?.encapsulation = .vxlan
        inputs.networks["red"]?.vni = VNI(5002)
        inputs.resolve = { _ in MACAddress("02:00:00:00:0f:02") }
        let state = desired(inputs), rules = rules(state)
        #expect(Set(rules.keys) == ["router/r/blue/10.1.0.0/24", "router/r@zz/ipv4"])
        let source = try #require(rules["router/r/blue/10.1.0.0/24"]?.source)
        #expect(source.vrf == 1 && source.outsideVrf == 2 && source.ports.first == 2048 && source.ports.last == 3071)
        // What comes for the other's ports goes to the other.
        let theirs = try #require(rules["router/r@zz/ipv4"]?.destination)
        #expect(theirs.vrf == 2 && theirs.ports.first == 1024 && theirs.ports.last == 2047 && theirs.backends.count == 1)
        #expect(theirs.backends[0].address.isEmpty && !theirs.backends[0].hasPort)
        let way = try #require(state.objects[.route(VRFID(theirs.backends[0].vrf), IPPrefix("10.2.0.201/32")!)]?.route)
        guard case .tunnel(let tunnel)? = state.objects.nextHop(way.nextHop) else { Issue.record("no tunnel"); return }
        #expect(tunnel.destination == other.octets && way.label == 5002)
        #expect(state.exports.contains { $0.route.vrf == "red" && $0.route.destination == .inet(IPPrefix("10.2.0.201/32")!) })
    }

    private func service(_ target: Service.Target = .number(8080), networks: [String] = ["blue"]) -> Service {
        var service = Service(
            metadata: ObjectMetadata(name: "s"), network: "blue", addresses: [IPAddress("10.96.0.1")!],
            ports: [.init(transport: .tcp, port: 80, target: target)], backends: .names([]), affinity: .client)
        service.members = [
            .init(name: "blue-a", addresses: Fixture.blueA.addresses, ports: [.init(name: "web", number: 8001)]),
            .init(
                name: "far", addresses: [IPAddress("10.1.0.20")!],
                ports: [.init(name: "web", number: 8002), .init(name: "web", proto: 17, number: 9)]),
            .init(name: "down", addresses: [IPAddress("10.1.0.21")!]),
            .init(name: "other family", addresses: [IPAddress("fd00:1::9")!], ports: [.init(name: "web", number: 8003)]),
        ]
        service.networks = networks
        return service
    }
    private func inputs(_ service: Service) -> DesiredState.Inputs {
        var inputs = Fixture.inputs(ports: [Fixture.blueA])
        inputs.services = [service]
        inputs.resolve = { _ in MACAddress("02:00:00:00:0f:02") }
        for vrf in service.networks {
            let prefix = IPPrefix("10.1.0.20/32")!
            inputs.routes[RouteStore.Key(vrf: vrf, destination: .inet(prefix))] = RouteAdvertisement(
                vrf: vrf, destination: .inet(prefix), nextHops: [.init(address: IPAddress("10.0.0.12")!, label: 5001, encapsulations: [.vxlan])])
        }
        return inputs
    }

    @Test func services() throws {
        let state = desired(inputs(service()))
        let rule = try #require(rules(state)["service/s/10.96.0.1/tcp/80"]?.destination)
        #expect(rule.vrf == 1 && rule.protocol == 6 && rule.ports.first == 80 && rule.ports.last == 80 && rule.affinity == .client)
        // Here, there, told of but without a route; one of the other family is left out.
        #expect(rule.backends.map(\.draining) == [false, false, true] && rule.backends.allSatisfy { $0.port == 8080 && $0.vrf == 1 })
        #expect(rule.backends.map { IPAddress(bytes: $0.address)?.description } == ["10.1.0.10", "10.1.0.20", "10.1.0.21"])
        #expect(state.objects[.route(blue, IPPrefix("10.96.0.1/32")!)]?.route.proxies == true)
        #expect(state.backendEndpoints == [IPv4Address(10, 0, 0, 12)])
    }

    @Test func portsOfBackendsByName() throws {
        let rule = try #require(rules(desired(inputs(service(.name("web")))))["service/s/10.96.0.1/tcp/80"]?.destination)
        // Who has no port of this name is no backend.
        #expect(rule.backends.map(\.port) == [8001, 8002])
    }

    @Test func backendsThatAreNotWell() throws {
        func backends(_ inputs: DesiredState.Inputs) throws -> [Bool] {
            try #require(rules(desired(inputs))["service/s/10.96.0.1/tcp/80"]?.destination).backends.map(\.draining)
        }
        // The link of the one here is down: nobody is told of it, and its own routes stay.
        var inputs = inputs(service())
        inputs.downPorts = ["blue-a"]
        #expect(try backends(inputs) == [true, false, true])
        let state = desired(inputs), own = IPPrefix("10.1.0.10/32")!
        #expect(state.objects[.route(blue, own)] != nil && !state.exports.contains { $0.route.destination == .inet(own) })
        // The node of the other does not answer, either: better one that may be gone than none.
        inputs.isSilent = { $0 == IPv4Address(10, 0, 0, 12) }
        #expect(try backends(inputs) == [true, false, true])
        inputs.downPorts = []
        #expect(try backends(inputs) == [false, true, true])
    }

    @Test func connectedNetworksHaveTheService() throws {
        var inputs = inputs(service(networks: ["blue", "red"]))
        inputs.networkPeers["blue"] = NetworkPeers(
            metadata: ObjectMetadata(name: "blue"), networks: [.init(name: "red", prefixes: [IPPrefix("10.2.0.0/24")!], isConnected: true)])
        let rules = rules(desired(inputs))
        let rule = try #require(rules["service/s@red/10.96.0.1/tcp/80"]?.destination)
        // By the routes of that network; one that is attached here answers in its own.
        #expect(rule.vrf == 2 && rule.backends.map(\.vrf) == [1, 2, 2] && rule.backends.map(\.draining) == [false, false, true])
        #expect(rules["service/s/10.96.0.1/tcp/80"] != nil)
    }
}
