import NetTypes
import Testing

@testable import Dataplane

/// Translations by rules, on the packet path. Packets by scapy (GoldenNATRules.swift). blue1 is vif 3, blue2 vif 4, in VRF 1; outside is VRF 2, all of it behind a tunnel.
@Suite("NAT rules on the packet path") struct NATRuleTests {
    static let outside = VRFID(2), inside = VRFID(1)

    static func rule(_ id: UInt32, _ kind: NATRuleSpec.Kind) -> RouterOperation {
        .upsert(.natRule(NATRuleSpec(id: NATRuleID(id), name: "r\(id)", kind: kind)))
    }
    static func address(_ text: String) -> IPAddress { IPAddress(text)! }

    /// A floating IP, both ways.
    static func floating(_ id: UInt32, _ external: String, _ workload: String) -> [RouterOperation] {
        [
            rule(
                id, .destination(.init(vrf: outside, address: address(external), backends: [.init(address: address(workload), vrf: inside)]))),
            rule(
                id + 1,
                .source(.init(vrf: inside, prefix: IPPrefix(host: address(workload)), outside: outside, address: address(external)))),
        ]
    }

    static func router(workloadMTU: Int = 9000) -> TestRouter {
        let test = TestRouter(workloadMTU: workloadMTU)
        var operations: [RouterOperation] = [
            .upsert(.nextHop(NextHopSpec(id: .init(7), kind: .vrf(outside, bridges: true)))),
            .upsert(.vni(VNISpec(vni: .init(5002), nextHop: .init(7)))),
        ]
        for prefix in ["198.51.100.0/24", "2001:db8:9::/64"] {
            operations.append(.upsert(.route(RouteSpec(vrf: outside, prefix: IPPrefix(prefix)!, nextHop: .init(1), label: 5002))))
        }
        #expect(test.router.apply(operations).allSatisfy { $0 == .ok })
        return test
    }

