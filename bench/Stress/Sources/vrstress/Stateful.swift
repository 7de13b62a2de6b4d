import Dataplane
import Foundation
import NetTypes

/// What decides about flows, and in how many ways it changes: policies and groups, translations, mirrors, marks. VRF 3 is the outside, with one host behind vif 7; vif 10 gets the
/// copies of mirrored frames, and vif 12 those of the vif that it monitors; vif 11 is a VLAN of the last workload's port.
extension Program {
    static let external = IPv4Address(100, 64, 0, 1), floating = IPv4Address(100, 64, 0, 10), service = IPv4Address(10, 1, 100, 1)
    static let outsider = IPv4Address(172, 16, 0, 1), outsiderMAC = MACAddress(rawValue: 0x0200_0000_0120)
    /// The port of the flows that a rule traps, and whose sender has so few that what waits for a decision cannot take all buffers.
    static let trappedPort: UInt16 = 9999, trappedTarget = IPv4Address(10, 2, 0, 30)
    /// Policies: 1 from the workloads, 2 to them, 3 and 4 sometimes, 5 traps; 200 and 201 of the clean wire. Groups: 1 to 4; 200 the clean wire's ends.
    static let trapPolicy = PolicyID(5), cleanPolicy = PolicyID(200), otherCleanPolicy = PolicyID(201), cleanGroup = AddressGroupID(200)

    static func prefix(_ address: IPv4Address, _ length: Int) -> [IPPrefix] { [IPPrefix(masking: .v4(address), length: length)].compactMap { $0 } }

    /// Before the vifs that name it.
    static func stateful() -> [RouterOperation] {
        var dice = Dice(1)
        return [
            // Else damaged frames would fill the table with flows that nothing more comes of.
            .upsert(.flowAgeing(FlowAgeingSpec(proto: 0, seconds: 2))), port("outside"), port("watch"), port("span"),
            .upsert(.vrf(VRFSpec(id: .init(3), name: "outside"))),
            .upsert(.forwardingClass(ForwardingClassSpec(id: 1, dscp: 8, trafficClass: 1))),
            .upsert(.forwardingClass(ForwardingClassSpec(id: 2, dscp: 34, trafficClass: 6, vlanPriority: 5))), qosMap(1, &dice),
            group(1, &dice), group(2, &dice), .upsert(.addressGroup(AddressGroupSpec(id: cleanGroup, name: "clean", prefixes: clean))),
            policy(1, &dice), policy(2, &dice), policy(3, &dice), policy(4, &dice), cleanPolicy(&dice),
            .upsert(.policy(PolicySpec(id: otherCleanPolicy, name: "all pass", origin: .networkPolicy, defaultAction: .pass))),
            .upsert(
                .policy(
                    PolicySpec(
                        id: trapPolicy, name: "ask", origin: .firewall,
                        rules: [
                            PolicyRule(
                                name: "ask", action: .trap, service: .ports(proto: 17, destination: [trappedPort...trappedPort], source: []))
                        ], defaultAction: .pass))),
        ]
    }

    /// After the vifs and the routes.
    static func translations() -> [RouterOperation] {
        var dice = Dice(2)
        return [
            .upsert(.vif(VifSpec(id: .init(7), name: "outside", kind: .virtual, port: "outside", vrf: .init(3), mac: .gateway, keepsFlows: true))),
            .upsert(.vif(VifSpec(id: .init(10), name: "watch", kind: .virtual, port: "watch", vrf: .init(2), mac: .gateway))),
            nextHop(117, .encap(vif: .init(7), destination: outsiderMAC, source: .gateway)),
        ] + [route(3, .v4(IPv4Address(172, 16, 0, 0)), 12, 117)].compactMap { $0 } + (1...5).map { translation($0, &dice) } + [
            mirror(1, &dice), subInterface(&dice),
        ]
    }

    // MARK: Policies

    static func group(_ id: UInt32, _ dice: inout Dice) -> RouterOperation {
        var prefixes: [IPPrefix] = []
        for _ in 0..<dice.roll(6) { prefixes += prefix(IPv4Address(10, UInt8(1 + dice.roll(6)), 0, UInt8(dice.roll(64))), 16 + dice.roll(17)) }
        if let all = IPPrefix(masking: .v6(IPv6Address(high: 0xFD00_0001_0000_0000, low: 0)), length: 32 + dice.roll(64)) { prefixes.append(all) }
        return .upsert(.addressGroup(AddressGroupSpec(id: .init(id), name: "group \(id)", prefixes: prefixes)))
    }

