/// "Did you mean …?" for words of a small vocabulary.
enum SpellingHint {
    /// The word of `words` nearest to `word`, when it is near enough to be a slip: at most two edits, and fewer than half its letters.
    static func nearest(_ word: String, _ words: [String]) -> String? {
        let best = words.map { ($0, distance(Array(word.lowercased().prefix(64)), Array($0.lowercased()))) }.min { $0.1 < $1.1 }
        guard let (found, edits) = best, edits <= 2, edits * 2 < max(found.count, 3) else { return nil }
        return found
    }

    /// Insertions, deletions and replacements between the two (Levenshtein).
    private static func distance(_ a: [Character], _ b: [Character]) -> Int {
        var row = Array(0...b.count)
        for (i, letter) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, other) in b.enumerated() {
                let replace = diagonal + (letter == other ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replace, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[b.count]
    }
}
