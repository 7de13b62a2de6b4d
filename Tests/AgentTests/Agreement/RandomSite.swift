import NetTypes

/// A random site: three networks, ports on two nodes, and objects of every kind that becomes a policy. It is written as an operator would, and it says itself who may speak to whom,
/// in the words of the documentation and with none of the product's rules: no object, no compiled policy, no address group.
struct RandomSite {
    struct Port {
        var name: String
        var network: Int
        var isHere: Bool
        var addresses: [IPAddress]
        var mac: String
        var groups: [Int]
        var namespace: String
        var labels: [String: String]
        /// Of TCP, called `web`.
        var web: UInt16?
    }
    enum Peer {
        case any
        case prefix(IPPrefix)
        case group(Int)
        case network(Int)
        /// Ports by labels: of namespaces with this name (nil: the policy's own), with this role (nil: all).
        case pods(namespace: String?, role: String?)
    }
    struct Service {
        var proto: UInt8?
        var ports: ClosedRange<UInt16>?
        var icmpType: UInt8?
        /// A port by its name, in place of numbers.
        var isNamed = false
    }
    struct GroupRule { var service: Service, peer: Peer }
    struct NetworkRule {
        var passes: Bool, isBothWays: Bool, service: Service, sourcePorts: ClosedRange<UInt16>?
        var source: Peer, destination: Peer
    }
    struct PodRule { var services: [Service], peers: [Peer] }
    struct PodPolicy {
        var namespace: String, role: String?
        var ingress: [PodRule]?, egress: [PodRule]?
    }
    struct Flow: Hashable {
        var source: IPAddress, destination: IPAddress, proto: UInt8, sourcePort: UInt16, destinationPort: UInt16
        /// ICMP and ICMPv6, with code 0.
        var type: UInt8
    }

    var ports: [Port] = []
    var groups: [(ingress: [GroupRule], egress: [GroupRule])] = []
    var policies: [[NetworkRule]] = []
    /// By network: the numbers of its policies, in order.
    var attached: [[Int]] = []
    var podPolicies: [PodPolicy] = []
    static let prefixes = [
        "10.1.0.0/24", "10.1.0.8/29", "10.0.0.0/8", "10.2.0.11/32", "0.0.0.0/0", "fd00:1::/64", "fd00:2::b/128", "::/0", "10.3.0.0/25", "fd00::/16",
        "10.3.0.12/31", "192.0.2.0/24",
    ].map { IPPrefix($0)! }
    static func subnets(_ network: Int) -> [IPPrefix] { [IPPrefix("10.\(network + 1).0.0/24")!, IPPrefix("fd00:\(network + 1)::/64")!] }

    init(_ random: inout some RandomNumberGenerator) {
        func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
        func prefix() -> IPPrefix { Self.prefixes.randomElement(using: &random)! }
        func range() -> ClosedRange<UInt16> {
            let first = UInt16.random(in: 78...84, using: &random)
            return first...first + UInt16.random(in: 0...3, using: &random)
        }
        func service(_ protocols: [UInt8?]) -> Service {
            let proto = protocols.randomElement(using: &random)!
            var service = Service(proto: proto)
            if let proto, [6, 17].contains(proto), chance(70) { service.ports = range() }
            if proto == 1, chance(60) { service.icmpType = chance(50) ? 8 : 13 }
            if proto == 58, chance(60) { service.icmpType = chance(50) ? 128 : 139 }
            return service
        }
        let everything: [UInt8?] = [nil, 6, 6, 6, 17, 1, 58, 47]
        for index in 0..<3 {
            func rules() -> [GroupRule] {
                (0..<Int.random(in: 0...5, using: &random)).map { _ in
                    if chance(20) { return GroupRule(service: Service(), peer: .any) }
                    let peer: Peer = chance(40) ? .group(Int.random(in: 0..<3, using: &random)) : chance(50) ? .prefix(prefix()) : .any
                    return GroupRule(service: service(everything), peer: peer)
                }
            }
            groups.append((rules(), index == 0 ? [GroupRule(service: Service(), peer: .any)] : rules()))
        }
        for _ in 0..<2 {
            func end() -> Peer { chance(55) ? .network(Int.random(in: 0..<3, using: &random)) : chance(50) ? .prefix(prefix()) : .any }
            policies.append(
                (0..<Int.random(in: 1...5, using: &random)).map { _ in
                    let service = service(everything)
                    let hasPorts = service.proto == 6 || service.proto == 17
                    return NetworkRule(
                        passes: chance(88), isBothWays: chance(50), service: service, sourcePorts: hasPorts && chance(20) ? 1000...30_000 : nil,
                        source: end(), destination: end())
                })
        }
        attached = (0..<3).map { _ in [0, 1].filter { _ in chance(60) } }
        for _ in 0..<2 {
            func rules() -> [PodRule] {
                (0..<Int.random(in: 0...3, using: &random)).map { _ in
                    let peers: [Peer] = (0..<Int.random(in: 0...2, using: &random)).map { _ in
                        if chance(30) { return .prefix(prefix()) }
                        return .pods(
                            namespace: chance(40) ? ["default", "shop"].randomElement(using: &random)! : nil,
                            role: chance(70) ? ["web", "db"].randomElement(using: &random)! : nil)
                    }
                    let services = (0..<Int.random(in: 0...2, using: &random)).map { _ in
                        chance(35) ? Service(proto: 6, isNamed: true) : Service(proto: chance(70) ? 6 : 17, ports: chance(70) ? range() : nil)
                    }
                    return PodRule(services: services, peers: peers)
                }
            }
            var policy = PodPolicy(
                namespace: chance(60) ? "default" : "shop", role: chance(85) ? ["web", "db"].randomElement(using: &random)! : nil,
                ingress: chance(60) ? rules() : nil, egress: chance(30) ? rules() : nil)
            // A policy is about something: where nothing is said, about what comes in.
            if policy.ingress == nil, policy.egress == nil { policy.ingress = [] }
            podPolicies.append(policy)
        }
        for index in 0..<9 {
            let network = index % 3
            ports.append(
                Port(
                    name: "p\(index)", network: network, isHere: index != 4 && index != 8,
                    addresses: [
                        IPAddress("10.\(network + 1).0.\(10 + index)")!, IPAddress("fd00:\(network + 1)::\(String(10 + index, radix: 16))")!,
                    ],
                    mac: "02:00:00:00:01:0\(index)", groups: chance(65) ? [] : [0, 1, 2].filter { _ in chance(40) },
                    namespace: chance(70) ? "default" : "shop", labels: chance(80) ? ["role": chance(50) ? "web" : "db"] : [:],
                    web: chance(60) ? UInt16.random(in: 79...82, using: &random) : nil))
        }
    }

