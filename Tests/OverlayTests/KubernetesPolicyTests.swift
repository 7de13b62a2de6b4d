import NetTypes
import StrictYAML
import Testing

@testable import Overlay

@Suite struct KubernetesPolicyTests {
    /// Every part that a policy can have. (Those of the documentation, as they are written there, are in the controller's tests.)
    static let example = """
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: test-network-policy, namespace: default}
        spec:
          podSelector: {matchLabels: {role: db}}
          policyTypes: [Ingress, Egress]
          ingress:
          - from:
            - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
            - namespaceSelector: {matchLabels: {project: myproject}}
            - podSelector: {matchLabels: {role: frontend}}
            ports: [{protocol: TCP, port: 6379}]
          egress: [{to: [{ipBlock: {cidr: 10.0.0.0/24}}], ports: [{protocol: TCP, port: 5978}]}]
        """

    static func policy(_ text: String) throws -> KubernetesPolicy {
        guard case .kubernetesPolicy(let policy)? = try YAMLDocuments.parse(text: text, source: "x").first else { throw ConfigError("no policy") }
        return policy
    }
    static func spec(_ spec: String) throws -> KubernetesPolicy {
        try policy("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {\(spec)}\n")
    }

    @Test func readAndWritten() throws {
        let policy = try Self.policy(Self.example)
        #expect(policy.name == "default:test-network-policy" && policy.namespace == "default" && policy.selector == LabelSelector(["role": "db"]))
        #expect(
            policy.ingress == [
                .init(
                    peers: [
                        .prefix(IPPrefix("172.17.0.0/16")!, except: [IPPrefix("172.17.1.0/24")!]),
                        .ports(namespaces: LabelSelector(["project": "myproject"]), pods: nil),
                        .ports(namespaces: nil, pods: LabelSelector(["role": "frontend"])),
                    ], services: [.init(6, .range(6379...6379))])
            ])
        #expect(policy.egress == [.init(peers: [.prefix(IPPrefix("10.0.0.0/24")!, except: [])], services: [.init(6, .range(5978...5978))])])
        let object = ConfigObject.kubernetesPolicy(policy)
        #expect(
            object.json.hasPrefix(
                #"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"test-network-policy","namespace":"default"},"#))
        #expect(try ConfigObject(json: object.json) == object)
        #expect(try YAMLDocuments.parse(text: object.yaml, source: "x") == [object])
        #expect(object.key == ObjectKey(.kubernetesPolicy, "default:test-network-policy"))
    }

