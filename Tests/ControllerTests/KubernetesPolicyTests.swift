import Controller
import NetTypes
import Overlay
import StrictYAML
import Testing

/// The policies of the Kubernetes documentation ("Network Policies"), as they are written there, over a small cluster; who may speak to whom was worked out by hand.
@Suite struct KubernetesPolicyTests {
    /// Namespace, name, labels, address; all in one network, on two nodes.
    static let pods: [(namespace: String, name: String, labels: String, last: Int)] = [
        ("default", "db", "role: db", 1), ("default", "frontend", "role: frontend", 2), ("default", "other", "app: myapp", 3),
        ("myproject", "tool", "role: client", 4), ("frontend", "web", "role: frontend", 5), ("backend", "store", "role: store", 6),
    ]
    static func cluster() throws -> ConfigModel {
        var text = """
            kind: ComputeNode
            metadata: {name: node1}
            spec: {address: 10.0.0.11}
            ---
            kind: ComputeNode
            metadata: {name: node2}
            spec: {address: 10.0.0.12}
            ---
            kind: VirtualNetwork
            metadata: {name: pods}
            spec: {subnets: [{prefix: 10.244.0.0/16, gateway: 10.244.255.1}, {prefix: "fd00:244::/64", gateway: "fd00:244::ff"}]}
            ---
            apiVersion: v1
            kind: Namespace
            metadata: {name: myproject, labels: {project: myproject, user: alice}}
            ---
            apiVersion: v1
            kind: Namespace
            metadata: {name: frontend, labels: {namespace: frontend}}
            ---
            apiVersion: v1
            kind: Namespace
            metadata: {name: backend, labels: {namespace: backend}}

            """
        for pod in pods { text += "---\n" + port(pod) }
        var model = ConfigModel()
        try model.apply(text)
        return model
    }
    static func port(_ pod: (namespace: String, name: String, labels: String, last: Int), namedPorts: String = "") -> String {
        """
        kind: Port
        metadata: {name: \(pod.name), namespace: \(pod.namespace), labels: {\(pod.labels)}}
        spec: {network: pods, node: node\(1 + pod.last % 2), mac: "02:00:00:00:01:0\(pod.last)", addresses: [10.244.0.\(pod.last), "fd00:244::\(pod.last)"], namedPorts: [\(namedPorts)]}

        """
    }

