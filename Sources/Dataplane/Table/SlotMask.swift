/// A set of slots, 256 bits.
struct SlotMask {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    func contains(_ slot: Int) -> Bool {
        let word =
            switch slot >> 6 {
            case 0: words.0
            case 1: words.1
            case 2: words.2
            default: words.3
            }
        return word &>> UInt64(slot & 63) & 1 == 1
    }

    mutating func insert(_ slot: Int) {
        let bit: UInt64 = 1 &<< UInt64(slot & 63)
        switch slot >> 6 {
        case 0: words.0 |= bit
        case 1: words.1 |= bit
        case 2: words.2 |= bit
        default: words.3 |= bit
        }
    }

    mutating func insert(_ slots: ClosedRange<Int>) { for slot in slots { insert(slot) } }
}
