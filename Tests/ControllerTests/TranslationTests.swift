import NetTypes
import Overlay
import StrictYAML
import Testing

@testable import Controller

/// Floating IPs, services and routers: what is refused, and who is told.
@Suite struct TranslationTests {
    static let floating = "kind: FloatingIP\nmetadata: {name: f1}\nspec: {network: red, address: 10.2.0.101, port: blue1}\n"
    static func service(_ spec: String = "addresses: [10.96.0.1], ports: [{port: 80}], backends: [blue1, blue3]") -> String {
        "kind: Service\nmetadata: {name: web}\nspec: {network: blue, \(spec)}\n"
    }
    static func router(_ spec: String = "snat: {addresses: [10.2.0.201]}", networks: String = "blue") -> String {
        "kind: Router\nmetadata: {name: out}\nspec: {externalNetwork: red, networks: [\(networks)], \(spec)}\n"
    }

    static let refusals: [(yaml: String, text: String)] = [
        ("kind: FloatingIP\nmetadata: {name: f}\nspec: {network: red, address: 10.2.0.101, port: nobody}\n", "Port nobody does not exist"),
        ("kind: FloatingIP\nmetadata: {name: f}\nspec: {network: pink, address: 10.2.0.101, port: blue1}\n", "VirtualNetwork pink does not exist"),
        ("kind: FloatingIP\nmetadata: {name: f}\nspec: {network: red, address: 10.9.0.101, port: blue1}\n", "in no subnet of network red"),
        ("kind: FloatingIP\nmetadata: {name: f}\nspec: {network: red, address: 10.2.0.1, port: blue1}\n", "gateway"),
        ("kind: FloatingIP\nmetadata: {name: f}\nspec: {network: red, address: 10.2.0.11, port: blue1}\n", "already an address of port red1"),
        ("kind: FloatingIP\nmetadata: {name: f}\nspec: {network: blue, address: 10.1.0.101, port: blue1}\n", "in network blue itself"),
        (
            "kind: FloatingIP\nmetadata: {name: f}\nspec: {network: red, address: 10.2.0.101, port: blue1, fixedAddress: 10.1.0.99}\n",
            "has not the address 10.1.0.99"
        ),
        (
            "kind: FloatingIP\nmetadata: {name: f}\nspec: {network: red, address: 10.2.0.101, port: blue1, fixedAddress: \"fd00:1::11\"}\n",
            "another family"
        ),
        (service("addresses: [10.1.0.11], ports: [{port: 80}], backends: []"), "already an address of port blue1"),
        (service("addresses: [10.96.0.1], ports: [{port: 80}], backends: [red1]"), "port red1 is in network red"),
        (service("addresses: [10.96.0.1], ports: [{port: 80}], backends: [nobody]"), "Port nobody does not exist"),
        (service("addresses: [10.96.0.1], ports: [{port: 0}], backends: []"), "1 to 65535"),
        (service("addresses: [10.96.0.1], ports: [{port: 80}, {port: 80, targetPort: 9}], backends: []"), "tcp 80 is listed twice"),
        (service("addresses: [10.96.0.1], ports: [{port: 80}]"), "give the names of ports, or a selector"),
        (service("addresses: [10.96.0.1], ports: [{port: 80}], selector: {app: web}, backends: [blue1]"), "cannot stand beside a selector"),
        (service("addresses: [10.96.0.1], ports: [{port: 80}], selector: {}"), "selects nothing"),
        (service("addresses: [10.96.0.1], ports: [{port: 80}], selector: {-a: b}"), "is no label"),
        (service("addresses: [10.96.0.1], ports: [{port: 80, targetPort: 70000}], backends: []"), "neither a port (1 to 65535) nor the name"),
        (service("addresses: [10.96.0.1], ports: [{port: 80, name: a}, {port: 81, name: a}], backends: []"), "a is listed twice"),
        (service("addresses: [224.0.0.1], ports: [{port: 80}], backends: []"), "not an address of one host"),
        ("kind: LinkLocalService\nmetadata: {name: m}\nspec: {address: 10.0.0.1, target: {address: 10.0.0.1, port: 8775}}\n", "169.254.1.0"),
        ("kind: LinkLocalService\nmetadata: {name: m}\nspec: {port: 53, target: {address: 10.0.0.1, port: 8775}}\n", "name service"),
        (
            "kind: LinkLocalService\nmetadata: {name: m}\nspec: {address: \"fe81::1\", target: {address: 10.0.0.1, port: 1}}\n",
            "fe80::/64"
        ),
        (
            "kind: LinkLocalService\nmetadata: {name: m}\nspec: {address: \"fe80::\", target: {address: 10.0.0.1, port: 1}}\n",
            "fe80::/64"
        ),
        (
            "kind: LinkLocalService\nmetadata: {name: m}\nspec: {protocol: udp, address: 169.254.169.123, target: {address: 10.0.0.1, port: 1}}\n",
            "spec.port"
        ),
        (
            "kind: LinkLocalService\nmetadata: {name: m}\nspec: {protocol: udp, port: 123, target: {address: 10.0.0.1, port: 1}}\n",
            "spec.address"
        ),
        (
            "kind: LinkLocalService\nmetadata: {name: m}\nspec: {protocol: udp, address: 169.254.169.123, port: 67, target: {address: 10.0.0.1, port: 1}}\n",
            "67 is DHCP's"
        ),
        (
            "kind: LinkLocalService\nmetadata: {name: m}\nspec: {protocol: udp, address: 169.254.169.123, port: 123, secret: x, target: {address: 10.0.0.1, port: 1}}\n",
            "goes with protocol: http"
        ),
        (
            "kind: LinkLocalService\nmetadata: {name: m}\nspec: {protocol: tcp, address: 169.254.169.123, port: 123, target: {address: 10.0.0.1, port: 1}}\n",
            "not one of http, udp"
        ),
        ("kind: LinkLocalService\nmetadata: {name: m}\nspec: {networks: [pink], target: {address: 10.0.0.1, port: 1}}\n", "pink does not exist"),
        (router("snat: {addresses: []}"), "at least one address"),
        (router("snat: {addresses: [10.1.0.201]}"), "in no subnet of network red"),
        (router(networks: "red"), "is the external network"),
        (router(networks: "pink"), "VirtualNetwork pink does not exist"),
        (router("snat: {addresses: [10.2.0.201], portsPerNode: 64000}"), "ports for 1 nodes, and 2 need some"),
    ]

