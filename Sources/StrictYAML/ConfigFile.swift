#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A configuration file on disk.
public enum ConfigFile {
    /// Its text; throws with the reason when it cannot be read or is not UTF-8.
    public static func text(path: String) throws(ConfigError) -> String {
        let data: Data
        do { data = try Data(contentsOf: URL(filePath: path)) } catch {
            throw ConfigError("cannot be read: \(reason(error))", source: path)
        }
        guard let text = String(validating: data, as: UTF8.self) else { throw ConfigError("is not UTF-8 text", source: path) }
        return text
    }

    private static func reason(_ error: any Error) -> String {
        switch (error as? CocoaError)?.code {
        case .fileReadNoSuchFile: "no such file"
        case .fileReadNoPermission: "permission denied"
        default: "\(error)"
        }
    }
}