    /// One end, by the name of a port, or an address outside.
    struct End {
        var port: Port?
        var addresses: [IPAddress]
    }
    static func end(_ name: String, _ model: ConfigModel) throws -> End {
        if let port = model.port(name) { return End(port: port, addresses: port.addresses) }
        return End(port: nil, addresses: [try #require(IPAddress(name))])
    }

    /// Whether a connection may be, asked of what the agents of both ends are told: rule by rule, in the plainest way there is.
    static func passes(_ model: ConfigModel, _ from: String, _ to: String, _ proto: UInt8, _ port: UInt16) throws -> Bool {
        let source = try end(from, model), destination = try end(to, model)
        var verdicts: Set<Bool> = []
        for far in source.addresses {
            guard let near = destination.addresses.first(where: { $0.isIPv4 == far.isIPv4 }) else { continue }
            func allows(_ pod: Port?, ingress: Bool, local: IPAddress, remote: IPAddress) -> Bool {
                guard let pod else { return true }
                let policies = ConfigDistribution.objects(for: pod.node, model).values.compactMap {
                    if case .firewallPolicy(let policy) = $0, policy.ports.contains(pod.name) {
                        ingress ? policy.ingress : policy.egress
                    } else {
                        nil
                    }
                }
                return policies.isEmpty
                    || policies.joined().contains { rule in
                        guard rule.proto == nil || rule.proto == proto, rule.ports.isEmpty || rule.ports.contains(where: { $0.contains(port) }),
                            rule.local.isEmpty || rule.local.contains(local)
                        else { return false }
                        return switch rule.peer {
                        case .any: true
                        case .prefixes(let list): list.contains { $0.contains(remote) }
                        case .members(let networks): networks.contains { $0.name == pod.network && $0.addresses.contains(remote) }
                        }
                    }
            }
            verdicts.insert(
                allows(source.port, ingress: false, local: far, remote: near) && allows(destination.port, ingress: true, local: near, remote: far))
        }
        #expect(verdicts.count == 1, "\(from) > \(to): the families differ")
        return verdicts == [true]
    }

    /// `table`: lines such as `frontend > db tcp 6379 yes`.
    static func check(_ policies: String, _ table: String, location: SourceLocation = #_sourceLocation) throws {
        var model = try cluster()
        try model.apply(policies)
        for line in table.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            let passes = try passes(model, words[0], words[2], words[3] == "tcp" ? 6 : words[3] == "udp" ? 17 : 1, UInt16(words[4]) ?? 0)
            #expect(passes == (words[5] == "yes"), "\(line)", sourceLocation: location)
        }
    }
    static func policy(_ name: String, _ spec: String, namespace: String = "default") -> String {
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: \(name)\n  namespace: \(namespace)\nspec:\n\(spec)\n"
    }

    @Test func theNetworkPolicyResource() throws {
        try Self.check(
            Self.policy(
                "test-network-policy",
                """
                  podSelector:
                    matchLabels:
                      role: db
                  policyTypes:
                  - Ingress
                  - Egress
                  ingress:
                  - from:
                    - ipBlock:
                        cidr: 172.17.0.0/16
                        except:
                        - 172.17.1.0/24
                    - namespaceSelector:
                        matchLabels:
                          project: myproject
                    - podSelector:
                        matchLabels:
                          role: frontend
                    ports:
                    - protocol: TCP
                      port: 6379
                  egress:
                  - to:
                    - ipBlock:
                        cidr: 10.0.0.0/24
                    ports:
                    - protocol: TCP
                      port: 5978
                """),
            // role=frontend in another namespace is not meant; tool is, by its namespace.
            """
            frontend > db tcp 6379 yes
            frontend > db tcp 6380 no
            frontend > db udp 6379 no
            other > db tcp 6379 no
            tool > db tcp 6379 yes
            web > db tcp 6379 no
            172.17.0.9 > db tcp 6379 yes
            172.17.1.9 > db tcp 6379 no
            172.17.2.9 > db tcp 6379 yes
            172.18.0.9 > db tcp 6379 no
            db > 10.0.0.9 tcp 5978 yes
            db > 10.0.0.9 tcp 5979 no
            db > 10.0.1.9 tcp 5978 no
            db > frontend tcp 5978 no
            frontend > other icmp 0 yes
            """)
    }

    @Test func defaults() throws {
        let denyIngress = Self.policy("default-deny-ingress", "  podSelector: {}\n  policyTypes:\n  - Ingress")
        try Self.check(
            denyIngress,
            """
            frontend > db tcp 80 no
            tool > other icmp 0 no
            192.0.2.1 > db tcp 80 no
            db > tool tcp 80 yes
            tool > store tcp 80 yes
            """)
        // Additive: the open one adds to the closed one.
        try Self.check(
            denyIngress + "---\n" + Self.policy("allow-all-ingress", "  podSelector: {}\n  ingress:\n  - {}\n  policyTypes:\n  - Ingress"),
            """
            frontend > db tcp 80 yes
            192.0.2.1 > db icmp 0 yes
            """)
        try Self.check(
            Self.policy("default-deny-egress", "  podSelector: {}\n  policyTypes:\n  - Egress"),
            """
            db > frontend tcp 80 no
            db > 192.0.2.1 udp 53 no
            tool > db tcp 80 yes
            """)
        try Self.check(
            Self.policy("default-deny-egress", "  podSelector: {}\n  policyTypes:\n  - Egress") + "---\n"
                + Self.policy("allow-all-egress", "  podSelector: {}\n  egress:\n  - {}\n  policyTypes:\n  - Egress"),
            "db > 192.0.2.1 udp 53 yes")
        try Self.check(
            Self.policy("default-deny-all", "  podSelector: {}\n  policyTypes:\n  - Ingress\n  - Egress"),
            """
            db > tool tcp 80 no
            tool > db tcp 80 no
            tool > store tcp 80 yes
            """)
    }

    @Test func aRangeOfPorts() throws {
        try Self.check(
            Self.policy(
                "multi-port-egress",
                """
                  podSelector:
                    matchLabels:
                      role: db
                  policyTypes:
                    - Egress
                  egress:
                    - to:
                        - ipBlock:
                            cidr: 10.0.0.0/24
                      ports:
                        - protocol: TCP
                          port: 32000
                          endPort: 32768
                """),
            """
            db > 10.0.0.5 tcp 31999 no
            db > 10.0.0.5 tcp 32000 yes
            db > 10.0.0.5 tcp 32768 yes
            db > 10.0.0.5 tcp 32769 no
            db > 10.0.0.5 udp 32000 no
            frontend > db tcp 1 yes
            """)
    }

    /// "namespaceSelector and podSelector": one peer, or two.
    @Test func andOr() throws {
        let and = "      podSelector:\n        matchLabels:\n          role: client"
        func spec(_ second: String) -> String {
            "  podSelector: {}\n  ingress:\n  - from:\n    - namespaceSelector:\n        matchLabels:\n          user: alice\n\(second)"
        }
        try Self.check(
            Self.policy("and", spec(and)) + "---\n" + Self.port(("default", "mine", "role: client", 7)) + "---\n"
                + Self.port(("myproject", "aide", "role: helper", 8)),
            """
            tool > db tcp 80 yes
            mine > db tcp 80 no
            aide > db tcp 80 no
            frontend > db tcp 80 no
            """)
        try Self.check(
            Self.policy("or", spec(and.replacing("      podSelector", with: "    - podSelector"))) + "---\n"
                + Self.port(("default", "mine", "role: client", 7)) + "---\n" + Self.port(("myproject", "aide", "role: helper", 8)),
            """
            tool > db tcp 80 yes
            mine > db tcp 80 yes
            aide > db tcp 80 yes
            frontend > db tcp 80 no
            """)
    }

    /// "Targeting multiple namespaces by label", and a namespace by its name.
    @Test func namespaces() throws {
        try Self.check(
            Self.policy(
                "egress-namespaces",
                """
                  podSelector:
                    matchLabels:
                      app: myapp
                  policyTypes:
                  - Egress
                  egress:
                  - to:
                    - namespaceSelector:
                        matchExpressions:
                        - key: namespace
                          operator: In
                          values: ["frontend", "backend"]
                """),
            """
            other > web tcp 80 yes
            other > store icmp 0 yes
            other > tool tcp 80 no
            other > db tcp 80 no
            other > 192.0.2.1 tcp 80 no
            db > tool tcp 80 yes
            """)
        // A namespace that is no object has its name all the same.
        try Self.check(
            Self.policy(
                "by-name",
                "  podSelector: {}\n  ingress:\n  - from:\n    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: default}}",
                namespace: "backend"),
            """
            db > store tcp 80 yes
            tool > store tcp 80 no
            """)
    }

    @Test func namedPorts() throws {
        let http = "{name: http, port: 8080}"
        let ports =
            Self.port(Self.pods[0], namedPorts: http) + "---\n"
            + Self.port(Self.pods[2], namedPorts: "{name: http, port: 80}, {name: http, port: 53, protocol: UDP}")
            + "---\n" + Self.port(Self.pods[5], namedPorts: http)
        try Self.check(
            ports + "---\n" + Self.policy("in", "  podSelector: {}\n  ingress:\n  - ports:\n    - port: http"),
            """
            tool > db tcp 8080 yes
            tool > db tcp 80 no
            tool > other tcp 80 yes
            tool > other tcp 8080 no
            tool > other udp 53 no
            tool > frontend tcp 8080 no
            """)
        try Self.check(
            ports + "---\n"
                + Self.policy(
                    "out",
                    "  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n  - to: [{podSelector: {}}]\n    ports: [{port: http}, {protocol: UDP, port: http}]"
                ),
            """
            frontend > db tcp 8080 yes
            frontend > db tcp 80 no
            frontend > other tcp 80 yes
            frontend > other udp 53 yes
            frontend > other udp 80 no
            frontend > store tcp 8080 no
            tool > store tcp 8080 yes
            """)
    }

    /// An agent without a selected port hears nothing; labels, of ports and namespaces, are news to those whose policies ask for them.
    @Test func distribution() throws {
        var model = try Self.cluster()
        var distribution = ConfigDistribution()
        for node in ["node1", "node2"] { _ = distribution.subscribe(node, model: model) }
        func step(_ text: String) throws -> [String: [String]] {
            let changes = try model.apply(text)
            return Dictionary(
                uniqueKeysWithValues: distribution.update(changes, model: model).map { ($0.node, ConfigDistributionTests().names($0.updates)) })
        }
        // db (node2) is the only one with role=db.
        let policy = Self.policy(
            "a", "  podSelector: {matchLabels: {role: db}}\n  ingress: [{from: [{namespaceSelector: {matchLabels: {team: x}}}]}]")
        #expect(try step(policy) == ["node2": ["+FirewallPolicy/default:a"]])
        #expect(try step(policy) == [:])
        let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: backend, labels: {team: x}}\n"
        #expect(try step(namespace) == ["node2": ["+FirewallPolicy/default:a"]])
        let object = ConfigDistribution.objects(for: "node2", model)[ObjectKey(.firewallPolicy, "default:a")]
        guard case .firewallPolicy(let resolved)? = object else {
            Issue.record("no policy")
            return
        }
        #expect(resolved.ports == ["db"] && resolved.egress == nil)
        #expect(
            resolved.ingress == [
                .init(index: 0, peer: .members([.init(name: "pods", addresses: [IPAddress("10.244.0.6")!, IPAddress("fd00:244::6")!])]))
            ])
        #expect(try ConfigObject(element: ConfigObject.firewallPolicy(resolved).element) == .firewallPolicy(resolved))
        // A label takes the port out of the policy, and the policy away from its node.
        #expect(
            try step(Self.port(("default", "db", "role: none", 1)))
                == ["node1": ["+Port/db"], "node2": ["+Port/db", "-FirewallPolicy/default:a"]])
        #expect(
            try step(Self.port(("default", "frontend", "role: db", 2)))
                == ["node1": ["+FirewallPolicy/default:a", "+Port/frontend"], "node2": ["+Port/frontend"]])
        let change = try model.delete(ObjectKey(.kubernetesPolicy, "default:a"))
        #expect(distribution.update([change], model: model).map { ConfigDistributionTests().names($0.updates) } == [["-FirewallPolicy/default:a"]])
        let written = "kind: FirewallPolicy\nmetadata: {name: a}\nspec: {}\n"
        #expect(throws: ConfigError.self) { try model.apply(written) }
    }
}
