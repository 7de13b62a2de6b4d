import Testing

@testable import vrctl

@Suite struct ConfigTests {
    private static let network = """
        {"kind":"VirtualNetwork","metadata":{"name":"blue","uid":"0a1b","generation":3},"spec":{"subnets":[{"prefix":"10.1.0.0/24","gateway":"10.1.0.1"},\
        {"prefix":"fd00:1::/64","gateway":"fd00:1::1"}],"vni":5001,"encapsulation":"vxlan","forwarding":"l2l3","mtu":1500}}
        """
    private static let port = """
        {"kind":"Port","metadata":{"name":"blue-a"},"spec":{"network":"blue","node":"node1","mac":"02:00:00:00:01:0a","addresses":["10.1.0.10","fd00:1::10"]}}
        """

    @Test func applyPostsTheTextAsItIs() async {
        let text = "kind: Port\n# é\nmetadata: {name: p}\n"
        let web = FakeWeb([
            "POST /v1/apply?dryRun=false": (
                200, #"{"results":[{"kind":"Port","name":"p","action":"created"},{"kind":"Port","name":"q","action":"unchanged"}]}"#
            )
        ])
        let result = await run(["vrctl", "apply", "-f", "dir/p.yaml"], web: web, files: ["dir/p.yaml": text])
        #expect(result == Run(code: 0, output: "Port/p created\nPort/q unchanged\n", errors: ""))
        #expect(web.requests.map(\.body) == [text])
        #expect(web.requests.first?.headers.map { "\($0.0): \($0.1)" } == ["Content-Type: application/yaml", "X-Source-Name: dir/p.yaml"])
    }