    func apply(_ test: TestRouter, _ operations: [RouterOperation], location: SourceLocation = #_sourceLocation) {
        for outcome in test.router.apply(operations) { #expect(outcome == .ok, sourceLocation: location) }
    }
    func flows(_ test: TestRouter) -> [FlowReading] { test.router.flows(from: 0, limit: 1000).flows }

    /// From the fabric: VXLAN (RFC 7348) in UDP without checksum, with this IP packet for the router's MAC.
    static func tunnelled(_ packet: [UInt8], vni: Int = 5002) -> [UInt8] {
        let inner = DropReasonTests.ethernet(.gateway, .gateway, packet[0] >> 4 == 4 ? 0x0800 : 0x86DD, packet)
        let vxlan: [UInt8] = [8, 0, 0, 0, UInt8(vni >> 16), UInt8(vni >> 8 & 0xFF), UInt8(vni & 0xFF), 0]
        let datagram = DropReasonTests.udp(50_000, 4789, vxlan + inner)
        return DropReasonTests.ethernet(
            TestRouter.fabricMAC, TestRouter.peerMAC, 0x0800, DropReasonTests.ipv4("10.0.0.12", "10.0.0.11", datagram))
    }
    /// The IP packets of frames that went into a tunnel.
    static func inner(_ frames: [[UInt8]]) -> [[UInt8]] { frames.map { Array($0.dropFirst(64)) } }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var request: [UInt8], out: [UInt8], reply: [UInt8], replyIn: [UInt8]
    }
    static let floatingCases = [
        Case(
            testDescription: "UDP", request: GoldenNATRules.floatingUdp, out: GoldenNATRules.floatingUdpOut,
            reply: GoldenNATRules.floatingUdpReply, replyIn: GoldenNATRules.floatingUdpReplyIn),
        Case(
            testDescription: "TCP", request: GoldenNATRules.floatingTcp, out: GoldenNATRules.floatingTcpOut,
            reply: GoldenNATRules.floatingTcpReply, replyIn: GoldenNATRules.floatingTcpReplyIn),
        Case(
            testDescription: "echo", request: GoldenNATRules.floatingEcho, out: GoldenNATRules.floatingEchoOut,
            reply: GoldenNATRules.floatingEchoReply, replyIn: GoldenNATRules.floatingEchoReplyIn),
        Case(
            testDescription: "UDP over IPv6", request: GoldenNATRules.floatingUdp6, out: GoldenNATRules.floatingUdp6Out,
            reply: GoldenNATRules.floatingUdp6Reply, replyIn: GoldenNATRules.floatingUdp6ReplyIn),
        Case(
            testDescription: "TCP over IPv6", request: GoldenNATRules.floatingTcp6, out: GoldenNATRules.floatingTcp6Out,
            reply: GoldenNATRules.floatingTcp6Reply, replyIn: GoldenNATRules.floatingTcp6ReplyIn),
        Case(
            testDescription: "echo over IPv6", request: GoldenNATRules.floatingEcho6, out: GoldenNATRules.floatingEcho6Out,
            reply: GoldenNATRules.floatingEcho6Reply, replyIn: GoldenNATRules.floatingEcho6ReplyIn),
    ]
    static let sharedCases = [
        Case(
            testDescription: "UDP", request: GoldenNATRules.sharedUdp, out: GoldenNATRules.sharedUdpOut, reply: GoldenNATRules.sharedUdpReply,
            replyIn: GoldenNATRules.sharedUdpReplyIn),
        Case(
            testDescription: "TCP", request: GoldenNATRules.sharedTcp, out: GoldenNATRules.sharedTcpOut, reply: GoldenNATRules.sharedTcpReply,
            replyIn: GoldenNATRules.sharedTcpReplyIn),
        Case(
            testDescription: "echo", request: GoldenNATRules.sharedEcho, out: GoldenNATRules.sharedEchoOut, reply: GoldenNATRules.sharedEchoReply,
            replyIn: GoldenNATRules.sharedEchoReplyIn),
        Case(
            testDescription: "UDP over IPv6", request: GoldenNATRules.sharedUdp6, out: GoldenNATRules.sharedUdp6Out,
            reply: GoldenNATRules.sharedUdp6Reply, replyIn: GoldenNATRules.sharedUdp6ReplyIn),
        Case(
            testDescription: "TCP over IPv6", request: GoldenNATRules.sharedTcp6, out: GoldenNATRules.sharedTcp6Out,
            reply: GoldenNATRules.sharedTcp6Reply, replyIn: GoldenNATRules.sharedTcp6ReplyIn),
        Case(
            testDescription: "echo over IPv6", request: GoldenNATRules.sharedEcho6, out: GoldenNATRules.sharedEcho6Out,
            reply: GoldenNATRules.sharedEcho6Reply, replyIn: GoldenNATRules.sharedEcho6ReplyIn),
    ]

    private func exchange(_ test: TestRouter, _ it: Case) {
        for _ in 0..<2 {
            test.send(it.request, from: test.blue1)
            #expect(Self.inner(test.fabric.take()) == [it.out])
            test.send(Self.tunnelled(it.reply), from: test.fabric)
            #expect(test.blue1.take() == [it.replyIn])
        }
        #expect(test.allDrops == [:])
        #expect(flows(test).count == 2 && flows(test).allSatisfy { $0.spec.action == .nat && $0.packets == 2 })
    }

    @Test("A floating IP is its workload's outside, whoever begins", arguments: floatingCases) func floatingIP(_ it: Case) {
        let rules = Self.floating(1, "203.0.113.5", "10.1.0.11") + Self.floating(3, "2001:db8::5", "fd00:1::11")
        let test = Self.router()
        apply(test, rules)
        exchange(test, it)
        // From outside: the reply is the first packet, and the request answers it.
        let other = Self.router()
        apply(other, rules)
        other.send(Self.tunnelled(it.reply), from: other.fabric)
        #expect(other.blue1.take() == [it.replyIn])
        other.send(it.request, from: other.blue1)
        #expect(Self.inner(other.fabric.take()) == [it.out])
        #expect(other.allDrops == [:] && flows(other).count == 2)
    }

