import Foundation

/// A line chart as an SVG document: one logarithmic horizontal axis, one linear vertical axis from zero, a line per series with its points and its name at
/// the end. Text is text, colours are readable on white and on dark grey, nothing is loaded from elsewhere.
struct Chart {
    struct Series {
        var name: String
        var points: [(x: Double, y: Double)]
    }

    var title: String
    var subtitle: String
    var xTitle: String
    var yTitle: String
    var series: [Series]

    private static let width = 760.0, height = 420.0
    private static let left = 70.0, right = 150.0, top = 62.0, bottom = 56.0
    // Blue, orange, green, red, purple: apart for colour-blind readers too; the marks differ as well.
    private static let colours = ["#2b6cb0", "#c05621", "#2f855a", "#c53030", "#6b46c1"]

    func document() -> String {
        let xs = series.flatMap { $0.points.map(\.x) }, ys = series.flatMap { $0.points.map(\.y) }
        guard let least = xs.min(), let most = xs.max(), let highest = ys.max(), least > 0 else { return "" }
        let step = Self.step(highest), ceiling = (highest / step).rounded(.up) * step
        func x(_ value: Double) -> Double {
            Self.left + (Self.width - Self.left - Self.right) * (most > least ? log(value / least) / log(most / least) : 0.5)
        }
        func y(_ value: Double) -> Double { Self.height - Self.bottom - (Self.height - Self.top - Self.bottom) * value / ceiling }

        var out = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(Int(Self.width)) \(Int(Self.height))\" font-family=\"sans-serif\" font-size=\"12\">",
            "<title>\(Self.escaped(title))</title>", "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>",
            Self.text(Self.left, 24, title, size: 16), Self.text(Self.left, 44, subtitle, colour: "#555555"),
        ]
        for tick in stride(from: 0, through: ceiling + step / 2, by: step) {
            out.append(Self.line(Self.left, y(tick), Self.width - Self.right, y(tick), "#dddddd"))
            out.append(Self.text(Self.left - 8, y(tick) + 4, Self.number(tick), anchor: "end"))
        }
        for tick in Set(xs).sorted() {
            out.append(Self.line(x(tick), Self.height - Self.bottom, x(tick), Self.height - Self.bottom + 5, "#555555"))
            out.append(Self.text(x(tick), Self.height - Self.bottom + 19, Self.number(tick), anchor: "middle"))
        }
        out.append(Self.text((Self.left + Self.width - Self.right) / 2, Self.height - 12, xTitle, anchor: "middle"))
        out.append(
            "<text x=\"18\" y=\"\(Self.short((Self.top + Self.height - Self.bottom) / 2))\" text-anchor=\"middle\" fill=\"#222222\" "
                + "transform=\"rotate(-90 18 \(Self.short((Self.top + Self.height - Self.bottom) / 2)))\">\(Self.escaped(yTitle))</text>")
        var labels: [Double] = []
        for (position, one) in series.enumerated() {
            let colour = Self.colours[position % Self.colours.count]
            let path = one.points.map { "\(Self.short(x($0.x))),\(Self.short(y($0.y)))" }.joined(separator: " ")
            out.append("<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2\"/>")
            for point in one.points { out.append(Self.mark(position, x(point.x), y(point.y), colour)) }
            guard let last = one.points.last else { continue }
            var at = y(last.y) + 4
            while labels.contains(where: { abs($0 - at) < 14 }) { at += 14 }
            labels.append(at)
            out.append(Self.text(x(last.x) + 10, at, one.name, colour: colour))
        }
        out.append("</svg>")
        return out.joined(separator: "\n") + "\n"
    }

    // MARK: - Pieces

    /// A round distance between ticks that gives four to eight of them.
    private static func step(_ highest: Double) -> Double {
        let magnitude = pow(10, (log10(max(highest, 1e-9) / 5)).rounded(.down))
        return [1, 2, 5, 10].map { $0 * magnitude }.first { highest / $0 <= 8 } ?? magnitude
    }

    private static func mark(_ position: Int, _ x: Double, _ y: Double, _ colour: String) -> String {
        switch position % 3 {
        case 0: "<circle cx=\"\(short(x))\" cy=\"\(short(y))\" r=\"4\" fill=\"\(colour)\"/>"
        case 1: "<rect x=\"\(short(x - 4))\" y=\"\(short(y - 4))\" width=\"8\" height=\"8\" fill=\"\(colour)\"/>"
        default: "<path d=\"M\(short(x)) \(short(y - 5))l5 9h-10z\" fill=\"\(colour)\"/>"
        }
    }

    private static func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ colour: String) -> String {
        "<line x1=\"\(short(x1))\" y1=\"\(short(y1))\" x2=\"\(short(x2))\" y2=\"\(short(y2))\" stroke=\"\(colour)\"/>"
    }

    private static func text(_ x: Double, _ y: Double, _ text: String, anchor: String = "start", size: Int = 12, colour: String = "#222222") -> String
    {
        "<text x=\"\(short(x))\" y=\"\(short(y))\" text-anchor=\"\(anchor)\" font-size=\"\(size)\" fill=\"\(colour)\">\(escaped(text))</text>"
    }

    private static func short(_ value: Double) -> String { String(format: "%.1f", value) }

    static func number(_ value: Double) -> String {
        if value >= 1e6 { return String(format: value.truncatingRemainder(dividingBy: 1e6) == 0 ? "%.0fM" : "%.1fM", value / 1e6) }
        if value >= 1e4 || value >= 1e3 && value.truncatingRemainder(dividingBy: 1e3) == 0 {
            return String(format: value.truncatingRemainder(dividingBy: 1e3) == 0 ? "%.0fk" : "%.1fk", value / 1e3)
        }
        return String(format: value == value.rounded() ? "%.0f" : "%.1f", value)
    }

    private static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;").replacingOccurrences(of: ">", with: "&gt;")
    }
}