    /// Rules of every kind, of which some pass, some deny, some mirror and log.
    static func policy(_ id: UInt32, _ dice: inout Dice) -> RouterOperation {
        let ports = UInt16(2000 + dice.roll(4))
        var rules = [
            PolicyRule(name: "members", remote: .group(.init(1 + UInt32(dice.roll(2))))),
            PolicyRule(name: "web", service: .ports(proto: 6, destination: [80...80, 443...443], source: []), logs: dice.roll(4) == 0),
            PolicyRule(name: "lone", action: .deny, service: .ports(proto: 17, destination: [ports...ports], source: [1024...1040])),
            PolicyRule(
                name: "watched", remote: .prefixes(prefix(IPv4Address(10, 2, 0, 0), 15)),
                service: .ports(proto: 17, destination: [4000...4000], source: []),
                mirror: UInt8(dice.roll(3)), logs: dice.roll(2) == 0),
            PolicyRule(name: "echo", service: .icmp(proto: 1, type: 8, code: nil)),
            PolicyRule(name: "names", action: dice.roll(4) == 0 ? .deny : .pass, service: .ports(proto: 17, destination: [24...53], source: [])),
        ]
        for index in (1..<rules.count).reversed() where dice.roll(3) == 0 { rules.remove(at: index) }
        return .upsert(
            .policy(
                PolicySpec(
                    id: .init(id), name: "policy \(id)", origin: PolicyOrigin.allCases[dice.roll(3)], rules: rules,
                    defaultAction: dice.roll(3) == 0 ? .deny : .pass)))
    }

    static var clean: [IPPrefix] { prefix(IPv4Address(10, 100, 0, 8), 31) }

    /// In whatever words: the clean wire's flows pass, by a rule about their group.
    static func cleanPolicy(_ dice: inout Dice) -> RouterOperation {
        var rules = [
            PolicyRule(
                name: "clean", remote: .group(cleanGroup), local: .group(cleanGroup),
                service: .ports(proto: 17, destination: [3000...3000], source: []))
        ]
        for index in 0..<dice.roll(4) {
            let other = PolicyRule(
                name: "other \(index)", action: .deny, remote: .prefixes(prefix(IPv4Address(192, 0, 2, UInt8(dice.roll(256))), 32)))
            rules.insert(dice.roll(2) == 0 ? other : PolicyRule(name: "tcp", action: .deny, service: .proto(6)), at: dice.roll(rules.count))
        }
        return .upsert(.policy(PolicySpec(id: cleanPolicy, name: "clean", rules: rules, defaultAction: .deny)))
    }

    static func cleanGroup(_ dice: inout Dice) -> RouterOperation {
        var prefixes = clean
        for _ in 0..<dice.roll(4) { prefixes += prefix(IPv4Address(198, 51, 100, UInt8(dice.roll(256))), 24 + dice.roll(9)) }
        return .upsert(.addressGroup(AddressGroupSpec(id: cleanGroup, name: "clean", prefixes: prefixes)))
    }

    static func cleanVif(_ id: UInt32, _ dice: inout Dice) -> RouterOperation {
        let name = id == 8 ? "clean-a" : "clean-b"
        var spec = VifSpec(
            id: .init(id), name: name, kind: .virtual, port: name, vrf: .init(100), mac: .gateway, addresses: [.v4(IPv4Address(10, 1, 0, 1))],
            keepsFlows: true)
        spec.ingressPolicies = [[cleanPolicy], [cleanPolicy, otherCleanPolicy], [otherCleanPolicy, cleanPolicy]][dice.roll(3)]
        spec.egressPolicies = [[cleanPolicy], [otherCleanPolicy], [cleanPolicy, otherCleanPolicy]][dice.roll(3)]
        return .upsert(.vif(spec))
    }

