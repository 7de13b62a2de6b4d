import Synchronization

/// What the bridge table knows about addresses that were learned: where each was seen, when, and how often it moved.
///
/// # Thread-safety
/// `sight`: any online worker. It writes the time of a learned entry and nothing else; a slot that is given to another address meanwhile gets a younger time
/// than it deserves. Everything else: the control thread.
extension BridgeTable {
    /// Where a station is: behind a local vif, or behind a tunnel's far end. As a word, which is compared and never taken apart.
    struct Location: Equatable {
        let rawValue: UInt32
        init(rawValue: UInt32) { self.rawValue = rawValue }
        init(vif: UInt32) { rawValue = vif & 0x7FFF_FFFF }
        init(farHigh: UInt64, farLow: UInt64) {
            let hash = foldedMultiply(farHigh ^ 0x9E37_79B9_7F4A_7C15, farLow ^ 0xC2B2_AE3D_27D4_EB4F)
            rawValue = 0x8000_0000 | UInt32(truncatingIfNeeded: hash >> 32)
        }
    }

    /// A learned entry's word: location, that it was learned, how often it moved. A programmed entry's is 0.
    struct Meta: Equatable {
        let rawValue: UInt64
        var location: Location { Location(rawValue: UInt32(truncatingIfNeeded: rawValue)) }
        var isLearned: Bool { rawValue >> 32 & 1 != 0 }
        var moves: Int { Int(truncatingIfNeeded: rawValue >> 40 & 0xFFFF) }
        init(rawValue: UInt64) { self.rawValue = rawValue }
        init(location: Location, moves: Int) { rawValue = UInt64(location.rawValue) | 1 << 32 | UInt64(min(moves, 0xFFFF)) << 40 }
    }

    enum Sighting {
        /// Where it is known to be, or programmed: nothing to learn.
        case known
        case unknown
        case elsewhere
    }

    /// A frame from this address was seen here at `now` (seconds). Complexity: as `lookup`; one store per second and address.
    @inline(__always) func sight(vrf: UInt32, mac: UInt64, at location: Location, now: UInt32) -> Sighting {
        let storage = reader.storage, key = Self.key(vrf, mac), mask = storage.mask
        let hash = reader.hash(key)
        var bucket = Self.first(hash, mask)
        for _ in 0..<2 {
            for index in 0..<Storage.slots where storage.slot(bucket, index).acquire64(0) == key {
                let beside = storage.beside(bucket, index)
                let meta = Meta(rawValue: beside.load64(8))
                guard meta.isLearned else { return .known }
                guard meta.location == location else { return .elsewhere }
                if beside.load64(16) != UInt64(now) { beside.store64(16, UInt64(now)) }
                return .known
            }
            bucket = Self.second(hash, mask)
        }
        return .unknown
    }

    // MARK: Control thread

    /// Nil: there is no such entry.
    func meta(vrf: UInt32, mac: UInt64) -> (meta: Meta, seen: UInt32)? {
        guard vrf <= Self.maximumVRF, let (bucket, slot) = locate(storage, Self.key(vrf, mac)) else { return nil }
        let beside = storage.beside(bucket, slot)
        return (Meta(rawValue: beside.load64(8)), UInt32(truncatingIfNeeded: beside.load64(16)))
    }

    /// Adds or replaces a learned entry; false as `insert`.
    func learn(vrf: UInt32, mac: UInt64, nextHop: UInt32, label: UInt32, _ meta: Meta, now: UInt32) -> Bool {
        guard insert(vrf: vrf, mac: mac, nextHop: nextHop, label: label, cookie: 0), let (bucket, slot) = locate(storage, Self.key(vrf, mac)) else {
            return false
        }
        let beside = storage.beside(bucket, slot)
        beside.store64(16, UInt64(now))
        beside.store64(8, meta.rawValue)
        return true
    }
}
