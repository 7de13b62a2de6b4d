import NetTypes
import Synchronization

/// What a VRF does as a bridge beyond its table: floods unknown destinations, learns sources. One word per VRF, for the rare packets that ask.
///
/// # Thread-safety
/// Written by the control thread, read by any.
final class BroadcastDomains: @unchecked Sendable {
    struct Flags: OptionSet {
        let rawValue: UInt32
        static let floodsUnknownUnicast = Flags(rawValue: 1 << 0)
        static let learns = Flags(rawValue: 1 << 1)
    }

    private let words: UnsafeMutablePointer<Atomic<UInt32>>
    private let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        words = .allocate(capacity: capacity)
        for index in 0..<capacity { (words + index).initialize(to: Atomic(0)) }
    }

    deinit {
        words.deinitialize(count: capacity)
        words.deallocate()
    }

    subscript(vrf: UInt32) -> Flags {
        get { Int(vrf) < capacity ? Flags(rawValue: words[Int(vrf)].load(ordering: .relaxed)) : [] }
        set { if Int(vrf) < capacity { words[Int(vrf)].store(newValue.rawValue, ordering: .relaxed) } }
    }
}
