import Testing

@testable import Dataplane

/// The flow table against a dictionary of keys.
@Suite struct FlowTrials {
    /// A flow as the slow table has it.
    private struct Flow {
        var forward: FlowKey, reverse: FlowKey
        var index: UInt32, reverseIndex: UInt32
        var lastSeen: (UInt32, UInt32)
        var action: UInt8
        var cookie: UInt64
    }

    private struct Slow {
        /// Either key to the number of its flow.
        var keys: [FlowKey: Int] = [:]
        var flows: [Int: Flow] = [:]
        var live: [Int] = []
        private var places: [Int: Int] = [:]
        private var next = 0
        var entries: Int { keys.count }

        mutating func add(_ flow: Flow) {
            next += 1
            flows[next] = flow
            keys[flow.forward] = next
            keys[flow.reverse] = next
            places[next] = live.count
            live.append(next)
        }
        mutating func remove(_ number: Int) {
            guard let flow = flows.removeValue(forKey: number), let place = places.removeValue(forKey: number) else { return }
            keys[flow.forward] = nil
            keys[flow.reverse] = nil
            if let last = live.popLast(), last != number {
                live[place] = last
                places[last] = place
            }
        }
        func index(_ key: FlowKey) -> UInt32 {
            guard let number = keys[key], let flow = flows[number] else { return FlowTable.none }
            return key == flow.forward ? flow.index : flow.reverseIndex
        }
    }

    private static func key(_ random: inout RandomSource, _ size: Int) -> FlowKey {
        let a = UInt32(random.below(size)), b = UInt32(random.below(size)), port = UInt16(random.below(3)), peer = UInt16(random.below(3))
        let vrf = UInt32(random.below(2)), proto: UInt8 = [1, 6, 17][random.below(3)]
        if random.hits(3) {
            return FlowKey(
                vrf: vrf, proto: proto, source: IPv6Words(high: 0xFD00, low: UInt64(a)), destination: IPv6Words(high: 0xFD00, low: UInt64(b)),
                sourcePort: port, destinationPort: peer)
        }
        return FlowKey(vrf: vrf, proto: proto, ipv4Source: a, ipv4Destination: b, sourcePort: port, destinationPort: peer)
    }

