import NetTypes
import Testing

@testable import Dataplane

/// What a workload may send from, and what it may claim (GoldenAntispoof.swift, by scapy): blue1 is 02:00:00:00:01:11 with 10.1.0.11 and fd00:1::11.
@Suite struct AntispoofTests {
    static let pairs = [
        AllowedAddressPair(prefix: IPPrefix("10.1.0.48/28")!), AllowedAddressPair(prefix: IPPrefix("fd00:1::a:0:0:0/80")!),
        AllowedAddressPair(prefix: IPPrefix("10.1.0.77/32")!, mac: MACAddress("00:00:5e:00:01:07")!),
    ]
    static func router(_ pairs: [AllowedAddressPair], traits: PortTraits = [], antispoof: Bool = true) -> TestRouter {
        let test = TestRouter(workloadTraits: traits)
        var spec = test.router.vifs(after: .init(2), limit: 1)[0].spec
        spec.antispoof = antispoof
        spec.allowedPairs = pairs
        spec.services = true
        #expect(test.router.apply([.upsert(.vif(spec))]) == [.ok])
        return test
    }

    /// Of a device that finishes what it sends, and of a kernel's that does not: the two ways into the router.
    @Test(arguments: [PortTraits(), [.unfinishedChecksums, .oversizedSegments]]) func whatMayBeSent(_ traits: PortTraits) {
        let plain = Self.router([], traits: traits), withPairs = Self.router(Self.pairs, traits: traits), open = Self.router([], antispoof: false)
        for item in GoldenAntispoof.cases {
            for (test, mayBeSent) in [(plain, item.mayBeSent), (withPairs, item.mayBeSentWithPairs), (open, true)] {
                let before = (test.drops(.invalidSource), test.router.vifs(after: .init(2), limit: 1)[0].counters.spoofed)
                test.send(item.frame, from: test.blue1)
                let after = (test.drops(.invalidSource), test.router.vifs(after: .init(2), limit: 1)[0].counters.spoofed)
                let refused: UInt64 = mayBeSent ? 0 : 1
                #expect(after.0 - before.0 == refused && after.1 - before.1 == refused, "\(item.name)")
                let seen = test.fabric.take().count + test.blue1.take().count + test.blue2.take().count
                if !mayBeSent { #expect(seen == 0, "\(item.name)") } else if item.name.hasPrefix("its own") { #expect(seen == 1, "\(item.name)") }
            }
        }
    }

    @Test func prefixesOfEitherFamilyStandForThatFamily() {
        let v6 = Self.router([AllowedAddressPair(prefix: IPPrefix("::/0")!)]), v4 = Self.router([AllowedAddressPair(prefix: IPPrefix("0.0.0.0/0")!)])
        for (name, isIPv4) in [("another address", true), ("another address, IPv6", false)] {
            let frame = GoldenAntispoof.cases.first { $0.name == name }!.frame
            v6.send(frame, from: v6.blue1)
            v4.send(frame, from: v4.blue1)
            #expect(v6.drops(.invalidSource) == 1 && v4.drops(.invalidSource) == (isIPv4 ? 0 : 1), "\(name)")
        }
    }

    @Test func refused() {
        let test = TestRouter()
        var spec = test.router.vifs(after: .init(2), limit: 1)[0].spec
        func refusal() -> String { "\(test.router.apply([.upsert(.vif(spec))])[0])" }
        spec.allowedPairs = Self.pairs
        #expect(refusal().contains("switch antispoof on"))
        spec.antispoof = true
        spec.allowedPairs[2].mac = MACAddress("01:00:5e:00:00:01")!
        #expect(refusal().contains("no MAC address that a workload can have"))
        spec.allowedPairs = (0..<65).map { AllowedAddressPair(prefix: IPPrefix("10.9.0.\($0)/32")!) }
        #expect(refusal().contains("a vif has 64 at most"))
    }
}
