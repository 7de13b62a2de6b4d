import Dataplane
import NetTypes

/// What a control thread has found among the flows: a run that never had some of it would show nothing about it.
struct Findings {
    var translated = 0, denied = 0, fat = 0, held = 0, mirrored = 0, removed = 0, answered = 0, captured = 0, logged = 0

    mutating func add(_ other: Findings) {
        for field: WritableKeyPath<Findings, Int> in Self.all.map(\.1) { self[keyPath: field] += other[keyPath: field] }
    }
    static var all: [(String, WritableKeyPath<Findings, Int>)] {
        [
            ("translated", \.translated), ("denied", \.denied), ("fat", \.fat), ("held", \.held), ("mirrored", \.mirrored), ("removed", \.removed),
            ("answered", \.answered), ("captured frames", \.captured), ("policy log records", \.logged),
        ]
    }

    mutating func look(_ flow: FlowReading) {
        if flow.spec.action == .nat { translated += 1 }
        if flow.spec.action == .hold { held += 1 }
        if flow.dropReason != nil { denied += 1 }
        if flow.isFat { fat += 1 }
        if flow.spec.mirror != 0 { mirrored += 1 }
    }
}

// Changes of what decides about flows, and of flows themselves.
extension Churn {
    mutating func statefulChange() -> RouterOperation {
        switch dice.roll(26) {
        case 0, 1, 2: return Program.policy(UInt32(1 + dice.roll(4)), &dice)
        // Refused while a vif names it, as most are.
        case 3: return .delete(.policy(.init(UInt32(3 + dice.roll(2)))))
        case 4, 5: return Program.group(UInt32(1 + dice.roll(4)), &dice)
        case 6: return .delete(.addressGroup(.init(UInt32(1 + dice.roll(4)))))
        // These four concern the clean wire: its flows are asked about again and stay as they are.
        case 7: return Program.cleanPolicy(&dice)
        case 8: return Program.cleanGroup(&dice)
        case 9: return Program.cleanVif(UInt32(8 + dice.roll(2)), &dice)
        case 10: return dice.roll(2) == 0 ? Program.translation(6, &dice) : .delete(.natRule(.init(6)))
        case 11, 12, 13: return Program.translation(1 + dice.roll(5), &dice)
        case 14: return .delete(.natRule(.init(UInt32(1 + dice.roll(5)))))
        case 15: return Program.mirror(UInt32(1 + dice.roll(2)), &dice)
        case 16: return dice.roll(2) == 0 ? .delete(.mirror(UInt32(1 + dice.roll(2)))) : .delete(.mirror(10 + lane))
        case 17: return dice.roll(2) == 0 ? Program.fileMirror(lane: lane) : Program.mirror(1, &dice)
        case 18: return dice.roll(3) == 0 ? .delete(.qosMap(2)) : Program.qosMap(UInt8(1 + dice.roll(2)), &dice)
        case 19:
            let id = UInt8(2 + dice.roll(2))
            return dice.roll(3) == 0
                ? .delete(.forwardingClass(id))
                : .upsert(.forwardingClass(ForwardingClassSpec(id: id, dscp: UInt8(dice.roll(64)), trafficClass: UInt8(dice.roll(8)))))
        case 20:
            let port = UInt16(4000 + dice.roll(2))
            return dice.roll(3) == 0
                ? .delete(.flowAgeing(.init(proto: 17, port: port)))
                : .upsert(.flowAgeing(FlowAgeingSpec(proto: 17, port: port, seconds: UInt32(1 + dice.roll(3)))))
        case 21: return dice.roll(2) == 0 ? Program.subInterface(&dice) : .delete(.vif(Program.tagged))
        case 22: return dice.roll(2) == 0 ? Program.monitor(&dice) : .delete(.vif(Program.spanning))
        default: return answer()
        }
    }

    /// One in two of the flows that wait; of those some are let go, some denied, some translated, some deleted. And some that were answered go, so that they are asked about again.
    private mutating func answer() -> RouterOperation {
        guard dice.roll(2) == 0, let key = trapped.take() else {
            return .delete(
                .flow(
                    FlowKeySpec(
                        vrf: .init(1), source: .v4(Template.workloads[1].ipv4), destination: .v4(Program.trappedTarget), proto: 17,
                        sourcePort: UInt16(1024 + dice.roll(32)), destinationPort: Program.trappedPort)))
        }
        // This one waits until its time is over.
        guard dice.roll(2) == 0 else { return .delete(.qosMap(3)) }
        findings.answered += 1
        switch dice.roll(4) {
        case 0: return .upsert(.flow(FlowSpec(key: key, action: .drop)))
        case 1: return .upsert(.flow(FlowSpec(key: key, action: .nat, translation: FlowTranslation(destinationPort: UInt16(9000 + dice.roll(2))))))
        case 2: return .delete(.flow(key))
        default: return .upsert(.flow(FlowSpec(key: key, action: .forward)))
        }
    }

    /// Lists flows, some of them only, and removes a few of those that it saw: they are what they were, or gone, or others by now.
    mutating func listAndRemove(_ router: Router) {
        var filter = FlowFilter()
        switch dice.roll(4) {
        case 0: filter.vrf = .init(1)
        case 1: filter.action = [.nat, .drop, .hold][dice.roll(3)]
        case 2: filter.showsEvicted = true
        default: break
        }
        var found = findings, seen: [FlowKeySpec] = []
        var from: UInt32? = 0
        while let start = from {
            from = router.flows(from: start, limit: 256, scan: 1024, matching: filter) { flow in
                guard !flow.isEvicted else { return }
                found.look(flow)
                guard flow.spec.key.vrf != .init(100), seen.count < 512 else { return }
                var key = flow.spec.key
                key.generation = flow.generation
                seen.append(key)
            }
        }
        guard !seen.isEmpty else { return findings = found }
        let batch = (0..<dice.roll(8)).map { _ in RouterOperation.delete(.flow(seen[dice.roll(seen.count)])) }
        found.removed += router.apply(batch).count { $0 == .ok }
        findings = found
    }

    mutating func observe(_ router: Router) {
        switch dice.roll(6) {
        case 0:
            let records = router.policyLog(after: logged)
            for record in records { logged[record.worker] = max(logged[record.worker] ?? 0, record.number) }
            findings.logged += records.count
        case 1: _ = router.dropLog().count
        case 2:
            _ = router.explain(
                PolicyQuestion(
                    vif: .init(UInt32(3 + dice.roll(4))), isIngress: dice.roll(2) == 0, proto: dice.roll(2) == 0 ? 6 : 17,
                    source: .v4(Template.workloads[dice.roll(4)].ipv4),
                    destination: .v4([Program.outsider, Program.service, Template.workloads[dice.roll(4)].ipv4][dice.roll(3)]), sourcePort: 1024,
                    destinationPort: 80))
        case 3:
            capture = dice.roll(2) == 0 ? nil : router.startCapture(CaptureSpec(vif: dice.roll(2) == 0 ? nil : .init(4), snapLength: 64)).capture
        case 4: findings.captured += capture?.take(limit: 4096).count ?? 0
        default:
            _ =
                router.policies(after: nil, limit: 100).count + router.natRules(after: nil, limit: 100).count
                + router.mirrors(after: nil, limit: 100).count
        }
    }
}
