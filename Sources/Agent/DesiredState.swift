import DataplaneAPI
import NetTypes
import Overlay
import SwiftProtobuf

/// Everything the data plane should hold, and everything the controllers should hear: a pure function of the configuration, the
/// local ports, the received routes and the resolved fabric neighbours.
///
/// Layout: VRF 0 is the fabric; vif 0 the fabric interface, vif 1 the host's, workloads from 3 on. Per network a VRF, its VNI, and per
/// subnet the gateway (received) and the prefix (discarded, unless a longer route matches). Per local port a vif, next hops, a
/// label, host routes and its MAC. Per remote route a tunnel next hop, once its neighbour on the fabric is resolved. Per network that bridges and has a local
/// port, where its broadcasts go (`DesiredState+Flood.swift`).
///
/// Thread-safety: values.
struct DesiredState: Sendable {
    struct Inputs: Sendable {
        var configuration: AgentConfiguration
        /// Of the fabric interface; the host interface shares it.
        var fabricMAC: MACAddress
        var networks: [String: VirtualNetwork] = [:]
        var securityGroups: [String: SecurityGroup] = [:]
        var securityGroupMembers: [String: SecurityGroupMembers] = [:]
        var networkPolicies: [String: NetworkPolicy] = [:]
        var networkPeers: [String: NetworkPeers] = [:]
        var firewallPolicies: [FirewallPolicy] = []
        var floatingIPs: [FloatingIP] = []
        var services: [Service] = []
        var routers: [NetworkRouter] = []
        var linkLocalServices: [LinkLocalService] = []
        /// Local ports whose interface is down, of those that are backends of services.
        var downPorts: Set<String> = []
        var bindings: [PortBinding] = []
        var routes: [RouteStore.Key: RouteAdvertisement] = [:]
        /// Tunnel endpoint → MAC that frames for it go to; nil while it is not resolved.
        var resolve: @Sendable (IPv4Address) -> MACAddress? = { _ in nil }
        /// A tunnel endpoint that was asked and does not answer.
        var isSilent: @Sendable (IPv4Address) -> Bool = { _ in false }
    }
    struct PortState: Hashable, Sendable {
        var binding: PortBinding
        var vif: VifID?
        /// Why it is not in the data plane; nil: it should be.
        var reason: String?
    }
    /// A local route, to be told to the controllers once the data plane holds all of `needs`.
    struct Export: Hashable, Sendable {
        var route: RouteAdvertisement
        var needs: [TableKey]
    }

    private(set) var objects: [TableKey: TableObject] = [:]
    private(set) var ports: [PortState] = []
    var exports: [Export] = []
    /// Networks with a VRF here, to subscribe to. The VRF's number is the instance id.
    private(set) var vrfs: [String: VRFID] = [:]
    /// Tunnel endpoints to resolve.
    private(set) var endpoints: Set<IPv4Address> = []
    /// Those of them behind which services have backends.
    var backendEndpoints: Set<IPv4Address> = []
    /// Routes that cannot be programmed yet because their endpoint is not resolved.
    private(set) var unresolvedRoutes = 0
    /// Received routes that this router cannot use: no IPv4 endpoint, or a label out of range.
    var unusableRoutes = 0
    /// By network: the next hops that take a frame as it is to a local port.
    private(set) var bridgedPorts: [String: [NextHopID]] = [:]

    /// All rules of translation, as they are in `objects`.
    var natRules: [Dataplane_V1_NatRule] = []
    /// Addresses of local ports, for the networks connected with theirs.
    var leaks: [Leak] = []
    /// By port: the policies that select it, in the order of their names.
    private(set) var firewalls: [String: [FirewallPolicy]] = [:]

    static let fabricVif = VifID(0)
    static let hostVif = VifID(1)
    static let fabricVRF = VRFID(0)
    static let fabricVRFName = "fabric"

    init() {}

    init(_ inputs: Inputs, allocator: inout IdentifierAllocator) {
        allocator.beginRound()
        for policy in inputs.firewallPolicies.sorted(by: { $0.name < $1.name }) {
            for port in policy.ports { firewalls[port, default: []].append(policy) }
        }
        addNode(inputs)
        let byNetwork = Dictionary(grouping: inputs.bindings.filter { $0.port != nil }) { $0.port?.network ?? "" }
        for network in inputs.networks.values.sorted(by: { $0.name < $1.name }) {
            addNetwork(network, bindings: byNetwork[network.name] ?? [], inputs, &allocator)
        }
        for binding in inputs.bindings {
            guard let port = binding.port else { ports.append(PortState(binding: binding, reason: nil)); continue }
            if inputs.networks[port.network] == nil {
                ports.append(PortState(binding: binding, reason: "network \(port.network) is not in the configuration yet"))
            }
        }
        addLeaks(inputs)
        addFloatingIPs(inputs, &allocator)
        addRouters(inputs, &allocator)
        addRemoteRoutes(inputs, &allocator)
        addServices(inputs, &allocator)
        addLinkLocalServices(inputs, &allocator)
        addFlooding(inputs, &allocator)
    }