    /// As of flows that are not translated, with policies and without.
    @Test("What comes for a floating IP counts for its workload", arguments: [false, true]) func counts(hasPolicies: Bool) {
        let test = Self.router()
        apply(test, Self.floating(1, "203.0.113.5", "10.1.0.11"))
        if hasPolicies { apply(test, [PolicyPipelineTests.policy(1, []), PolicyPipelineTests.attach(test, 4, ingress: [1])]) }
        var spec = test.router.vifs(after: nil, limit: 100).first { $0.spec.id == VifID(3) }!.spec
        spec.flowLimit = 1
        apply(test, [.upsert(.vif(spec))])
        test.send(Self.tunnelled(GoldenNATRules.floatingUdpReply), Self.tunnelled(GoldenNATRules.floatingTcpReply), from: test.fabric)
        #expect(test.blue1.take() == [GoldenNATRules.floatingUdpReplyIn] && test.allDrops == ["new_flow_drop": 1])
        let readings = test.router.vifs(after: nil, limit: 100).filter { $0.flows.flows > 0 }
        #expect(readings.map(\.spec.id) == [VifID(3)] && readings.first?.flows.flows == 1 && readings.first?.flows.overLimit == 1)
    }

    @Test("An address that is shared gives each flow a port of its own", arguments: sharedCases) func shared(_ it: Case) {
        let test = Self.router()
        apply(
            test,
            [("203.0.113.5", "10.1.0.0/24"), ("2001:db8::5", "fd00:1::/64")].enumerated().map { index, rule in
                Self.rule(
                    UInt32(index + 1),
                    .source(
                        .init(
                            vrf: Self.inside, prefix: IPPrefix(rule.1)!, outside: Self.outside, address: Self.address(rule.0),
                            ports: 61001...61001)))
            })
        exchange(test, it)
    }

    @Test("Neighbours meet by their floating IPs and see no other address") func hairpin() {
        let test = Self.router()
        apply(test, Self.floating(1, "203.0.113.5", "10.1.0.11") + Self.floating(3, "203.0.113.6", "10.1.0.12"))
        for _ in 0..<2 {
            test.send(GoldenNATRules.hairpin, from: test.blue1)
            #expect(test.blue2.take() == [GoldenNATRules.hairpinIn])
            test.send(GoldenNATRules.hairpinReply, from: test.blue2)
            #expect(test.blue1.take() == [GoldenNATRules.hairpinReplyIn])
        }
        #expect(test.allDrops == [:] && flows(test).count == 2)
    }

    @Test("A route that comes, or goes, decides anew whether a flow leaves by another network") func routes() {
        let test = Self.router()
        apply(test, Self.floating(1, "203.0.113.5", "10.1.0.11"))
        let packet = DropReasonTests.ethernet(
            .gateway, TestRouter.a, 0x0800, DropReasonTests.ipv4("10.1.0.11", "198.51.100.7", proto: 17, DropReasonTests.udp()))
        func sources() -> [[UInt8]] { Self.inner(test.fabric.take()).map { Array($0[12..<16]) } }
        func route() -> RouterOperation {
            .upsert(.route(RouteSpec(vrf: Self.inside, prefix: IPPrefix("198.51.100.0/24")!, nextHop: .init(1), label: 5001)))
        }
        for _ in 0..<2 {
            test.send(packet, packet, from: test.blue1)
            #expect(sources() == [[203, 0, 113, 5], [203, 0, 113, 5]])
            apply(test, [route()])
            test.send(packet, packet, from: test.blue1)
            #expect(sources() == [[10, 1, 0, 11], [10, 1, 0, 11]])
            apply(test, [.delete(.route(Self.inside, IPPrefix("198.51.100.0/24")!))])
        }
        #expect(flows(test).isEmpty && test.allDrops.isEmpty)
    }

    static func service(_ backends: [NATRuleSpec.Backend], affinity: NATRuleSpec.Affinity = .connection) -> RouterOperation {
        rule(
            9,
            .destination(
                .init(vrf: inside, address: address("10.96.0.1"), match: .port(proto: 6, 80), backends: backends, affinity: affinity)))
    }
    static func backend(_ last: Int, isDraining: Bool = false) -> NATRuleSpec.Backend {
        .init(address: address("10.1.0.\(last)"), port: 8080, vrf: inside, isDraining: isDraining)
    }

