/// Sets of clauses, each kept once, as bit sets without their empty words.
///
/// A set is a word of `summaryWords` × 64 bits that says which of its words are not empty, and those words. It is named by where it begins. The common elements
/// of several sets are found word by word, only where all summaries agree.
struct ClauseSets {
    let clauseCount: Int
    let summaryWords: Int
    private(set) var words: [UInt64] = []
    /// By hash, where sets of that hash begin.
    private var known: [UInt64: [UInt32]] = [:]

    init(clauseCount: Int) {
        self.clauseCount = clauseCount
        summaryWords = max(1, (clauseCount + 4095) / 4096)
    }

    /// The set of these bits; `hash` is the same for equal sets.
    mutating func intern(_ bits: [UInt64], hash: UInt64) -> UInt32 {
        if let found = known[hash]?.first(where: { isEqual($0, bits) }) { return found }
        let start = UInt32(truncatingIfNeeded: words.count)
        for summary in 0..<summaryWords {
            var word: UInt64 = 0
            for bit in 0..<64 where summary * 64 + bit < bits.count && bits[summary * 64 + bit] != 0 { word |= 1 << UInt64(bit) }
            words.append(word)
        }
        for word in bits where word != 0 { words.append(word) }
        known[hash, default: []].append(start)
        return start
    }

    private func isEqual(_ start: UInt32, _ bits: [UInt64]) -> Bool {
        var next = Int(start) + summaryWords
        for (index, word) in bits.enumerated() {
            let isThere = words[Int(start) + index / 64] >> UInt64(index % 64) & 1 == 1
            guard isThere == (word != 0) else { return false }
            guard isThere else { continue }
            if words[next] != word { return false }
            next += 1
        }
        return true
    }
}
