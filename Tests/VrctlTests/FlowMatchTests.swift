import NetTypes
import Testing

@testable import vrctl

@Suite struct FlowMatchTests {
    private static func endpoint(_ address: String?, _ port: UInt16?) -> FlowMatch.Endpoint {
        .init(address: address.flatMap { IPAddress($0) }, port: port)
    }

    @Test(arguments: [
        ("10.0.0.1", FlowMatch(endpoints: [endpoint("10.0.0.1", nil)])),
        ("10.0.0.1:80", FlowMatch(endpoints: [endpoint("10.0.0.1", 80)])),
        ("10.0.0.1:80,10.0.0.2 & vrf 1 & proto tcp", FlowMatch(endpoints: [endpoint("10.0.0.1", 80), endpoint("10.0.0.2", nil)], vrf: 1, proto: 6)),
        (
            "10.0.0.1:80 , 10.0.0.2:*&proto icmp6&vrf 7",
            FlowMatch(endpoints: [endpoint("10.0.0.1", 80), endpoint("10.0.0.2", nil)], vrf: 7, proto: 58)
        ),
        ("*", FlowMatch(endpoints: [endpoint(nil, nil)])),
        ("*:53 & proto udp", FlowMatch(endpoints: [endpoint(nil, 53)], proto: 17)),
        ("*:*,*", FlowMatch(endpoints: [endpoint(nil, nil), endpoint(nil, nil)])),
        ("fd00::1", FlowMatch(endpoints: [endpoint("fd00::1", nil)])),
        ("[fd00::1]:443,fd00::2", FlowMatch(endpoints: [endpoint("fd00::1", 443), endpoint("fd00::2", nil)])),
        ("proto 89", FlowMatch(proto: 89)),
        ("vrf 0", FlowMatch(vrf: 0)),
        ("proto SCTP", FlowMatch(proto: 132)),
    ])
    func reads(_ text: String, _ expected: FlowMatch) throws {
        #expect(try FlowMatch(text) == expected)
    }

    @Test(arguments: [
        "", "&", "10.0.0.1 &", "10.0.0.1,", ",", "10.0.0.1,10.0.0.2,10.0.0.3", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:-1", "10.0.0.1:+80",
        "10.0.0.1:8 0x",
        "10.0.0", "256.0.0.1", "host", "vrf", "vrf x", "vrf -1", "vrf 4294967296", "vrf 1 2", "proto", "proto ftp", "proto 256",
        "proto tcp & proto udp",
        "vrf 1 & vrf 1", "10.0.0.1 & 10.0.0.2", "[fd00::1", "[]:80", "[fd00::1]80", "[10.0.0.1]:80", "fd00::1:::80", "*:*:*", "10.0.0.1:٨٠",
        "10.0.0.1\u{0}", "\u{1F600}:80", "10.0.0.1;vrf 1",
    ])
    func refuses(_ text: String) {
        #expect(throws: Failure.self) { try FlowMatch(text) }
    }

    @Test func refusesWhatIsTooLongWithoutReadingIt() {
        #expect(throws: Failure.usage("--match: the expression is longer than 512 octets")) { try FlowMatch(String(repeating: "1", count: 1 << 20)) }
    }

    @Test func anyOctetsAreReadOrRefusedNeverTrapped() {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array("0123456789.:,*&[] vrfprotocp/%\u{0}\u{7F}é")
        for _ in 0..<3_000 {
            let text = String((0..<Int.random(in: 0...40, using: &generator)).map { _ in alphabet.randomElement(using: &generator) ?? " " })
            _ = try? FlowMatch(text)
        }
    }

    @Test func oneEndpointMatchesEitherEndTwoEitherDirection() throws {
        let flow = flow(1, 2, "10.0.0.1", 1000, "10.0.0.2", 80)
        for text in [
            "10.0.0.1", "10.0.0.2", "10.0.0.2:80", "*:1000", "10.0.0.1,10.0.0.2", "10.0.0.2:80,10.0.0.1", "*:80,*:1000", "proto tcp", "vrf 2", "*",
        ] {
            #expect(try FlowMatch(text).filter.accepts(flow), "\(text)")
        }
        for text in [
            "10.0.0.3", "10.0.0.1:80", "10.0.0.1:1000,10.0.0.2:81", "10.0.0.1,10.0.0.1", "proto udp", "vrf 1", "10.0.0.1 & vrf 3", "fd00::1",
        ] {
            #expect(try !FlowMatch(text).filter.accepts(flow), "\(text)")
        }
    }

    @Test func messageQuotesThePart() {
        #expect(throws: Failure.usage("--match: '10.0.0.1:x' is not an endpoint; write 10.0.0.1, 10.0.0.1:80, [fd00::1]:80, *:80 or *")) {
            try FlowMatch("10.0.0.2,10.0.0.1:x")
        }
    }
}
