import Testing

@testable import Dataplane

/// The route table against a trie of single bits.
@Suite struct RouteTrials {
    /// The addresses of a trial: where its prefixes and lookups fall.
    private struct Universe {
        enum Shape: Int, CaseIterable {
            /// Few values per octet: prefixes nest and share nodes.
            case crowded
            /// One address and those that leave it at some bit: a chain of every length, and what hangs off it.
            case chain
            /// Consecutive /24 under a few /14.
            case dense
            /// Anywhere.
            case sparse
            /// Under four values of the first 16 bits: what the front's entries are about.
            case fronted
            /// Nearly all behind the same octets, as many as any front may skip; which, changes several times in a trial, so that fronts have to follow.
            case anchored
        }
        /// What the addresses of `anchored` begin with.
        private var anchors: [(high: UInt64, low: UInt64, octets: Int)] = []
        /// Which of them, from 0 on.
        var season = 0
        let shape: Shape
        let bits: Int
        let base: (UInt64, UInt64)

        init(_ random: inout RandomSource, isIPv4: Bool) {
            shape = Shape.allCases[random.below(Shape.allCases.count)]
            bits = isIPv4 ? 32 : 128
            base = (random.next(), random.next())
            anchors = (0..<4).map { _ in (random.next(), random.next(), random.below(bits / 8 - 1)) }
            // One of them a part of another.
            anchors[3] = (anchors[0].high, anchors[0].low, random.below(bits / 8 - 1))
        }

        func address(_ random: inout RandomSource) -> (high: UInt64, low: UInt64) {
            var high: UInt64 = 0, low: UInt64 = 0
            switch shape {
            case .crowded:
                let octets: [UInt64] = [0, 1, 2, 127, 128, 129, 254, 255]
                for _ in 0..<8 {
                    high = high << 8 | (random.hits(3) ? octets[random.below(8)] : 10)
                    low = low << 8 | (random.hits(3) ? octets[random.below(8)] : 10)
                }
            case .chain:
                (high, low) = base
                let at = random.below(bits + 8)
                if at < 64 { high ^= 1 << UInt64(63 - at) } else if at < 128 { low ^= 1 << UInt64(127 - at) }
                if random.hits(4) { if bits == 32 { high ^= random.next() & 0xFFF_0000_0000 } else { low ^= random.next() & 0xFFFF } }
            case .dense:
                high = 0x0A00_0000_0000_0000 | UInt64(random.below(4)) << 50 | UInt64(random.below(1 << 10)) << 40 | UInt64(random.below(256)) << 32
                high |= UInt64(random.below(3))
                low = UInt64(random.below(1 << 16))
            case .sparse:
                high = random.next()
                low = random.next()
            case .fronted:
                high = base.0 & 0xFFFC_0000_0000_0000 | UInt64(random.below(4)) << 48 | random.next() >> 16
                low = random.next()
            case .anchored:
                high = random.next()
                low = random.next()
                guard !random.hits(16) else { break }
                let anchor = anchors[(random.hits(8) ? random.below(4) : season) % 4]
                let mask = RouteKey(high: ~0, low: ~0, length: UInt8(8 * anchor.octets))
                // Few values of the octet behind it, so that there is a node; what is behind the next is crowded.
                high = high & 0x0FFF_0303_0303_0303
                low = low & 0x0303_0303_0303_0303
                if anchor.octets > 0 { high &= ~0 ^ 0x0F00_0000_0000_0000 >> UInt64(anchor.octets % 8 * 4) }
                high = high & ~mask.high | anchor.high & mask.high
                low = low & ~mask.low | anchor.low & mask.low
            }
            return bits == 32 ? (high & 0xFFFF_FFFF_0000_0000, 0) : (high, low)
        }

        func key(_ random: inout RandomSource) -> RouteKey {
            let (high, low) = address(&random)
            let favourites = [0, 1, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 48, 56, 63, 64, 65, 127, 128]
            var length = random.below(bits + 1)
            if random.hits(2) { length = min(favourites[random.below(favourites.count)], bits) }
            if shape == .dense, !random.hits(8) { length = min(24, bits) }
            return RouteKey(high: high, low: low, length: UInt8(length))
        }

