import Foundation
import NetTypes
import StrictYAML

/// Text that is put together from numbers and addresses by the million: octets, without a string for each piece.
struct TextBuffer {
    private(set) var octets: [UInt8] = []

    var text: String { String(decoding: octets, as: UTF8.self) }
    mutating func clear() { octets.removeAll(keepingCapacity: true) }

    /// Where the next octet goes.
    var column: Int { octets.count }

    mutating func put(_ text: StaticString) { octets.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)) }
    mutating func put(text: String) { octets.append(contentsOf: text.utf8) }

    mutating func put(_ number: some FixedWidthInteger & UnsignedInteger) {
        var rest = UInt64(truncatingIfNeeded: number)
        if rest < 10 { return octets.append(0x30 + UInt8(rest)) }
        let start = octets.count
        while rest > 0 {
            octets.append(0x30 + UInt8(rest % 10))
            rest /= 10
        }
        octets[start...].reverse()
    }

    /// As JSON.
    mutating func put(quoted text: String) {
        let plain = text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }
        guard plain else { return put(text: text.doubleQuoted) }
        octets.append(0x22)
        octets.append(contentsOf: text.utf8)
        octets.append(0x22)
    }

    /// Without leading zeros.
    mutating func put(hexadecimal number: UInt64) {
        var shift = number == 0 ? 0 : (63 - number.leadingZeroBitCount) & ~3
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: number >> UInt64(shift)) & 15
            octets.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
            shift -= 4
        }
    }

    /// Right-aligned.
    mutating func put(_ number: some FixedWidthInteger & UnsignedInteger, width: Int) {
        let start = column
        put(number)
        let missing = width - (column - start)
        if missing > 0 { octets.insert(contentsOf: repeatElement(0x20, count: missing), at: start) }
    }

    /// Spaces until `width` octets lie behind `start`.
    mutating func pad(from start: Int, to width: Int) { while octets.count - start < width { octets.append(0x20) } }

    /// An address of the API; what is not 4 or 16 octets is shown as such.
    mutating func put(address: Data) {
        guard address.count == 4 else { return put(text: addressText(address)) }
        var first = true
        for octet in address {
            if !first { octets.append(0x2E) }
            first = false
            put(octet)
        }
    }
}
