/// Colour where the terminal wants it (`Context.usesColour`), nothing elsewhere.
enum Style: String {
    case good = "32", bad = "31", warning = "33", bold = "1"
    func callAsFunction(_ text: String) -> String { Context.current.usesColour ? "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" : text }
}
