import NetTypes

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A field of a request that cannot be understood: which, what it holds, why not.
struct FieldError: Error, Hashable, CustomStringConvertible {
    /// Path inside the operation: `upsert.route.prefix_length`, named as in the proto file.
    var field: String
    var value: String
    var reason: String
    var description: String { value.isEmpty ? "\(field): \(reason)" : "\(field): \(value): \(reason)" }
}

/// Reads untrusted field values. One instance per message, knowing its path.
struct FieldReader {
    let path: String

    func error(_ field: String, _ value: some CustomStringConvertible, _ reason: String) -> FieldError {
        FieldError(field: path.isEmpty ? field : "\(path).\(field)", value: value.description, reason: reason)
    }

    /// A required choice of a oneof.
    func missing(_ field: String, _ choices: String) -> FieldError { error(field, "", "missing: give one of \(choices)") }

    func address(_ octets: Data, _ field: String) throws(FieldError) -> IPAddress {
        guard let address = IPAddress(bytes: octets) else {
            throw error(field, hex(octets), "an address has 4 or 16 octets in network order, this has \(octets.count)")
        }
        return address
    }

    func addresses(_ list: [Data], _ field: String) throws(FieldError) -> [IPAddress] {
        var out: [IPAddress] = []
        for (index, octets) in list.enumerated() { out.append(try address(octets, "\(field)[\(index)]")) }
        return out
    }

    func mac(_ octets: Data, _ field: String) throws(FieldError) -> MACAddress {
        guard let mac = MACAddress(bytes: octets) else { throw error(field, hex(octets), "a MAC address has 6 octets, this has \(octets.count)") }
        return mac
    }

    /// Empty octets are nil.
    func optionalMAC(_ octets: Data, _ field: String) throws(FieldError) -> MACAddress? {
        octets.isEmpty ? nil : try mac(octets, field)
    }

    /// Fields `address` and `prefix_length`.
    func prefix(_ octets: Data, _ length: UInt32) throws(FieldError) -> IPPrefix {
        let address = try address(octets, "address")
        guard let prefix = IPPrefix(masking: address, length: Int(length)) else {
            throw error("prefix_length", length, "an \(address.isIPv4 ? "IPv4" : "IPv6") prefix has at most \(address.bitWidth) bits")
        }
        guard prefix.address == address else {
            throw error("address", address, "has bits set after the first \(length); the prefix is \(prefix)")
        }
        return prefix
    }

    func mplsLabel(_ value: UInt32, _ field: String) throws(FieldError) -> Label {
        guard value <= Label.maximum else { throw error(field, value, "an MPLS label has 20 bits: at most \(Label.maximum)") }
        return Label(value)
    }

    func vni(_ value: UInt32, _ field: String) throws(FieldError) -> VNI {
        guard value <= VNI.maximum else { throw error(field, value, "a VNI has 24 bits: at most \(VNI.maximum)") }
        return VNI(value)
    }

    /// A label towards a tunnel: which of the two it is depends on the next hop, so the wider range holds.
    func labelOrVNI(_ value: UInt32, _ field: String) throws(FieldError) -> UInt32 {
        guard value <= VNI.maximum else { throw error(field, value, "an MPLS label has 20 bits, a VNI 24: at most \(VNI.maximum)") }
        return value
    }

    func mtu(_ value: UInt32) throws(FieldError) -> Int {
        guard value <= 65_535 else { throw error("mtu", value, "an IP packet has at most 65535 octets") }
        return Int(value)
    }

    func name(_ value: String, _ field: String = "name") throws(FieldError) -> String {
        guard !value.isEmpty else { throw error(field, "", "is empty") }
        guard value.utf8.count <= 255 else { throw error(field, "\(value.prefix(32))…", "is longer than 255 octets") }
        guard !value.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
            throw error(field, value.debugDescription, "contains control characters")
        }
        return value
    }

    func uint16(_ value: UInt32, _ field: String) throws(FieldError) -> UInt16 {
        guard let narrow = UInt16(exactly: value) else { throw error(field, value, "has 16 bits: at most 65535") }
        return narrow
    }

    /// At most 32 octets are shown.
    func hex(_ octets: Data) -> String {
        if octets.isEmpty { return "empty" }
        let digits = octets.prefix(32).map { octet in
            let text = String(octet, radix: 16)
            return text.count == 1 ? "0" + text : text
        }
        return digits.joined(separator: ":") + (octets.count > 32 ? "…" : "")
    }
}