    mutating func add(_ object: TableObject) { if let key = TableKey(object) { objects[key] = object } }

    // MARK: - The node itself

    private mutating func addNode(_ inputs: Inputs) {
        let configuration = inputs.configuration, fabric = configuration.fabric
        add(.vrf(Self.fabricVRF, name: Self.fabricVRFName))
        add(.port(fabric.interface, driver: fabric.driver, index: Self.fabricVif, mtu: fabric.mtu, receive: fabric.receive))
        add(
            .with {
                $0.vif.id = Self.fabricVif.rawValue
                $0.vif.name = fabric.interface
                $0.vif.kind = .physical
                $0.vif.port = fabric.interface
                $0.vif.macAddress = inputs.fabricMAC
                $0.vif.ipAddresses = [.v4(fabric.address)]
                $0.vif.mtu = UInt32(clamping: fabric.mtu)
                $0.vif.checksTunnelSource = fabric.checksTunnelSource
                $0.vif.cookie = agentCookie
            })
        for ageing in configuration.flowAgeing { add(.with { $0.flowAgeing = ageing.object }) }
        guard let host = configuration.host else { return }
        add(.port(host.interface, driver: host.driver, index: Self.hostVif))
        add(
            .with {
                $0.vif.id = Self.hostVif.rawValue
                $0.vif.name = host.interface
                $0.vif.kind = .host
                $0.vif.port = host.interface
                $0.vif.macAddress = inputs.fabricMAC
                $0.vif.cookie = agentCookie
            })
    }

    // MARK: - Networks and their local ports

    private mutating func addNetwork(
        _ network: VirtualNetwork, bindings: [PortBinding], _ inputs: Inputs, _ allocator: inout IdentifierAllocator
    ) {
        guard let vrf = allocator.vrf(network.name), let vrfNextHop = allocator.nextHop(.vrf(vrf)),
            let gateway = allocator.nextHop(.receive(Self.fabricVif))
        else {
            ports += bindings.map { PortState(binding: $0, reason: "no free number for the VRF of network \(network.name)") }
            return
        }
        vrfs[network.name] = vrf
        let bridges = network.forwarding == .l2l3
        add(
            .vrf(
                vrf, name: network.name, floodsUnknownUnicast: bridges && network.floodUnknownUnicast, flowLimit: UInt32(clamping: network.flowLimit))
        )
        if network.encapsulation == .vxlan, let vni = network.vni {
            add(
                .nextHop(
                    vrfNextHop,
                    .vrf(
                        .with {
                            $0.vrf = vrf.rawValue; $0.bridges = bridges
                        })))
            add(.vni(vni, nextHop: vrfNextHop))
        }
        if !network.subnets.isEmpty { add(.nextHop(gateway, .receive(.with { $0.vif = Self.fabricVif.rawValue }))) }
        for subnet in network.subnets {
            add(.route(vrf, subnet.prefix, nextHop: .discard))
            add(.route(vrf, IPPrefix(host: subnet.gateway), nextHop: gateway, proxies: true))
        }
        for binding in bindings {
            guard let port = binding.port else { continue }
            guard case .active(let interface) = binding.state else { ports.append(PortState(binding: binding)); continue }
            addPort(port, binding, interface: interface, network: network, vrf: vrf, inputs, &allocator)
        }
    }