        /// Near a route: its first, its last or some address, or one past it; else anywhere.
        func target(_ random: inout RandomSource, _ routes: SlowRoutes) -> (high: UInt64, low: UInt64) {
            guard !routes.keys.isEmpty, !random.hits(3) else { return address(&random) }
            let key = routes.keys[random.below(routes.keys.count)]
            let mask = RouteKey(high: ~0, low: ~0, length: key.length)
            var high = key.high, low = key.low
            switch random.below(4) {
            case 0: break
            case 1: (high, low) = (high | ~mask.high, low | ~mask.low)
            case 2: (high, low) = (high | random.next() & ~mask.high, low | random.next() & ~mask.low)
            default:
                let at = min(max(Int(key.length) - 1, 0), bits - 1)
                if at < 64 { high ^= 1 << UInt64(63 - at) } else { low ^= 1 << UInt64(127 - at) }
            }
            return bits == 32 ? (high & 0xFFFF_FFFF_0000_0000, 0) : (high, low)
        }
    }

    /// Insertions, replacements, removals, lookups single and in bursts over VRFs that come and go; then everything is removed and the memory is back.
    private func run(_ trial: inout Trial, steps: Int, isIPv4: Bool, vrfs: Int, frontThreshold: Int, population: Int) throws(Trial.Disagreement) {
        let table = RouteTable(
            quiescence: Quiescence(workerCount: 0), maximumRoots: vrfs + 4, maximumBytes: 512 << 20, frontThreshold: frontThreshold)
        var roots = (0..<vrfs).map { _ in table.createRoot() }
        var slow = [SlowRoutes](repeating: SlowRoutes(), count: vrfs)
        var universe = Universe(&trial.random, isIPv4: isIPv4)
        var grows = true
        var burstRoots = [UInt32](repeating: 0, count: 32), expected = burstRoots, found = burstRoots
        var addresses4 = burstRoots, addresses6 = [IPv6Words](repeating: IPv6Words(high: 0, low: 0), count: 32)
        while trial.operation < steps {
            trial.step()
            universe.season = trial.operation * 7 / steps
            let vrf = trial.random.below(vrfs), root = roots[vrf]
            if slow[vrf].keys.count > population { grows = false } else if slow[vrf].keys.count < population * 3 / 4 { grows = true }
            switch trial.random.below(16) {
            case 0..<5 where grows, 0..<2:
                let key = universe.key(&trial.random), leaf = UInt32(trial.random.below(trial.random.hits(2) ? 5 : 1 << 20) + 1)
                let old = slow[vrf].insert(key, leaf), answer = table.insert(root, key, leaf: leaf)
                try trial.check(answer == old, "insert \(key) in \(vrf): \(answer), not \(old)")
            case 2..<5:
                guard !slow[vrf].keys.isEmpty else { continue }
                let key = slow[vrf].keys[trial.random.below(slow[vrf].keys.count)]
                let old = slow[vrf].remove(key), answer = table.remove(root, key)
                try trial.check(answer == old, "remove \(key) in \(vrf): \(answer), not \(old)")
            case 5:
                let key = universe.key(&trial.random)
                let old = slow[vrf].leaves[key] ?? 0, answer = table.exact(root, key)
                try trial.check(answer == old, "exact \(key) in \(vrf): \(answer), not \(old)")
                guard old == 0 else { continue }
                try trial.check(table.remove(root, key) == 0, "remove \(key) in \(vrf), which is not there")
            case 6..<11:
                let (high, low) = universe.target(&trial.random, slow[vrf])
                let right = slow[vrf].lookup(high, low)
                let answer = isIPv4 ? table.lookupIPv4(root, UInt32(high >> 32)) : table.lookupIPv6(root, high, low)
                try trial.check(answer == right, "lookup \(String(high, radix: 16)) \(String(low, radix: 16)) in \(vrf): \(answer), not \(right)")
            case 11..<15:
                let count = trial.random.below(32) + 1
                for index in 0..<count {
                    let vrf = trial.random.hits(4) ? trial.random.below(vrfs) : vrf
                    let (high, low) = universe.target(&trial.random, slow[vrf])
                    burstRoots[index] = roots[vrf]
                    addresses4[index] = UInt32(high >> 32)
                    addresses6[index] = IPv6Words(high: high, low: low)
                    expected[index] = slow[vrf].lookup(high, low)
                    found[index] = 0xDEAD
                }
                if isIPv4 {
                    table.lookupIPv4(roots: burstRoots, addresses: addresses4, leaves: &found, count: count)
                } else {
                    table.lookupIPv6(roots: burstRoots, addresses: addresses6, leaves: &found, count: count)
                }
                trial.step(count - 1)
                try trial.check(found[..<count] == expected[..<count], "burst of \(count): \(found[..<count]), not \(expected[..<count])")
            default:
                // Seldom: what touches everything.
                guard trial.random.hits(steps / 10) else { continue }
                if trial.random.hits(2) {
                    var leaves: [UInt32] = []
                    table.destroyRoot(root) { leaves.append($0) }
                    try trial.check(leaves.sorted() == slow[vrf].leaves.values.sorted(), "destroying \(vrf) releases other leaves than it had")
                    try trial.check(table.lookupIPv6(root, 0, 0) == 0, "a destroyed root has routes")
                    slow[vrf] = SlowRoutes()
                    roots[vrf] = table.createRoot()
                    try trial.check(roots[vrf] != RouteTable.none, "no root")
                } else {
                    var read: [RouteKey] = []
                    table.forEach(root, after: nil) { key, _ in
                        read.append(key)
                        return true
                    }
                    try trial.check(read == slow[vrf].keys.sorted(), "reading \(vrf): \(read.count) routes, not \(slow[vrf].keys.count) in order")
                }
                try trial.check(table.routeCount == slow.reduce(0) { $0 + $1.keys.count }, "route count \(table.routeCount)")
            }
        }
        for vrf in 0..<vrfs {
            try trial.check(table.routeCount(roots[vrf]) == slow[vrf].keys.count, "route count of \(vrf)")
            for key in slow[vrf].keys.shuffled(using: &trial.random) {
                let right = slow[vrf].remove(key), answer = table.remove(roots[vrf], key)
                try trial.check(answer == right, "clearing \(vrf), remove \(key): \(answer), not \(right)")
            }
        }
        table.collect()
        try trial.check(table.nodeBytes == (vrfs + 1) * 64, "\(table.nodeBytes) octets of nodes are left of \(vrfs) empty roots")
    }