    /// From a port here to one that is here or elsewhere, or to nobody; rarely from an address that is not the port's.
    func flow(_ random: inout some RandomNumberGenerator) -> (sender: Port, flow: Flow) {
        let sender = ports.filter(\.isHere).randomElement(using: &random)!, isIPv6 = Bool.random(using: &random)
        // Within a network twice as often.
        let others = ports.filter { $0.name != sender.name } + ports.filter { $0.name != sender.name && $0.network == sender.network }
        let other = others.randomElement(using: &random)!, kind = Int.random(in: 0..<20, using: &random)
        let index = isIPv6 ? 1 : 0
        let nobody = IPAddress(isIPv6 ? "fd00:\(other.network + 1)::99" : "10.\(other.network + 1).0.99")!
        let proto: UInt8 = [6, 6, 6, 6, 17, 17, isIPv6 ? 58 : 1, 47].randomElement(using: &random)!
        let type: UInt8 = proto == 1 ? (Bool.random(using: &random) ? 8 : 13) : proto == 58 ? (Bool.random(using: &random) ? 128 : 139) : 0
        let hasPorts = proto == 6 || proto == 17
        return (
            sender,
            Flow(
                source: kind == 0 ? other.addresses[index] : sender.addresses[index], destination: kind == 1 ? nobody : other.addresses[index],
                proto: proto, sourcePort: hasPorts ? UInt16.random(in: 1...60_000, using: &random) : 0,
                destinationPort: hasPorts ? UInt16.random(in: 77...88, using: &random) : 0, type: type)
        )
    }
}

// MARK: - Who may speak to whom

extension RandomSite {
    enum Verdict: Equatable { case forwarded, spoofed, egress, ingress, unreachable }

    func port(_ address: IPAddress) -> Port? { ports.first { $0.addresses.contains(address) } }

    func verdict(_ sender: Port, _ flow: Flow) -> Verdict {
        if !sender.addresses.contains(flow.source) { return .spoofed }
        if !allows(sender, flow, isIngress: false) { return .egress }
        guard let receiver = port(flow.destination), receiver.isHere,
            receiver.network == sender.network || areConnected(receiver.network, sender.network)
        else { return .unreachable }
        return allows(receiver, flow, isIngress: true) ? .forwarded : .ingress
    }

    private func areConnected(_ a: Int, _ b: Int) -> Bool { joins(a, b) && joins(b, a) }
    private func joins(_ a: Int, _ b: Int) -> Bool {
        func covers(_ end: Peer, _ network: Int) -> Bool {
            switch end {
            case .any: true
            case .network(let other): other == network
            default: false
            }
        }
        return !attached[b].isEmpty
            && attached[a].contains { policy in
                policies[policy].contains { rule in
                    rule.passes
                        && (covers(rule.source, a) && covers(rule.destination, b) || covers(rule.destination, a) && covers(rule.source, b))
                }
            }
    }

