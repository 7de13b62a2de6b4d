import NetTypes
import Testing

@testable import Dataplane

@Suite struct ECMPBucketsTests {
    typealias Member = NextHop.Member
    static func members(_ ids: some Sequence<Int>) -> [Member] { ids.map { Member(nextHop: UInt32($0), label: 7) } }
    static func counts(_ buckets: [Member]) -> [UInt32: Int] { buckets.reduce(into: [:]) { $0[$1.nextHop, default: 0] += 1 } }

    /// 100 000 flows over 64 members: the hashes are those that a worker would have.
    static func place(_ buckets: [Member]) -> [UInt32] {
        var random = RandomSource(seed: 1)
        let shift = UInt32(32 - buckets.count.trailingZeroBitCount)
        return (0..<100_000).map { _ in buckets[Int(UInt32(truncatingIfNeeded: random.next()) >> shift)].nextHop }
    }

    @Test func removingOneOf64MovesOnlyItsFlows() {
        let all = Self.members(1...64)
        let before = ECMPBuckets.assign(all, previous: [])
        let after = ECMPBuckets.assign(all.filter { $0.nextHop != 17 }, previous: before)
        let old = Self.place(before), new = Self.place(after)
        #expect(zip(old, new).allSatisfy { $0 == $1 || $0 == 17 })
        #expect(!new.contains(17))
        let moved = zip(old, new).count { $0 != $1 }
        #expect(moved == old.count { $0 == 17 } && (1200...1900).contains(moved))
        // And they are spread, not given to one.
        let takers = Set(zip(old, new).filter { $0 != $1 }.map(\.1))
        #expect(takers.count == 16)
        #expect(Self.counts(after).values.allSatisfy { $0 == 16 || $0 == 17 })
    }

    @Test func addingOneMovesItsShareAndNoMore() {
        let before = ECMPBuckets.assign(Self.members(1...63), previous: [])
        let after = ECMPBuckets.assign(Self.members(1...64), previous: before)
        let old = Self.place(before), new = Self.place(after)
        #expect(zip(old, new).allSatisfy { $0 == $1 || $1 == 64 })
        #expect(zip(old, new).count { $0 != $1 } <= 100_000 / 64 + 400)
        #expect(Self.counts(after)[64] == after.count / 64)
    }

    /// Back and forth, by one and by many: shares stay even, only what has to move does.
    @Test func staysEvenThroughChanges() {
        var random = RandomSource(seed: 3)
        var present = Set(1...40), buckets = ECMPBuckets.assign(Self.members(1...40), previous: [])
        for _ in 0..<300 {
            let old = present
            let change = (0..<Int.random(in: 1...4, using: &random)).map { _ in Int.random(in: 1...120, using: &random) }
            for id in change { if present.remove(id) == nil { present.insert(id) } }
            if present.isEmpty { present = [1] }
            let new = ECMPBuckets.assign(Self.members(present.sorted()), previous: buckets)
            let counts = Self.counts(new)
            #expect(Set(counts.keys.map(Int.init)) == present)
            #expect(counts.values.max()! - counts.values.min()! <= 1)
            let width = new.count / buckets.count
            for (index, bucket) in new.enumerated() where bucket != buckets[index / width] {
                let was = Int(buckets[index / width].nextHop), now = Int(bucket.nextHop)
                // A bucket moves because its member left, or to one that came (or, when some left and some came, by one to keep the shares even).
                #expect(!present.contains(was) || !old.contains(now) || !old.isSubset(of: present))
            }
            buckets = new
        }
    }

    @Test func growsByDoublingAndNeverShrinks() {
        let one = ECMPBuckets.assign(Self.members([5]), previous: [])
        #expect(one.count == 16 && one.allSatisfy { $0.nextHop == 5 })
        let many = ECMPBuckets.assign(Self.members(1...256), previous: one)
        #expect(many.count == 4096)
        let few = ECMPBuckets.assign(Self.members(1...2), previous: many)
        #expect(few.count == 4096 && Self.counts(few) == [1: 2048, 2: 2048])
    }

    @Test func listedTwiceMeansTwiceTheShare() {
        let buckets = ECMPBuckets.assign(Self.members([1, 2, 1, 3]), previous: [])
        #expect(Self.counts(buckets) == [1: 32, 2: 16, 3: 16])
        #expect(ECMPBuckets.assign(Self.members([3, 1, 2, 1]), previous: buckets) == buckets)
    }

    @Test func aNewLabelIsAnotherMember() {
        let before = ECMPBuckets.assign(Self.members(1...4), previous: [])
        var list = Self.members(1...4)
        list[2].label = 8
        let after = ECMPBuckets.assign(list, previous: before)
        #expect(zip(before, after).allSatisfy { $0 == $1 || ($0.nextHop == 3 && $1 == list[2]) })
    }
}