    /// A workload's vif: with policies, marks and fat flows where it keeps flows. The second one's flows are those that are trapped.
    static func workloadVif(_ index: Int, mtu: Int = 0, keepsFlows: Bool = true, _ dice: inout Dice) -> RouterOperation {
        var spec = VifSpec(
            id: .init(UInt32(3 + index)), name: "w\(index)", kind: .virtual, port: "w\(index)", vrf: .init(1), mac: .gateway, mtu: mtu,
            addresses: [.v4(IPv4Address(10, 1, 0, 1))],
            workloadAddresses: [.v4(Template.workloads[index].ipv4), .v6(Template.workloads[index].ipv6)],
            keepsFlows: keepsFlows)
        spec.qosMap = index < 2 ? 1 : 0
        guard keepsFlows else { return .upsert(.vif(spec)) }
        let extra: [PolicyID] = [[], [.init(3)], [.init(4)], [.init(3), .init(4)]][dice.roll(4)]
        // What waits there is not to be denied all the time before its own is over.
        spec.egressPolicies = index == 1 ? [trapPolicy] + (dice.roll(8) == 0 ? extra : []) : [.init(1)] + extra
        spec.ingressPolicies = dice.roll(4) == 0 ? [] : [.init(2)] + extra
        if index == 2, dice.roll(4) > 0 {
            spec.fatFlows = [
                FatFlowRule(proto: 17, port: 53, ignoredAddress: FatFlowRule.Address.allCases[dice.roll(3)]), FatFlowRule(proto: 6, port: 80),
            ]
        }
        if index == 3 { (spec.flowLimit, spec.flowRate) = (UInt32(dice.roll(2) * 40), UInt32(dice.roll(2) * 100)) }
        return .upsert(.vif(spec))
    }

    static let tagged = VifID(11), spanning = VifID(12)

    static func subInterface(_ dice: inout Dice) -> RouterOperation {
        var spec = VifSpec(
            id: tagged, name: "tagged", kind: .vlan, port: "", vrf: .init(1), mac: .gateway, keepsFlows: true,
            vlan: VLANSpec(parent: .init(6), id: UInt16(100 + dice.roll(2))))
        spec.qosMap = UInt8(dice.roll(2))
        if dice.roll(2) == 0 { spec.egressPolicies = [.init(1)] }
        return .upsert(.vif(spec))
    }

    static func monitor(_ dice: inout Dice) -> RouterOperation {
        var spec = VifSpec(id: spanning, name: "span", kind: .monitoring, port: "span", vrf: .init(0), mac: .gateway)
        spec.monitors = .init(UInt32(3 + dice.roll(4)))
        return .upsert(.vif(spec))
    }

    // MARK: Translations

    /// 1: many share an address; 2 and 3: one host has one, both directions; 4 and 5: a service of several backends. 6: of the clean wire's network, of an address nobody there uses.
    static func translation(_ id: Int, _ dice: inout Dice) -> RouterOperation {
        let kind: NATRuleSpec.Kind
        switch id {
        case 1:
            let first = UInt16(1024 + dice.roll(2) * 16)
            kind = .source(
                .init(
                    vrf: .init(1), prefix: prefix(IPv4Address(10, 1, 0, 0), 24 - dice.roll(2) * 4)[0], outside: .init(3), address: .v4(external),
                    ports: first...first + UInt16(15 + dice.roll(2) * 16)))
        case 2:
            let backend = Template.workloads[dice.roll(8) == 0 ? 3 : 0]
            kind = .destination(.init(vrf: .init(3), address: .v4(floating), backends: [.init(address: .v4(backend.ipv4), vrf: .init(1))]))
        case 3:
            kind = .source(
                .init(vrf: .init(1), prefix: prefix(Template.workloads[0].ipv4, 32)[0], outside: .init(3), address: .v4(floating), ports: nil))
        case 4, 5:
            var backends: [NATRuleSpec.Backend] = []
            for workload in Template.workloads where dice.roll(3) > 0 {
                backends.append(
                    .init(address: .v4(workload.ipv4), port: id == 4 ? UInt16(80 + dice.roll(2)) : nil, vrf: .init(1), isDraining: dice.roll(6) == 0))
            }
            let match: NATRuleSpec.Match = id == 4 ? .port(proto: 6, 80) : dice.roll(2) == 0 ? .all : .range(50...UInt16(60 + dice.roll(20)))
            kind = .destination(
                .init(
                    vrf: .init(1), address: .v4(service), match: match, backends: backends, affinity: dice.roll(2) == 0 ? .connection : .client))
        default:
            kind = .destination(
                .init(
                    vrf: .init(100), address: .v4(IPv4Address(10, 100, 0, UInt8(70 + dice.roll(4)))),
                    backends: [.init(address: .v4(IPv4Address(10, 100, 0, 8)), vrf: .init(100))]))
        }
        return .upsert(.natRule(NATRuleSpec(id: .init(UInt32(id)), name: "rule \(id)", kind: kind)))
    }

    // MARK: Mirrors and marks

