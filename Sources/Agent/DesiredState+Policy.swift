import DataplaneAPI
import NetTypes
import Overlay
import SwiftProtobuf

/// What a port's connections have to pass, as the policies and address groups that the data plane asks: one policy for each kind of object and direction, shared by the
/// ports of a network for which it is the same.
extension DesiredState {
    /// All of a list have to pass a connection.
    struct PortPolicies {
        var ingress: [PolicyID] = []
        var egress: [PolicyID] = []
    }

    /// Nil: there are no free numbers.
    mutating func addPolicies(
        of port: Overlay.Port, in network: VirtualNetwork, _ inputs: Inputs, _ allocator: inout IdentifierAllocator
    ) -> PortPolicies? {
        var policies = PortPolicies()
        if !port.securityGroups.isEmpty {
            let groups = port.securityGroups.sorted()
            guard let ingress = addPolicy(groups, \.ingress, "ingress", network: port.network, inputs, &allocator),
                let egress = addPolicy(groups, \.egress, "egress", network: port.network, inputs, &allocator)
            else { return nil }
            policies.ingress.append(ingress)
            policies.egress.append(egress)
        }
        if !network.policies.isEmpty {
            guard let ingress = addNetworkPolicy(of: network, isIngress: true, inputs, &allocator),
                let egress = addNetworkPolicy(of: network, isIngress: false, inputs, &allocator)
            else { return nil }
            policies.ingress.append(ingress)
            policies.egress.append(egress)
        }
        guard let ingress = addFirewall(of: port, isIngress: true, inputs, &allocator),
            let egress = addFirewall(of: port, isIngress: false, inputs, &allocator)
        else { return nil }
        policies.ingress += ingress
        policies.egress += egress
        return policies
    }

    private mutating func addPolicy(
        _ groups: [String], _ rules: KeyPath<SecurityGroup, [SecurityGroup.Rule]>, _ direction: String, network: String, _ inputs: Inputs,
        _ allocator: inout IdentifierAllocator
    ) -> PolicyID? {
        // No name has a '/' or a '+'.
        let name = "securityGroups/\(network)/\(groups.joined(separator: "+")):\(direction)"
        guard let id = allocator.policy(name) else { return nil }
        guard objects[.policy(id)] == nil else { return id }
        var policy = Dataplane_V1_Policy()
        policy.id = id.rawValue
        policy.name = name
        policy.origin = .securityGroup
        policy.defaultAction = .deny
        policy.cookie = agentCookie
        for group in groups {
            // A group that is not told yet lets nothing through.
            for (index, rule) in (inputs.securityGroups[group]?[keyPath: rules] ?? []).enumerated() {
                var message = Dataplane_V1_PolicyRule(rule, name: "\(group)/\(direction)[\(index)]")
                if case .group(let peer)? = rule.peer {
                    let members = addresses(inputs.securityGroupMembers[peer]?.networks ?? [], near: network, inputs)
                    guard let number = addGroup("securityGroups/\(network)/\(peer)", members, &allocator) else { return nil }
                    message.remote.group = number.rawValue
                }
                policy.rules.append(message)
            }
        }
        add(.with { $0.policy = policy })
        return id
    }

    /// A set of addresses that rules name.
    mutating func addGroup(_ name: String, _ addresses: [IPAddress], _ allocator: inout IdentifierAllocator) -> AddressGroupID? {
        guard let id = allocator.addressGroup(name) else { return nil }
        guard objects[.addressGroup(id)] == nil else { return id }
        add(
            .with {
                $0.addressGroup.id = id.rawValue
                $0.addressGroup.name = name
                $0.addressGroup.prefixes = addresses.map { Dataplane_V1_Prefix(IPPrefix(host: $0)) }
                $0.addressGroup.cookie = agentCookie
            })
        return id
    }
}

extension Dataplane_V1_PolicyRule {
    /// All but a group, whose number the caller knows.
    init(_ rule: SecurityGroup.Rule, name: String) {
        self.init()
        self.name = name
        action = .pass
        if case .prefixes(let list)? = rule.peer { remote.prefixes.prefixes = list.map { Dataplane_V1_Prefix($0) } }
        guard let proto = rule.proto else { return }
        service = Dataplane_V1_PolicyService(proto, ports: rule.ports, icmpType: rule.icmpType, icmpCode: rule.icmpCode)
    }
}

extension AgentConfiguration.FlowAgeing {
    var object: Dataplane_V1_FlowAgeing {
        .with {
            $0.protocol = UInt32(proto)
            $0.port = UInt32(port)
            $0.seconds = seconds
            $0.cookie = agentCookie
        }
    }
}

extension Dataplane_V1_AllowedAddressPair {
    init(_ pair: Overlay.Port.AllowedAddressPair) {
        self.init()
        prefix = Dataplane_V1_Prefix(pair.prefix)
        if let mac = pair.mac { self.mac = mac.octets }
    }
}
