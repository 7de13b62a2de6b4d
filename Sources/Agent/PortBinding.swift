import Foundation
import NetTypes
import Overlay

/// The two-phase rule: a port is active when both its configuration has come from the controller and its interface is known here,
/// in whichever order. The interface is told by `POST /port`, or by the configuration's own `interface`.
struct PortBinding: Hashable, Sendable {
    enum State: Hashable, Sendable {
        case active(interface: String)
        case waiting(reason: String)
    }
    /// The configured name; for a posted port without configuration its id.
    var name: String
    var port: Overlay.Port?
    var request: PortRequest?
    var state: State

    /// Pairs configured and posted ports. `reserved` interfaces (fabric, host) are not for workloads.
    /// The result is in name order; of two ports that claim one interface the first keeps it.
    /// `networks`: those that are known here, by name.
    static func bind(
        ports: [String: Overlay.Port], requests: [PortRequest], reserved: Set<String>, networks: [String: VirtualNetwork] = [:]
    ) -> [PortBinding] {
        var bindings: [PortBinding] = []
        var unmatched = requests.sorted { $0.id < $1.id }
        for port in ports.values.sorted(by: { $0.name < $1.name }) {
            let uid = port.uid?.lowercased()
            var request: PortRequest?
            if let index = unmatched.firstIndex(where: { $0.id.lowercased() == uid || $0.id == port.name }) { request = unmatched.remove(at: index) }
            bindings.append(PortBinding(name: port.name, port: port, request: request, state: state(port, request, networks)))
        }
        for request in unmatched {
            bindings.append(
                PortBinding(
                    name: request.id, port: nil, request: request, state: .waiting(reason: "no Port of this id or name in the configuration yet")))
        }
        var owners: [String: String] = [:]
        for index in bindings.indices {
            guard case .active(let interface) = bindings[index].state else { continue }
            if reserved.contains(interface) {
                bindings[index].state = .waiting(reason: "interface \(interface) is the node's own (fabric or host)")
            } else if let owner = owners[interface] {
                bindings[index].state = .waiting(reason: "interface \(interface) is already used by port \(owner)")
            } else {
                owners[interface] = bindings[index].name
            }
        }
        return bindings
    }

    private static func state(_ port: Overlay.Port, _ request: PortRequest?, _ networks: [String: VirtualNetwork]) -> State {
        guard let request else {
            guard let interface = port.interface else { return .waiting(reason: "no interface yet: POST /port with id \(port.uid ?? port.name)") }
            return .active(interface: interface)
        }
        // What was posted must agree with the configuration: forwarding for another MAC or address would only lose packets.
        if let mac = request.mac, mac != port.mac { return .waiting(reason: "posted mac-address \(mac) is not the configured \(port.mac)") }
        for address in request.addresses where !port.addresses.contains(address) {
            return .waiting(
                reason: "posted address \(address) is not among the configured \(port.addresses.map(\.description).joined(separator: ", "))")
        }
        if let reason = contradiction(request.network, port, networks) { return .waiting(reason: reason) }
        if let interface = port.interface, interface != request.interface {
            return .waiting(reason: "posted system-name \(request.interface) is not the configured interface \(interface)")
        }
        return .active(interface: request.interface)
    }

    /// Why the network that was posted is not the port's. It is a name or a UUID; a UUID that is no known network's uid says nothing: orchestrators have UUIDs of their own.
    private static func contradiction(_ posted: String?, _ port: Overlay.Port, _ networks: [String: VirtualNetwork]) -> String? {
        guard let posted, posted != port.network else { return nil }
        guard UUID(uuidString: posted) != nil else { return "posted vn-id \(posted) is not the configured network \(port.network)" }
        let named = networks.values.first { $0.uid?.lowercased() == posted.lowercased() }
        guard let named, named.name != port.network else { return nil }
        return "posted vn-id \(posted) is network \(named.name), not the configured network \(port.network)"
    }
}