    @Test(arguments: [true, false]) func oneVRF(isIPv4: Bool) {
        trials("routes of one VRF", count: 60, operations: 60_000, firstSeed: isIPv4 ? 1000 : 2000) { trial, steps throws(Trial.Disagreement) in
            let threshold = [1, 40, 400, .max][trial.random.below(4)], population = [20, 300, 3000][trial.random.below(3)]
            try run(&trial, steps: steps, isIPv4: isIPv4, vrfs: 1, frontThreshold: threshold, population: population)
        }
    }

    @Test(arguments: [true, false]) func manyVRFs(isIPv4: Bool) {
        trials("routes of many VRFs", count: 12, operations: 120_000, firstSeed: isIPv4 ? 3000 : 4000) { trial, steps throws(Trial.Disagreement) in
            let vrfs = [3, 40, 300][trial.random.below(3)]
            try run(&trial, steps: steps, isIPv4: isIPv4, vrfs: vrfs, frontThreshold: [40, .max][trial.random.below(2)], population: 120)
        }
    }

    /// Around the number of routes at which a front comes and goes in the product.
    @Test(arguments: [true, false]) func aroundTheFrontThreshold(isIPv4: Bool) {
        trials("routes around the front threshold", count: 4, operations: 400_000, firstSeed: isIPv4 ? 5000 : 6000) {
            trial, steps throws(Trial.Disagreement) in try run(&trial, steps: steps, isIPv4: isIPv4, vrfs: 2, frontThreshold: 2048, population: 2500)
        }
    }
}
