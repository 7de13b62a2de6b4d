import NetTypes
import Overlay
import StrictYAML
import Testing
import XMPP

let blue = """
    kind: VirtualNetwork
    metadata: {name: blue}
    spec:
      subnets: [{prefix: 10.1.0.0/24, gateway: 10.1.0.254}, {prefix: "fd00:1::/64"}]
      vni: 5001
      mtu: 1450
    ---
    kind: ComputeNode
    metadata: {name: node1}
    spec: {address: 10.0.0.11}
    ---
    # a port
    kind: Port
    metadata: {name: "blue:a"}
    spec: {network: blue, node: node1, mac: 02:00:00:00:01:0A, addresses: [10.1.0.10, "fd00:1::10"], interface: tap-blue-a}
    """

@Suite struct YAMLTests {
    @Test func readsEveryKind() throws {
        let objects = try YAMLDocuments.parse(text: blue, source: "net.yaml")
        #expect(objects.map(\.key.description) == ["VirtualNetwork/blue", "ComputeNode/node1", "Port/blue:a"])
        guard case .virtualNetwork(let network) = objects[0], case .computeNode(let node) = objects[1], case .port(let port) = objects[2] else {
            Issue.record("kinds"); return
        }
        #expect(network.subnets.map(\.gateway.description) == ["10.1.0.254", "fd00:1::1"])
        #expect(network.vni == VNI(5001) && network.encapsulation == .vxlan && network.forwarding == .l2l3 && network.mtu == 1450)
        #expect(node.address == IPAddress("10.0.0.11"))
        #expect(port.mac.description == "02:00:00:00:01:0a" && port.addresses.count == 2 && port.interface == "tap-blue-a")
    }

    /// Said only where it is so; false is what a network has without it.
    @Test func unknownUnicastIsFloodedOnRequest() throws {
        func network(_ more: String) throws -> VirtualNetwork? {
            let text = "kind: VirtualNetwork\nmetadata: {name: b}\nspec: {subnets: [{prefix: 10.2.0.0/24}]\(more)}"
            guard case .virtualNetwork(let network)? = try YAMLDocuments.parse(text: text, source: "x").first else { return nil }
            return network
        }
        #expect(try network("")?.floodUnknownUnicast == false)
        #expect(try network(", floodUnknownUnicast: false")?.floodUnknownUnicast == false)
        let flooding = try #require(try network(", floodUnknownUnicast: true"))
        #expect(flooding.floodUnknownUnicast)
        let object = ConfigObject.virtualNetwork(flooding)
        #expect(object.json.hasSuffix(#""forwarding":"l2l3","floodUnknownUnicast":true}}"#))
        #expect(try ConfigObject(json: object.json) == object)
        #expect(try ConfigObject(element: object.element) == object)
    }

    @Test func servicesOfANetwork() throws {
        func network(_ dhcp: String) throws -> VirtualNetwork {
            let text = "kind: VirtualNetwork\nmetadata: {name: b}\nspec: {subnets: [{prefix: 10.2.0.0/24}]\(dhcp)}"
            guard case .virtualNetwork(let network)? = try YAMLDocuments.parse(text: text, source: "x").first else { throw ConfigError("none") }
            let object = ConfigObject.virtualNetwork(network)
            #expect(try ConfigObject(json: object.json) == object)
            #expect(try ConfigObject(element: object.element) == object)
            #expect(try YAMLDocuments.parse(text: object.yaml, source: "x") == [object])
            return network
        }
        #expect(try network("").dhcp == NetworkServices())
        #expect(try network(", dhcp: {}") == network(""))
        #expect(try network(", dhcp: {enabled: false}").dhcp.enabled == false)
        #expect(try network(", dhcp: {dnsServers: []}").dhcp.dnsServers == [])
        #expect(try network(", dhcp: {dnsServers: none}").dhcp.dnsServers == [])
        let all = try network(
            """
            , dhcp: {dnsServers: [10.2.0.1, "fd00::53"], domain: Cloud.Example., leaseSeconds: 600, ntpServers: [192.0.2.123],
              hostRoutes: [{prefix: 192.0.2.0/24, nextHop: 10.2.0.9}, {prefix: 198.51.100.7, nextHop: 10.2.0.8}]}
            """
        ).dhcp
        #expect(all.dnsServers == [IPAddress("10.2.0.1")!, IPAddress("fd00::53")!] && all.domain == "cloud.example" && all.leaseSeconds == 600)
        #expect(all.ntpServers == [IPAddress("192.0.2.123")!] && all.hostRoutes.map(\.prefix.description) == ["192.0.2.0/24", "198.51.100.7/32"])
    }

