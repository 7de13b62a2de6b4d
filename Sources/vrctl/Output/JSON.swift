import Foundation

/// A JSON value that keeps the order of its keys: output is stable and reads in the order it was written down.
/// Values that were decoded have their keys sorted, `kind`, `name`, `metadata`, `spec` first (`JSONDecoder` does not keep the order).
enum JSON: Hashable, Sendable {
    case null, bool(Bool), integer(Int64), unsigned(UInt64), number(Double), string(String), array([JSON]), object([Member])
    struct Member: Hashable, Sendable { var key: String; var value: JSON }

    init(_ value: some BinaryInteger) { self = Int64(exactly: value).map { .integer($0) } ?? .unsigned(UInt64(clamping: value)) }
    init(_ value: String) { self = .string(value) }
    init(_ value: Bool) { self = .bool(value) }
    /// Null when absent.
    init<Number: BinaryInteger>(_ value: Number?) { self = value.map { JSON($0) } ?? .null }
    init(_ value: String?) { self = value.map { .string($0) } ?? .null }
    init(texts: some Sequence<String>) { self = .array(texts.map { .string($0) }) }

    subscript(key: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }
    var array: [JSON] { if case .array(let values) = self { values } else { [] } }
    var members: [Member] { if case .object(let members) = self { members } else { [] } }
    var isTrue: Bool { self == .bool(true) }
    /// A scalar as a person reads it; nil for null, arrays and objects.
    var text: String? {
        switch self {
        case .string(let value): value
        case .integer(let value): "\(value)"
        case .unsigned(let value): "\(value)"
        case .number(let value): "\(value)"
        case .bool(let value): value ? "true" : "false"
        case .null, .array, .object: nil
        }
    }
    var unsigned: UInt64? {
        switch self {
        case .integer(let value): UInt64(exactly: value)
        case .unsigned(let value): value
        case .number(let value): UInt64(exactly: value.rounded())
        default: nil
        }
    }
}

extension JSON: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral, ExpressibleByStringLiteral, ExpressibleByBooleanLiteral {
    typealias Key = String
    typealias Value = JSON
    init(dictionaryLiteral elements: (String, JSON)...) { self = .object(elements.map { Member(key: $0.0, value: $0.1) }) }
    init(arrayLiteral elements: JSON...) { self = .array(elements) }
    init(stringLiteral value: String) { self = .string(value) }
    init(booleanLiteral value: Bool) { self = .bool(value) }
}

extension JSON: Decodable {
    private struct Field: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
    private static let leading = ["kind", "name", "metadata", "spec"]

    init(from decoder: any Decoder) throws {
        if let object = try? decoder.container(keyedBy: Field.self) {
            let keys = object.allKeys.sorted {
                let ranks = (Self.leading.firstIndex(of: $0.stringValue) ?? .max, Self.leading.firstIndex(of: $1.stringValue) ?? .max)
                return ranks.0 != ranks.1 ? ranks.0 < ranks.1 : $0.stringValue < $1.stringValue
            }
            self = .object(try keys.map { Member(key: $0.stringValue, value: try object.decode(JSON.self, forKey: $0)) })
            return
        }
        if var values = try? decoder.unkeyedContainer() {
            var out: [JSON] = []
            while !values.isAtEnd { out.append(try values.decode(JSON.self)) }
            self = .array(out)
            return
        }
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let integer = try? value.decode(Int64.self) {
            self = .integer(integer)
        } else if let unsigned = try? value.decode(UInt64.self) {
            self = .unsigned(unsigned)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else {
            self = .string(try value.decode(String.self))
        }
    }

    /// Nil when the bytes are not JSON (or nested beyond Foundation's limit of 512).
    init?(parsing bytes: some Sequence<UInt8>) {
        guard let value = try? JSONDecoder().decode(JSON.self, from: Data(bytes)) else { return nil }
        self = value
    }
}