    @Test("A service's address leads to its backend, and the answer comes from the service") func service() {
        let test = Self.router()
        apply(test, [Self.service([Self.backend(12)])])
        for _ in 0..<2 {
            test.send(GoldenNATRules.service, from: test.blue1)
            #expect(test.blue2.take() == [GoldenNATRules.serviceIn])
            test.send(GoldenNATRules.serviceReply, from: test.blue2)
            #expect(test.blue1.take() == [GoldenNATRules.serviceReplyIn])
        }
        #expect(test.allDrops == [:] && flows(test).count == 2)
    }

    @Test("A workload that is its own backend sees the service as its client") func itself() {
        let test = Self.router()
        apply(test, [Self.service([Self.backend(11)])])
        test.send(GoldenNATRules.service, from: test.blue1)
        #expect(test.blue1.take() == [GoldenNATRules.itself])
        test.send(GoldenNATRules.itselfReply, from: test.blue1)
        #expect(test.blue1.take() == [GoldenNATRules.itselfReplyIn])
    }

    @Test("Errors about translated packets are understood by who sent those") func errors() {
        let test = Self.router()
        apply(test, Self.floating(1, "203.0.113.5", "10.1.0.11"))
        test.send(GoldenNATRules.floatingUdp, from: test.blue1)
        _ = test.fabric.take()
        test.send(Self.tunnelled(GoldenNATRules.error), from: test.fabric)
        #expect(test.blue1.take() == [GoldenNATRules.errorIn])
        // The router's own error quotes what the workload sent.
        test.send(GoldenNATRules.last, from: test.blue1)
        let frames = test.blue1.take()
        #expect(frames.count == 1 && frames[0][34] == 11 && Array(frames[0][42...]) == Array(GoldenNATRules.last[14...]))
        #expect(test.allDrops == ["ttl_exceeded": 1])
    }

    // MARK: - The router's own errors

    private typealias Tuple = TranslationTrials.Tuple
    /// Not to be fragmented.
    private static func whole(_ packet: [UInt8]) -> [UInt8] {
        guard packet[0] >> 4 == 4 else { return packet }
        var packet = packet
        (packet[6], packet[10], packet[11]) = (0x40, 0, 0)
        let sum = ~UInt16(TranslationTrials.sum(packet[..<20]))
        (packet[10], packet[11]) = (UInt8(sum >> 8), UInt8(sum & 0xFF))
        return packet
    }
    /// Type, code, MTU, and what is quoted.
    private static func error(_ packet: [UInt8]) -> (type: UInt8, code: UInt8, mtu: Int, quoted: [UInt8]) {
        let at = packet[0] >> 4 == 4 ? 20 : 40
        return (packet[at], packet[at + 1], Int(packet[at + 6]) << 8 | Int(packet[at + 7]), Array(packet[(at + 8)...]))
    }