    @Test func forwardingFollowsEncapsulation() throws {
        let text = "kind: VirtualNetwork\nmetadata: {name: red}\nspec: {subnets: [{prefix: 10.2.0.0/31}], encapsulation: mplsOverUDP}"
        guard case .virtualNetwork(let network) = try YAMLDocuments.parse(text: text, source: "x")[0] else { return }
        #expect(network.forwarding == .l3)
        #expect(network.subnets[0].gateway.description == "10.2.0.0")
    }

    @Test func canonicalFormsReadBackTheSame() throws {
        let objects = try YAMLDocuments.parse(text: blue, source: "net.yaml")
        #expect(try YAMLDocuments.parse(text: YAMLDocuments.text(objects), source: "again") == objects)
        for object in objects { #expect(try ConfigObject(json: object.json) == object) }
        #expect(
            objects[2].yaml == """
                kind: Port
                metadata:
                  name: "blue:a"
                spec:
                  network: blue
                  node: node1
                  mac: "02:00:00:00:01:0a"
                  addresses:
                    - 10.1.0.10
                    - "fd00:1::10"
                  interface: tap-blue-a

                """)
        #expect(
            objects[0].json
                == #"{"kind":"VirtualNetwork","metadata":{"name":"blue"},"spec":{"subnets":[{"prefix":"10.1.0.0/24","gateway":"10.1.0.254"},{"prefix":"fd00:1::/64","gateway":"fd00:1::1"}],"vni":5001,"encapsulation":"vxlan","forwarding":"l2l3","mtu":1450}}"#
        )
    }

    @Test func emptyDocumentsAreSkippedButCounted() throws {
        let text = "---\n---\nkind: ComputeNode\nmetadata: {name: n}\nspec: {addres: 10.0.0.1}\n"
        let error = #expect(throws: ConfigError.self) { try YAMLDocuments.parse(text: text, source: "f") }
        #expect(error?.document == 2)
        #expect(try YAMLDocuments.parse(text: "", source: "f").isEmpty)
    }

    struct Bad: CustomTestStringConvertible, Sendable {
        var text: String, line: Int?, column: Int?, field: String?, message: String
        init(_ text: String, _ line: Int?, _ column: Int?, _ field: String?, _ message: String) {
            (self.text, self.line, self.column, self.field, self.message) = (text, line, column, field, message)
        }
        var testDescription: String { message }
    }
    static func network(_ spec: String) -> String { "kind: VirtualNetwork\nmetadata: {name: blue}\nspec:\n" + spec }
    static func port(_ spec: String) -> String { "kind: Port\nmetadata: {name: p}\nspec:\n  network: blue\n  node: node1\n" + spec }
    static let bad: [Bad] = [
        Bad(
            "kind: Prot\nmetadata: {name: a}\nspec: {}", 1, 7, "kind",
            "'Prot' is not one of ComputeNode, NetworkPolicy, VirtualNetwork, SecurityGroup, Namespace, KubernetesNetworkPolicy, Port, Router, Service, FloatingIP, LinkLocalService; did you mean 'Port'?"
        ),
        Bad("metadata: {name: a}\nspec: {}", 1, 1, "kind", "is missing"),
        Bad("kind: Port\nmetdata: {name: a}\nspec: {}", 2, 1, "metdata", "unknown field 'metdata'; did you mean 'metadata'?"),
        Bad("kind: Port\nmetadata: {nam: a}\nspec: {}", 2, 12, "metadata.nam", "unknown field 'nam'; did you mean 'name'?"),
        Bad("kind: Port\nmetadata: {name: a/b}\nspec: {}", 2, 18, "metadata.name", "is not a name for a Port"),
        Bad("kind: ComputeNode\nmetadata: {name: Node1}\nspec: {address: 1.2.3.4}", 2, 18, "metadata.name", "lower-case"),
        Bad(
            "kind: ComputeNode\nmetadata: {name: n}\nspec: {address: 10.0.0.300}", 3, 17, "spec.address",
            "expected an IPv4 or IPv6 address, found '10.0.0.300'"),
        Bad("kind: ComputeNode\nmetadata: {name: n}\nspec:\n  address:\n", 4, 3, "spec.address", "has no value"),
        Bad("kind: ComputeNode\nmetadata: {name: n}\nspec: 7", 3, 7, "spec", "expected a mapping of address, found '7'"),
        Bad("- kind: Port", 1, 1, nil, "expected a mapping of kind, metadata, spec, found a list"),
        Bad("hello", 1, 1, nil, "expected a mapping"),
        Bad(network("  subnets: [{prefix: 10.1.0.1/24}]"), 4, 22, "spec.subnets[0].prefix", "has host bits set; the prefix is 10.1.0.0/24"),
        Bad(
            network("  subnets:\n    - prefix: 10.1.0.0/24\n      gateway: 10.2.0.1"), 6, 16, "spec.subnets[0].gateway",
            "10.2.0.1 is not in 10.1.0.0/24"),
        Bad(network("  subnets: [{prefix: 10.1.0.0/24, gateway: 10.1.0.255}]"), 4, 44, "spec.subnets[0].gateway", "network or broadcast address"),
        Bad(network("  subnets: [{prefix: 10.1.0.0/24}, {prefix: 10.1.0.128/25}]"), 4, 36, "spec.subnets[1]", "overlaps 10.1.0.0/24"),
        Bad(network("  subnets: []"), 4, 12, "spec.subnets", "at least one subnet"),
        Bad(network("  subnets: 10.1.0.0/24"), 4, 12, "spec.subnets", "expected a list, found '10.1.0.0/24'"),
        Bad(
            network("  subnets: [{prefix: 10.1.0.0/24}]\n  vni: 16777216"), 5, 8, "spec.vni", "expected a number from 1 to 16777215, found '16777216'"
        ),
        Bad(network("  subnets: [{prefix: 10.1.0.0/24}]\n  vni: \"5\""), 5, 8, "spec.vni", "expected a number"),
        Bad(network("  subnets: [{prefix: 10.1.0.0/24}]\n  encapsulation: mplsOverUPD"), 5, 18, "spec.encapsulation", "did you mean 'mplsOverUDP'?"),
        Bad(
            network("  subnets: [{prefix: 10.1.0.0/24}]\n  encapsulation: mplsOverUDP\n  forwarding: l2l3"), 6, 15, "spec.forwarding",
            "l2l3 needs encapsulation vxlan"),
        Bad(
            network("  subnets: [{prefix: 10.1.0.0/24}]\n  floodUnknownUnicast: yes"), 5, 24, "spec.floodUnknownUnicast",
            "expected true or false, found 'yes'"),
        Bad(
            network("  subnets: [{prefix: 10.1.0.0/24}]\n  forwarding: l3\n  floodUnknownUnicast: true"), 6, 24, "spec.floodUnknownUnicast",
            "only routes floods nothing"),
        Bad(network("  subnets: [{prefix: 10.1.0.0/24}]\n  dhcp: {domain: -a.b}"), 5, 18, "spec.dhcp.domain", "expected a domain name"),
        Bad(network("  subnets: [{prefix: 10.1.0.0/24}]\n  dhcp: {leaseSeconds: 5}"), 5, 24, "spec.dhcp.leaseSeconds", "from 60 to"),
        Bad(network("  subnets: [{prefix: 10.1.0.0/24}]\n  dhcp: {dnsServers: [10.1.0.2, 10.1.0.2]}"), 5, 33, "spec.dhcp.dnsServers[1]", "twice"),
        Bad(
            network("  subnets: [{prefix: 10.1.0.0/24}]\n  dhcp: {hostRoutes: [{prefix: 10.9.0.0/16, nextHop: \"fd00::1\"}]}"), 5, 54,
            "spec.dhcp.hostRoutes[0].nextHop", "not of the same family"),
        Bad(network("  subnets: [{prefix: \"fd00::/64\"}]\n  mtu: 1000"), 5, 8, "spec.mtu", "from 1280 to 65535"),
        Bad(port("  mac: 02:00:00:00:01\n  addresses: [10.0.0.1]"), 6, 8, "spec.mac", "expected a MAC address"),
        Bad(port("  mac: 01:00:5e:00:00:01\n  addresses: [10.0.0.1]"), 6, 8, "spec.mac", "multicast"),
        Bad(port("  mac: 00:00:5e:00:01:00\n  addresses: [10.0.0.1]"), 6, 8, "spec.mac", "the address of the gateway"),
        Bad(port("  mac: 02:00:00:00:01:01\n  addresses: [10.0.0.1, 10.0.0.1]"), 7, 25, "spec.addresses[1]", "listed twice"),
        Bad(port("  mac: 02:00:00:00:01:01\n  addresses: 10.0.0.1"), 7, 14, "spec.addresses", "expected a list"),
        Bad(
            port("  mac: 02:00:00:00:01:01\n  addresses: [10.0.0.1]\n  interface: a-name-too-long-x"), 8, 14, "spec.interface",
            "not an interface name"),
        Bad(port("  addresses: [10.0.0.1]"), 4, 3, "spec.mac", "is missing"),
        Bad("kind: Port\nkind: Port", 1, 1, nil, "the key 'kind' is given twice"),
        Bad("kind: [Port", 2, 1, nil, "not YAML"),
        Bad("kind: Port\n\tmetadata: x", 2, 1, nil, "not YAML"),
        Bad("a: &x 1\nb: *x", nil, nil, nil, "anchors and aliases are not accepted"),
        Bad(
            "kind: ComputeNode\nmetadata: {name: n}\nspec: {address: 10.0.0.1}\n---\nkind: ComputeNode\nmetadata: {name: n}\nspec: {address: 10.0.0.2}",
            6, 18,
            "metadata.name", "already in document 1"),
    ]

    @Test(arguments: bad) func namesTheLineAndTheField(_ bad: Bad) throws {
        let error = try #require(throws: ConfigError.self) { try YAMLDocuments.parse(text: bad.text, source: "net.yaml") }
        #expect(error.message.contains(bad.message), "\(error)")
        #expect(error.line == bad.line && error.column == bad.column, "\(error)")
        #expect(error.field == bad.field, "\(error)")
        #expect(error.source == "net.yaml")
    }

    @Test func errorsReadLikeACompilers() throws {
        let error = try #require(throws: ConfigError.self) {
            try YAMLDocuments.parse(text: blue.replacing("10.0.0.11", with: "x"), source: "net.yaml")
        }
        #expect(error.description == "net.yaml:10:17: document 2: spec.address: expected an IPv4 or IPv6 address, found 'x'")
    }

    @Test func locatedErrorsPointAtFields() throws {
        let located = try YAMLDocuments.located(text: blue, source: "net.yaml")
        let error = located[2].error("taken", field: "spec.addresses[1]")
        #expect(error.line == 15 && error.document == 3 && error.field == "spec.addresses[1]")
        // Not written out: the nearest mapping that could hold it.
        #expect(located[0].error("x", field: "spec.forwarding").line == 4)
    }

    @Test func hostileTextIsRefused() {
        let deep = String(repeating: "[", count: 200_000)
        #expect(throws: ConfigError.self) { try YAMLDocuments.parse(text: deep, source: "x") }
        #expect(throws: ConfigError.self) { try YAMLDocuments.parse(text: "a: &a [x]\n? *a\n: [*a]", source: "x") }
        #expect(throws: ConfigError.self) { try YAMLDocuments.parse(text: "kind: \u{1}", source: "x") }
        #expect(throws: ConfigError.self) { try YAMLDocuments.parse(text: "? [a, b]\n: c", source: "x") }
    }

    @Test func antispoofing() throws {
        func port(_ more: String) throws -> Port {
            let text =
                "kind: Port\nmetadata: {name: a}\nspec: {network: blue, node: n, mac: \"02:00:00:00:01:11\", addresses: [10.1.0.11], \(more)}\n"
            let object = try YAMLDocuments.parse(text: text, source: "x")[0]
            #expect(try YAMLDocuments.parse(text: object.yaml, source: "x") == [object] && ConfigObject(element: object.element) == object)
            guard case .port(let port) = object else { throw ConfigError("no port") }
            return port
        }
        #expect(try port("").antispoof && !port("antispoof: false").antispoof)
        #expect(
            try port("allowedAddressPairs: [{prefix: 10.1.0.50}, {prefix: \"fd00::/64\", mac: \"00:00:5e:00:01:07\"}]").allowedAddressPairs
                == [.init(prefix: IPPrefix("10.1.0.50/32")!), .init(prefix: IPPrefix("fd00::/64")!, mac: MACAddress("00:00:5e:00:01:07")!)])
        for (text, reason) in [
            ("antispoof: false, allowedAddressPairs: [{prefix: 10.1.0.50}]", "everything is allowed"),
            ("allowedAddressPairs: [{mac: \"00:00:5e:00:01:07\"}]", "is missing"),
            ("allowedAddressPairs: [{prefix: 10.1.0.50}, {prefix: 10.1.0.50/32}]", "is listed twice"),
            ("allowedAddressPairs: [{prefix: 10.1.0.50, mac: \"01:00:5e:00:01:07\"}]", "is a multicast address"),
        ] {
            let error = #expect(throws: ConfigError.self) { try port(text) }
            #expect(error?.message.contains(reason) == true, "\(String(describing: error))")
        }
    }

    @Test func fatFlows() throws {
        let text = """
            kind: VirtualNetwork
            metadata: {name: blue}
            spec: {subnets: [{prefix: 10.1.0.0/24}], fatFlows: [{protocol: udp, port: 53, ignoreAddress: remote}, {protocol: 6}]}
            """
        guard case .virtualNetwork(let network)? = try YAMLDocuments.parse(text: text, source: "x").first else { return }
        #expect(network.fatFlows.map(\.proto) == [17, 6] && network.fatFlows.map(\.port) == [53, 0])
        #expect(network.fatFlows.first?.ignoredAddress == .remote)
        #expect(try ConfigObject(element: ConfigObject.virtualNetwork(network).element) == .virtualNetwork(network))
        let many = Array(repeating: "{protocol: 6}", count: 17).joined(separator: ", ")
        let error = #expect(throws: ConfigError.self) {
            try YAMLDocuments.parse(
                text: "kind: VirtualNetwork\nmetadata: {name: b}\nspec: {subnets: [{prefix: 10.1.0.0/24}], fatFlows: [\(many)]}", source: "x")
        }
        #expect(error?.field == "spec.fatFlows" && error?.message.contains("16 at most") == true)
    }
}
