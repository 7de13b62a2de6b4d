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
    static func bind(ports: [String: Overlay.Port], requests: [PortRequest], reserved: Set<String>) -> [PortBinding] {
        var bindings: [PortBinding] = []
        var unmatched = requests.sorted { $0.id < $1.id }
        for port in ports.values.sorted(by: { $0.name < $1.name }) {
            let uid = port.uid?.lowercased()
            var request: PortRequest?
            if let index = unmatched.firstIndex(where: { $0.id.lowercased() == uid || $0.id == port.name }) { request = unmatched.remove(at: index) }
            bindings.append(PortBinding(name: port.name, port: port, request: request, state: state(port, request)))
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

    private static func state(_ port: Overlay.Port, _ request: PortRequest?) -> State {
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
        if let interface = port.interface, interface != request.interface {
            return .waiting(reason: "posted system-name \(request.interface) is not the configured interface \(interface)")
        }
        return .active(interface: request.interface)
    }
}