    @Test(arguments: refusals) func whatMakesNoSenseIsRefused(_ it: (yaml: String, text: String)) throws {
        var model = try ConfigModel.demo()
        do {
            _ = try model.apply(it.yaml)
            Issue.record("not refused")
        } catch {
            #expect("\(error)".contains(it.text), "\(error)")
        }
    }

    @Test func addressesAndPortsInUse() throws {
        var model = try ConfigModel.demo()
        _ = try model.apply(Self.floating)
        #expect(throws: ConfigError.self) { try model.apply(Self.floating.replacing("f1", with: "f2")) }
        #expect(throws: ConfigError.self) { try model.apply(Self.floating.replacing("f1", with: "f2").replacing("101", with: "102")) }
        #expect(throws: ConfigModel.DeleteError.needed(ObjectKey(.port, "blue1"), by: ObjectKey(.floatingIP, "f1"))) {
            try model.delete(ObjectKey(.port, "blue1"))
        }
        _ = try model.delete(ObjectKey(.floatingIP, "f1"))
        _ = try model.apply(Self.floating.replacing("f1", with: "f2"))
        _ = try model.apply(Self.router())
        #expect(throws: ConfigError.self) { try model.apply(Self.router().replacing("name: out", with: "name: other")) }
        // The backend of a service may go.
        _ = try model.apply(Self.service())
        _ = try model.delete(ObjectKey(.port, "blue3"))
        #expect(throws: ConfigModel.DeleteError.self) { try model.delete(ObjectKey(.virtualNetwork, "red")) }
    }

    /// What is refused when the translation comes last is refused when the network does.
    @Test func aNetworkFitsWhatIsTranslatedIntoIt() throws {
        var model = try ConfigModel.demo()
        let metadata = "kind: LinkLocalService\nmetadata: {name: m}\nspec: {target: {address: 10.0.0.1, port: 8775}}\n"
        try model.apply(
            [Self.floating, Self.service("addresses: [10.1.0.96], ports: [{port: 80}], backends: []"), Self.router(), metadata].joined(
                separator: "---\n"))
        func network(_ name: String, _ subnets: String) -> String {
            "kind: VirtualNetwork\nmetadata: {name: \(name)}\nspec: {subnets: [\(subnets)]}\n"
        }
        let refusals = [
            (network("red", "{prefix: 10.2.0.0/24, gateway: 10.2.0.101}"), "FloatingIP/f1: 10.2.0.101 is the gateway of 10.2.0.0/24"),
            (
                network("red", "{prefix: 10.2.0.0/26}, {prefix: 10.2.0.128/25}"),
                "FloatingIP/f1: 10.2.0.101 is in no subnet of network red (10.2.0.0/26, 10.2.0.128/25)"
            ),
            (network("red", "{prefix: 10.2.0.0/25}"), "Router/out: 10.2.0.201 is in no subnet of network red (10.2.0.0/25)"),
            (network("blue", "{prefix: 10.1.0.0/24, gateway: 10.1.0.96}"), "Service/web: 10.1.0.96 is the gateway of 10.1.0.0/24"),
            (network("green", "{prefix: 169.254.0.0/16}"), "LinkLocalService/m: 169.254.169.254 is in subnet 169.254.0.0/16 of network green"),
        ]
        for (text, message) in refusals {
            let error = #expect(throws: ConfigError.self) { try model.apply(text) }
            #expect(error?.message == message && error?.field == "spec.subnets", "\(String(describing: error))")
        }
        // Both together may change.
        try model.apply(
            network("red", "{prefix: 10.2.0.0/24, gateway: 10.2.0.101}") + "---\n" + Self.floating.replacing("10.2.0.101", with: "10.2.0.102"))
    }

    @Test func nodesKeepTheirPorts() throws {
        var model = try ConfigModel.demo()
        func router() -> NetworkRouter? { model.nat.allRouters["out"] }
        let changes = try model.apply(Self.router())
        #expect(changes.count == 1 && changes[0].action == .created)
        #expect(router()?.nodes.map(\.name) == ["node1", "node2"] && router()?.nodes.map(\.block) == [0, 1])
        #expect(router()?.nodes.map(\.address.description) == ["10.0.0.11", "10.0.0.12"])
        let shares = try [0, 1].map { try #require(router()?.share($0, isIPv4: true)) }
        #expect(shares[0].ports == 1024...2047 && shares[1].ports == 2048...3071 && shares[0].address == shares[1].address)
        #expect(
            router()?.share(0, isIPv4: false) == nil && router()?.share(63, isIPv4: true) == nil
                && router()?.share(62, isIPv4: true)?.ports == 64512...65535)
        // The same again is no change, whatever is said of nodes.
        #expect(try model.apply(Self.router()).map(\.action) == [.unchanged])
        let third = """
            kind: ComputeNode
            metadata: {name: a-first}
            spec: {address: 10.0.0.13}
            ---
            kind: Port
            metadata: {name: blue9}
            spec: {network: blue, node: a-first, mac: "02:00:00:00:09:09", addresses: [10.1.0.99]}
            """
        let more = try model.apply(third)
        #expect(more.map(\.key.description) == ["ComputeNode/a-first", "Port/blue9", "Router/out"] && more[2].action == .updated)
        #expect(router()?.nodes.map(\.name) == ["a-first", "node1", "node2"] && router()?.nodes.map(\.block) == [2, 0, 1])
        // It keeps them without ports, too; and gives them up when it goes.
        _ = try model.delete(ObjectKey(.port, "blue9"))
        #expect(router()?.nodes.count == 3)
        _ = try model.delete(ObjectKey(.computeNode, "a-first"))
        _ = try model.apply(Self.floating)
        #expect(router()?.nodes.map(\.block) == [0, 1])
        // What is stored can be read back.
        let object = ConfigObject.router(try #require(router()))
        #expect(try ConfigObject(json: object.json) == object)
        #expect(try ConfigObject(element: object.element) == object)
    }

    @Test func whoIsTold() throws {
        var model = try ConfigModel.demo()
        var distribution = ConfigDistribution()
        for node in ["node1", "node2"] { _ = distribution.subscribe(node, model: model) }
        func step(_ text: String) throws -> [String: [String]] {
            let changes = try model.apply(text)
            return Dictionary(uniqueKeysWithValues: distribution.update(changes, model: model).map { ($0.node, Self.names($0.updates)) })
        }
        // The port's node gets the external network with it, and the names of the ports there.
        #expect(try step(Self.floating) == ["node1": ["+VirtualNetwork/red", "+FloatingIP/f1", "+Port/red1"]])
        #expect(try step(Self.service()) == ["node1": ["+Service/web"], "node2": ["+Service/web"]])
        #expect(try step(Self.router()) == ["node1": ["+Router/out"], "node2": ["+Router/out"]])
        let wider = "kind: VirtualNetwork\nmetadata: {name: red}\nspec: {subnets: [{prefix: 10.2.0.0/24}], encapsulation: mplsOverUDP, mtu: 1399}\n"
        #expect(try step(wider) == ["node1": ["+VirtualNetwork/red"], "node2": ["+VirtualNetwork/red"]])
        let change = try model.delete(ObjectKey(.router, "out"))
        #expect(distribution.update([change], model: model).map { Self.names($0.updates) } == [["-Router/out"], ["-Router/out"]])
        let last = try model.delete(ObjectKey(.floatingIP, "f1"))
        #expect(
            distribution.update([last], model: model).map { Self.names($0.updates) } == [["-VirtualNetwork/red", "-FloatingIP/f1", "-Port/red1"]])
    }

    static func names(_ updates: [ConfigDistribution.Update]) -> [String] {
        updates.map {
            switch $0 {
            case .item(let object): "+\(object.key)"
            case .retract(let key): "-\(key)"
            case .endOfConfig: "."
            }
        }
    }

    // MARK: - Services by labels

    static func backend(_ name: String, _ last: Int, node: String = "node1", network: String = "blue", labels: String, more: String = "") -> String {
        """
        kind: Port
        metadata: {name: \(name), labels: {\(labels)}}
        spec: {network: \(network), node: \(node), mac: "02:00:00:00:09:\(last)", addresses: [10.\(network == "blue" ? 1 : 2).0.\(last)]\(more)}

        """
    }

    /// What an agent is told of the service `web`; nil: nothing.
    private func told(_ model: ConfigModel, _ node: String = "node2") -> Service? {
        if case .service(let service)? = ConfigDistribution.objects(for: node, model)[ObjectKey(.service, "web")] { service } else { nil }
    }

    @Test func labelsSayWhoTheBackendsAre() throws {
        var model = try ConfigModel.demo()
        try model.apply(
            Self.service("addresses: [10.96.0.1], ports: [{name: http, port: 80, targetPort: web, protocol: TCP}], selector: {app: web, tier: front}")
        )
        #expect(told(model)?.members == [])
        try model.apply(
            Self.backend("w2", 42, labels: "app: web, tier: front, more: x", more: ", namedPorts: [{name: web, port: 8080}]") + "---\n"
                + Self.backend("w1", 41, node: "node2", labels: "app: web, tier: front") + "---\n"
                + Self.backend("no1", 43, labels: "app: web") + "---\n" + Self.backend("no2", 44, labels: "app: web, tier: back") + "---\n"
                + Self.backend("no3", 45, network: "red", labels: "app: web, tier: front") + "---\n"
                + Self.backend("no4", 46, labels: "app: web, tier: front").replacing("{name: no4", with: "{name: no4, namespace: elsewhere"))
        let service = try #require(told(model))
        #expect(
            service.members.map(\.name) == ["w1", "w2"] && service.members.map { $0.addresses.map(\.description) } == [["10.1.0.41"], ["10.1.0.42"]])
        #expect(service.members[1].number(service.ports[0]) == 8080 && service.members[0].number(service.ports[0]) == nil)
        // Agents are not told the labels; what they are told can be read back from the wire.
        #expect(service.backends == .names([]) && service.networks == ["blue"])
        #expect(try ConfigObject(element: ConfigObject.service(service).element) == .service(service))
        // What is stored can be read back, too; what an operator says of members is not believed.
        let stored = try #require(model.object(ObjectKey(.service, "web")))
        #expect(try ConfigObject(json: stored.json) == stored)
        #expect(
            try model.apply(ConfigObject.service(service).yaml.replacing("backends: []", with: "selector: {app: web, tier: front}")).map(\.action)
                == [.unchanged])
    }

    @Test func backendsComeAndGoAsTheirLabelsDo() throws {
        var model = try ConfigModel.demo()
        var distribution = ConfigDistribution()
        try model.apply(Self.service("addresses: [10.96.0.1], ports: [{port: 80}], selector: {app: web}"))
        for node in ["node1", "node2"] { _ = distribution.subscribe(node, model: model) }
        func step(_ changes: [ConfigModel.Change]) -> [String: [String]] {
            Dictionary(uniqueKeysWithValues: distribution.update(changes, model: model).map { ($0.node, Self.names($0.updates)) })
        }
        let one = Self.backend("w1", 41, labels: "app: web")
        #expect(try step(model.apply(one)) == ["node1": ["+Port/w1", "+Service/web"], "node2": ["+Service/web", "+Port/w1"]])
        #expect(told(model)?.members.map(\.name) == ["w1"])
        // Another label of a backend says nothing to others' services.
        #expect(try step(model.apply(Self.backend("w1", 41, labels: "app: web, x: y"))) == ["node1": ["+Port/w1"], "node2": ["+Port/w1"]])
        #expect(
            try step(model.apply(Self.backend("w1", 41, labels: "app: other"))) == [
                "node1": ["+Port/w1", "+Service/web"], "node2": ["+Service/web", "+Port/w1"],
            ])
        #expect(told(model)?.members == [])
        _ = try step(model.apply(one))
        #expect(try step([model.delete(ObjectKey(.port, "w1"))]) == ["node1": ["-Port/w1", "+Service/web"], "node2": ["+Service/web", "-Port/w1"]])
        #expect(told(model)?.members == [])
    }

    @Test func connectedNetworksKnowTheService() throws {
        var model = try ConfigModel.demo()
        try model.apply(Self.service())
        #expect(told(model)?.networks == ["blue"])
        try model.apply(
            """
            kind: NetworkPolicy
            metadata: {name: join}
            spec: {rules: [{action: pass, source: {network: red}, destination: {network: blue}}]}
            ---
            kind: VirtualNetwork
            metadata: {name: blue}
            spec: {subnets: [{prefix: 10.1.0.0/24}], policies: [join]}
            ---
            kind: VirtualNetwork
            metadata: {name: red}
            spec: {subnets: [{prefix: 10.2.0.0/24}], encapsulation: mplsOverUDP, policies: [join]}
            """)
        #expect(told(model)?.networks == ["blue", "red"])
        // Also where there is a port of the other network only.
        _ = try model.delete(ObjectKey(.port, "blue3"))
        #expect(told(model)?.members.map(\.name) == ["blue1"])
        // Not where the address is somebody else's.
        try model.apply("kind: Service\nmetadata: {name: other}\nspec: {network: red, addresses: [10.96.0.1], ports: [{port: 80}], backends: []}\n")
        #expect(told(model) == nil && told(model, "node1")?.networks == ["blue"])
    }

    @Test func linkLocalServicesShareAnAddressByProtocol() throws {
        var model = try ConfigModel.demo()
        func service(_ name: String, _ spec: String) -> String {
            "kind: LinkLocalService\nmetadata: {name: \(name)}\nspec: {\(spec), target: {address: 10.0.0.1, port: 1}}\n"
        }
        try model.apply(service("time", "protocol: udp, address: \"fd00:a9fe::123\", port: 80"))
        try model.apply(service("meta", "address: \"fd00:a9fe::123\""))
        #expect(throws: ConfigError.self) { try model.apply(service("other", "protocol: udp, address: \"fd00:a9fe::123\", port: 80")) }
        let object = try #require(model.object(ObjectKey(.linkLocalService, "time")))
        #expect(try ConfigObject(json: object.json) == object && ConfigObject(element: object.element) == object)
        // Not an address of the network's own.
        try model.apply("kind: VirtualNetwork\nmetadata: {name: wide}\nspec: {subnets: [{prefix: \"fd01::/64\"}]}\n")
        #expect(throws: ConfigError.self) { try model.apply(service("other", "address: \"fd01::5\"")) }
    }
}
