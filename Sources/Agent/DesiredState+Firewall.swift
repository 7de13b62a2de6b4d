import DataplaneAPI
import NetTypes
import Overlay
import SwiftProtobuf

/// Policies by labels, resolved by the controller: what all those that select a port allow in a direction is one policy of the data plane, which denies the rest.
extension DesiredState {
    /// Nil: there are no free numbers. Empty: no policy selects the port for this direction.
    mutating func addFirewall(of port: Overlay.Port, isIngress: Bool, _ inputs: Inputs, _ allocator: inout IdentifierAllocator) -> [PolicyID]? {
        let direction = isIngress ? "ingress" : "egress"
        let given = (firewalls[port.name] ?? []).filter { (isIngress ? $0.ingress : $0.egress) != nil }
        guard !given.isEmpty else { return [] }
        let name = "kubernetes/\(port.network):\(given.map(\.name).joined(separator: "+")):\(direction)"
        guard let id = allocator.policy(name) else { return nil }
        guard objects[.policy(id)] == nil else { return [id] }
        var policy = Dataplane_V1_Policy()
        policy.id = id.rawValue
        policy.name = name
        policy.origin = .firewall
        policy.defaultAction = .deny
        policy.cookie = agentCookie
        for firewall in given {
            for (ordinal, rule) in ((isIngress ? firewall.ingress : firewall.egress) ?? []).enumerated() {
                var message = Dataplane_V1_PolicyRule()
                message.name = "\(firewall.name)/\(direction)[\(rule.index)]"
                message.action = .pass
                if let local = Dataplane_V1_PolicyAddresses(rule.local.map { IPPrefix(host: $0) }) { message.local = local }
                switch rule.peer {
                case .any: break
                case .prefixes(let list): message.remote.prefixes.prefixes = list.map { Dataplane_V1_Prefix($0) }
                case .members(let networks):
                    let key = "kubernetes/\(port.network):\(firewall.name)/\(direction)[\(ordinal)]"
                    guard let group = addGroup(key, addresses(networks, near: port.network, inputs), &allocator) else { return nil }
                    message.remote.group = group.rawValue
                }
                if let proto = rule.proto { message.service = Dataplane_V1_PolicyService(proto, ports: rule.ports) }
                policy.rules.append(message)
            }
        }
        add(.with { $0.policy = policy })
        return [id]
    }

    /// Those of a network and of the networks connected with it: they have no address in common.
    func addresses(_ networks: [SecurityGroupMembers.Network], near network: String, _ inputs: Inputs) -> [IPAddress] {
        let connected = inputs.networkPeers[network]?.connected.map(\.name) ?? []
        return networks.filter { $0.name == network || connected.contains($0.name) }.flatMap(\.addresses)
    }
}