    /// Insertions on several lanes, lookups single and in bursts, packets, removals by either entry, ageing by a clock that jumps, tables that are full.
    /// `holds`: workers are online, and what they have found stands until they quiesce.
    private func run(_ trial: inout Trial, steps: Int, holds: Bool) throws(Trial.Disagreement) {
        let workers = 2, lanes = workers + 1
        let capacity = [64, 1000, 20_000][trial.random.below(3)]
        let quiescence = Quiescence(workerCount: holds ? workers : 0)
        let timeouts = FlowTable.Timeouts(idle: 3000, opening: 500, dropped: 200, closed: 0)
        let table = FlowTable(capacity: capacity, laneCount: lanes, quiescence: quiescence, timeouts: timeouts)
        // A clock that wraps around soon.
        var slow = Slow(), now = UInt32.max - 20_000
        var held: [[(index: UInt32, key: FlowKey)]] = [[], []]
        // More keys than fit, about as many, or few that meet again and again.
        let size = [3, max(Int(Double(capacity).squareRoot()) / 3, 3), 400][trial.random.below(3)]
        let ages = trial.random.hits(2)
        func find(_ key: FlowKey) -> UInt32 {
            var key = key
            return table.lookup(&key, hash: table.hash(&key))
        }
        var keys = [FlowKey](repeating: Self.key(&trial.random, 2), count: 32), hashes = [UInt64](repeating: 0, count: 32)
        var found = [UInt32](repeating: 0, count: 32)
        func likely(_ random: inout RandomSource) -> FlowKey {
            guard !slow.live.isEmpty, !random.hits(3), let flow = slow.flows[slow.live[random.below(slow.live.count)]] else {
                return Self.key(&random, size)
            }
            return random.hits(2) ? flow.forward : flow.reverse
        }
        if holds { for worker in 0..<workers { quiescence.online(worker) } }
        while trial.operation < steps {
            trial.step()
            switch trial.random.below(16) {
            case 0..<4:
                var forward = likely(&trial.random), reverse = trial.random.hits(50) ? likely(&trial.random) : forward.reversed
                let lane = trial.random.below(lanes), action: UInt8 = trial.random.hits(5) ? FlowAction.drop.rawValue : 0,
                    cookie = trial.random.next()
                let existing = slow.index(forward), conflicting = forward == reverse ? FlowTable.none : slow.index(reverse)
                let result = table.insertPair(
                    lane: lane, forward: &forward, reverse: &reverse, FlowTable.Template(action: action, cookie: cookie, ingressVif: 7, now: now))
                switch result.status {
                case .inserted:
                    try trial.check(existing == FlowTable.none && conflicting == FlowTable.none, "\(forward) was there and is inserted")
                    try trial.check((result.index == result.reverse) == (forward == reverse), "\(forward): entries \(result)")
                    slow.add(
                        Flow(
                            forward: forward, reverse: reverse, index: result.index, reverseIndex: result.reverse, lastSeen: (now, now),
                            action: action,
                            cookie: cookie))
                case .exists: try trial.check(existing == result.index, "\(forward) exists as \(result.index), not \(existing)")
                case .conflict:
                    try trial.check(existing == FlowTable.none && conflicting == result.index, "\(forward) conflicts with \(result.index)")
                case .full:
                    // The lanes' own free lists hold some entries, what workers may still look at is in limbo, and seldom three buckets are full.
                    let reserve = lanes * 320
                    try trial.check(holds || slow.entries > min(capacity / 2, capacity - reserve), "full at \(slow.entries) of \(capacity)")
                case .busy: try trial.check(false, "busy, and nobody else is there")
                }
            case 4..<6:
                let key = likely(&trial.random), right = slow.index(key), answer = find(key)
                try trial.check(answer == right, "\(key) is \(answer), not \(right)")
                guard answer != FlowTable.none, let number = slow.keys[key], let flow = slow.flows[number] else { continue }
                let entry = table.entry(answer).pointee
                let other = key == flow.forward ? flow.reverseIndex : flow.index
                let isForward = answer == flow.index
                try trial.check(
                    entry.key == key && entry.reverse == other && entry.action == flow.action && entry.cookie == flow.cookie
                        && entry.flags.contains(.forward) == isForward, "the entry of \(key) is another's: \(entry)")
                if holds, held[0].count < 200 { held[trial.random.below(workers)].append((answer, key)) }
            case 6..<11:
                let count = trial.random.below(32) + 1
                for index in 0..<count { keys[index] = likely(&trial.random) }
                table.lookup(keys: keys, hashes: &hashes, indices: &found, count: count)
                trial.step(count - 1)
                for index in 0..<count {
                    let right = slow.index(keys[index])
                    try trial.check(found[index] == right, "in a burst, \(keys[index]) is \(found[index]), not \(right)")
                }
            case 11..<13:
                // A packet of a flow keeps it.
                let key = likely(&trial.random)
                guard let number = slow.keys[key], let flow = slow.flows[number] else { continue }
                table.entry(slow.index(key)).count(bytes: 100, now: now)
                if key == flow.forward { slow.flows[number]?.lastSeen.0 = now }
                if key == flow.reverse { slow.flows[number]?.lastSeen.1 = now }
            case 13:
                let key = likely(&trial.random), index = slow.index(key), number = slow.keys[key]
                guard let number else { continue }
                let answer = table.remove(lane: trial.random.below(lanes), index: index)
                try trial.check(answer, "\(key) is not removed")
                try trial.check(!table.remove(lane: 0, index: index), "\(key) is removed twice")
                slow.remove(number)
            case 14 where ages && trial.random.hits(max(capacity / 40, 4)):
                now &+= UInt32(trial.random.below(900))
                // To the end of the table, and once round.
                for lane in 0..<workers { for _ in 0..<2 { _ = table.age(lane: lane, now: now, budget: 1 << 24) } }
                for number in slow.live {
                    guard let flow = slow.flows[number] else { continue }
                    let idle = min(now &- flow.lastSeen.0, now &- flow.lastSeen.1)
                    let limit = flow.action == FlowAction.drop.rawValue ? timeouts.dropped : timeouts.idle
                    if idle >= limit { slow.remove(number) }
                }
            default:
                if holds {
                    let worker = trial.random.below(workers)
                    for hold in held[worker] {
                        try trial.check(table.entry(hold.index).pointee.key == hold.key, "an entry was used again under a worker")
                    }
                    held[worker] = []
                    quiescence.quiesce(worker)
                }
                if trial.random.hits(4) { for lane in 0..<lanes { table.pool.collect(lane) } }
            }
            if trial.operation & 0xFF == 0 { try trial.check(table.count == slow.entries, "\(table.count) entries, not \(slow.entries)") }
        }
        try trial.check(table.busyCount == 0, "busy, and nobody else is there")
        for number in slow.live {
            guard let flow = slow.flows[number] else { continue }
            try trial.check(find(flow.forward) == flow.index && find(flow.reverse) == flow.reverseIndex, "\(flow.forward) is lost")
            try trial.check(table.remove(lane: lanes - 1, index: flow.reverseIndex), "\(flow.forward) is not removed at the end")
        }
        for bucket in 0...table.bucketMask {
            let bucket = table.bucket(bucket)
            try trial.check(bucket.overflow == 0 && bucket.base.load64(0) == 0 && bucket.base.load64(8) == 0, "an empty table has a key")
        }
    }

    @Test func flows() {
        trials("flows", count: 32, operations: 60_000, firstSeed: 7000) { trial, steps throws(Trial.Disagreement) in
            try run(&trial, steps: steps, holds: false)
        }
    }

    @Test func flowsUnderWorkers() {
        trials("flows under workers", count: 32, operations: 60_000, firstSeed: 8000) { trial, steps throws(Trial.Disagreement) in
            try run(&trial, steps: steps, holds: true)
        }
    }
}
