/// A table with headings: every column as wide as its widest cell, three spaces between.
/// For tables that are small; the large ones have fixed columns and are streamed.
struct Columns {
    var headings: [String]
    var rows: [[String]] = []
    init(_ headings: String...) { self.headings = headings }
    mutating func add(_ cells: String...) { rows.append(cells.map { printable($0) }) }

    var text: String {
        var widths = headings.map(\.count)
        for row in rows { for (index, cell) in row.enumerated() where index < widths.count { widths[index] = max(widths[index], cell.count) } }
        return ([headings] + rows).map { row in
            var line = zip(row, widths).map { $0.padded($1) }.joined(separator: "   ")
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }
}
