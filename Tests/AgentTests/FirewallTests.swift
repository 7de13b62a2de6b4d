import DataplaneAPI
import NetTypes
import Overlay
import Testing

@testable import Agent

/// What resolved policies by labels become in the data plane.
@Suite struct FirewallTests {
    @Test func additiveAndOnlyWhereSelected() throws {
        var second = Fixture.blueA
        second.metadata.name = "blue-b"
        second.mac = MACAddress("02:00:00:00:01:0b")!
        second.addresses = [IPAddress("10.1.0.11")!]
        second.interface = "tap-blue-b"
        second.securityGroups = ["web"]
        var inputs = Fixture.inputs(ports: [Fixture.blueA, second, Fixture.redA])
        inputs.firewallPolicies = [
            FirewallPolicy(
                metadata: .init(name: "default:b"), ports: ["blue-a", "blue-b"],
                ingress: [.init(index: 2, proto: 6, ports: [80...80], peer: .prefixes([IPPrefix("10.0.0.0/8")!]))]),
            FirewallPolicy(
                metadata: .init(name: "default:a"), ports: ["blue-a"],
                ingress: [
                    .init(
                        index: 0, local: [IPAddress("10.1.0.10")!],
                        peer: .members([
                            .init(name: "red", addresses: [IPAddress("10.2.0.9")!]), .init(name: "blue", addresses: [IPAddress("10.1.0.9")!]),
                        ]))
                ], egress: []),
        ]
        var allocator = IdentifierAllocator()
        let objects = DesiredState(inputs, allocator: &allocator).objects
        func policies(_ name: String) throws -> (ingress: [Dataplane_V1_Policy], egress: [Dataplane_V1_Policy]) {
            let vif = try #require(objects.values.first { if case .vif(let vif)? = $0.object { vif.name == name } else { false } }).vif
            func load(_ ids: [UInt32]) -> [Dataplane_V1_Policy] { ids.compactMap { objects[.policy(PolicyID($0))]?.policy } }
            return (load(vif.ingressPolicies), load(vif.egressPolicies))
        }
        let a = try policies("tap-blue-a"), b = try policies("tap-blue-b"), red = try policies("tap-red-a")
        #expect(red.ingress.isEmpty && red.egress.isEmpty)
        #expect(a.ingress.count == 1 && a.ingress[0].origin == .firewall && a.ingress[0].defaultAction == .deny)
        #expect(a.ingress[0].rules.map(\.name) == ["default:a/ingress[0]", "default:b/ingress[2]"])
        #expect(a.ingress[0].name == "kubernetes/blue:default:a+default:b:ingress")
        // Nothing allowed is everything denied; b's egress is nobody's business.
        #expect(a.egress.count == 1 && a.egress[0].rules.isEmpty && a.egress[0].defaultAction == .deny && b.egress.map(\.origin) == [.securityGroup])
        #expect(b.ingress.map(\.origin) == [.securityGroup, .firewall])
        // Red is not connected: its addresses say nothing here.
        let rule = a.ingress[0].rules[0]
        let group = try #require(objects[.addressGroup(AddressGroupID(rule.remote.group))]?.addressGroup)
        #expect(group.prefixes.map(\.address) == [IPAddress("10.1.0.9")!.octets] && rule.local.prefixes.prefixes.map(\.length) == [32])
        inputs.networkPeers = ["blue": .init(metadata: .init(name: "blue"), networks: [.init(name: "red", prefixes: [], isConnected: true)])]
        let connected = DesiredState(inputs, allocator: &allocator).objects
        #expect(
            connected[.addressGroup(AddressGroupID(rule.remote.group))]?.addressGroup.prefixes.map(\.address)
                == [IPAddress("10.2.0.9")!.octets, IPAddress("10.1.0.9")!.octets])
    }

    /// Antispoofing is on unless a Port says otherwise.
    @Test func antispoofing() throws {
        func vif(_ change: (inout Overlay.Port) -> Void) throws -> Dataplane_V1_Vif {
            var port = Fixture.blueA
            change(&port)
            var allocator = IdentifierAllocator()
            let objects = DesiredState(Fixture.inputs(ports: [port]), allocator: &allocator).objects
            return try #require(objects[.vif(VifID(3))]?.vif)
        }
        #expect(try vif { _ in }.antispoof)
        #expect(try !vif { $0.antispoof = false }.antispoof)
        let pair = try vif {
            $0.allowedAddressPairs = [
                .init(prefix: IPPrefix("10.1.0.48/28")!), .init(prefix: IPPrefix("fd00:1::50/128")!, mac: MACAddress("00:00:5e:00:01:07")!),
            ]
        }
        #expect(pair.allowedPairs.map(\.prefix.length) == [28, 128] && pair.allowedPairs.map(\.mac.count) == [0, 6])
    }
}
