/// A configuration file that cannot be used: where, which field, what is wrong. Prints as `file:line:column: field: reason`.
public struct ConfigError: Error, Hashable, Sendable, CustomStringConvertible {
    public var source: String
    /// From 1; 0: the file as a whole.
    public var line: Int
    public var column: Int
    /// Path of the field: `objects.vifs[1].mac`; empty: the document itself.
    public var field: String
    public var reason: String
    public var description: String {
        let place = line > 0 ? "\(source):\(line):\(column)" : source
        return field.isEmpty ? "\(place): \(reason)" : "\(place): \(field): \(reason)"
    }
}
