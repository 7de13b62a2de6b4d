import Foundation
import Logging
import NetTypes

/// The posted ports, each also a JSON file in the state directory, named by its id, so that they survive a restart of the agent.
///
/// A file is written beside its final name and renamed over it, so it is there whole or not at all. A file that cannot be read is
/// left alone, with a warning: somebody may want to see it.
///
/// Thread-safety: a value, used from one actor.
struct PortStore: Sendable {
    private(set) var requests: [String: PortRequest] = [:]
    let directory: String
    let logger: Logger

    init(directory: String, logger: Logger) {
        self.directory = directory
        self.logger = logger
    }

    private func path(_ id: String) -> String { "\(directory)/\(id).json" }

    /// Replaces what is held by what the directory has. A directory that is not there holds nothing.
    mutating func load() {
        requests = [:]
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: directory) else { return }
        for name in names.sorted() where name.hasSuffix(".json") && !name.hasPrefix(".") {
            do {
                let data = try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)"))
                let request = try PortRequest(JSONDecoder().decode(JSONValue.self, from: data))
                guard "\(request.id).json" == name else { throw PortRequestError(field: "id", message: "\(request.id) is not the name of the file") }
                requests[request.id] = request
            } catch {
                logger.warning("port file is not usable and is left as it is", metadata: ["file": "\(directory)/\(name)", "reason": "\(error)"])
            }
        }
    }

    /// Keeps all of them or none.
    mutating func add(_ added: [PortRequest]) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        var staged: [(from: String, to: String)] = []
        defer { for file in staged { try? FileManager.default.removeItem(atPath: file.from) } }
        for request in added {
            let temporary = "\(directory)/.\(request.id).new"
            staged.append((temporary, path(request.id)))
            try encoder.encode(request.fields).write(to: URL(fileURLWithPath: temporary))
        }
        for file in staged {
            guard rename(file.from, file.to) == 0 else { throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: file.to]) }
        }
        for request in added { requests[request.id] = request }
    }

    /// False when there is no such port.
    mutating func remove(_ id: String) throws -> Bool {
        guard requests[id] != nil else { return false }
        if FileManager.default.fileExists(atPath: path(id)) { try FileManager.default.removeItem(atPath: path(id)) }
        requests[id] = nil
        return true
    }
}
