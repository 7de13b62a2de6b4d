import Dataplane
import DataplaneAPI
import GRPCCore
import NetTypes
import SwiftProtobuf

// Apply requests as they come off the wire, and their answers.
//
// Routes are programmed by the hundred thousand, and of the time that a generated message takes nearly all goes into the message: three objects to allocate and
// two arrays of octets to copy for four numbers. So an operation that is a plain route is read where it lies in the request. What is not exactly that, because it is
// another object, has a field that this version does not know, or is wrong, is left to the generated code, which also knows the words for what is wrong. Both must
// understand the same; `ApplyCodingTests` compares them.

/// Requests of `dataplane.v1.Dataplane/Apply`. Octets from outside: whatever they are, nothing is read past their end.
struct ApplyRequestDeserializer: MessageDeserializer {
    func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> ApplyBatch {
        do {
            return try bytes.withUnsafeBytes { try Self.batch($0) ?? ApplyBatch(Dataplane_V1_ApplyRequest(serializedBytes: Array($0)).operations) }
        } catch {
            throw RPCError(code: .invalidArgument, message: "the octets are no ApplyRequest", cause: error)
        }
    }

    /// Nil: something is not as usual, and the whole is left to the generated code.
    static func batch(_ bytes: UnsafeRawBufferPointer) throws -> ApplyBatch? {
        var batch = ApplyBatch(), fields = WireFields(bytes)
        // A route takes 25 octets and more.
        batch.reserve(min(bytes.count / 20, DataplaneClient.maximumBatch))
        while !fields.isAtEnd {
            guard fields.key() == WireFields.key(1, .octets), let operation = fields.octets() else { return nil }
            if batch.count >= DataplaneClient.maximumBatch {
                batch.skip()
            } else if let route = route(operation) {
                batch.append(route)
            } else {
                batch.append(try Dataplane_V1_Operation(serializedBytes: Array(operation)))
            }
        }
        return batch
    }

    /// The route of an operation that is `upsert { route { … } }` and nothing else, and right; else nil.
    private static func route(_ operation: UnsafeRawBufferPointer) -> RouteSpec? {
        var outer = WireFields(operation)
        guard outer.key() == WireFields.key(1, .octets), let object = outer.octets(), outer.isAtEnd else { return nil }
        var inner = WireFields(object)
        guard inner.key() == WireFields.key(5, .octets), let message = inner.octets(), inner.isAtEnd else { return nil }
        var fields = WireFields(message)
        var vrf: UInt64 = 0, length: UInt64 = 0, nextHop: UInt64 = 0, cookie: UInt64 = 0, proxies = false
        var address: IPAddress?, label: UInt32?, mac: MACAddress?
        while !fields.isAtEnd {
            guard let key = fields.key() else { return nil }
            switch key {
            case WireFields.key(1, .varint):
                guard let value = fields.varint() else { return nil }
                vrf = value
            case WireFields.key(2, .octets):
                guard let octets = fields.octets() else { return nil }
                switch octets.count {
                case 4: address = .v4(IPv4Address(rawValue: UInt32(bigEndian: octets.loadUnaligned(as: UInt32.self))))
                case 16:
                    address = .v6(
                        IPv6Address(
                            high: UInt64(bigEndian: octets.loadUnaligned(as: UInt64.self)),
                            low: UInt64(bigEndian: octets.loadUnaligned(fromByteOffset: 8, as: UInt64.self))))
                default: return nil
                }
            case WireFields.key(3, .varint):
                guard let value = fields.varint() else { return nil }
                length = value
            case WireFields.key(4, .varint):
                guard let value = fields.varint() else { return nil }
                nextHop = value
            case WireFields.key(5, .varint):
                guard let value = fields.varint() else { return nil }
                label = UInt32(truncatingIfNeeded: value)
            case WireFields.key(6, .varint):
                guard let value = fields.varint() else { return nil }
                proxies = value != 0
            case WireFields.key(7, .octets):
                guard let octets = fields.octets(), octets.isEmpty || octets.count == 6 else { return nil }
                mac = octets.isEmpty ? nil : MACAddress(bytes: octets)
            case WireFields.key(8, .varint):
                guard let value = fields.varint() else { return nil }
                cookie = value
            default: return nil
            }
        }
        // Numbers of 32 bits are what the lower half of the varint says (protobuf.dev, encoding).
        guard let address, let prefix = IPPrefix(masking: address, length: Int(UInt32(truncatingIfNeeded: length))), prefix.address == address,
            label ?? 0 <= VNI.maximum
        else { return nil }
        return RouteSpec(
            vrf: VRFID(UInt32(truncatingIfNeeded: vrf)), prefix: prefix, nextHop: NextHopID(UInt32(truncatingIfNeeded: nextHop)), label: label,
            proxies: proxies, mac: mac, cookie: cookie)
    }
}

/// The fields of one message in the Protocol Buffers wire format, one after the other. Octets are from outside: every call says nil rather than read past the end.
struct WireFields {
    enum WireType: UInt64 { case varint = 0, octets = 2 }

    private var rest: UnsafeRawBufferPointer.SubSequence

    init(_ bytes: UnsafeRawBufferPointer) { rest = bytes[...] }

    var isAtEnd: Bool { rest.isEmpty }

    /// A field's number and wire type as they are written.
    @inline(__always) static func key(_ number: UInt64, _ type: WireType) -> UInt64 { number << 3 | type.rawValue }

    @inline(__always) mutating func key() -> UInt64? { varint() }

    /// At most ten octets; nil when it is longer or not whole.
    @inline(__always) mutating func varint() -> UInt64? {
        guard let first = rest.first else { return nil }
        if first < 0x80 {
            rest = rest.dropFirst()
            return UInt64(first)
        }
        return longVarint()
    }

    private mutating func longVarint() -> UInt64? {
        var value: UInt64 = 0, shift: UInt64 = 0
        for octet in rest.prefix(10) {
            value |= UInt64(octet & 0x7F) << shift
            if octet < 0x80 {
                rest = rest.dropFirst(Int(shift / 7) + 1)
                return value
            }
            shift += 7
        }
        return nil
    }

    /// Length and octets of a string, octets or a message.
    @inline(__always) mutating func octets() -> UnsafeRawBufferPointer? {
        guard let length = varint(), length <= UInt64(rest.count) else { return nil }
        let count = Int(length)
        let octets = UnsafeRawBufferPointer(rebasing: rest.prefix(count))
        rest = rest.dropFirst(count)
        return octets
    }
}

/// Answers of `dataplane.v1.Dataplane/Apply`: one `Result` per outcome, which of an OK is two octets.
struct ApplyResponseSerializer: MessageSerializer {
    func serialize<Bytes: GRPCContiguousBytes>(_ outcomes: [RouterOutcome]) throws -> Bytes {
        var octets: [UInt8] = []
        octets.reserveCapacity(outcomes.count * 2)
        for outcome in outcomes {
            octets.append(0x0A)
            if case .ok = outcome {
                octets.append(0)
                continue
            }
            let result: [UInt8] = try Dataplane_V1_Result(outcome).serializedBytes()
            var length = result.count
            while length >= 0x80 {
                octets.append(UInt8(truncatingIfNeeded: length) | 0x80)
                length >>= 7
            }
            octets.append(UInt8(length))
            octets += result
        }
        return Bytes(octets)
    }
}
