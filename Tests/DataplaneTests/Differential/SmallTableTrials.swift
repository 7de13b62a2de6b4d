import Testing

@testable import Dataplane

/// Bridge table, label and VNI tables, id tables and the sets under them, against the standard library's dictionary and set.
@Suite struct SmallTableTrials {
    private struct Station: Hashable { var vrf: UInt32, mac: UInt64 }
    private struct Entry: Equatable { var nextHop: UInt32, label: UInt32, cookie: UInt64 }

    @Test func bridge() {
        trials("bridge", count: 10, operations: 120_000, firstSeed: 500) { trial, steps throws(Trial.Disagreement) in
            let capacity = [10, 500, 1 << 20][trial.random.below(3)]
            let table = BridgeTable(quiescence: Quiescence(workerCount: 0), capacity: capacity)
            var slow: [Station: Entry] = [:]
            let vrfs = trial.random.hits(2) ? 3 : 200, macs = [8, 300, 1 << 20][trial.random.below(3)]
            func station(_ random: inout RandomSource) -> Station {
                Station(
                    vrf: random.hits(50) ? BridgeTable.maximumVRF : UInt32(random.below(vrfs)), mac: 0x0200_0000_0000 | UInt64(random.below(macs)))
            }
            var known: [Station] = []
            func likely(_ random: inout RandomSource) -> Station {
                known.isEmpty || random.hits(3) ? station(&random) : known[random.below(known.count)]
            }
            var burstVRFs = [UInt32](repeating: 0, count: 32), burstMACs = [UInt64](repeating: 0, count: 32)
            var nextHops = burstVRFs, labels = burstVRFs
            while trial.operation < steps {
                trial.step()
                switch trial.random.below(8) {
                case 0, 1:
                    let at = station(&trial.random), known = slow[at] != nil
                    let entry = Entry(
                        nextHop: UInt32(trial.random.below(1000)), label: UInt32(trial.random.below(1 << 20)), cookie: trial.random.next())
                    let fits = known || slow.count < capacity
                    let answer = table.insert(vrf: at.vrf, mac: at.mac, nextHop: entry.nextHop, label: entry.label, cookie: entry.cookie)
                    try trial.check(answer == fits, "insert \(at) with \(slow.count) of \(capacity) there: \(answer)")
                    if fits { slow[at] = entry }
                case 2:
                    let at = likely(&trial.random)
                    let answer = table.remove(vrf: at.vrf, mac: at.mac), right = slow.removeValue(forKey: at) != nil
                    try trial.check(answer == right, "remove \(at): \(answer)")
                case 3 where trial.random.hits(500):
                    let vrf = station(&trial.random).vrf
                    table.removeAll(vrf: vrf)
                    slow = slow.filter { $0.key.vrf != vrf }
                    try trial.check(table.count == slow.count && table.count(vrf: vrf) == 0, "after removing VRF \(vrf) there are \(table.count)")
                case 4 where trial.random.hits(200):
                    let vrf = station(&trial.random).vrf, after: UInt64? = trial.random.hits(2) ? nil : station(&trial.random).mac
                    var read: [UInt64] = []
                    table.forEach(vrf: vrf, after: after) { mac, _, _, _ in
                        read.append(mac)
                        return true
                    }
                    let right = slow.keys.filter { $0.vrf == vrf && (after == nil || $0.mac > after!) }.map(\.mac).sorted()
                    try trial.check(read == right, "reading VRF \(vrf): \(read.count) entries, not \(right.count) in order")
                    known = Array(slow.keys.prefix(500))
                case 5, 6:
                    let count = trial.random.below(32) + 1
                    var right: [UInt32] = []
                    for index in 0..<count {
                        let at = likely(&trial.random)
                        burstVRFs[index] = at.vrf
                        burstMACs[index] = at.mac
                        right.append(slow[at]?.nextHop ?? BridgeTable.noNextHop)
                    }
                    table.lookup(vrfs: burstVRFs, macs: burstMACs, nextHops: &nextHops, labels: &labels, count: count)
                    trial.step(count - 1)
                    try trial.check(Array(nextHops[..<count]) == right, "burst: \(nextHops[..<count]), not \(right)")
                default:
                    let at = likely(&trial.random), right = slow[at]
                    let answer = table.lookup(vrf: at.vrf, mac: at.mac)
                    try trial.check(
                        answer?.nextHop == right?.nextHop && answer?.label == right?.label, "lookup \(at): \(String(describing: answer))")
                    let entry = table.entry(vrf: at.vrf, mac: at.mac)
                    try trial.check(entry?.cookie == right?.cookie, "entry \(at)")
                }
            }
            try trial.check(table.count == slow.count, "\(table.count) entries, not \(slow.count)")
        }
    }

