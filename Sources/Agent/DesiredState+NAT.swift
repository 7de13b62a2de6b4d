import DataplaneAPI
import NetTypes
import Overlay
import SwiftProtobuf

/// Floating IPs and routers, as rules of the data plane and routes. Services are in `DesiredState+Services.swift`.
///
/// A floating IP and a router's address are routes of the external network to the nodes that translate for them. What comes there is translated before routes are asked; the
/// route says that the address is known (ARP), and that what is not translated goes nowhere. Each node says for itself that it has a router's address: who sends to it finds
/// one of them, and that one sends what is for another's ports on, by a VRF of its own for that node.
extension DesiredState {
    // MARK: - Floating IPs

    mutating func addFloatingIPs(_ inputs: Inputs, _ allocator: inout IdentifierAllocator) {
        let active = Dictionary(
            ports.compactMap { state in state.reason == nil && state.vif != nil ? state.binding.port.map { ($0.name, $0) } : nil }
        ) { first, _ in first }
        // The first by name of two in different networks is the one that a port's own connections come from.
        var sources: Set<IPAddressInVRF> = []
        for floating in inputs.floatingIPs {
            guard let port = active[floating.port], let inside = floating.inside(port), let vrf = vrfs[port.network],
                let external = vrfs[floating.network], let way = outsideWay(floating.network, external, inputs, &allocator),
                let incoming = allocator.natRule("floating/\(floating.name)/in")
            else { continue }
            addRule(incoming, "floating/\(floating.name)/in") {
                $0.destination.vrf = external.rawValue
                $0.destination.address = floating.address.octets
                $0.destination.affinity = .connection
                $0.destination.backends = [
                    .with {
                        $0.address = inside.octets
                        $0.vrf = vrf.rawValue
                    }
                ]
            }
            if sources.insert(IPAddressInVRF(vrf: vrf, address: inside)).inserted, let outgoing = allocator.natRule("floating/\(floating.name)/out") {
                addRule(outgoing, "floating/\(floating.name)/out") {
                    $0.source.vrf = vrf.rawValue
                    $0.source.prefix = Dataplane_V1_Prefix(IPPrefix(host: inside))
                    $0.source.outsideVrf = external.rawValue
                    $0.source.address = floating.address.octets
                }
            }
            addExternal(floating.address, floating.network, external, nextHop: .discard, way, needs: [.natRule(incoming)])
        }
    }

    private struct IPAddressInVRF: Hashable {
        var vrf: VRFID
        var address: IPAddress
    }

    // MARK: - Routers

    mutating func addRouters(_ inputs: Inputs, _ allocator: inout IdentifierAllocator) {
        let here = Set(ports.compactMap { $0.reason == nil && $0.vif != nil ? $0.binding.port?.network : nil })
        for router in inputs.routers {
            let networks = router.networks.filter { here.contains($0) }
            guard !networks.isEmpty, let external = vrfs[router.externalNetwork],
                let own = router.nodes.first(where: { $0.name == inputs.configuration.node }),
                let way = outsideWay(router.externalNetwork, external, inputs, &allocator),
                let gateway = allocator.nextHop(.receive(Self.fabricVif))
            else { continue }
            for isIPv4 in [true, false] {
                guard let share = router.share(own.block, isIPv4: isIPv4) else { continue }
                var needs: [TableKey] = []
                for network in networks {
                    let subnets = (inputs.networks[network]?.subnets ?? []).map(\.prefix).filter { $0.isIPv4 == isIPv4 }
                    for prefix in subnets {
                        let name = "router/\(router.name)/\(network)/\(prefix)"
                        guard let vrf = vrfs[network], let rule = allocator.natRule(name) else { continue }
                        addRule(rule, name) {
                            $0.source.vrf = vrf.rawValue
                            $0.source.prefix = Dataplane_V1_Prefix(prefix)
                            $0.source.outsideVrf = external.rawValue
                            $0.source.address = share.address.octets
                            $0.source.ports = Dataplane_V1_PortRange(share.ports)
                        }
                        needs.append(.natRule(rule))
                    }
                }
                guard !needs.isEmpty else { continue }
                addExternal(share.address, router.externalNetwork, external, nextHop: gateway, way, needs: needs)
                for node in router.nodes where node.name != own.name {
                    guard let theirs = router.share(node.block, isIPv4: isIPv4), theirs.address == share.address else { continue }
                    addRedirection(router, node, theirs, external, inputs, &allocator)
                }
            }
        }
    }

