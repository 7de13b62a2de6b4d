import DataplaneAPI
import NetTypes
import Overlay
import SwiftProtobuf

/// Services as rules of the data plane, and which of their backends take new connections.
///
/// A backend takes none, and keeps those that it has, while its address has no route (its port is not attached, or not active, or nobody tells of it), while the link of its
/// interface is down (the agent of its node then tells nobody of it, and knows it itself), and while its node does not answer on the fabric. The last is a guess, made
/// every few seconds for nodes with backends; it counts only while there are others to take.
extension DesiredState {
    /// After the routes: they say which backends there are.
    mutating func addServices(_ inputs: Inputs, _ allocator: inout IdentifierAllocator) {
        for service in inputs.services {
            guard let gateway = allocator.nextHop(.receive(Self.fabricVif)) else { continue }
            for network in service.networks {
                guard let vrf = vrfs[network] else { continue }
                let prefix = network == service.network ? "service/\(service.name)" : "service/\(service.name)@\(network)"
                for address in service.addresses {
                    let states = service.members.compactMap { backend($0, isIPv4: address.isIPv4, vrfs[service.network], vrf, inputs) }
                    for port in service.ports {
                        let name = "\(prefix)/\(address)/\(port.transport.rawValue)/\(port.port)"
                        guard let rule = allocator.natRule(name) else { continue }
                        addRule(rule, name) {
                            $0.destination.vrf = vrf.rawValue
                            $0.destination.address = address.octets
                            $0.destination.protocol = UInt32(port.transport.number)
                            $0.destination.ports = Dataplane_V1_PortRange(port.port...port.port)
                            $0.destination.affinity = service.affinity == .client ? .client : .connection
                            $0.destination.backends = Self.backends(states, port)
                        }
                    }
                    add(.route(vrf, IPPrefix(host: address), nextHop: gateway, proxies: true))
                }
            }
        }
    }

    private struct Backend {
        enum State { case up, silent, down }
        var member: Service.Member
        var address: IPAddress
        var state: State
        /// Where its packets are routed, and its answers come in: for one that is attached here that is its own network's, of whatever network the client is.
        var vrf: VRFID
    }

    /// Nil: it has no address of the family.
    private mutating func backend(_ member: Service.Member, isIPv4: Bool, _ own: VRFID?, _ vrf: VRFID, _ inputs: Inputs) -> Backend? {
        guard let address = member.addresses.first(where: { $0.isIPv4 == isIPv4 }) else { return nil }
        guard case .route(let route)? = objects[.route(vrf, IPPrefix(host: address))]?.object else {
            return Backend(member: member, address: address, state: .down, vrf: vrf)
        }
        var backend = Backend(member: member, address: address, state: inputs.downPorts.contains(member.name) ? .down : .up, vrf: vrf)
        if case .tunnel(let tunnel)? = objects[.nextHop(NextHopID(route.nextHop))]?.nextHop.kind {
            guard case .v4(let endpoint)? = tunnel.destinationAddress else { return backend }
            backendEndpoints.insert(endpoint)
            if backend.state == .up, inputs.isSilent(endpoint) { backend.state = .silent }
        } else {
            backend.vrf = own ?? vrf
        }
        return backend
    }

    private static func backends(_ states: [Backend], _ port: Service.Port) -> [Dataplane_V1_NatBackend] {
        let all = states.compactMap { backend in backend.member.number(port).map { (backend, $0) } }
        let hasOthers = all.contains { $0.0.state == .up }
        return all.map { backend, number in
            .with {
                $0.address = backend.address.octets
                $0.port = UInt32(number)
                $0.vrf = backend.vrf.rawValue
                $0.draining = backend.state == .down || (backend.state == .silent && hasOthers)
            }
        }
    }
}