    /// What is left out, as Kubernetes reads it.
    @Test func defaults() throws {
        #expect(try Self.spec("podSelector: {}").ingress == [] && Self.spec("podSelector: {}").egress == nil)
        #expect(try Self.spec("podSelector: ~").selector == LabelSelector())
        let out = try Self.spec("podSelector: {}, egress: [{}]")
        #expect(out.ingress == [] && out.egress == [.init()])
        // An empty list is none (SetDefaults_NetworkPolicy of Kubernetes).
        let none = try Self.spec("podSelector: {}, policyTypes: [], egress: [{}]")
        #expect(none == out)
        let only = try Self.spec("podSelector: {}, policyTypes: [Egress], ingress: [{}]")
        #expect(only.ingress == nil && only.egress == [])
        #expect(
            try Self.spec("podSelector: {}, ingress: [{ports: [{port: 80}, {protocol: UDP}, {port: http}]}]").ingress?[0].services
                == [.init(6, .range(80...80)), .init(17, .all), .init(6, .name("http"))])
        #expect(
            try Self.spec("podSelector: {}, egress: [{ports: [{protocol: SCTP, port: 32000, endPort: 32768}]}]").egress?[0].services
                == [.init(132, .range(32000...32768))])
        // What the API server answers can be applied again.
        let answered = """
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata:
              annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}
              creationTimestamp: "2024-01-01T00:00:00Z"
              generation: 1
              labels: {app.kubernetes.io/name: web}
              name: answered
              namespace: prod
              resourceVersion: "12"
              uid: 0f1e
            spec: {podSelector: {}, policyTypes: [Ingress]}
            status: {}
            """
        #expect(try Self.policy(answered).name == "prod:answered")
    }

    @Test func selectors() {
        let labels = ["app": "web", "tier": ""]
        func matches(_ key: String, _ relation: LabelSelector.Operator, _ values: String...) -> Bool {
            LabelSelector([:], [.init(key, relation, values)]).matches(labels)
        }
        #expect(LabelSelector().matches([:]) && LabelSelector(["app": "web"]).matches(labels) && !LabelSelector(["app": "db"]).matches(labels))
        #expect(LabelSelector(["tier": ""]).matches(labels) && !LabelSelector(["zone": ""]).matches(labels))
        #expect(matches("app", .isIn, "db", "web") && !matches("app", .isIn, "db") && !matches("zone", .isIn, "a"))
        #expect(!matches("app", .isNotIn, "db", "web") && matches("app", .isNotIn, "db") && matches("zone", .isNotIn, "a"))
        #expect(matches("tier", .exists) && !matches("zone", .exists) && !matches("tier", .doesNotExist) && matches("zone", .doesNotExist))
        #expect(!LabelSelector(["app": "web"], [.init("app", .doesNotExist)]).matches(labels))
    }

    @Test(arguments: [
        ("ingress: []", "spec.podSelector", "is missing"),
        ("podSelector: {}, policyTypes: [ingress]", "spec.policyTypes[0]", "'ingress' is not one of Ingress, Egress"),
        ("podSelector: {}, ingress: [{from: [{}]}]", "spec.ingress[0].from[0]", "a peer has a podSelector"),
        ("podSelector: {}, ingress: [{to: []}]", "spec.ingress[0].to", "unknown field"),
        (
            "podSelector: {}, ingress: [{from: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}]", "spec.ingress[0].from[0].podSelector",
            "beside ipBlock"
        ),
        (
            "podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}]", "spec.egress[0].to[0].ipBlock.except[0]",
            "not a part"
        ),
        ("podSelector: {}, egress: [{ports: [{endPort: 90}]}]", "spec.egress[0].ports[0].endPort", "needs a port"),
        ("podSelector: {}, egress: [{ports: [{port: http, endPort: 90}]}]", "spec.egress[0].ports[0].endPort", "needs a port"),
        ("podSelector: {}, egress: [{ports: [{port: 91, endPort: 90}]}]", "spec.egress[0].ports[0].endPort", "below"),
        ("podSelector: {}, egress: [{ports: [{port: 0}]}]", "spec.egress[0].ports[0].port", "neither a port"),
        ("podSelector: {}, egress: [{ports: [{protocol: ICMP}]}]", "spec.egress[0].ports[0].protocol", "not one of TCP, UDP, SCTP"),
        ("podSelector: {matchExpressions: [{key: a, operator: In}]}", "spec.podSelector.matchExpressions[0]", "In needs values"),
        (
            "podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}", "spec.podSelector.matchExpressions[0].values",
            "takes no values"
        ),
        ("podSelector: {matchLabels: {-a: b}}", "spec.podSelector.matchLabels.-a", "is no label"),
    ]) func refused(_ spec: String, _ field: String, _ reason: String) {
        let error = #expect(throws: ConfigError.self) { try Self.spec(spec) }
        #expect(error?.field == field && error?.message.contains(reason) == true, "\(String(describing: error))")
    }

    @Test func otherDocuments() throws {
        let error = #expect(throws: ConfigError.self) {
            try YAMLDocuments.parse(text: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {}\n", source: "x")
        }
        #expect(error?.message.hasPrefix("Deployment of apps/v1 has no meaning here") == true)
        let namespace = try YAMLDocuments.parse(text: "apiVersion: v1\nkind: Namespace\nmetadata: {name: prod, labels: {team: a}}\n", source: "x")
        guard case .namespace(let prod)? = namespace.first else {
            Issue.record("kind")
            return
        }
        #expect(prod.labels == ["team": "a", "kubernetes.io/metadata.name": "prod"])
        #expect(try YAMLDocuments.parse(text: namespace[0].yaml, source: "x") == namespace && ConfigObject(json: namespace[0].json) == namespace[0])
        // Its kind by our name says nothing of the namespace that its name is in.
        let ours = #expect(throws: ConfigError.self) {
            try YAMLDocuments.parse(
                text: "kind: KubernetesNetworkPolicy\nmetadata: {name: db, namespace: shop}\nspec: {podSelector: {}}\n", source: "x")
        }
        #expect(ours?.field == "kind" && ours?.message.contains("apiVersion: networking.k8s.io/v1 and kind: NetworkPolicy") == true)
        // Ours has no apiVersion, and its own fields.
        #expect(throws: ConfigError.self) {
            try YAMLDocuments.parse(text: "kind: NetworkPolicy\nmetadata: {name: a}\nspec: {podSelector: {}}\n", source: "x")
        }
    }

    @Test func portsWithLabels() throws {
        let text = """
            kind: Port
            metadata: {name: a, namespace: prod, labels: {app: web, example.com/tier: "1"}}
            spec: {network: blue, node: node1, mac: "02:00:00:00:01:11", addresses: [10.1.0.11], namedPorts: [{name: http, port: 8080}, {name: dns, port: 53, protocol: UDP}]}
            """
        let object = try #require(try YAMLDocuments.parse(text: text, source: "x").first)
        guard case .port(let port) = object else { return }
        #expect(port.namespace == "prod" && port.metadata.labels == ["app": "web", "example.com/tier": "1"])
        #expect(port.namedPorts == [.init(name: "http", number: 8080), .init(name: "dns", proto: 17, number: 53)])
        #expect(try YAMLDocuments.parse(text: object.yaml, source: "x") == [object])
        // Agents need no labels.
        var told = object
        told.metadata.labels = [:]
        #expect(try ConfigObject(element: object.element) == told)
    }

    @Test func prefixesWithoutOthers() {
        func without(_ prefix: String, _ others: String...) -> [String] {
            IPPrefix(prefix)!.subtracting(others.map { IPPrefix($0)! }).map(\.description)
        }
        #expect(without("10.0.0.0/30") == ["10.0.0.0/30"] && without("10.0.0.0/30", "11.0.0.0/8") == ["10.0.0.0/30"])
        #expect(without("10.0.0.0/30", "10.0.0.2/32") == ["10.0.0.0/31", "10.0.0.3/32"])
        #expect(without("10.0.0.0/30", "10.0.0.0/8") == [] && without("10.0.0.0/30", "10.0.0.0/31", "10.0.0.2/31") == [])
        #expect(without("fd00::/126", "fd00::1/128") == ["fd00::/128", "fd00::2/127"])
        #expect(
            without("::/0", "8000::/1") == ["::/1"] && without("fd00:0:0:1::/63".replacing("1::", with: "0::"), "fd00::/64") == ["fd00:0:0:1::/64"])
        #expect(IPPrefix("0.0.0.0/0")!.subtracting([IPPrefix("192.0.2.1/32")!]).count == 32)
    }
}
