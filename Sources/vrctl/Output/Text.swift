import Foundation
import NetTypes

extension String {
    /// Filled with spaces on the right up to `width`.
    func padded(_ width: Int) -> String { count >= width ? self : self + String(repeating: " ", count: width - count) }
    /// Filled with spaces on the left up to `width`.
    func aligned(_ width: Int) -> String { count >= width ? self : String(repeating: " ", count: width - count) + self }
}

/// Text from outside without control characters, so that a name cannot steer the terminal.
func printable(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    return String(String.UnicodeScalarView(text.unicodeScalars.map { isControl($0) ? "?" : $0 }))
}
private func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: true
    default: false
    }
}

/// An address of the API as text; what is not 4 or 16 octets is shown in hexadecimal, marked.
func addressText(_ bytes: Data) -> String { IPAddress(bytes: bytes)?.description ?? invalid(bytes) }
func macText(_ bytes: Data) -> String { MACAddress(bytes: bytes)?.description ?? invalid(bytes) }
func prefixText(_ bytes: Data, _ length: UInt32) -> String { "\(addressText(bytes))/\(length)" }
private func invalid(_ bytes: Data) -> String { "invalid(\(hexadecimal(bytes, separator: "")))" }

func hexadecimal(_ bytes: some Sequence<UInt8>, separator: String) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: separator)
}

/// A cookie as text: it is an opaque 64-bit pattern, and JSON numbers are not safe past 2^53.
func cookieText(_ cookie: UInt64) -> String { "0x" + String(cookie, radix: 16) }

/// `2 d 3 h`, `4 min 5 s`, `7 s`: the two largest units.
func durationText(seconds: UInt64) -> String {
    let units: [(UInt64, String)] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")]
    guard let first = units.firstIndex(where: { seconds >= $0.0 }) else { return "0 s" }
    var text = "\(seconds / units[first].0) \(units[first].1)"
    if first + 1 < units.count {
        let rest = seconds % units[first].0 / units[first + 1].0
        if rest > 0 { text += " \(rest) \(units[first + 1].1)" }
    }
    return text
}

/// `12.3`: one decimal, rounded, without a locale.
func oneDecimal(_ value: Double) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "-" }
    let tenths = (value * 10).rounded()
    let whole = Int64(tenths.magnitude / 10), tenth = Int64(tenths.magnitude) % 10
    return "\(tenths < 0 ? "-" : "")\(whole).\(tenth)"
}

/// Per second; a counter that went back (restart, clear) counts from zero.
func rate(_ before: UInt64, _ after: UInt64, over seconds: Double) -> UInt64 {
    guard seconds > 0 else { return 0 }
    let value = (Double(after >= before ? after - before : after) / seconds).rounded()
    return UInt64(exactly: value) ?? .max
}

/// The names of `proto` in a flow match, and of protocols in tables.
enum IPProtocolName {
    static let numbers: [String: UInt32] = ["icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "icmp6": 58, "sctp": 132]
    static func text(_ number: UInt32) -> String { numbers.first { $0.value == number }?.key ?? "\(number)" }
}