    @Test func severalFilesInOrderAndDryRun() async {
        let web = FakeWeb(["POST /v1/apply?dryRun=true": (200, #"{"results":[{"kind":"Port","name":"p","action":"created"}]}"#)])
        let result = await run(["vrctl", "apply", "--dry-run", "-f", "a", "-f", "-", "-o", "json"], web: web, files: ["a": "one", "-": "two"])
        #expect(web.requests.map(\.body) == ["one", "two"])
        #expect(web.requests.last?.headers.last?.1 == "standard input")
        #expect(JSON(parsing: result.output.utf8)?["results"]?.array.count == 2)
    }

    @Test func aMissingFileStopsBeforeAnythingIsSent() async {
        let web = FakeWeb()
        let result = await run(["vrctl", "apply", "-f", "a", "-f", "b"], web: web, files: ["a": "one"])
        #expect(result.code == 1 && result.errors == "vrctl: cannot read b: no such file\n")
        #expect(web.requests.isEmpty)
    }

    @Test func aRefusalNamesThePlace() async {
        let web = FakeWeb([
            "POST /v1/apply?dryRun=false": (
                422,
                #"{"error":{"message":"10.9.0.1 is not in a subnet of network blue","source":"p.yaml","line":7,"column":13,"document":2,"field":"spec.addresses[0]"}}"#
            )
        ])
        let result = await run(["vrctl", "apply", "-f", "p.yaml"], web: web, files: ["p.yaml": "x"])
        #expect(
            result
                == Run(
                    code: 1, output: "", errors: "vrctl: p.yaml:7:13: document 2: spec.addresses[0]: 10.9.0.1 is not in a subnet of network blue\n"))
    }

    @Test func aFileNameCannotForgeAHeader() async {
        let web = FakeWeb(["POST /v1/diff": (200, #"{"diffs":[]}"#)])
        _ = await run(["vrctl", "diff", "-f", "a\r\nX-Evil: 1"], web: web, files: ["a\r\nX-Evil: 1": ""])
        #expect(web.requests.first?.headers.last?.1 == "a??X-Evil: 1")
    }

    @Test func diff() async {
        let reply = #"""
            {"diffs":[{"kind":"VirtualNetwork","name":"blue","action":"updated","changes":[{"field":"spec.mtu","from":1500,"to":9000},{"field":"spec.vni","from":null,"to":7}]},
            {"kind":"Port","name":"new","action":"created","changes":[]},{"kind":"Port","name":"same","action":"unchanged","changes":[]}]}
            """#
        let web = FakeWeb(["POST /v1/diff": (200, reply)])
        let result = await run(["vrctl", "diff", "-f", "f"], web: web, files: ["f": "x"])
        #expect(
            result
                == Run(
                    code: 1,
                    output: """
                        ~ VirtualNetwork/blue
                            spec.mtu: 1500 -> 9000
                            spec.vni: - -> 7
                        + Port/new

                        """, errors: ""))
        let same = FakeWeb(["POST /v1/diff": (200, #"{"diffs":[{"kind":"Port","name":"same","action":"unchanged"}]}"#)])
        #expect(await run(["vrctl", "diff", "-f", "f"], web: same, files: ["f": "x"]) == Run(code: 0, output: "", errors: ""))
        let coloured = await run(["vrctl", "diff", "-f", "f"], web: web, files: ["f": "x"], colour: true)
        #expect(coloured.output.contains("\u{1B}[32m+ Port/new\u{1B}[0m"))
    }

    @Test func getTable() async {
        let web = FakeWeb([
            "GET /v1/objects?kind=VirtualNetwork": (200, "{\"objects\":[\(Self.network)]}"),
            "GET /v1/objects?kind=Port": (200, "{\"objects\":[\(Self.port)]}"),
            "GET /v1/objects?kind=ComputeNode": (
                200, #"{"objects":[{"kind":"ComputeNode","metadata":{"name":"node1"},"spec":{"address":"10.0.0.11"}}]}"#
            ),
        ])
        #expect(
            await run(["vrctl", "get", "vn"], web: web).output == """
                NAME   VNI    ENCAPSULATION   FORWARDING   MTU    SUBNETS
                blue   5001   vxlan           l2l3         1500   10.1.0.0/24,fd00:1::/64

                """)
        #expect(
            await run(["vrctl", "get", "Ports"], web: web).output == """
                NAME     NETWORK   NODE    MAC                 ADDRESSES              INTERFACE
                blue-a   blue      node1   02:00:00:00:01:0a   10.1.0.10,fd00:1::10   -

                """)
        #expect(await run(["vrctl", "get", "nodes"], web: web).output == "NAME    ADDRESS\nnode1   10.0.0.11\n")
    }

    @Test func getAll() async {
        let web = FakeWeb([
            "GET /v1/objects?kind=VirtualNetwork": (200, "{\"objects\":[\(Self.network)]}"), "GET /v1/objects?kind=Port": (200, #"{"objects":[]}"#),
            "GET /v1/objects?kind=SecurityGroup": (
                200, #"{"objects":[{"kind":"SecurityGroup","metadata":{"name":"web"},"spec":{"ingress":[{}],"egress":[]}}]}"#
            ),
            "GET /v1/objects?kind=NetworkPolicy": (
                200,
                #"{"objects":[{"kind":"NetworkPolicy","metadata":{"name":"shop"},"spec":{"rules":[{"action":"pass","direction":"<>","protocol":"tcp","source":{"network":"blue"},"destination":{"prefixes":["10.2.0.0/24"]},"ports":[80,"90-99"]},{"action":"deny","direction":">"}]}}]}"#
            ),
            "GET /v1/objects?kind=Namespace": (
                200, #"{"objects":[{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"prod","labels":{"team":"a","tier":"1"}}}]}"#
            ),
            "GET /v1/objects?kind=KubernetesNetworkPolicy": (
                200,
                #"{"objects":[{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"db","namespace":"prod"},"spec":{"podSelector":{"matchLabels":{"role":"db"},"matchExpressions":[{"key":"x","operator":"In","values":["a","b"]}]},"ingress":[{}],"policyTypes":["Ingress"]}},{"kind":"NetworkPolicy","metadata":{"name":"deny","namespace":"prod"},"spec":{"podSelector":{},"policyTypes":["Ingress","Egress"]}}]}"#
            ),
            "GET /v1/objects?kind=ComputeNode": (
                200, #"{"objects":[{"kind":"ComputeNode","metadata":{"name":"node1"},"spec":{"address":"10.0.0.11"}}]}"#
            ),
            "GET /v1/objects?kind=Router": (
                200,
                #"{"objects":[{"kind":"Router","metadata":{"name":"out"},"spec":{"externalNetwork":"public","networks":["blue"],"snat":{"addresses":["203.0.113.1"],"portsPerNode":1024},"nodes":[{"name":"node1","block":0,"address":"10.0.0.11"}]}}]}"#
            ),
            "GET /v1/objects?kind=Service": (
                200,
                #"{"objects":[{"kind":"Service","metadata":{"name":"web"},"spec":{"network":"blue","addresses":["10.96.0.1"],"ports":[{"protocol":"tcp","port":80,"targetPort":8080}],"backends":["a","b"],"affinity":"client"}}]}"#
            ),
            "GET /v1/objects?kind=LinkLocalService": (
                200,
                #"{"objects":[{"kind":"LinkLocalService","metadata":{"name":"m"},"spec":{"address":"169.254.169.254","port":80,"target":{"address":"10.0.0.1","port":8775},"secret":"s"}}]}"#
            ),
            "GET /v1/objects?kind=FloatingIP": (
                200,
                #"{"objects":[{"kind":"FloatingIP","metadata":{"name":"f"},"spec":{"network":"public","address":"203.0.113.5","port":"blue-a"}}]}"#
            ),
        ])
        #expect(
            await run(["vrctl", "get", "all"], web: web).output == """
                ComputeNode
                NAME    ADDRESS
                node1   10.0.0.11

                NetworkPolicy
                NAME   RULES   FIRST RULE
                shop   2       pass tcp blue <> 10.2.0.0/24:80,90-99

                VirtualNetwork
                NAME   VNI    ENCAPSULATION   FORWARDING   MTU    SUBNETS
                blue   5001   vxlan           l2l3         1500   10.1.0.0/24,fd00:1::/64

                SecurityGroup
                NAME   INGRESS   EGRESS
                web    1 rule    0 rules

                Namespace
                NAME   LABELS
                prod   team=a,tier=1

                KubernetesNetworkPolicy
                NAMESPACE   NAME   PORTS              INGRESS   EGRESS
                prod        db     role=db,x In a,b   1 rule    -
                prod        deny   all                0 rules   0 rules

                Port
                NAME   NETWORK   NODE   MAC   ADDRESSES   INTERFACE

                Router
                NAME   EXTERNAL   NETWORKS   ADDRESSES     PORTS PER NODE   NODES
                out    public     blue       203.0.113.1   1024             node1

                Service
                NAME   NETWORK   ADDRESSES   PORTS         BACKENDS   AFFINITY
                web    blue      10.96.0.1   tcp 80>8080   a,b        client

                FloatingIP
                NAME   NETWORK   ADDRESS       PORT     FIXED ADDRESS
                f      public    203.0.113.5   blue-a   -

                LinkLocalService
                NAME   PROTOCOL   ADDRESS           PORT   NETWORKS   TARGET               SIGNED
                m      http       169.254.169.254   80     all        10.0.0.1 port 8775   yes

                """)
        #expect(await run(["vrctl", "get", "all", "blue"], web: web).code == 2)
    }

    @Test func getRoutes() async {
        let reply = #"""
            {"routes":[{"vrf":"blue","family":"inet","prefix":"10.1.0.10/32","paths":[{"origin":"node1","stale":false,"nextHops":[{"address":"10.0.0.11","label":5001,"encapsulations":["vxlan"]}]},
            {"origin":"node2","stale":true,"nextHops":[{"address":"10.0.0.12","label":17,"encapsulations":["mplsOverUDP","mplsOverGRE"]}]}]}]}
            """#
        let web = FakeWeb(["GET /v1/routes?vrf=blue": (200, reply), "GET /v1/routes": (200, #"{"routes":[]}"#)])
        #expect(
            await run(["vrctl", "get", "routes", "blue"], web: web).output == """
                VRF    FAMILY   PREFIX         ORIGIN   NEXT HOP    LABEL   ENCAPSULATION             STATE
                blue   inet     10.1.0.10/32   node1    10.0.0.11   5001    vxlan                     fresh
                blue   inet     10.1.0.10/32   node2    10.0.0.12   17      mplsOverUDP,mplsOverGRE   stale

                """)
        #expect(await run(["vrctl", "get", "routes", "-o", "json"], web: web).output == "{\n  \"routes\": []\n}\n")
    }

    @Test func getYAMLIsWhatApplyTakes() async {
        let web = FakeWeb(["GET /v1/objects/VirtualNetwork/blue": (200, Self.network)])
        #expect(
            await run(["vrctl", "get", "network", "blue", "-o", "yaml"], web: web).output == """
                kind: VirtualNetwork
                metadata:
                  name: blue
                  generation: 3
                  uid: "0a1b"
                spec:
                  encapsulation: vxlan
                  forwarding: l2l3
                  mtu: 1500
                  subnets:
                  - gateway: "10.1.0.1"
                    prefix: "10.1.0.0/24"
                  - gateway: "fd00:1::1"
                    prefix: "fd00:1::/64"
                  vni: 5001

                """)
    }

    @Test func textThatLooksLikeSomethingElseIsQuotedInYAML() throws {
        let object: JSON = ["a": "true", "b": "5001", "c": "~", "d": "", "e": "x: y", "f": "plain-name", "g": "1e3", "h": "null", "i": "tap0"]
        let yaml = try ObjectText.yaml([object])
        #expect(yaml == "a: \"true\"\nb: \"5001\"\nc: \"~\"\nd: \"\"\ne: \"x: y\"\nf: plain-name\ng: \"1e3\"\nh: \"null\"\ni: tap0\n")
    }

    @Test func describe() async {
        let web = FakeWeb(["GET /v1/objects/VirtualNetwork/blue": (200, Self.network)])
        #expect(
            await run(["vrctl", "describe", "VN", "blue"], web: web).output == """
                Name: blue
                Kind: VirtualNetwork
                Generation: 3
                UID: 0a1b
                Encapsulation: vxlan
                Forwarding: l2l3
                MTU: 1500
                Subnets:
                  gateway 10.1.0.1, prefix 10.1.0.0/24
                  gateway fd00:1::1, prefix fd00:1::/64
                VNI: 5001

                """)
    }

    @Test func notFoundAndConflictAreOne() async {
        let web = FakeWeb([
            "DELETE /v1/objects/VirtualNetwork/blue": (409, #"{"error":{"message":"network blue is used by port blue-a; delete it first"}}"#)
        ])
        #expect(await run(["vrctl", "get", "port", "x"], web: web) == Run(code: 1, output: "", errors: "vrctl: not found\n"))
        #expect(
            await run(["vrctl", "delete", "network", "blue"], web: web)
                == Run(code: 1, output: "", errors: "vrctl: network blue is used by port blue-a; delete it first\n"))
    }

    @Test func deleteFromAFileTakesPortsFirst() async {
        let text =
            "kind: ComputeNode\nmetadata: {name: n}\n---\nkind: VirtualNetwork\nmetadata: {name: v}\n---\nkind: Port\nmetadata: {name: a/b}\n---\n"
        let web = FakeWeb(["POST /v1/delete": (200, "{}")])
        let result = await run(["vrctl", "delete", "-f", "f"], web: web, files: ["f": text])
        #expect(result == Run(code: 0, output: "Port/a/b deleted\nVirtualNetwork/v deleted\nComputeNode/n deleted\n", errors: ""))
        // One request: all of them, or none.
        #expect(
            web.requests.map(\.body)
                == [#"[{"kind": "Port", "name": "a/b"}, {"kind": "VirtualNetwork", "name": "v"}, {"kind": "ComputeNode", "name": "n"}]"#])
    }

    @Test func documentsOfKubernetes() throws {
        let text = """
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata: {name: db, namespace: prod, annotations: {a: b}}
            spec: {}
            ---
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata: {name: db}
            ---
            {apiVersion: v1, kind: Namespace, metadata: {name: prod}}
            """
        let names = try Documents.names(text, source: "f")
        #expect(names.map(\.name) == ["prod:db", "default:db", "prod"])
        #expect(names.map(\.kind) == [.kubernetesPolicy, .kubernetesPolicy, .namespace])
    }

    @Test(arguments: [
        (
            "kind: Thing\nmetadata: {name: x}",
            "f:1:7: document 1: kind: 'Thing' is unknown; there are ComputeNode, NetworkPolicy, VirtualNetwork, SecurityGroup, Namespace, KubernetesNetworkPolicy, Port, Router, Service, FloatingIP, LinkLocalService"
        ),
        ("metadata: {name: x}", "f:1:1: document 1: kind: is missing"),
        ("kind: Port", "f:1:1: document 1: metadata: is missing"),
        ("- a", "f:1:1: document 1: expected a mapping of kind, metadata, spec, found a list"),
        ("kind: Port\nmetadata: {nam: x}", "f:2:12: document 1: metadata.nam: unknown field 'nam'; did you mean 'name'?"),
    ])
    func documentsThatNameNothing(_ text: String, _ message: String) {
        #expect(throws: Failure.refused(message)) { try Documents.names(text, source: "f") }
    }

    @Test func brokenYAMLIsRefused() {
        #expect(throws: Failure.self) { try Documents.names("a: [", source: "f") }
        #expect(throws: Failure.self) { try Documents.names("a: *undefined", source: "f") }
    }

    @Test(arguments: [
        ("VirtualNetwork", Kind.virtualNetwork), ("virtualnetworks", .virtualNetwork), ("VN", .virtualNetwork), ("networks", .virtualNetwork),
        ("net", .virtualNetwork),
        ("port", .port), ("PORTS", .port), ("node", .computeNode), ("computenodes", .computeNode),
    ])
    func kinds(_ text: String, _ kind: Kind) { #expect(Kind(name: text) == kind) }
    @Test(arguments: ["", "s", "portss", "nodess", "vnss", "thing"]) func noKinds(_ text: String) { #expect(Kind(name: text) == nil) }
}

@Suite struct PortTests {
    @Test func addSendsWhatOpenSDNsToolsSend() async {
        let web = FakeWeb(["POST /port": (200, "{}")])
        let result = await run(
            [
                "vrctl", "port", "add", "--id", "blue-a", "--interface", "tap-blue-a", "--network", "blue", "--mac", "02-00-00-00-01-0A", "--address",
                "10.1.0.10", "--address", "fd00:1::10",
            ], web: web)
        #expect(result == Run(code: 0, output: "port blue-a added\n", errors: ""))
        #expect(
            web.requests.map(\.body) == [
                #"{"id": "blue-a", "system-name": "tap-blue-a", "vn-id": "blue", "mac-address": "02:00:00:00:01:0a", "ip-address": "10.1.0.10", "ip6-address": "fd00:1::10"}"#
            ])
    }
    @Test func deleteAndItsRefusal() async {
        let web = FakeWeb(["DELETE /port/blue-a": (200, "")])
        #expect(await run(["vrctl", "port", "delete", "blue-a"], web: web).output == "port blue-a deleted\n")
        #expect(await run(["vrctl", "port", "delete", "../x"], web: web).code == 1)
        #expect(web.requests.last?.url == "http://127.0.0.1:9091/port/..%2Fx")
    }
    @Test func list() async {
        let web = FakeWeb([
            "GET /port": (
                200,
                #"[{"name":"blue-a","state":"active","vif":3,"interface":"tap-blue-a","services":{"dhcp":{"state":"bound","address":"10.1.0.10"},"dhcpv6":{"state":"offered"},"dns":{"local":2,"cached":1,"forwarded":1,"failed":1}}},{"name":"x","state":"waiting","reason":"no \u001b[1m interface"}]"#
            )
        ])
        #expect(
            await run(["vrctl", "port", "list"], web: web).output == """
                NAME     STATE     VIF   INTERFACE    LEASES                     DNS            REASON
                blue-a   active    3     tap-blue-a   10.1.0.10,dhcpv6 offered   4 (1 failed)   -
                x        waiting   -     -            -                          -              no ?[1m interface

                """)
    }
}

@Suite struct EndpointTests {
    private func endpoint(_ base: String) -> Endpoint { Endpoint(name: "vrouter-agent", option: "--agent", base: base) }

    @Test func segmentsAreEncoded() throws {
        #expect(try endpoint("http://h:1/").url(["v1", "a b/é?#"], query: [("k", "x&y")]) == "http://h:1/v1/a%20b%2F%C3%A9%3F%23?k=x%26y")
    }
    @Test(arguments: ["", "h:1", "ftp://h", "http://", "/path"]) func noAddress(_ base: String) {
        #expect(throws: Failure.self) { try endpoint(base).url([]) }
    }
    @Test func anAnswerThatIsNotJSON() async {
        let web = FakeWeb(["GET /port": (200, "<html>"), "GET /v1/objects?kind=Port": (502, "Bad gateway\nsorry")])
        #expect(
            await run(["vrctl", "port", "list"], web: web).errors
                == "vrctl: vrouter-agent at http://127.0.0.1:9091 did not answer in JSON; is --agent the right address?\n")
        #expect(
            await run(["vrctl", "get", "ports"], web: web).errors
                == "vrctl: vrouter-controller at http://127.0.0.1:8082 answered 502: Bad gateway sorry\n")
    }
    @Test func anAddressThatIsNone() async {
        #expect(await run(["vrctl", "get", "ports", "--controller", "nowhere"], web: FakeWeb()).code == 2)
    }
}
