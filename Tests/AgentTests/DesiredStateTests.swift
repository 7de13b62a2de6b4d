import DataplaneAPI
import NetTypes
import Overlay
import SwiftProtobuf
import Testing

@testable import Agent

@Suite struct DesiredStateTests {
    func desired(_ inputs: DesiredState.Inputs) -> DesiredState {
        var allocator = IdentifierAllocator()
        return DesiredState(inputs, allocator: &allocator)
    }
    let blue = VRFID(1), red = VRFID(2)

    @Test func theNodeItself() {
        let state = desired(Fixture.inputs(networks: [], ports: []))
        #expect(Set(state.objects.keys) == [.vrf(VRFID(0)), .port("fabric0"), .vif(VifID(0)), .port("vhost0-vr"), .vif(VifID(1))])
        let fabric = state.objects[.vif(VifID(0))]?.vif
        #expect(
            fabric?.kind == .physical && fabric?.ipAddresses == [IPAddress("10.0.0.11")!] && fabric?.macAddress == Fixture.fabricMAC
                && fabric?.mtu == 1600)
        #expect(state.objects[.port("fabric0")]?.port.dpdk.device == "net_af_packet0,iface=fabric0")
        let host = state.objects[.vif(VifID(1))]?.vif
        #expect(host?.kind == .host && host?.macAddress == Fixture.fabricMAC)
        #expect(state.objects[.port("vhost0-vr")]?.port.pcap.interface == "vhost0-vr")
        #expect(state.objects.values.allSatisfy { $0.isOwn })
    }

    /// `fabric.checkTunnelSource`: the data plane takes tunnel packets from where tunnels go, which is what routes from other nodes say.
    @Test func tunnelSourcesAreCheckedWhereAskedFor() throws {
        var inputs = Fixture.inputs(routes: [Fixture.route("blue", "10.1.0.12/32", label: 5001)])
        #expect(desired(inputs).objects[.vif(VifID(0))]?.vif.checksTunnelSource == false)
        inputs.configuration = try AgentConfiguration(
            yaml: ConfigurationTests.good.replacing("mtu: 1600,", with: "mtu: 1600, checkTunnelSource: true,"), source: "test")
        let state = desired(inputs)
        #expect(state.objects[.vif(VifID(0))]?.vif.checksTunnelSource == true && state.objects[.vif(VifID(1))]?.vif.checksTunnelSource == false)
        #expect(state.endpoints == [Fixture.peer])
    }

    /// How many flows a port and a network may have, and how fast a port's new ones may come.
    @Test func flowLimits() throws {
        var blue = Fixture.blue, port = Fixture.blueA
        (port.flowLimit, port.flowRate, blue.flowLimit) = (200, 50, 3000)
        let state = desired(Fixture.inputs(networks: [blue, Fixture.red], ports: [port, Fixture.redA]))
        let limited = try #require(state.objects[.vif(VifID(3))]?.vif), other = try #require(state.objects[.vif(VifID(4))]?.vif)
        #expect(limited.name == "tap-blue-a" && limited.flowLimit == 200 && limited.flowRate == 50)
        #expect(other.name == "tap-red-a" && other.flowLimit == 0 && other.flowRate == 0)
        #expect(state.objects[.vrf(self.blue)]?.vrf.flowLimit == 3000 && state.objects[.vrf(red)]?.vrf.flowLimit == 0)
    }

    @Test func bridgedNetwork() throws {
        let objects = desired(Fixture.inputs(ports: [Fixture.blueA])).objects
        let vif = try #require(objects[.vif(VifID(3))]?.vif)
        #expect(vif.name == "tap-blue-a" && vif.vrf == 1 && vif.macAddress == .gateway && vif.kind == .virtual && vif.keepsFlows && vif.bridges)
        #expect(vif.ipAddresses.map(\.description) == ["10.1.0.1", "fd00:1::1"])
        #expect(vif.workloadMACAddress == Fixture.blueA.mac && vif.workloadIPAddresses == Fixture.blueA.addresses && vif.antispoof)
        #expect(objects[.port("tap-blue-a")]?.port.dpdk.device == "net_tap3,iface=tap-blue-a")
        // VNI → VRF, bridged.
        let vni = try #require(objects[.vni(VNI(5001))]?.vni)
        #expect(
            objects.nextHop(vni.nextHop)
                == .vrf(
                    .with {
                        $0.vrf = 1; $0.bridges = true
                    }))
        // The subnet is discarded, its gateway received and answered for.
        #expect(objects[.route(blue, IPPrefix("10.1.0.0/24")!)]?.route.nextHop == 0)
        #expect(objects[.route(blue, IPPrefix("fd00:1::/64")!)]?.route.nextHop == 0)
        let gateway = try #require(objects[.route(blue, IPPrefix("10.1.0.1/32")!)]?.route)
        #expect(gateway.proxies && gateway.macAddress == nil && objects.nextHop(gateway.nextHop) == .receive(.with { $0.vif = 0 }))
        // The workload: routed with a header written, answered for with its own MAC, bridged as it is.
        for prefix in ["10.1.0.10/32", "fd00:1::10/128"] {
            let route = try #require(objects[.route(blue, IPPrefix(prefix)!)]?.route)
            #expect(route.proxies && route.macAddress == Fixture.blueA.mac && !route.hasLabel)
            #expect(
                objects.nextHop(route.nextHop)
                    == .encap(
                        .with {
                            $0.vif = 3; $0.destination = Fixture.blueA.mac; $0.sourceAddress = .gateway
                        }))
        }
        let entry = try #require(objects[.bridge(blue, Fixture.blueA.mac)]?.bridgeEntry)
        #expect(
            objects.nextHop(entry.nextHop)
                == .encap(
                    .with {
                        $0.vif = 3; $0.sourceAddress = .gateway
                    }))
        let label = try #require(objects[.label(Label(16))]?.label)
        #expect(label.nextHop == objects[.route(blue, IPPrefix("10.1.0.10/32")!)]?.route.nextHop)
    }

    @Test func routedNetwork() throws {
        let objects = desired(Fixture.inputs(networks: [Fixture.red], ports: [Fixture.redA])).objects
        let vrf = VRFID(1)
        #expect(objects[.vif(VifID(3))]?.vif.bridges == false)
        #expect(objects[.route(vrf, IPPrefix("10.2.0.10/32")!)]?.route.macAddress == nil)
        #expect(!objects.keys.contains { if case .bridge = $0 { true } else { false } })
        #expect(!objects.keys.contains { if case .vni = $0 { true } else { false } })
        #expect(objects[.label(Label(16))] != nil)
    }

    @Test func exports() {
        let exports = desired(Fixture.inputs()).exports.map(\.route)
        let blueHop = RouteAdvertisement.NextHop(address: IPAddress("10.0.0.11")!, label: 5001, encapsulations: [.vxlan], mac: Fixture.blueA.mac)
        // blue-a is the first port, so red-a's label is the second.
        let redHop = RouteAdvertisement.NextHop(address: IPAddress("10.0.0.11")!, label: 17, encapsulations: [.mplsOverUDP], mac: Fixture.redA.mac)
        #expect(
            Set(exports) == [
                .init(vrf: "blue", destination: .inet(IPPrefix("10.1.0.10/32")!), nextHops: [blueHop]),
                .init(vrf: "blue", destination: .evpn(Fixture.blueA.mac, IPPrefix("10.1.0.10/32")!), nextHops: [blueHop]),
                .init(vrf: "blue", destination: .inet(IPPrefix("fd00:1::10/128")!), nextHops: [blueHop]),
                .init(vrf: "blue", destination: .evpn(Fixture.blueA.mac, IPPrefix("fd00:1::10/128")!), nextHops: [blueHop]),
                .init(vrf: "red", destination: .inet(IPPrefix("10.2.0.10/32")!), nextHops: [redHop]),
                .init(
                    vrf: "blue", destination: .evpn(.broadcast, IPPrefix("10.0.0.11/32")!),
                    nextHops: [.init(address: IPAddress("10.0.0.11")!, label: 5001, encapsulations: [.vxlan])]),
            ])
    }

    // MARK: - Broadcast, unknown unicast, multicast

    static let blueB = Overlay.Port(
        metadata: .init(name: "blue-b"), network: "blue", node: "node1", mac: MACAddress("02:00:00:00:01:0b")!, addresses: [IPAddress("10.1.0.11")!],
        interface: "tap-blue-b")

    /// Each local port as it is, each node that asked through its tunnel, under the VNI it asked for.
    @Test func broadcastsGoToLocalPortsAndToNodesThatWantThem() throws {
        let third = IPv4Address(10, 0, 0, 13), thirdMAC = MACAddress("02:00:00:00:00:13")!
        let state = desired(
            Fixture.inputs(
                ports: [Fixture.blueA, Self.blueB, Fixture.redA],
                routes: [
                    Fixture.inclusive("blue", label: 5001), Fixture.inclusive("blue", label: 5001, via: third),
                    Fixture.evpn("blue", "02:00:00:00:01:0c", nil, label: 5001),
                ], neighbours: [Fixture.peer: Fixture.peerMAC, third: thirdMAC]))
        let flood = try #require(state.objects.flood(blue))
        #expect(flood.vrf == 1 && flood.fabric.isEmpty && flood.vni == 0)
        #expect(
            flood.local.map { state.objects.nextHop($0) }
                == ([3, 4] as [UInt32]).map { vif in
                    .encap(
                        .with {
                            $0.vif = vif; $0.sourceAddress = .gateway
                        })
                })
        let far = flood.evpn.map { member -> String in
            guard case .tunnel(let tunnel)? = state.objects.nextHop(member.nextHop) else { return "no tunnel" }
            return "\(tunnel.destinationAddress.map(\.description) ?? "") \(member.label)"
        }
        #expect(far == ["10.0.0.12 5001", "10.0.0.13 5001"])
        // One tunnel serves broadcasts and known unicast.
        #expect(state.objects[.bridge(blue, MACAddress("02:00:00:00:01:0c")!)]?.bridgeEntry.nextHop == flood.evpn.first?.nextHop)
        #expect(state.objects.flood(red) == nil, "a network that only routes floods nothing")
        #expect(state.unusableRoutes == 0 && state.unresolvedRoutes == 0)
    }

    @Test func aNodeIsLeftOutUntilItIsResolved() throws {
        let third = IPv4Address(10, 0, 0, 13)
        let routes = [Fixture.inclusive("blue", label: 5001), Fixture.inclusive("blue", label: 5001, via: third)]
        let state = desired(Fixture.inputs(routes: routes))
        #expect(try #require(state.objects.flood(blue)).evpn.count == 1)
        #expect(state.unresolvedRoutes == 1 && state.endpoints == [Fixture.peer, third])
    }

    /// Without a local port nothing is flooded, and no copies are asked for.
    @Test func theLastPortTakesTheBroadcastEntryAndTheRouteWithIt() {
        let routes = [Fixture.inclusive("blue", label: 5001)]
        let state = desired(Fixture.inputs(ports: [Fixture.redA], routes: routes))
        #expect(
            state.vrfs["blue"] != nil && state.objects.flood(blue) == nil && !state.exports.contains { $0.route.destination.isInclusiveMulticast })
        #expect(desired(Fixture.inputs(routes: routes)).exports.count { $0.route.destination.isInclusiveMulticast } == 1)
    }

    @Test func whatCannotBeFloodedToIsCounted() throws {
        let udp = RouteAdvertisement(
            vrf: "blue", destination: .inclusiveMulticast(of: .v4(Fixture.peer)),
            nextHops: [.init(address: .v4(Fixture.peer), label: 20, encapsulations: [.mplsOverUDP])])
        let own = Fixture.inclusive("blue", label: 5001, via: IPv4Address(10, 0, 0, 11))
        let group = Fixture.evpn("blue", "01:00:5e:00:00:05", nil, label: 5001)
        let state = desired(Fixture.inputs(routes: [udp, own, group]))
        #expect(state.unusableRoutes == 3)
        #expect(try #require(state.objects.flood(blue)).evpn.isEmpty)
        #expect(state.objects[.bridge(blue, MACAddress("01:00:5e:00:00:05")!)] == nil)
    }

    @Test func unknownUnicastIsFloodedWhereTheNetworkSaysSo() {
        #expect(desired(Fixture.inputs()).objects[.vrf(blue)]?.vrf.floodsUnknownUnicast == false)
        var flooding = Fixture.blue
        flooding.floodUnknownUnicast = true
        #expect(desired(Fixture.inputs(networks: [flooding])).objects[.vrf(blue)]?.vrf.floodsUnknownUnicast == true)
        flooding.forwarding = .l3
        #expect(desired(Fixture.inputs(networks: [flooding])).objects[.vrf(blue)]?.vrf.floodsUnknownUnicast == false)
    }

    @Test func remoteRoutes() throws {
        let state = desired(
            Fixture.inputs(routes: [
                Fixture.route("blue", "10.1.0.12/32", label: 5001), Fixture.evpn("blue", "02:00:00:00:01:0c", "10.1.0.12/32", label: 5001),
                Fixture.route("red", "10.2.0.12/32", label: 21, .mplsOverUDP), Fixture.route("red", "10.9.0.0/16", label: 22, .mplsOverUDP),
            ]))
        #expect(state.endpoints == [Fixture.peer] && state.unresolvedRoutes == 0 && state.unusableRoutes == 0)
        let bridged = try #require(state.objects[.route(blue, IPPrefix("10.1.0.12/32")!)]?.route)
        #expect(bridged.label == 5001 && bridged.proxies && bridged.macAddress == MACAddress("02:00:00:00:01:0c"))
        #expect(
            state.objects.nextHop(bridged.nextHop)
                == .tunnel(
                    .with {
                        $0.encapsulation = .vxlan
                        $0.sourceAddress = IPAddress("10.0.0.11")
                        $0.destinationAddress = IPAddress("10.0.0.12")
                        $0.vif = 0
                        $0.destinationMac = Fixture.peerMAC.octets
                        $0.sourceMac = Fixture.fabricMAC.octets
                        $0.routerMac = MACAddress.gateway.octets
                    }))
        #expect(state.objects[.bridge(blue, MACAddress("02:00:00:00:01:0c")!)]?.bridgeEntry.nextHop == bridged.nextHop)
        let routed = try #require(state.objects[.route(red, IPPrefix("10.2.0.12/32")!)]?.route)
        #expect(routed.label == 21 && routed.macAddress == nil && routed.nextHop != bridged.nextHop)
        let prefix = try #require(state.objects[.route(red, IPPrefix("10.9.0.0/16")!)]?.route)
        #expect(prefix.nextHop == routed.nextHop && !prefix.proxies)
    }

    /// Without the owner's MAC in the bridge table ARP must be answered with the gateway's, or frames would find nothing.
    @Test func proxyNeedsABridgeEntry() {
        let state = desired(Fixture.inputs(routes: [Fixture.route("blue", "10.1.0.12/32", label: 5001)]))
        #expect(state.objects[.route(blue, IPPrefix("10.1.0.12/32")!)]?.route.macAddress == nil)
    }

    @Test func unresolvedEndpointsAreWaitedFor() {
        let state = desired(Fixture.inputs(routes: [Fixture.route("blue", "10.1.0.12/32", label: 5001)], neighbours: [:]))
        #expect(state.endpoints == [Fixture.peer] && state.unresolvedRoutes == 1)
        #expect(state.objects[.route(blue, IPPrefix("10.1.0.12/32")!)] == nil)
    }

    static let unusable: [RouteAdvertisement] = [
        Fixture.route("blue", "10.1.0.12/32", label: 0), Fixture.route("blue", "10.1.0.12/32", label: 1 << 24),
        Fixture.route("red", "10.2.0.12/32", label: 15, .mplsOverUDP), Fixture.route("red", "10.2.0.12/32", label: 1 << 20, .mplsOverUDP),
        Fixture.route("blue", "10.1.0.12/32", label: 5001, via: IPv4Address(10, 0, 0, 11)),
        Fixture.route("blue", "10.1.0.12/32", label: 5001, via: IPv4Address(239, 0, 0, 1)),
        RouteAdvertisement(
            vrf: "blue", destination: .inet(IPPrefix("10.1.0.12/32")!),
            nextHops: [.init(address: IPAddress("fd00::1")!, label: 5, encapsulations: [.vxlan])]),
        RouteAdvertisement(vrf: "blue", destination: .inet(IPPrefix("10.1.0.12/32")!), nextHops: []),
    ]
    @Test(arguments: unusable) func unusableRoutesAreCountedNotProgrammed(_ route: RouteAdvertisement) {
        let state = desired(Fixture.inputs(routes: [route]))
        #expect(state.unusableRoutes == 1 && state.endpoints.isEmpty)
        #expect(state.objects.keys == desired(Fixture.inputs()).objects.keys)
    }

    @Test func localBeatsRemote() {
        let mine = desired(Fixture.inputs()).objects
        let state = desired(
            Fixture.inputs(routes: [
                Fixture.route("blue", "10.1.0.10/32", label: 5001), Fixture.route("blue", "10.1.0.1/32", label: 5001),
                Fixture.evpn("blue", "02:00:00:00:01:0a", nil, label: 5001),
            ]))
        #expect(state.objects == mine)
    }

    @Test func aRemoteSubnetRouteReplacesTheDiscard() {
        let state = desired(Fixture.inputs(routes: [Fixture.route("red", "10.2.0.0/24", label: 30, .mplsOverUDP)]))
        #expect(state.objects[.route(red, IPPrefix("10.2.0.0/24")!)]?.route.label == 30)
    }

    @Test func aMovedMACFollowsTheLatestWord() {
        let other = IPv4Address(10, 0, 0, 13)
        let routes = [
            Fixture.evpn("blue", "02:00:00:00:01:0c", "10.1.0.12/32", label: 5001, sequence: 1),
            Fixture.evpn("blue", "02:00:00:00:01:0c", nil, label: 5001, via: other, sequence: 2),
        ]
        let state = desired(Fixture.inputs(routes: routes, neighbours: [Fixture.peer: Fixture.peerMAC, other: MACAddress("02:00:00:00:00:13")!]))
        let entry = state.objects[.bridge(blue, MACAddress("02:00:00:00:01:0c")!)]?.bridgeEntry
        guard case .tunnel(let tunnel)? = state.objects.nextHop(entry?.nextHop ?? 0) else { Issue.record("no tunnel"); return }
        #expect(tunnel.destinationAddress == .v4(other))
    }

    @Test func aPortWaitsForItsNetworkAndItsVNI() {
        let missing = desired(Fixture.inputs(networks: [], ports: [Fixture.blueA]))
        #expect(missing.ports.map(\.reason) == ["network blue is not in the configuration yet"])
        var blue = Fixture.blue
        blue.vni = nil
        let waiting = desired(Fixture.inputs(networks: [blue], ports: [Fixture.blueA]))
        #expect(waiting.ports.map(\.reason) == ["network blue has no VNI yet"] && waiting.exports.isEmpty)
    }

    /// Everything an object names is in the desired state itself, except what is always there.
    @Test func isClosed() {
        let state = desired(
            Fixture.inputs(routes: [
                Fixture.route("blue", "10.1.0.12/32", label: 5001), Fixture.evpn("blue", "02:00:00:00:01:0c", nil, label: 5001),
                Fixture.inclusive("blue", label: 5001),
            ]))
        for (key, object) in state.objects {
            for dependency in object.dependencies where dependency != .nextHop(.discard) {
                #expect(state.objects[dependency] != nil, "\(key) names \(dependency)")
            }
        }
        for export in state.exports { for key in export.needs { #expect(state.objects[key] != nil, "\(export.route.node) needs \(key)") } }
    }

    /// Ports with the same groups share their policies; a group's members are those in the port's own network.
    @Test func securityGroups() throws {
        var web = Fixture.blueA, other = Fixture.blueA, open = Fixture.redA
        web.securityGroups = ["web", "base"]
        other.metadata.name = "blue-b"
        other.mac = MACAddress("02:00:00:00:01:0b")!
        other.addresses = [IPAddress("10.1.0.11")!]
        other.interface = "tap-blue-b"
        other.securityGroups = ["base", "web"]
        open.securityGroups = []
        var inputs = Fixture.inputs(ports: [web, other, open])
        inputs.securityGroups = [
            "web": SecurityGroup(
                metadata: .init(name: "web"),
                ingress: [
                    .init(proto: 6, ports: [80...89], peer: .group("clients")),
                    .init(proto: 1, icmpType: 8, peer: .prefixes([IPPrefix("10.0.0.0/8")!])),
                ])
        ]
        inputs.securityGroupMembers = [
            "clients": SecurityGroupMembers(
                metadata: .init(name: "clients"),
                networks: [.init(name: "red", addresses: [IPAddress("10.2.0.9")!]), .init(name: "blue", addresses: [IPAddress("10.1.0.9")!])])
        ]
        let objects = desired(inputs).objects
        let vif = try #require(objects[.vif(VifID(3))]?.vif)
        #expect(vif.ingressPolicies.count == 1 && vif.egressPolicies.count == 1 && vif.ingressPolicies != vif.egressPolicies)
        #expect(objects[.vif(VifID(4))]?.vif.ingressPolicies == vif.ingressPolicies)
        #expect(objects.values.filter { if case .policy = $0.object { true } else { false } }.count == 2)
        #expect(objects[.vif(VifID(5))]?.vif.ingressPolicies == [])
        let policy = try #require(objects[.policy(PolicyID(vif.ingressPolicies[0]))]?.policy)
        #expect(
            policy.name == "securityGroups/blue/base+web:ingress" && policy.defaultAction == .deny
                && policy.rules.map(\.name) == ["web/ingress[0]", "web/ingress[1]"])
        #expect(policy.rules[0].service.destinationPorts.map { [$0.first, $0.last] } == [[80, 89]] && policy.rules[1].service.icmpType == 8)
        let group = try #require(objects[.addressGroup(AddressGroupID(policy.rules[0].remote.group))]?.addressGroup)
        #expect(
            group.name == "securityGroups/blue/clients" && group.prefixes.map(\.address) == [IPAddress("10.1.0.9")!.octets]
                && group.prefixes.map(\.length) == [32])
        // Nothing is said about what the groups let out, so nothing gets out.
        #expect(objects[.policy(PolicyID(vif.egressPolicies[0]))]?.policy.rules == [])
        // The numbers come back after a restart of the agent.
        var allocator = IdentifierAllocator()
        allocator.recover(from: Array(objects.values))
        #expect(DesiredState(inputs, allocator: &allocator).objects == objects)
    }

    /// Names may have colons, and may be the words that the names of policies are made of.
    @Test func policiesOfTwoNetworksAreTwo() throws {
        func port(_ number: UInt8, _ network: String, _ group: String) -> Overlay.Port {
            var port = Fixture.blueA
            port.metadata = .init(name: "p\(number)")
            port.network = network
            port.mac = MACAddress(rawValue: 0x0200_0000_0A00 | UInt64(number))
            port.addresses = [.v4(IPv4Address(10, 1, 0, 20 + number))]
            port.interface = "tap-p\(number)"
            port.securityGroups = [group]
            return port
        }
        let pairs = [("prod", "web:db"), ("prod:web", "db"), ("networkPolicies", "blue"), ("kubernetes", "blue")]
        var networks = Set(pairs.map(\.0)).enumerated().map { index, name in
            var network = Fixture.blue
            network.metadata.name = name
            network.vni = VNI(UInt32(6000 + index))
            return network
        }
        var blue = Fixture.blue
        blue.policies = ["any"]
        networks.append(blue)
        var open = port(9, "blue", "")
        open.securityGroups = []
        var inputs = Fixture.inputs(networks: networks, ports: pairs.enumerated().map { port(UInt8($0), $1.0, $1.1) } + [open])
        for (network, group) in pairs {
            inputs.securityGroups[group] = SecurityGroup(metadata: .init(name: group), ingress: [.init(peer: .group("members"))])
            inputs.securityGroupMembers["members", default: .init(metadata: .init(name: "members"), networks: [])].networks.append(
                .init(name: network, addresses: [.v4(IPv4Address(10, 9, 0, UInt8(network.utf8.count)))]))
        }
        let objects = desired(inputs).objects
        let vifs = objects.values.compactMap { if case .vif(let vif)? = $0.object, vif.name.hasPrefix("tap-p") { vif } else { nil } }
        let all = vifs.flatMap { $0.ingressPolicies + $0.egressPolicies }
        #expect(vifs.count == 5 && all.count == 10 && Set(all).count == 10)
        for (number, (_, group)) in pairs.enumerated() {
            let vif = try #require(vifs.first { $0.name == "tap-p\(number)" })
            let policy = try #require(objects[.policy(PolicyID(vif.ingressPolicies[0]))]?.policy)
            #expect(policy.rules.map(\.name) == ["\(group)/ingress[0]"])
        }
        #expect(Set(objects.values.compactMap { if case .addressGroup(let group)? = $0.object { group.name } else { nil } }).count == 4)
    }

    /// A port's own rules go before those of its network.
    @Test func fatFlowsOfTheNetwork() throws {
        func rules(_ kind: String) throws -> ConfigObject {
            let spec =
                kind == "Port"
                ? "network: blue, node: node1, mac: \"02:00:00:00:01:0a\", addresses: [10.1.0.10], interface: tap-blue-a"
                : "subnets: [{prefix: 10.1.0.0/24}], vni: 5001"
            let rule = kind == "Port" ? "{protocol: udp, port: 53}" : "{protocol: tcp, port: 80, ignoreAddress: remote}"
            return try YAMLDocuments.parse(
                text: "kind: \(kind)\nmetadata: {name: \(kind == "Port" ? "blue-a" : "blue")}\nspec: {\(spec), fatFlows: [\(rule)]}", source: "x")[0]
        }
        guard case .port(let port) = try rules("Port"), case .virtualNetwork(let network) = try rules("VirtualNetwork") else { return }
        var allocator = IdentifierAllocator()
        let state = DesiredState(Fixture.inputs(networks: [network], ports: [port, Fixture.redA]), allocator: &allocator)
        let vif = try #require(state.objects.values.first { if case .vif(let vif)? = $0.object { vif.name == "tap-blue-a" } else { false } }).vif
        #expect(
            vif.fatFlows.map(\.protocol) == [17, 6] && vif.fatFlows.map(\.port) == [53, 80] && vif.fatFlows.map(\.ignoredAddress) == [.none, .remote])
    }
}