    /// Time exceeded and packet too big, about packets that had been translated when it was found out: of a floating IP, of a shared address, to a service.
    @Test("The router's own errors quote what was sent", arguments: [false, true], [6, 17, 1] as [UInt8])
    func ownErrors(isIPv6: Bool, proto: UInt8) {
        func end(_ four: String, _ six: String) -> IPAddress { Self.address(isIPv6 ? six : four) }
        let proto = isIPv6 && proto == 1 ? 58 : proto, isEcho = proto == 1 || proto == 58
        let shared = NATRuleSpec.Source(
            vrf: Self.inside, prefix: IPPrefix(isIPv6 ? "fd00:1::/64" : "10.1.0.0/24")!, outside: Self.outside,
            address: end("203.0.113.9", "2001:db8::9"), ports: 61_000...61_009)
        let service = NATRuleSpec.Destination(
            vrf: Self.inside, address: end("10.96.0.1", "fd00:96::1"), match: isEcho ? .all : .port(proto: proto, 80),
            backends: [.init(address: end("10.1.0.12", "fd00:1::12"), port: isEcho ? nil : 8080, vrf: Self.inside)])
        let floating = isIPv6 ? Self.floating(1, "2001:db8::5", "fd00:1::11") : Self.floating(1, "203.0.113.5", "10.1.0.11")
        for (rules, destination) in [
            (floating, end("198.51.100.9", "2001:db8:9::9")), ([Self.rule(1, .source(shared))], end("198.51.100.9", "2001:db8:9::9")),
            ([Self.rule(1, .destination(service))], service.address),
        ] {
            let test = Self.router()
            apply(test, rules)
            let tuple = Tuple(
                vrf: 1, proto: proto, source: end("10.1.0.11", "fd00:1::11"), destination: destination, sourcePort: 1000,
                destinationPort: isEcho ? 1000 : 80)
            for (payload, ttl, type) in [(40, 1, isIPv6 ? 3 : 11), (1490, 64, isIPv6 ? 2 : 3)] as [(Int, UInt8, UInt8)] {
                let sent = Self.whole(
                    TranslationTrials.packet(tuple, isReply: false, ttl: ttl, payload: (0..<payload).map { UInt8(truncatingIfNeeded: $0 &* 37) }))
                test.send(DropReasonTests.ethernet(.gateway, TestRouter.a, isIPv6 ? 0x86DD : 0x0800, sent), from: test.blue1)
                let errors = test.blue1.take()
                #expect(errors.count == 1 && test.fabric.take().isEmpty && test.blue2.take().isEmpty, "\(destination): \(test.allDrops)")
                guard let packet = errors.first.map({ Array($0.dropFirst(14)) }) else { continue }
                let seen = TranslationTrials.seen(packet), error = Self.error(packet)
                #expect(seen?.fault == nil && seen?.tuple.destination == tuple.source && error.type == type)
                #expect(
                    error.quoted.count >= min(sent.count, 500) && error.quoted == Array(sent.prefix(error.quoted.count)),
                    "\(destination), type \(type)")
            }
            #expect(flows(test).allSatisfy { $0.spec.action == .nat } && flows(test).count == 2)
        }
    }

    @Test("An error that goes outside comes from the address that was asked, and quotes that", arguments: [false, true])
    func ownErrorsOutside(isIPv6: Bool) {
        let test = Self.router(workloadMTU: 1300)
        let external = Self.address(isIPv6 ? "2001:db8::5" : "203.0.113.5"), peer = Self.address(isIPv6 ? "2001:db8:9::9" : "198.51.100.9")
        apply(test, Self.floating(1, external.description, isIPv6 ? "fd00:1::11" : "10.1.0.11"))
        let tuple = Tuple(vrf: 2, proto: 17, source: peer, destination: external, sourcePort: 53, destinationPort: 2000)
        let sent = Self.whole(TranslationTrials.packet(tuple, isReply: false, payload: [UInt8](repeating: 9, count: 1350)))
        test.send(Self.tunnelled(sent), from: test.fabric)
        let errors = Self.inner(test.fabric.take())
        #expect(errors.count == 1 && test.blue1.take().isEmpty, "\(test.allDrops)")
        guard let packet = errors.first else { return }
        let seen = TranslationTrials.seen(packet), error = Self.error(packet)
        #expect(seen?.fault == nil && seen?.tuple.source == external && seen?.tuple.destination == peer)
        #expect(
            error.type == (isIPv6 ? 2 : 3) && error.mtu == 1300 && error.quoted.count >= 500 && error.quoted == Array(sent.prefix(error.quoted.count))
        )
    }

    // MARK: - Changes

    /// TCP SYNs of blue1 to the service, from these ports.
    static func syn(_ port: Int, to address: String = "10.96.0.1", _ destination: Int = 80) -> [UInt8] {
        let tcp: [UInt8] =
            [
                UInt8(port >> 8), UInt8(port & 0xFF), UInt8(destination >> 8), UInt8(destination & 0xFF), 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 2, 32, 0, 0,
                0, 0, 0,
            ]
        return DropReasonTests.ethernet(.gateway, TestRouter.a, 0x0800, DropReasonTests.ipv4("10.1.0.11", address, proto: 6, tcp))
    }

    private func backends(_ test: TestRouter) -> [UInt16: IPAddress] {
        Dictionary(
            flows(test).filter { $0.isForward }.map { ($0.spec.key.sourcePort, $0.spec.translation?.destination ?? $0.spec.key.destination) }
        ) { a, _ in a }
    }

    @Test("A backend that goes takes its own flows with it, one that drains none; the others' stay") func backendsChange() {
        let test = Self.router()
        apply(test, [Self.service((20..<24).map { Self.backend($0) })])
        let ports = Array(2000..<2200)
        for port in ports { test.send(Self.syn(port), from: test.blue1) }
        let first = backends(test)
        #expect(first.count == 200 && Set(first.values).count == 4)
        // Draining: nothing ends, nothing new comes.
        apply(test, [Self.service((20..<24).map { Self.backend($0, isDraining: $0 == 21) })])
        #expect(backends(test) == first)
        for port in 3000..<3100 { test.send(Self.syn(port), from: test.blue1) }
        #expect(backends(test).filter { $0.key >= 3000 }.allSatisfy { $0.value != Self.address("10.1.0.21") })
        let second = backends(test)
        // Gone: its flows, and no others.
        apply(test, [Self.service([20, 22, 23].map { Self.backend($0) })])
        #expect(backends(test) == second.filter { $0.value != Self.address("10.1.0.21") })
        // The same flow, made anew, has the same backend unless that one went.
        for port in ports { test.send(Self.syn(port), from: test.blue1) }
        let third = backends(test)
        for (port, backend) in first where backend != Self.address("10.1.0.21") { #expect(third[port] == backend) }
        // Nobody left.
        apply(test, [Self.service([])])
        #expect(backends(test).isEmpty)
        test.send(Self.syn(4000), from: test.blue1)
        #expect(test.drops(.noBackend) == 1 && flows(test).isEmpty)
    }

    @Test("With client affinity one client has one backend") func affinity() {
        let test = Self.router()
        apply(test, [Self.service((20..<28).map { Self.backend($0) }, affinity: .client)])
        for port in 2000..<2100 { test.send(Self.syn(port), from: test.blue1) }
        #expect(backends(test).count == 100 && Set(backends(test).values).count == 1)
    }

    @Test("A floating IP that goes ends its flows and only those") func deletion() {
        let test = Self.router()
        apply(test, Self.floating(1, "203.0.113.5", "10.1.0.11") + Self.floating(3, "2001:db8::5", "fd00:1::11"))
        test.send(GoldenNATRules.floatingUdp, from: test.blue1)
        test.send(GoldenNATRules.floatingUdp6, from: test.blue1)
        test.send(Self.syn(2000, to: "10.1.0.12"), from: test.blue1)
        #expect(flows(test).count == 6)
        apply(test, [.delete(.natRule(.init(1))), .delete(.natRule(.init(2)))])
        #expect(flows(test).count == 4 && flows(test).contains { $0.spec.key.source == Self.address("fd00:1::11") && $0.spec.action == .nat })
        test.send(GoldenNATRules.floatingUdp, from: test.blue1)
        #expect(test.allDrops == ["no_route": 1])
        // And comes back: the flow that led nowhere is no obstacle.
        apply(test, Self.floating(1, "203.0.113.5", "10.1.0.11"))
        _ = test.fabric.take()
        test.send(GoldenNATRules.floatingUdp, from: test.blue1)
        #expect(Self.inner(test.fabric.take()) == [GoldenNATRules.floatingUdpOut])
    }

    @Test("Ports are given out once, given back with the flow, and counted when there are none") func ports() {
        let test = Self.router()
        let source = NATRuleSpec.Source(
            vrf: Self.inside, prefix: IPPrefix("10.1.0.0/24")!, outside: Self.outside, address: Self.address("203.0.113.5"), ports: 1024...1055)
        apply(test, [Self.rule(1, .source(source))])
        for port in 2000..<2032 { test.send(Self.syn(port, to: "198.51.100.9"), from: test.blue1) }
        var used = flows(test).filter { $0.isForward }.compactMap { $0.spec.translation?.sourcePort }
        #expect(Set(used).count == 32 && Set(used) == Set(1024...1055) && test.allDrops == [:])
        test.send(Self.syn(2032, to: "198.51.100.9"), from: test.blue1)
        #expect(test.allDrops == ["nat_ports_exhausted": 1])
        // Another destination is another matter.
        test.send(Self.syn(2032, to: "198.51.100.10"), from: test.blue1)
        #expect(test.allDrops == ["nat_ports_exhausted": 1])
        let key = flows(test).first { $0.isForward && $0.spec.key.sourcePort == 2007 }!.spec.key
        apply(test, [.delete(.flow(key))])
        test.send(Self.syn(2032, to: "198.51.100.9"), from: test.blue1)
        #expect(test.allDrops == ["nat_ports_exhausted": 1])
        used = flows(test).filter { $0.isForward && $0.spec.key.destination == Self.address("198.51.100.9") }.compactMap {
            $0.spec.translation?.sourcePort
        }
        #expect(Set(used).count == 32 && used.count == 32)
        // What has no ports cannot share.
        let gre = DropReasonTests.ethernet(
            .gateway, TestRouter.a, 0x0800, DropReasonTests.ipv4("10.1.0.11", "198.51.100.9", proto: 47, [0, 0, 8, 0]))
        test.send(gre, from: test.blue1)
        #expect(test.drops(.noTranslation) == 1)
    }

    @Test("Ports of other nodes are sent on to them") func redirected() {
        let test = Self.router()
        let aux = VRFID(3)
        apply(
            test,
            [
                .upsert(.vrf(VRFSpec(id: aux, name: "aux"))),
                .upsert(.route(RouteSpec(vrf: aux, prefix: IPPrefix("203.0.113.5/32")!, nextHop: .init(1), label: 5002))),
                Self.rule(
                    1,
                    .destination(
                        .init(
                            vrf: Self.outside, address: Self.address("203.0.113.5"), match: .range(60_000...62_000), backends: [.init(vrf: aux)]))),
            ])
        test.send(Self.tunnelled(GoldenNATRules.sharedUdpReply), from: test.fabric)
        let sent = Self.inner(test.fabric.take())
        #expect(sent.count == 1 && sent.first.map { Array($0[12...]) } == Array(GoldenNATRules.sharedUdpReply[12...]))
        test.send(Self.tunnelled(GoldenNATRules.floatingUdpReply), from: test.fabric)
        #expect(test.fabric.take().isEmpty && test.allDrops == ["no_route": 1])
    }

    /// What arrives from another node's ports is answered to that node, although the address is here too; while there is such a rule.
    @Test("Replies to ports of other nodes go back to them") func answered() {
        let test = Self.router()
        let aux = VRFID(3)
        apply(
            test,
            [
                .upsert(.vrf(VRFSpec(id: aux, name: "aux"))),
                .upsert(.route(RouteSpec(vrf: aux, prefix: IPPrefix("198.51.100.9/32")!, nextHop: .init(1), label: 5003))),
                .delete(.route(Self.outside, IPPrefix("198.51.100.0/24")!)),
                .upsert(.route(RouteSpec(vrf: Self.outside, prefix: IPPrefix("10.1.0.11/32")!, nextHop: .init(30)))),
                Self.rule(
                    1,
                    .destination(.init(vrf: Self.outside, address: Self.address("198.51.100.9"), match: .range(50...60), backends: [.init(vrf: aux)]))
                ),
            ])
        // blue1 is the peer outside here: its vif is in VRF 2.
        var vif = test.router.vifs(after: nil, limit: 100).first { $0.spec.id == VifID(3) }!.spec
        vif.vrf = Self.outside
        apply(test, [.upsert(.vif(vif))])
        test.send(Self.tunnelled(DropReasonTests.ipv4("198.51.100.9", "10.1.0.11", DropReasonTests.udp(53, 4000))), from: test.fabric)
        #expect(test.blue1.take().count == 1, "\(test.allDrops)")
        test.send(GoldenNATRules.floatingUdp, from: test.blue1)
        let sent = test.fabric.take()
        #expect(sent.count == 1 && sent.first.map { Array($0[46..<49]) } == [0, 0x13, 0x8B], "\(test.allDrops)")
        #expect(flows(test).count == 2)
        // Without the rule there is no way back.
        apply(test, [.delete(.natRule(.init(1)))])
        #expect(flows(test).isEmpty)
    }

    @Test("Policies see the workload's own address, whichever way it goes out") func policies() {
        let test = Self.router()
        let dns = PolicyRule(
            remote: .prefixes([IPPrefix("198.51.100.9/32")!]), local: .prefixes([IPPrefix("10.1.0.11/32")!]), service: PolicyPipelineTests.dns)
        apply(
            test,
            Self.floating(1, "203.0.113.5", "10.1.0.11") + [
                PolicyPipelineTests.policy(1, [dns]), PolicyPipelineTests.policy(2, []), PolicyPipelineTests.attach(test, 3, ingress: [], egress: []),
            ])
        apply(test, [PolicyPipelineTests.attach(test, 3, ingress: [2], egress: [1])])
        test.send(GoldenNATRules.floatingUdp, from: test.blue1)
        #expect(Self.inner(test.fabric.take()) == [GoldenNATRules.floatingUdpOut])
        test.send(GoldenNATRules.floatingTcp, from: test.blue1)
        test.send(Self.tunnelled(GoldenNATRules.floatingEchoReply), from: test.fabric)
        #expect(test.fabric.take().isEmpty && test.blue1.take().isEmpty && test.allDrops == ["flow_action_drop": 2])
        // Denied, it is a translated flow all the same, and passes when the policy lets it.
        apply(test, [PolicyPipelineTests.policy(1, [PolicyRule(local: .prefixes([IPPrefix("10.1.0.11/32")!]))])])
        test.send(GoldenNATRules.floatingTcp, from: test.blue1)
        #expect(Self.inner(test.fabric.take()) == [GoldenNATRules.floatingTcpOut])
    }

    @Test("What makes no sense is refused, with what and why") func refusals() {
        let test = Self.router()
        func refused(_ rule: RouterOperation, _ text: String, location: SourceLocation = #_sourceLocation) {
            let outcome = test.router.apply([rule])[0]
            switch outcome {
            case .ok: Issue.record("not refused", sourceLocation: location)
            case .invalid(let why), .notFound(let why), .inUse(let why), .tableFull(let why), .portFailed(let why), .unsupported(let why):
                #expect(why.contains(text), "\(why)", sourceLocation: location)
            }
        }
        let external = Self.address("203.0.113.5")
        refused(Self.rule(1, .destination(.init(vrf: VRFID(9), address: external, backends: []))), "VRF 9 does not exist")
        refused(
            Self.rule(
                1, .destination(.init(vrf: Self.outside, address: external, backends: [.init(address: Self.address("fd00::1"), vrf: Self.inside)]))),
            "another family")
        refused(
            Self.rule(1, .destination(.init(vrf: Self.outside, address: external, match: .port(proto: 47, 1), backends: []))), "protocol 47")
        refused(Self.rule(1, .destination(.init(vrf: Self.outside, address: external, backends: [.init(vrf: Self.outside)]))), "already")
        refused(
            Self.rule(1, .source(.init(vrf: Self.inside, prefix: IPPrefix("10.1.0.0/24")!, outside: Self.outside, address: external))), "give ports")
        refused(
            Self.rule(1, .source(.init(vrf: Self.inside, prefix: IPPrefix("10.1.0.1/32")!, outside: Self.inside, address: external))), "itself")
        apply(test, Self.floating(1, "203.0.113.5", "10.1.0.11"))
        refused(Self.floating(5, "203.0.113.5", "10.1.0.12")[0], "rule 1 (r1) translates the same")
        refused(.delete(.vrf(Self.outside)), "")
        refused(.delete(.natRule(.init(99))), "does not exist")
        // The same again is no change; another id may not take its place.
        apply(test, Self.floating(1, "203.0.113.5", "10.1.0.11"))
        #expect(test.router.natRules(after: nil, limit: 10).map(\.id.rawValue) == [1, 2])
    }
}
