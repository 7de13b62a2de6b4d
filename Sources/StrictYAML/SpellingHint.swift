/// "did you mean" for a word that is nearly one of a few known ones.
enum SpellingHint {
    /// The hint as the end of a sentence; empty when no word is near: one edit, or one for every three letters of a longer word.
    static func text(for word: String, among known: [String]) -> String {
        let scored = known.map { (name: $0, distance: distance(word.lowercased(), $0.lowercased())) }
        guard let best = scored.min(by: { $0.distance < $1.distance }), best.distance <= max(1, best.name.count / 3) else { return "" }
        return "; did you mean '\(best.name)'?"
    }

    /// Edit distance (insert, delete, replace, swap neighbours); words past 64 characters are far from everything.
    private static func distance(_ a: String, _ b: String) -> Int {
        let a = Array(a.unicodeScalars), b = Array(b.unicodeScalars)
        guard a.count <= 64, b.count <= 64 else { return .max }
        var rows = [Array(0...b.count)]
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var best = min(rows[i][j] + (a[i] == b[j] ? 0 : 1), row[j] + 1, rows[i][j + 1] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, rows[i - 1][j - 1] + 1) }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}
