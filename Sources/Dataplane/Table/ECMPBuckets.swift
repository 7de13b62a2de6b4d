/// Which member of an ECMP next hop a flow takes: a table of a power of two of buckets, each naming a member; the flow's hash picks the bucket. A choice is one load.
///
/// The table is *resilient*: it is not laid out anew when the members change, it is repaired. When one of n members goes, only its own buckets are given to
/// others; when one comes, it takes 1/n of the buckets, some from each, and no flow moves between the old members. (Hashing modulo n would move nearly all; an
/// array with holes, as OpenSDN keeps, sends the hole's flows on but also unbalances what is left.)
///
/// There are at least 16 buckets per member, so that no member's share differs from another's by more than one in 16. A table grows by doubling, each bucket becoming two of
/// the same member, and never shrinks: neither moves a flow. A member listed twice has twice the share.
///
/// # Thread-safety
/// A value of the control thread; the workers read a published copy that never changes.
enum ECMPBuckets {
    static let maximumMembers = 256
    private static let bucketsPerMember = 16

    /// The buckets for `members` (1 to 256), with as little change as possible against `previous` (empty: there was no table).
    static func assign(_ members: [NextHop.Member], previous: [NextHop.Member]) -> [NextHop.Member] {
        var size = bucketsPerMember
        while size < members.count * bucketsPerMember || size < previous.count { size *= 2 }
        var buckets: [NextHop.Member?] = Array(repeating: nil, count: size)
        if !previous.isEmpty { for index in 0..<size { buckets[index] = previous[index / (size / previous.count)] } }

        var weights: [NextHop.Member: Int] = [:], distinct: [NextHop.Member] = []
        for member in members {
            if weights[member] == nil { distinct.append(member) }
            weights[member, default: 0] += 1
        }
        var held: [NextHop.Member: Int] = [:]
        for case let member? in buckets where weights[member] != nil { held[member, default: 0] += 1 }

        // Everybody's share, rounded down; what is left over goes to those who hold more already, then to the first in the list.
        let share = size / members.count
        var extra = size % members.count
        var target: [NextHop.Member: Int] = [:]
        for member in distinct { target[member] = share * weights[member, default: 0] }
        for isSecondRound in [false, true] {
            for member in distinct where extra > 0 {
                let weight = weights[member, default: 0], has = target[member, default: 0]
                let room = weight - (has - share * weight)
                let more = min(extra, isSecondRound ? room : min(room, max(0, held[member, default: 0] - has)))
                target[member] = has + more
                extra -= more
            }
        }

        // Who holds more than his share gives buckets up; who is not a member any more gives up all.
        var kept: [NextHop.Member: Int] = [:]
        for index in 0..<size {
            guard let member = buckets[index] else { continue }
            let count = kept[member, default: 0]
            if count < target[member, default: 0] { kept[member] = count + 1 } else { buckets[index] = nil }
        }
        var needy = distinct.filter { kept[$0, default: 0] < target[$0, default: 0] }.makeIterator()
        var current = needy.next()
        return buckets.map { bucket in
            if let bucket { return bucket }
            while let member = current, kept[member, default: 0] >= target[member, default: 0] { current = needy.next() }
            guard let member = current else { return members[0] }
            kept[member, default: 0] += 1
            return member
        }
    }
}

extension NextHop {
    /// The buckets of an `ecmp` record, as they stand.
    var ecmpBuckets: [Member] {
        guard let members else { return [] }
        return Array(UnsafeBufferPointer(start: members, count: Int(memberCount)))
    }

    /// Gives an `ecmp` record its own copy of the buckets: a power of two of them, at least 2.
    mutating func setBuckets(_ buckets: [Member]) {
        let memory = UnsafeMutablePointer<Member>.allocate(capacity: buckets.count)
        memory.initialize(from: buckets, count: buckets.count)
        members = memory
        memberCount = UInt32(buckets.count)
        bucketShift = UInt8(32 - buckets.count.trailingZeroBitCount)
    }
}
