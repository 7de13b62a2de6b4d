/// A repeatable sequence (xorshift64*).
public struct Sequence64 {
    var state: UInt64
    public init(seed: UInt64) { state = seed }
    public mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }
}

/// Zipf's law over 0 …< count: the k-th is drawn in proportion to 1/(k+1). With a million, the first thousand are half of what is drawn.
struct Zipf {
    private let cumulative: [Double]

    init(count: Int) {
        var sum = 0.0
        cumulative = (0..<count).map {
            sum += 1 / Double($0 + 1)
            return sum
        }
    }

    func draw(_ random: inout Sequence64) -> Int {
        let wanted = Double(random.next() >> 11) / Double(1 << 53) * (cumulative.last ?? 0)
        var low = 0, high = max(0, cumulative.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if cumulative[middle] < wanted { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
