import StrictYAML

/// Which objects are meant, by their labels: as in Kubernetes (`metav1.LabelSelector`). All of it has to hold; an empty selector means every object.
public struct LabelSelector: Hashable, Sendable {
    public enum Operator: String, CaseIterable, Hashable, Sendable {
        case isIn = "In", isNotIn = "NotIn", exists = "Exists", doesNotExist = "DoesNotExist"
    }
    public struct Requirement: Hashable, Sendable {
        public var key: String
        public var relation: Operator
        /// Of `In` and `NotIn`.
        public var values: [String]
        public init(_ key: String, _ relation: Operator, _ values: [String] = []) {
            self.key = key
            self.relation = relation
            self.values = values
        }
    }
    public var labels: [String: String]
    public var requirements: [Requirement]

    public init(_ labels: [String: String] = [:], _ requirements: [Requirement] = []) {
        self.labels = labels
        self.requirements = requirements
    }

    public func matches(_ given: [String: String]) -> Bool {
        labels.allSatisfy { given[$0.key] == $0.value }
            && requirements.allSatisfy { requirement in
                let value = given[requirement.key]
                return switch requirement.relation {
                case .isIn: value.map(requirement.values.contains) ?? false
                // An object without the label is not among those with these values.
                case .isNotIn: value.map { !requirement.values.contains($0) } ?? true
                case .exists: value != nil
                case .doesNotExist: value == nil
                }
            }
    }

    init(_ node: ConfigNode) throws(ConfigError) {
        let fields = try node.mapping(keys: ["matchLabels", "matchExpressions"])
        self.init(try fields["matchLabels"]?.labels() ?? [:])
        for item in try fields["matchExpressions"]?.list() ?? [] {
            let fields = try item.mapping(keys: ["key", "operator", "values"])
            let relation = try fields.required("operator").choice(Operator.self)
            var values: [String] = []
            for value in try fields["values"]?.list() ?? [] { values.append(try value.labelValue()) }
            let needsValues = relation == .isIn || relation == .isNotIn
            if values.isEmpty == needsValues {
                throw (fields["values"] ?? item).error(needsValues ? "\(relation.rawValue) needs values" : "\(relation.rawValue) takes no values")
            }
            requirements.append(Requirement(try fields.required("key").labelKey(), relation, values))
        }
    }

    var value: ConfigValue {
        var fields: [ConfigValue.Field] = []
        if !labels.isEmpty { fields.append(.init("matchLabels", ConfigValue(labels: labels))) }
        if !requirements.isEmpty {
            fields.append(
                .init(
                    "matchExpressions",
                    .list(
                        requirements.map { requirement in
                            var fields: [ConfigValue.Field] = [
                                .init("key", .string(requirement.key)), .init("operator", .string(requirement.relation.rawValue)),
                            ]
                            if !requirement.values.isEmpty { fields.append(.init("values", .list(requirement.values.map { .string($0) }))) }
                            return .map(fields)
                        })))
        }
        return .map(fields)
    }
}

extension ConfigValue {
    init(labels: [String: String]) { self = .map(labels.sorted { $0.key < $1.key }.map { .init($0.key, .string($0.value)) }) }
}

extension ConfigNode {
    /// A mapping of label keys to values. Nothing is no label.
    func labels() throws(ConfigError) -> [String: String] {
        guard !isNull else { return [:] }
        var out: [String: String] = [:]
        for entry in try entries() {
            guard Self.isLabelKey(entry.key) else { throw error(Self.keyForm(entry.key), at: entry) }
            out[entry.key] = try entry.value.labelValue()
        }
        return out
    }

    func labelKey() throws(ConfigError) -> String {
        let text = try string()
        guard Self.isLabelKey(text) else { throw error(Self.keyForm(text)) }
        return text
    }

    /// At most 63 letters, digits, `-`, `_` and `.`, with a letter or a digit at either end; or nothing.
    func labelValue() throws(ConfigError) -> String {
        try value("a label's value: at most 63 letters, digits, '-', '_' and '.'") { $0.isEmpty || Self.isLabelWord($0) ? $0 : nil }
    }

    private static func keyForm(_ text: String) -> String {
        "'\(text.prefix(64))' is no label: at most 63 letters, digits, '-', '_' and '.', and before them a domain and '/', if any"
    }
    private static func isLabelKey(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let name = parts.last, isLabelWord(String(name)) else { return false }
        return parts.count == 1 || KubernetesName.isSubdomain(String(parts[0]))
    }
    private static func isLabelWord(_ text: String) -> Bool {
        func isWord(_ octet: UInt8) -> Bool {
            switch octet {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            default: false
            }
        }
        return (1...63).contains(text.utf8.count) && text.utf8.first.map(isWord) == true && text.utf8.last.map(isWord) == true
            && text.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") }
    }
}

/// Names as Kubernetes has them (RFC 1123).
enum KubernetesName {
    static func isLabel(_ text: some StringProtocol) -> Bool {
        let octets = Array(text.utf8), hyphen = UInt8(ascii: "-")
        let isWord = octets.allSatisfy { octet in
            switch octet {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), hyphen: true
            default: false
            }
        }
        return isWord && (1...63).contains(octets.count) && octets.first != hyphen && octets.last != hyphen
    }
    static func isSubdomain(_ text: String) -> Bool {
        text.utf8.count <= 253 && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { isLabel($0) }
    }
    /// IANA service name (RFC 6335): what a port may be called.
    static func isPort(_ text: String) -> Bool {
        isLabel(text) && text.utf8.count <= 15 && text.utf8.contains { $0 >= UInt8(ascii: "a") } && !text.contains("--")
    }
}

extension ConfigNode {
    func namespaceName() throws(ConfigError) -> String {
        try value("a namespace: at most 63 lower-case letters, digits and '-'") { KubernetesName.isLabel($0) ? $0 : nil }
    }
    func portName() throws(ConfigError) -> String {
        try value("a port's name: at most 15 lower-case letters, digits and '-', a letter among them") { KubernetesName.isPort($0) ? $0 : nil }
    }
}