    private mutating func addPort(
        _ port: Overlay.Port, _ binding: PortBinding, interface: String, network: VirtualNetwork, vrf: VRFID, _ inputs: Inputs,
        _ allocator: inout IdentifierAllocator
    ) {
        guard let vif = allocator.vif(interface), let routed = allocator.nextHop(.encap(vif, isRouted: true)),
            let bridged = allocator.nextHop(.encap(vif, isRouted: false)), let label = allocator.label(vif)
        else {
            ports.append(PortState(binding: binding, reason: "no free vif, next hop or label number"))
            return
        }
        if network.encapsulation == .vxlan, network.vni == nil {
            ports.append(PortState(binding: binding, vif: vif, reason: "network \(network.name) has no VNI yet"))
            return
        }
        guard let policies = addPolicies(of: port, in: network, inputs, &allocator) else {
            ports.append(PortState(binding: binding, vif: vif, reason: "no free policy or address group number"))
            return
        }
        let bridges = network.forwarding == .l2l3
        add(.port(interface, driver: inputs.configuration.workloadDriver, index: vif, receive: inputs.configuration.workloadReceive))
        add(
            .with {
                $0.vif.id = vif.rawValue
                $0.vif.name = interface
                $0.vif.kind = .virtual
                $0.vif.port = interface
                $0.vif.vrf = vrf.rawValue
                $0.vif.macAddress = .gateway
                // The gateways this workload can see; a vif holds few addresses, a network may have many subnets.
                $0.vif.ipAddresses = network.subnets.filter { subnet in port.addresses.contains { subnet.prefix.contains($0) } }.map(\.gateway)
                $0.vif.workloadMACAddress = port.mac
                $0.vif.workloadIPAddresses = port.addresses
                $0.vif.mtu = UInt32(clamping: network.mtu ?? 0)
                $0.vif.keepsFlows = true
                $0.vif.bridges = bridges
                $0.vif.antispoof = inputs.configuration.antispoof && port.antispoof
                if $0.vif.antispoof { $0.vif.allowedPairs = port.allowedAddressPairs.map { Dataplane_V1_AllowedAddressPair($0) } }
                $0.vif.ingressPolicies = policies.ingress.map(\.rawValue)
                $0.vif.egressPolicies = policies.egress.map(\.rawValue)
                $0.vif.services = network.dhcp.enabled
                $0.vif.flowLimit = UInt32(clamping: port.flowLimit)
                $0.vif.flowRate = UInt32(clamping: port.flowRate)
                // The first that fits counts: a port's own go before its network's.
                $0.vif.fatFlows = (port.fatFlows + network.fatFlows).map(\.rule)
                $0.vif.cookie = agentCookie
            })
        add(
            .nextHop(
                routed,
                .encap(
                    .with {
                        $0.vif = vif.rawValue; $0.destination = port.mac; $0.sourceAddress = .gateway
                    })))
        add(.label(label, nextHop: routed))
        for address in port.addresses {
            add(.route(vrf, IPPrefix(host: address), nextHop: routed, proxies: true, mac: bridges ? port.mac : nil))
        }
        if bridges {
            add(
                .nextHop(
                    bridged,
                    .encap(
                        .with {
                            $0.vif = vif.rawValue; $0.sourceAddress = .gateway
                        })))
            add(.bridgeEntry(vrf, port.mac, nextHop: bridged))
            bridgedPorts[network.name, default: []].append(bridged)
        }
        ports.append(PortState(binding: binding, vif: vif))
        // Nobody is to send there what another backend can answer.
        guard !inputs.downPorts.contains(port.name) else { return }
        addExports(port, network: network, vrf: vrf, label: label, vif: vif, inputs)
    }

    /// Addresses, and MACs where the network bridges, with this node's tunnel endpoint as next hop.
    private mutating func addExports(
        _ port: Overlay.Port, network: VirtualNetwork, vrf: VRFID, label: Label, vif: VifID, _ inputs: Inputs
    ) {
        let isVXLAN = network.encapsulation == .vxlan
        guard let number = isVXLAN ? network.vni?.rawValue : label.rawValue else { return }
        let nextHop = RouteAdvertisement.NextHop(
            address: .v4(inputs.configuration.fabric.address), label: number, encapsulations: [isVXLAN ? .vxlan : .mplsOverUDP], mac: port.mac)
        let incoming: TableKey = isVXLAN ? .vni(VNI(number)) : .label(label)
        for address in port.addresses {
            let prefix = IPPrefix(host: address)
            let needs: [TableKey] = [.vif(vif), incoming, .route(vrf, prefix)]
            leaks.append(Leak(network: network.name, prefix: prefix, route: .route(vrf, prefix), nextHop: nextHop, needs: needs))
            exports.append(Export(route: RouteAdvertisement(vrf: network.name, destination: .inet(prefix), nextHops: [nextHop]), needs: needs))
            if network.forwarding == .l2l3 {
                exports.append(
                    Export(
                        route: RouteAdvertisement(vrf: network.name, destination: .evpn(port.mac, prefix), nextHops: [nextHop]),
                        needs: needs + [.bridge(vrf, port.mac)]))
            }
        }
    }

    // MARK: - Remote routes