    private func allows(_ port: Port, _ flow: Flow, isIngress: Bool) -> Bool {
        let far = isIngress ? flow.source : flow.destination
        return groupsAllow(port, flow, far, isIngress) && networkAllows(port, flow, far) && podsAllow(port, flow, far, isIngress)
    }

    private func fits(_ service: Service, _ flow: Flow) -> Bool {
        guard service.proto == nil || service.proto == flow.proto else { return false }
        if let ports = service.ports, !ports.contains(flow.destinationPort) { return false }
        return service.icmpType == nil || service.icmpType == flow.type
    }

    /// A port that this one's rules may mean: of its network, or one connected with it.
    private func isNear(_ other: Port, _ port: Port) -> Bool { other.network == port.network || areConnected(other.network, port.network) }

    private func groupsAllow(_ port: Port, _ flow: Flow, _ far: IPAddress, _ isIngress: Bool) -> Bool {
        if port.groups.isEmpty { return true }
        for group in port.groups {
            for rule in isIngress ? groups[group].ingress : groups[group].egress where fits(rule.service, flow) {
                switch rule.peer {
                case .any: return true
                case .prefix(let prefix): if prefix.contains(far) { return true }
                case .group(let number):
                    if let other = self.port(far), other.groups.contains(number), isNear(other, port) { return true }
                case .network, .pods: break
                }
            }
        }
        return false
    }

    private func networkAllows(_ port: Port, _ flow: Flow, _ far: IPAddress) -> Bool {
        func isIn(_ end: Peer, _ address: IPAddress) -> Bool {
            switch end {
            case .any: true
            case .network(let network): Self.subnets(network).contains { $0.contains(address) }
            case .prefix(let prefix): prefix.contains(address)
            case .group, .pods: false
            }
        }
        func isOpen(_ range: ClosedRange<UInt16>?, _ port: UInt16) -> Bool { range == nil || range!.contains(port) }
        if attached[port.network].isEmpty { return true }
        for policy in attached[port.network] {
            for rule in policies[policy] {
                guard rule.service.proto == nil || rule.service.proto == flow.proto,
                    rule.service.icmpType == nil || rule.service.icmpType == flow.type
                else { continue }
                let isForward =
                    isIn(rule.source, flow.source) && isIn(rule.destination, flow.destination) && isOpen(rule.sourcePorts, flow.sourcePort)
                    && isOpen(rule.service.ports, flow.destinationPort)
                let isBackward =
                    rule.isBothWays && isIn(rule.destination, flow.source) && isIn(rule.source, flow.destination)
                    && isOpen(rule.service.ports, flow.sourcePort) && isOpen(rule.sourcePorts, flow.destinationPort)
                if isForward || isBackward { return rule.passes }
            }
        }
        if Self.subnets(port.network).contains(where: { $0.contains(far) }) { return true }
        return !(0..<3).contains { other in
            other != port.network && areConnected(other, port.network) && Self.subnets(other).contains { $0.contains(far) }
        }
    }

    private func podsAllow(_ port: Port, _ flow: Flow, _ far: IPAddress, _ isIngress: Bool) -> Bool {
        let selecting = podPolicies.filter {
            $0.namespace == port.namespace && ($0.role == nil || port.labels["role"] == $0.role) && (isIngress ? $0.ingress : $0.egress) != nil
        }
        if selecting.isEmpty { return true }
        return selecting.contains { policy in
            ((isIngress ? policy.ingress : policy.egress) ?? []).contains { rule in
                let isPeer =
                    rule.peers.isEmpty
                    || rule.peers.contains { peer in
                        switch peer {
                        case .prefix(let prefix): return prefix.contains(far)
                        case .pods(let namespace, let role):
                            guard let other = self.port(far), isNear(other, port) else { return false }
                            return other.namespace == namespace ?? policy.namespace && (role == nil || other.labels["role"] == role)
                        case .any, .group, .network: return false
                        }
                    }
                let isService =
                    rule.services.isEmpty
                    || rule.services.contains { service in
                        guard service.isNamed else { return fits(service, flow) }
                        let listener = isIngress ? port : self.port(far)
                        guard let listener, isIngress || isNear(listener, port) else { return false }
                        return flow.proto == 6 && listener.web == flow.destinationPort
                    }
                return isPeer && isService
            }
        }
    }
}

// MARK: - As an operator writes it

