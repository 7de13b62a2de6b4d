import DataplaneAPI
import NetTypes
import Overlay
import SwiftProtobuf

/// Broadcast, unknown unicast and multicast (BUM) in networks that bridge: ingress replication, as EVPN does it (RFC 7432 section 11, RFC 8365 section 9).
///
/// A node with a port of such a network tells the others by an inclusive multicast route that it wants a copy, and under which VNI. Here the network's
/// broadcast entry leads to a composite next hop: the local ports, and a tunnel to each node that told such a route. Split horizon is the data plane's: what a
/// tunnel brings goes to local ports only. With the last local port the route, the entry and the next hop go.
///
/// Members that cannot be used yet (the neighbour is not resolved) are left out and come in later; the others do not wait for them.
extension DesiredState {
    mutating func addFlooding(_ inputs: Inputs, _ allocator: inout IdentifierAllocator) {
        var peers: [String: [RouteAdvertisement]] = [:]
        for (key, route) in inputs.routes where key.destination.isInclusiveMulticast { peers[key.vrf, default: []].append(route) }
        for (name, local) in bridgedPorts.sorted(by: { $0.key < $1.key }) {
            guard let network = inputs.networks[name], let vrf = vrfs[name], let vni = network.vni else { continue }
            guard let flood = allocator.nextHop(.flood(vrf)) else { continue }
            let far = members(of: network, peers[name] ?? [], inputs, &allocator)
            add(
                .nextHop(
                    flood,
                    .multicast(
                        .with {
                            $0.vrf = vrf.rawValue
                            $0.local = local.map(\.rawValue).sorted()
                            $0.evpn = far
                        })))
            add(.bridgeEntry(vrf, .broadcast, nextHop: flood))
            let own = IPAddress.v4(inputs.configuration.fabric.address)
            exports.append(
                Export(
                    route: RouteAdvertisement(
                        vrf: name, destination: .inclusiveMulticast(of: own),
                        nextHops: [.init(address: own, label: vni.rawValue, encapsulations: [.vxlan])]),
                    needs: [.vni(vni), .bridge(vrf, .broadcast)]))
        }
    }

    /// The tunnels to the nodes that want copies, in order, each once.
    private mutating func members(
        of network: VirtualNetwork, _ routes: [RouteAdvertisement], _ inputs: Inputs, _ allocator: inout IdentifierAllocator
    ) -> [Dataplane_V1_EcmpMember] {
        var labels: [NextHopID: UInt32] = [:]
        for route in routes.sorted(by: { $0.destination.description < $1.destination.description }) {
            for hop in route.nextHops {
                var single = route
                single.nextHops = [hop]
                guard let (nextHop, label) = tunnel(single, network, inputs, &allocator) else { continue }
                guard nextHop.encapsulation == .vxlan else { unusableRoutes += 1; continue }
                if labels[nextHop.id] == nil { labels[nextHop.id] = label }
            }
        }
        return labels.sorted { $0.key.rawValue < $1.key.rawValue }.map { id, label in
            .with {
                $0.nextHop = id.rawValue; $0.label = label
            }
        }
    }
}