    /// What comes for the ports of another node goes there: by a VRF that has this one route.
    private mutating func addRedirection(
        _ router: NetworkRouter, _ node: NetworkRouter.Node, _ theirs: (address: IPAddress, ports: ClosedRange<UInt16>), _ external: VRFID,
        _ inputs: Inputs, _ allocator: inout IdentifierAllocator
    ) {
        // Their label for the external network is in the route that they tell; of VXLAN it is the network's own.
        guard let network = inputs.networks[router.externalNetwork] else { return }
        let destination = RouteAdvertisement.Destination.inet(IPPrefix(host: theirs.address))
        let told = inputs.routes[RouteStore.Key(vrf: router.externalNetwork, destination: destination)]?.nextHops.first { $0.address == node.address }
        var route: RouteAdvertisement?
        if let told {
            route = RouteAdvertisement(vrf: router.externalNetwork, destination: destination, nextHops: [told])
        } else if network.encapsulation == .vxlan, let vni = network.vni {
            let nextHop = RouteAdvertisement.NextHop(address: node.address, label: vni.rawValue, encapsulations: [.vxlan])
            route = RouteAdvertisement(vrf: router.externalNetwork, destination: destination, nextHops: [nextHop])
        }
        let name = "router/\(router.name)@\(node.name)"
        let family = theirs.address.isIPv4 ? "ipv4" : "ipv6"
        guard let route, let (nextHop, label) = tunnel(route, network, inputs, &allocator), let vrf = allocator.vrf(name),
            let rule = allocator.natRule("\(name)/\(family)")
        else { return }
        add(.vrf(vrf, name: name))
        add(.route(vrf, IPPrefix(host: theirs.address), nextHop: nextHop.id, label: label))
        addRule(rule, "\(name)/\(family)") {
            $0.destination.vrf = external.rawValue
            $0.destination.address = theirs.address.octets
            $0.destination.ports = Dataplane_V1_PortRange(theirs.ports)
            $0.destination.affinity = .connection
            $0.destination.backends = [.with { $0.vrf = vrf.rawValue }]
        }
    }

    // MARK: - Link-local services

    /// Their packets are the agent's own.
    mutating func addLinkLocalServices(_ inputs: Inputs, _ allocator: inout IdentifierAllocator) {
        for service in inputs.linkLocalServices {
            for (network, vrf) in vrfs where service.serves(network) {
                guard let gateway = allocator.nextHop(.receive(Self.fabricVif)) else { continue }
                add(.route(vrf, IPPrefix(host: service.address), nextHop: gateway, proxies: true))
            }
        }
    }

    // MARK: - Parts

    mutating func addRule(_ id: NATRuleID, _ name: String, _ fill: (inout Dataplane_V1_NatRule) -> Void) {
        var rule = Dataplane_V1_NatRule()
        rule.id = id.rawValue
        rule.name = name
        rule.cookie = agentCookie
        fill(&rule)
        natRules.append(rule)
        add(.with { $0.natRule = rule })
    }

    /// How others reach the external network here, and what of the tables that takes.
    private struct OutsideWay {
        var nextHop: RouteAdvertisement.NextHop
        var needs: TableKey
    }

    private mutating func outsideWay(
        _ name: String, _ vrf: VRFID, _ inputs: Inputs, _ allocator: inout IdentifierAllocator
    ) -> OutsideWay? {
        guard let network = inputs.networks[name] else { return nil }
        let own = IPAddress.v4(inputs.configuration.fabric.address)
        if network.encapsulation == .vxlan {
            guard let vni = network.vni else { return nil }
            return OutsideWay(nextHop: .init(address: own, label: vni.rawValue, encapsulations: [.vxlan]), needs: .vni(vni))
        }
        guard let nextHop = allocator.nextHop(.vrf(vrf)), let label = allocator.label(vrf) else { return nil }
        add(.nextHop(nextHop, .vrf(.with { $0.vrf = vrf.rawValue })))
        add(.label(label, nextHop: nextHop))
        return OutsideWay(nextHop: .init(address: own, label: label.rawValue, encapsulations: [.mplsOverUDP]), needs: .label(label))
    }

    /// An address of the external network that is translated here.
    private mutating func addExternal(
        _ address: IPAddress, _ network: String, _ vrf: VRFID, nextHop: NextHopID, _ way: OutsideWay, needs: [TableKey]
    ) {
        let prefix = IPPrefix(host: address)
        add(.route(vrf, prefix, nextHop: nextHop, proxies: true))
        exports.append(
            Export(
                route: RouteAdvertisement(vrf: network, destination: .inet(prefix), nextHops: [way.nextHop]),
                needs: needs + [way.needs, .route(vrf, prefix)]))
    }
}

extension Dataplane_V1_PortRange {
    init(_ range: ClosedRange<UInt16>) {
        self.init()
        first = UInt32(range.lowerBound)
        last = UInt32(range.upperBound)
    }
}
