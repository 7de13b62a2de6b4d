import DataplaneAPI
import NetTypes
import Testing

@testable import vrctl

@Suite struct CoveringPrefixesTests {
    private func parents(_ prefixes: [String]) -> [Int] {
        var covering = CoveringPrefixes()
        return prefixes.compactMap { IPPrefix($0) }.map { covering.parentLength(of: $0) }
    }

    @Test func nestedAndDisjoint() {
        #expect(
            parents([
                "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/24", "10.1.0.1/32", "10.1.0.2/32", "10.1.1.0/24", "10.2.0.0/16", "11.0.0.1/32",
            ])
                == [0, 0, 8, 16, 24, 24, 16, 8, 0])
    }
    @Test func withoutAnyCover() { #expect(parents(["10.0.0.1/32", "10.0.0.2/32", "192.168.0.0/16"]) == [0, 0, 0]) }
    @Test func theSamePrefixDoesNotCoverItself() { #expect(parents(["10.0.0.0/8", "10.0.0.0/8"]) == [0, 0]) }
    @Test func ipv6() { #expect(parents(["::/0", "fd00::/8", "fd00:1::/64", "fd00:1::10/128", "fd00:2::/64"]) == [0, 0, 8, 64, 8]) }
    @Test func familiesDoNotCoverEachOther() { #expect(parents(["0.0.0.0/0", "::1/128"]) == [0, 0]) }

    /// Against the definition, over random tables.
    @Test func agreesWithTheDefinition() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let prefixes = Set(
                (0..<60).compactMap { _ in
                    IPPrefix(
                        masking: .v4(IPv4Address(rawValue: UInt32.random(in: 0...0xFF, using: &generator) << 24)),
                        length: Int.random(in: 0...10, using: &generator))
                }
            ).sorted()
            var covering = CoveringPrefixes()
            for prefix in prefixes {
                let expected = prefixes.filter { $0 != prefix && $0.length < prefix.length && $0.contains(prefix) }.map(\.length).max() ?? 0
                #expect(covering.parentLength(of: prefix) == expected)
            }
        }
    }
}

@Suite struct RouteTests {
    private let objects: [API.Object.OneOf_Object] = {
        var entry = API.BridgeEntry()
        entry.vrf = 2
        entry.mac = octets("02:00:00:00:01:0a")
        entry.nextHop = 12
        entry.label = 5001
        var local = API.BridgeEntry()
        local.vrf = 2
        local.mac = octets("02:00:00:00:01:0b")
        local.nextHop = 9
        return [
            .vrf(vrf(2, "blue")), .vrf(vrf(3, "red")), .route(route(2, "0.0.0.0/0", nextHop: 1)), .route(route(2, "1.1.1.0/24", nextHop: 0)),
            .route(route(2, "1.1.1.5/32", nextHop: 28, label: 18, proxies: true, mac: "02:e7:03:ea:67:f1")),
            .route(route(2, "fd00:1::/64", nextHop: 0)), .route(route(2, "fd00:1::10/128", nextHop: 28, label: 5001, proxies: true)),
            .route(route(3, "9.9.9.9/32", nextHop: 1)), .bridgeEntry(entry), .bridgeEntry(local),
        ]
    }()

    @Test func dumpInet() async {
        #expect(
            await run(["rt", "--dump", "2"], router: FakeRouter(objects, pageSize: 1)).output == """
                Flags: L=Label Valid, P=Proxy ARP, T=Trap ARP, F=Flood ARP, Ml=MAC-IP learnt route
                vRouter inet4 routing table 0/2/unicast
                Destination           PPL        Flags        Label         Nexthop    Stitched MAC(Index)
                0.0.0.0/0               0                        -            1        -
                1.1.1.0/24              0                        -            0        -
                1.1.1.5/32             24           LP          18           28        02:e7:03:ea:67:f1

                """)
    }

    @Test func dumpInet6ByName() async {
        #expect(
            await run(["rt", "--dump", "blue", "--family", "inet6"], router: FakeRouter(objects)).output == """
                Flags: L=Label Valid, P=Proxy ARP, T=Trap ARP, F=Flood ARP, Ml=MAC-IP learnt route
                vRouter inet6 routing table 0/2/unicast
                Destination                                 PPL        Flags        Label         Nexthop    Stitched MAC(Index)
                fd00:1::/64                                   0                        -            0        -
                fd00:1::10/128                               64           LP        5001           28        -

                """)
    }

    @Test func dumpBridge() async {
        #expect(
            await run(["rt", "--dump", "2", "--family", "bridge"], router: FakeRouter(objects)).output == """
                Flags: L=Label Valid, Ml=Learned, Mm=MAC moved
                vRouter bridge table 0/2
                Index       DestMac                  Flags           Label/VNID      Nexthop           Stats
                -           02:00:00:00:01:0a        L               5001            12                -
                -           02:00:00:00:01:0b                        -               9                 -

                """)
    }

    @Test func dumpJSON() async {
        #expect(
            await run(["rt", "--dump", "3", "-o", "json"], router: FakeRouter(objects)).output == """
                {
                  "routes": [
                    {
                      "vrf": 3,
                      "prefix": "9.9.9.9/32",
                      "parentPrefixLength": 0,
                      "flags": "",
                      "label": null,
                      "nextHop": 1,
                      "mac": null,
                      "cookie": "0x0"
                    }
                  ]
                }

                """)
    }

    @Test(arguments: [
        ("1.1.1.5", "1.1.1.5/32             24"), ("1.1.1.6", "1.1.1.0/24              0"), ("8.8.8.8/32", "0.0.0.0/0               0"),
    ])
    func getIsTheLongestMatch(_ address: String, _ line: String) async {
        let run = await run(["rt", "--get", address, "--vrf", "2"], router: FakeRouter(objects))
        #expect(run.code == 0)
        #expect(run.output.contains("\n" + line))
        #expect(run.output.hasPrefix("Match \(address.contains("/") ? address : address + "/32") in vRouter inet4 table 0/2/unicast\n\n"))
    }

    @Test func getInet6AndMAC() async {
        #expect(await run(["rt", "--get", "fd00:1::99", "--vrf", "blue"], router: FakeRouter(objects)).output.contains("\nfd00:1::/64 "))
        #expect(
            await run(["rt", "--get", "02:00:00:00:01:0b", "--vrf", "2"], router: FakeRouter(objects)).output.hasSuffix(
                "02:00:00:00:01:0b                        -               9                 -\n"))
    }

    @Test func whatIsNotThere() async {
        #expect(
            await run(["rt", "--get", "10.0.0.1", "--vrf", "3"], router: FakeRouter(objects)).errors
                == "rt: no route to 10.0.0.1/32 in VRF 3; rt --dump 3 --family inet lists the table\n")
        let unknown = await run(["rt", "--dump", "green"], router: FakeRouter(objects))
        #expect(unknown == Run(code: 1, output: "", errors: "rt: no VRF green; there are 2 (blue), 3 (red)\n"))
        #expect(await run(["rt", "--get", "02:00:00:00:00:ff", "--vrf", "2"], router: FakeRouter(objects)).code == 1)
    }

    @Test func aRouteThatIsNoPrefixIsShownNotTrapped() async {
        var bad = API.Route()
        bad.vrf = 2
        bad.address = .init([1, 2, 3])
        bad.prefixLength = .max
        let run = await run(["rt", "--dump", "2"], router: FakeRouter([.vrf(vrf(2, "blue")), .route(bad)]))
        #expect(run.output.contains("invalid(010203)/4294967295  0"))
    }
}
