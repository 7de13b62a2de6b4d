import CPlatform

/// The last packets a worker dropped: a ring of fixed slots that the worker overwrites and anybody reads.
///
/// Counters say how many; the log says which: when, why, in which stage (source file and line, as OpenSDN's log), on which vif, towards which next hop, and
/// the first octets of the frame, from which the reader takes addresses, protocol and ports. The worker copies and does not interpret: a flood of bad
/// packets costs it two cache lines per packet, and packets that are not dropped cost nothing.
///
/// # Layout of a slot, in 64-bit words
/// 0 sequence · 1 TSC · 2 address of the file's name · 3 line, length · 4 vif, next hop · 5 VRF, ports · 6 reason, protocol, octets kept · 8–15 the frame.
///
/// # Thread-safety
/// That of `RecordRing`; the writer is the worker.
final class DropLog: RecordRing, @unchecked Sendable {
    /// Octets of a frame that are kept: Ethernet, IPv6 and ports are 58.
    static let frameOctets = 64
    private static let slotSize = 128
    static let noPlace: UInt = 0
    static let unknown: UInt32 = .max

    /// Where a packet was dropped: a file's name in the program's constant data, zero-terminated, and a line.
    struct Place {
        var file: UInt
        var line: UInt32
        @inline(__always) init(_ file: StaticString, _ line: UInt32) {
            self.file = UInt(bitPattern: file.utf8Start)
            self.line = line
        }
        @inline(__always) init(file: UInt, line: UInt32) {
            self.file = file
            self.line = line
        }

        /// Constant data of one program lie within 2 GiB of each other, so half of the address says which.
        @inline(__always) init(fileOffset: UInt32, line: UInt32) {
            let distance = Int32(bitPattern: fileOffset &- UInt32(truncatingIfNeeded: Self.anchor))
            self.init(file: Self.anchor &+ UInt(bitPattern: Int(distance)), line: line)
        }
        @inline(__always) var fileOffset: UInt32 { UInt32(truncatingIfNeeded: file) }
        @inline(__always) private static var anchor: UInt {
            let name: StaticString = #fileID
            return UInt(bitPattern: name.utf8Start)
        }
    }

    /// `capacity` 0: nothing is recorded.
    init(capacity: Int) { super.init(capacity: capacity, slotSize: Self.slotSize) }

    // MARK: The worker

    @inline(__always) func record(
        _ frame: vr_frame, _ reason: DropReason, vif: UInt32, nextHop: UInt32 = DropLog.unknown, vrf: UInt32 = DropLog.unknown, proto: UInt8 = 0,
        ports: UInt32 = 0, _ place: Place, now: UInt64
    ) {
        guard capacity > 0 else { return }
        write { slot in
            slot.store64(8, now)
            slot.store64(16, UInt64(place.file))
            slot.store64(24, UInt64(frame.length) << 32 | UInt64(place.line))
            slot.store64(32, UInt64(nextHop) << 32 | UInt64(vif))
            slot.store64(40, UInt64(ports) << 32 | UInt64(vrf))
            let kept = min(Int(frame.length), Self.frameOctets)
            slot.store64(48, UInt64(truncatingIfNeeded: kept) << 16 | UInt64(proto) << 8 | UInt64(reason.rawValue))
            let from = frame.start
            if kept == Self.frameOctets {
                for word in 0..<8 { slot.store64(64 &+ word &* 8, from.loadUnaligned(fromByteOffset: word &* 8, as: UInt64.self)) }
            } else {
                copyShort(from, slot, kept)
            }
        }
    }

    @inline(never) private func copyShort(_ from: UnsafeRawPointer, _ slot: UnsafeMutableRawPointer, _ count: Int) {
        for word in 0..<8 {
            var value: UInt64 = 0
            for octet in 0..<8 where word &* 8 &+ octet < count {
                value |= UInt64(from.load(fromByteOffset: word &* 8 &+ octet, as: UInt8.self)) << UInt64(octet &* 8)
            }
            slot.store64(64 &+ word &* 8, value)
        }
    }

    // MARK: Readers

    /// One packet as it was recorded.
    struct Entry {
        /// Which one, counted from 1.
        var number: UInt64
        var tsc: UInt64
        var place: Place
        var length: Int
        var vif: UInt32, nextHop: UInt32, vrf: UInt32
        var reason: UInt8, proto: UInt8
        /// Source and destination port as they lie in memory; 0: the packet had no transport header, or nobody had looked.
        var ports: UInt32
        var frame: [UInt8]
    }

    func entries(after: UInt64) -> [Entry] { records(after: after, entry) }

    private func entry(_ number: UInt64, _ words: [UInt64]) -> Entry {
        let kept = min(Int(words[6] >> 16 & 0xFF), Self.frameOctets)
        let frame = (0..<kept).map { UInt8(truncatingIfNeeded: words[8 + $0 / 8] >> UInt64($0 % 8 * 8)) }
        func low(_ word: Int) -> UInt32 { UInt32(truncatingIfNeeded: words[word]) }
        func high(_ word: Int) -> UInt32 { UInt32(truncatingIfNeeded: words[word] >> 32) }
        return Entry(
            number: number, tsc: words[1], place: Place(file: UInt(words[2]), line: low(3)), length: Int(high(3)), vif: low(4), nextHop: high(4),
            vrf: low(5), reason: UInt8(truncatingIfNeeded: words[6]), proto: UInt8(truncatingIfNeeded: words[6] >> 8), ports: high(5), frame: frame)
    }
}