extension RandomSite {
    var yaml: String {
        var documents = (1...2).map { "kind: ComputeNode\nmetadata: {name: node\($0)}\nspec: {address: 10.0.0.1\($0)}\n" }
        for (index, rules) in policies.enumerated() {
            documents.append("kind: NetworkPolicy\nmetadata: {name: q\(index)}\nspec: {rules: [\(rules.map(text).joined(separator: ", "))]}\n")
        }
        for network in 0..<3 {
            let subnets = Self.subnets(network).map { "{prefix: \"\($0)\"}" }.joined(separator: ", ")
            documents.append(
                "kind: VirtualNetwork\nmetadata: {name: n\(network)}\nspec: {subnets: [\(subnets)], forwarding: l3, policies: [\(attached[network].map { "q\($0)" }.joined(separator: ", "))]}\n"
            )
        }
        for (index, group) in groups.enumerated() {
            func rules(_ list: [GroupRule], _ key: String) -> String {
                list.map { "{" + (text($0.service) + text($0.peer, key)).joined(separator: ", ") + "}" }.joined(separator: ", ")
            }
            documents.append(
                "kind: SecurityGroup\nmetadata: {name: g\(index)}\nspec: {ingress: [\(rules(group.ingress, "from"))], egress: [\(rules(group.egress, "to"))]}\n"
            )
        }
        for (index, policy) in podPolicies.enumerated() { documents.append(text(policy, index)) }
        for port in ports {
            documents.append(
                """
                kind: Port
                metadata: {name: \(port.name), namespace: \(port.namespace), labels: {\(port.labels.map { "\($0.key): \($0.value)" }.joined())}}
                spec: {network: n\(port.network), node: node\(port.isHere ? 1 : 2), mac: "\(port.mac)", addresses: [\(port.addresses.map { "\"\($0)\"" }.joined(separator: ", "))],
                  interface: t-\(port.name), securityGroups: [\(port.groups.map { "g\($0)" }.joined(separator: ", "))],
                  namedPorts: [\(port.web.map { "{name: web, port: \($0)}" } ?? "")]}

                """)
        }
        return documents.joined(separator: "---\n")
    }

    private func text(_ range: ClosedRange<UInt16>) -> String { "[\(range.lowerBound)-\(range.upperBound)]" }
    private func text(_ service: Service) -> [String] {
        var out: [String] = []
        if let proto = service.proto { out.append("protocol: \(proto)") }
        if let ports = service.ports { out.append("ports: \(text(ports))") }
        if let type = service.icmpType { out.append("icmpType: \(type)") }
        return out
    }
    private func text(_ peer: Peer, _ key: String) -> [String] {
        switch peer {
        case .any, .pods: []
        case .prefix(let prefix): ["\(key): {prefixes: [\"\(prefix)\"]}"]
        case .group(let number): ["\(key): {group: g\(number)}"]
        case .network(let number): ["\(key): {network: n\(number)}"]
        }
    }
    private func text(_ rule: NetworkRule) -> String {
        let parts = ["action: \(rule.passes ? "pass" : "deny")", "direction: \"\(rule.isBothWays ? "<>" : ">")\""] + text(rule.service)
        let ports = rule.sourcePorts.map { ["sourcePorts: \(text($0))"] } ?? []
        return "{" + (parts + ports + text(rule.source, "source") + text(rule.destination, "destination")).joined(separator: ", ") + "}"
    }
    private func text(_ policy: PodPolicy, _ index: Int) -> String {
        func selector(_ role: String?) -> String { role.map { "{matchLabels: {role: \($0)}}" } ?? "{}" }
        func rules(_ list: [PodRule], _ key: String) -> String {
            list.map { rule in
                let peers = rule.peers.map { peer in
                    switch peer {
                    case .prefix(let prefix): return "{ipBlock: {cidr: \"\(prefix)\"}}"
                    case .pods(let namespace, let role):
                        let names = namespace.map { "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: \($0)}}, " } ?? ""
                        return "{\(names)podSelector: \(selector(role))}"
                    default: return ""
                    }
                }
                let ports = rule.services.map { service in
                    let number =
                        service.isNamed ? ", port: web" : service.ports.map { ", port: \($0.lowerBound), endPort: \($0.upperBound)" } ?? ""
                    return "{protocol: \(service.proto == 17 ? "UDP" : "TCP")\(number)}"
                }
                return "{\(key): [\(peers.joined(separator: ", "))], ports: [\(ports.joined(separator: ", "))]}"
            }.joined(separator: ", ")
        }
        var text =
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: k\(index), namespace: \(policy.namespace)}\nspec:\n  podSelector: \(selector(policy.role))\n"
        text +=
            "  policyTypes: [\([policy.ingress.map { _ in "Ingress" }, policy.egress.map { _ in "Egress" }].compactMap(\.self).joined(separator: ", "))]\n"
        if let list = policy.ingress { text += "  ingress: [\(rules(list, "from"))]\n" }
        if let list = policy.egress { text += "  egress: [\(rules(list, "to"))]\n" }
        return text
    }
}