    @Test func labels() {
        trials("index table", count: 6, operations: 100_000, firstSeed: 600) { trial, steps throws(Trial.Disagreement) in
            let capacity = [1, 64, 5000, 1 << 20][trial.random.below(4)]
            let table = IndexTable(capacity: capacity)
            var slow: [UInt32: (nextHop: UInt32, cookie: UInt64)] = [:]
            while trial.operation < steps {
                trial.step()
                let key = trial.random.hits(40) ? UInt32(truncatingIfNeeded: trial.random.next()) : UInt32(trial.random.below(min(capacity, 700)))
                switch trial.random.below(5) {
                case 0:
                    let nextHop = trial.random.hits(30) ? .max : UInt32(trial.random.below(1 << 20)), cookie = trial.random.next()
                    let fits = Int(key) < capacity && nextHop != .max
                    try trial.check(table.set(key, nextHop: nextHop, cookie: cookie) == fits, "set \(key)")
                    if fits { slow[key] = (nextHop, cookie) }
                case 1: try trial.check(table.remove(key) == (slow.removeValue(forKey: key) != nil), "remove \(key)")
                case 2 where trial.random.hits(100):
                    var read: [UInt32] = [], next = table.first(from: 0)
                    while let value = next {
                        read.append(value)
                        next = table.first(from: value &+ 1)
                    }
                    try trial.check(read == slow.keys.sorted() && table.count == slow.count, "walk")
                default:
                    try trial.check(table.lookup(key) == slow[key]?.nextHop ?? IndexTable.none, "lookup \(key)")
                    try trial.check(table.cookie(key) == slow[key]?.cookie ?? 0, "cookie of \(key)")
                }
            }
        }
    }

    @Test func sets() {
        trials("index set", count: 6, operations: 100_000, firstSeed: 700) { trial, steps throws(Trial.Disagreement) in
            let capacity = [1, 63, 64, 65, 4096, 4097, 300_000][trial.random.below(7)]
            var set = IndexSet(capacity: capacity), slow = Set<UInt32>()
            let dense = trial.random.hits(2)
            while trial.operation < steps {
                trial.step()
                let value =
                    trial.random.hits(50)
                    ? UInt32(truncatingIfNeeded: trial.random.next()) : UInt32(trial.random.below(dense ? min(capacity, 200) : capacity))
                switch trial.random.below(4) {
                case 0:
                    set.insert(value)
                    if Int(value) < capacity { slow.insert(value) }
                case 1:
                    set.remove(value)
                    slow.remove(value)
                case 2 where trial.random.hits(20):
                    let right = slow.lazy.filter { $0 >= value }.min()
                    try trial.check(set.first(from: value) == right, "first from \(value): \(String(describing: set.first(from: value)))")
                default: try trial.check(set.contains(value) == slow.contains(value) && set.count == slow.count, "contains \(value)")
                }
            }
        }
    }

    /// Records replaced and removed under workers that look at them: a record stands until they quiesce, and each is let go once.
    @Test func records() {
        trials("slot table", count: 6, operations: 80_000, firstSeed: 800) { trial, steps throws(Trial.Disagreement) in
            let capacity = [1, 64, 1000][trial.random.below(3)]
            let quiescence = Quiescence(workerCount: 2)
            let table = SlotTable<ScribbledRecord>(capacity: capacity, quiescence: quiescence)
            var slow: [UInt32: UInt64] = [:]
            var held: [[(record: UnsafePointer<ScribbledRecord>, value: UInt64)]] = [[], []]
            var online = [false, false]
            while trial.operation < steps {
                trial.step()
                let id = trial.random.hits(40) ? UInt32(truncatingIfNeeded: trial.random.next()) : UInt32(trial.random.below(capacity))
                let worker = trial.random.below(2)
                switch trial.random.below(8) {
                case 0, 1:
                    let value = trial.random.next()
                    try trial.check(table.publish(id, ScribbledRecord(value)) == (Int(id) < capacity), "publish \(id)")
                    if Int(id) < capacity { slow[id] = value }
                case 2: try trial.check(table.remove(id) == (slow.removeValue(forKey: id) != nil), "remove \(id)")
                case 3: quiescence.reclaim()
                case 4:
                    for hold in held[worker] {
                        try trial.check(hold.record.pointee.isWhole && hold.record.pointee.first == hold.value, "a held record changed")
                    }
                    held[worker] = []
                    if online[worker], trial.random.hits(4) {
                        quiescence.offline(worker)
                        online[worker] = false
                    } else if online[worker] {
                        quiescence.quiesce(worker)
                    } else {
                        quiescence.online(worker)
                        online[worker] = true
                    }
                default:
                    let record = table.load(id)
                    try trial.check(record?.pointee.first == slow[id], "load \(id)")
                    if let record, online[worker], held[worker].count < 100 { held[worker].append((record, record.pointee.first)) }
                }
            }
            quiescence.offline(0)
            quiescence.offline(1)
            quiescence.synchronize()
            try trial.check(quiescence.pendingCount == 0 && table.count == slow.count, "left over")
        }
    }
}