    private mutating func addRemoteRoutes(_ inputs: Inputs, _ allocator: inout IdentifierAllocator) {
        /// Where remote MACs are: the answer to ARP for an address is its owner's MAC only when frames for that MAC can be bridged.
        var owners: [TableKey: MACAddress] = [:]
        // A MAC may be told with several addresses: all of one owner, or of two while the workload moves. The latest word decides.
        var macs: [TableKey: (route: RouteAdvertisement, prefixes: [IPPrefix])] = [:]
        for (key, route) in inputs.routes {
            guard case .evpn(let mac, let prefix) = key.destination, let vrf = vrfs[key.vrf], inputs.networks[key.vrf]?.forwarding == .l2l3,
                objects[.bridge(vrf, mac)] == nil, !key.destination.isInclusiveMulticast
            else { continue }
            // A group has many places, and only the one of all groups is told here.
            guard !mac.isMulticast else { unusableRoutes += 1; continue }
            let entry = macs[.bridge(vrf, mac)]
            let isBetter = entry.map { RouteStore.precedes(route, $0.route) ?? false } ?? true
            macs[.bridge(vrf, mac)] = (isBetter ? route : entry?.route ?? route, (entry?.prefixes ?? []) + [prefix].compactMap { $0 })
        }
        for (key, entry) in macs {
            guard case .bridge(let vrf, let mac) = key, let network = inputs.networks[entry.route.vrf],
                let (nextHop, label) = tunnel(entry.route, network, inputs, &allocator)
            else { continue }
            guard nextHop.encapsulation == .vxlan else { unusableRoutes += 1; continue }
            add(.bridgeEntry(vrf, mac, nextHop: nextHop.id, label: label))
            for prefix in entry.prefixes { owners[.route(vrf, prefix)] = mac }
        }
        for (key, route) in inputs.routes {
            guard case .inet(let prefix) = key.destination, let network = inputs.networks[key.vrf], let vrf = vrfs[key.vrf] else { continue }
            // What is here is nearer than what is told: a local route stands. Only the subnet's own discard gives way.
            if case .route(let local)? = objects[.route(vrf, prefix)]?.object, local.nextHop != NextHopID.discard.rawValue { continue }
            guard let (nextHop, label) = tunnel(route, network, inputs, &allocator) else { continue }
            add(.route(vrf, prefix, nextHop: nextHop.id, label: label, proxies: prefix.isHost, mac: owners[.route(vrf, prefix)]))
        }
    }

    /// The tunnel next hop of a received route, and the label or VNI to push. Counts and skips what cannot be used.
    mutating func tunnel(
        _ route: RouteAdvertisement, _ network: VirtualNetwork, _ inputs: Inputs, _ allocator: inout IdentifierAllocator
    ) -> ((id: NextHopID, encapsulation: RouteAdvertisement.Encapsulation), UInt32)? {
        let own = inputs.configuration.fabric.address
        for nextHop in route.nextHops.sorted(by: { $0.address < $1.address }) {
            guard case .v4(let endpoint) = nextHop.address, endpoint != own, !endpoint.isMulticast, endpoint != .any else { continue }
            let preferred: RouteAdvertisement.Encapsulation = network.encapsulation == .vxlan ? .vxlan : .mplsOverUDP
            guard
                let encapsulation = nextHop.encapsulations.contains(preferred) || nextHop.encapsulations.isEmpty
                    ? preferred : nextHop.encapsulations.first,
                encapsulation == .vxlan
                    ? (1...VNI.maximum).contains(nextHop.label) : (Label.firstUnreserved...Label.maximum).contains(nextHop.label)
            else { continue }
            endpoints.insert(endpoint)
            guard inputs.resolve(endpoint) != nil else { unresolvedRoutes += 1; return nil }
            let kind: Dataplane_V1_Encapsulation =
                switch encapsulation {
                case .vxlan: .vxlan
                case .mplsOverUDP: .mplsOverUdp
                case .mplsOverGRE: .mplsOverGre
                }
            return tunnel(to: endpoint, kind, inputs, &allocator).map { (($0, encapsulation), nextHop.label) }
        }
        unusableRoutes += 1
        return nil
    }

    /// Nil: the endpoint is not resolved yet, or there is no free number.
    mutating func tunnel(
        to endpoint: IPv4Address, _ kind: Dataplane_V1_Encapsulation, _ inputs: Inputs, _ allocator: inout IdentifierAllocator
    ) -> NextHopID? {
        endpoints.insert(endpoint)
        guard let mac = inputs.resolve(endpoint), let id = allocator.nextHop(.tunnel(.v4(endpoint), kind)) else { return nil }
        if objects[.nextHop(id)] == nil {
            add(
                .nextHop(
                    id,
                    .tunnel(
                        .with {
                            $0.encapsulation = kind
                            $0.sourceAddress = .v4(inputs.configuration.fabric.address)
                            $0.destinationAddress = .v4(endpoint)
                            $0.vif = Self.fabricVif.rawValue
                            $0.destinationMac = mac.octets
                            $0.sourceMac = inputs.fabricMAC.octets
                            $0.routerMac = MACAddress.gateway.octets
                        })))
        }
        return id
    }
}
