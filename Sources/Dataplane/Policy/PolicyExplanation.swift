import NetTypes

// Which rule decides, read from the rules as they were given: for people, not for packets.
extension PolicySpec {
    /// The action for a packet and the index of the rule that decides; nil: none matches, the default action holds.
    func decide(_ query: CompiledPolicy.Query, groups: PolicyCompiler.Groups) -> (action: PolicyAction, rule: Int?) {
        for (index, rule) in rules.enumerated() {
            guard rule.service.accepts(query), rule.remote.contains(query.remote, query.isIPv4, groups),
                rule.local.contains(query.local, query.isIPv4, groups)
            else { continue }
            return (rule.action, index)
        }
        return (defaultAction, nil)
    }
}

extension PolicyAddresses {
    fileprivate func contains(_ address: UInt128, _ isIPv4: Bool, _ groups: PolicyCompiler.Groups) -> Bool {
        let prefixes: [IPPrefix]
        switch self {
        case .any: return true
        case .prefixes(let given): prefixes = given
        case .group(let id): prefixes = groups(id)
        }
        let address: IPAddress =
            isIPv4
            ? .v4(IPv4Address(rawValue: UInt32(truncatingIfNeeded: address)))
            : .v6(IPv6Address(high: UInt64(truncatingIfNeeded: address >> 64), low: UInt64(truncatingIfNeeded: address)))
        return prefixes.contains { $0.contains(address) }
    }
}

extension PolicyService {
    fileprivate func accepts(_ query: CompiledPolicy.Query) -> Bool {
        switch self {
        case .any: return true
        case .proto(let proto): return query.proto == proto
        case .ports(let proto, let destination, let source):
            guard query.proto == proto else { return false }
            return (destination.isEmpty || destination.contains { $0.contains(query.destinationPort) })
                && (source.isEmpty || source.contains { $0.contains(query.sourcePort) })
        case .icmp(let proto, let type, let code):
            guard query.proto == proto, let type else { return query.proto == proto }
            return query.destinationPort >> 8 == UInt16(type) && (code == nil || query.destinationPort & 0xFF == code.map(UInt16.init))
        }
    }
}
