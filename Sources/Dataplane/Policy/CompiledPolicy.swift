/// A policy ready to run: an immutable record, replaced as a whole and freed after quiescence.
///
/// # How it decides
/// Rules of one action and one mirror that stand together and differ only in their services are one *clause*; a rule that logs is one by itself. Each field of a packet (remote address, service, and where rules ask for them local
/// address and source port) leads through an `IntervalMap` to the set of clauses that accept it; the first clause in all of those sets decides (after Lakshman and Stiliadis,
/// "High-Speed Policy-based Packet Forwarding Using Efficient Multi-dimensional Range Matching", 1998). What an evaluation costs is bounded by the number of intervals and clauses,
/// whatever packets come: a few binary searches, and at most a pass over the words of the sets.
///
/// # Thread-safety
/// Immutable.
struct CompiledPolicy {
    var id: UInt32
    var origin: PolicyOrigin
    /// Which compilation it is: a record of the log names a rule by it (`PolicyLog`).
    var generation: UInt32
    var byDefault: Decision
    /// Rules ask for local addresses or source ports.
    var isNarrow: Bool
    var summaryWords: Int
    var clauseCount: Int
    var wordCount: Int
    /// By clause.
    var decisions: UnsafeMutablePointer<Decision>
    /// A rule names a mirror.
    var mirrors: Bool
    var words: UnsafeMutablePointer<UInt64>
    var remoteIPv4: IntervalMap<UInt32>
    var remoteIPv6: IntervalMap<UInt128>
    var localIPv4: IntervalMap<UInt32>
    var localIPv6: IntervalMap<UInt128>
    /// Keys of these two: protocol << 16 | port; ICMP: type << 8 | code in place of the destination port.
    var service: IntervalMap<UInt32>
    var source: IntervalMap<UInt32>

    /// What a clause says: 8 octets.
    struct Decision {
        var action: PolicyAction
        var mirror: UInt8 = 0
        var logs = false
        /// Index of a rule that logs.
        var rule: UInt32 = 0
    }

    /// What is asked about a packet. IPv4 addresses are in the lower 32 bits.
    struct Query: Hashable, Sendable {
        var isIPv4: Bool
        var proto: UInt8
        var remote: UInt128
        var local: UInt128
        var sourcePort: UInt16
        /// ICMP: type << 8 | code.
        var destinationPort: UInt16
    }

    func evaluate(_ query: Query) -> PolicyAction { decide(query).action }

    @inline(__always) func decide(_ query: Query) -> Decision {
        let proto = UInt32(query.proto) &<< 16
        let remote = query.isIPv4 ? remoteIPv4.lookup(UInt32(truncatingIfNeeded: query.remote)) : remoteIPv6.lookup(query.remote)
        let service = service.lookup(proto | UInt32(query.destinationPort))
        let clause: Int
        if isNarrow {
            let local = query.isIPv4 ? localIPv4.lookup(UInt32(truncatingIfNeeded: query.local)) : localIPv6.lookup(query.local)
            clause = first(remote, service, local, source.lookup(proto | UInt32(query.sourcePort)))
        } else {
            clause = first(remote, service)
        }
        return clause < 0 ? byDefault : decisions[clause]
    }

    /// The first clause in both sets; -1: there is none.
    @inline(__always) private func first(_ a: UInt32, _ b: UInt32) -> Int {
        let a = words + Int(a), b = words + Int(b)
        var nextA = summaryWords, nextB = summaryWords
        var summary = 0
        while summary < summaryWords {
            let inA = a[summary], inB = b[summary]
            var common = inA & inB
            while common != 0 {
                let bit = common.trailingZeroBitCount, below = (1 as UInt64) &<< UInt64(bit) &- 1
                let both = a[nextA &+ (inA & below).nonzeroBitCount] & b[nextB &+ (inB & below).nonzeroBitCount]
                if both != 0 { return (summary &* 64 &+ bit) &* 64 &+ both.trailingZeroBitCount }
                common &= common &- 1
            }
            nextA &+= inA.nonzeroBitCount
            nextB &+= inB.nonzeroBitCount
            summary &+= 1
        }
        return -1
    }

    /// The first clause in all four sets; -1: there is none.
    @inline(never) private func first(_ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: UInt32) -> Int {
        let a = words + Int(a), b = words + Int(b), c = words + Int(c), d = words + Int(d)
        var nextA = summaryWords, nextB = summaryWords, nextC = summaryWords, nextD = summaryWords
        var summary = 0
        while summary < summaryWords {
            let inA = a[summary], inB = b[summary], inC = c[summary], inD = d[summary]
            var common = inA & inB & inC & inD
            while common != 0 {
                let bit = common.trailingZeroBitCount, below = (1 as UInt64) &<< UInt64(bit) &- 1
                let all =
                    a[nextA &+ (inA & below).nonzeroBitCount] & b[nextB &+ (inB & below).nonzeroBitCount]
                    & c[nextC &+ (inC & below).nonzeroBitCount] & d[nextD &+ (inD & below).nonzeroBitCount]
                if all != 0 { return (summary &* 64 &+ bit) &* 64 &+ all.trailingZeroBitCount }
                common &= common &- 1
            }
            nextA &+= inA.nonzeroBitCount
            nextB &+= inB.nonzeroBitCount
            nextC &+= inC.nonzeroBitCount
            nextD &+= inD.nonzeroBitCount
            summary &+= 1
        }
        return -1
    }

    var memoryBytes: Int {
        let addresses = remoteIPv4.memoryBytes + remoteIPv6.memoryBytes + localIPv4.memoryBytes + localIPv6.memoryBytes
        return addresses + service.memoryBytes + source.memoryBytes + wordCount * 8 + clauseCount * MemoryLayout<Decision>.stride
            + MemoryLayout<Self>.stride
    }

    func deallocate() {
        decisions.deallocate()
        words.deallocate()
        remoteIPv4.deallocate()
        remoteIPv6.deallocate()
        localIPv4.deallocate()
        localIPv6.deallocate()
        service.deallocate()
        source.deallocate()
    }
}