    static func mirror(_ id: UInt32, _ dice: inout Dice) -> RouterOperation {
        let destination: MirrorSpec.Destination
        switch dice.roll(4) {
        case 0, 1: destination = .vif(.init(10))
        case 2: destination = .vxlan(.init(1), .init(7000))
        default: destination = .erspan(.init(UInt32(1 + dice.roll(3))), session: UInt32(dice.roll(1024)))
        }
        let source = MirrorSpec.Source(vif: .init(dice.roll(2) == 0 ? 3 : 7), direction: CaptureSpec.Direction.allCases[dice.roll(3)])
        return .upsert(
            .mirror(MirrorSpec(id: id, sources: dice.roll(3) == 0 ? [] : [source], destination: destination, snapLength: dice.roll(2) * 64)))
    }

    /// Where a control thread's mirror writes.
    static func path(lane: UInt32) -> String { NSTemporaryDirectory() + "vrstress-\(ProcessInfo.processInfo.processIdentifier)-\(lane).pcapng" }

    static func fileMirror(lane: UInt32) -> RouterOperation {
        .upsert(
            .mirror(
                MirrorSpec(
                    id: 10 + lane, sources: [.init(vif: .init(4))], destination: .file(path: path(lane: lane), maximumSize: 65_536, maximumFiles: 2)))
        )
    }

    static func qosMap(_ id: UInt8, _ dice: inout Dice) -> RouterOperation {
        .upsert(
            .qosMap(
                QoSMapSpec(id: id, dscp: [0: UInt8(1 + dice.roll(2)), 46: 2], trafficClass: dice.roll(2) == 0 ? [0: 1] : [:], vlanPriority: [3: 1])))
    }
}

/// Flows that wait for a decision, as the router told of them. Some are decided; the others run into their time.
final class TrappedFlows: @unchecked Sendable {
    private let lock = NSLock()
    private var waiting: [FlowKeySpec] = []
    private(set) var told = 0

    func add(_ key: FlowKeySpec) {
        lock.withLock {
            told += 1
            if waiting.count < 64 { waiting.append(key) }
        }
    }
    func take() -> FlowKeySpec? { lock.withLock { waiting.popLast() } }
    var count: Int { lock.withLock { told } }
}

extension Template {
    /// Of a workload: to the outside, to a service, to a floating address, and to where a rule traps.
    static func translated(_ index: Int) -> [Template] {
        let own = workloads[index]
        func to(_ target: IPv4Address, _ proto: UInt8, _ payload: [UInt8]) -> Template {
            Template(
                octets: Frame.ethernet(to: .gateway, from: own.mac, 0x0800, Frame.ipv4(own.ipv4, target, proto, payload)), ports: proto == 1 ? 0 : 34,
                isTCP: proto == 6)
        }
        var out = [
            to(Program.outsider, 17, Frame.udp(1024, 24)), to(Program.outsider, 6, Frame.tcp(1024, 443)),
            to(Program.outsider, 1, Frame.echo(UInt16(100 + index))), to(Program.service, 6, Frame.tcp(1024, 80)),
            to(Program.service, 17, Frame.udp(1024, 53)), to(Program.floating, 6, Frame.tcp(1024, 80)),
        ]
        if index == 3 {
            var frame = to(Program.outsider, 17, Frame.udp(1024, 24)).octets
            frame.insert(contentsOf: [0x81, 0, 0x60, 100], at: 12)
            out.append(Template(octets: frame, ports: 38))
        }
        if index == 1 { out.append(to(Program.trappedTarget, 17, Frame.udp(1024, Program.trappedPort))) }
        return out
    }

    /// From the host outside: answers to ports that may have been given away, and connections to the floating address.
    static func outside() -> [Template] {
        func from(_ target: IPv4Address, _ proto: UInt8, _ payload: [UInt8], isAnswer: Bool = true) -> Template {
            Template(
                octets: Frame.ethernet(to: .gateway, from: Program.outsiderMAC, 0x0800, Frame.ipv4(Program.outsider, target, proto, payload)),
                ports: 34, isAnswer: isAnswer, isTCP: proto == 6)
        }
        return [
            from(Program.external, 17, Frame.udp(24, 1024)), from(Program.external, 17, Frame.udp(24, 1024)),
            from(Program.external, 6, Frame.tcp(443, 1024)), from(Program.floating, 17, Frame.udp(24, 1024)),
            from(Program.floating, 6, Frame.tcp(1024, 80), isAnswer: false), from(Program.floating, 17, Frame.udp(1024, 53), isAnswer: false),
        ]
    }
}
