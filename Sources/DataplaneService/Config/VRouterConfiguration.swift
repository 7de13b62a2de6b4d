public import Dataplane

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `vrouter.yaml` as values. Strict: a key that is not known, a value of the wrong type or out of range is an error with its place,
/// so nothing in a file is ever silently without effect.
public struct VRouterConfiguration: Sendable {
    public var router = RouterConfiguration()
    /// Path of the API socket; nil: `api: none`.
    public var socket: String? = VRouterConfiguration.defaultSocket
    /// Arguments of EAL; nil: DPDK is not started.
    public var dpdkArguments: [String]?
    /// nil: the pool's default.
    public var bufferCount: Int?
    public var bufferSize: Int?
    /// What is applied at start, in order.
    public var objects: [ConfiguredObject] = []

    public static let defaultSocket = "/run/vrouter/dataplane.sock"
    public init() {}

    /// Reads a file. Throws with the kernel's reason when it cannot be read.
    public static func load(_ path: String) throws(ConfigError) -> VRouterConfiguration {
        let data: Data
        do { data = try Data(contentsOf: URL(filePath: path)) } catch {
            throw ConfigError(source: path, line: 0, column: 0, field: "", reason: "cannot be read: \(reason(error))")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw ConfigError(source: path, line: 0, column: 0, field: "", reason: "is not UTF-8 text")
        }
        return try parse(text, source: path)
    }

    private static func reason(_ error: any Error) -> String {
        switch (error as? CocoaError)?.code {
        case .fileReadNoSuchFile: "no such file"
        case .fileReadNoPermission: "permission denied"
        default: "\(error)"
        }
    }

    /// `source`: the name of the file in errors.
    public static func parse(_ text: String, source: String) throws(ConfigError) -> VRouterConfiguration {
        let root = try ConfigValue.parse(text, source: source).mapping(
            ["workers", "idle", "api", "dpdk", "buffers", "flows", "capacities", "objects"])
        var configuration = VRouterConfiguration()
        if let workers = root["workers"] { configuration.router.cores = try cores(workers) }
        if let idle = root["idle"] { configuration.router.idle = try idle.choice(["poll": .poll, "adaptive": .adaptive, "sleep": .sleep]) }
        if let api = root["api"] {
            if api.isWord("none") {
                configuration.socket = nil
            } else if let socket = try api.mapping(["socket"])["socket"] {
                configuration.socket = try socket.text()
            }
        }
        if let dpdk = root["dpdk"] {
            var arguments: [String] = []
            for argument in try dpdk.mapping(["eal"])["eal"]?.list() ?? [] { arguments.append(try argument.text()) }
            configuration.dpdkArguments = arguments
        }
        if let buffers = try root["buffers"]?.mapping(["count", "size"]) {
            configuration.bufferCount = try buffers["count"]?.integer(64...1 << 24)
            configuration.bufferSize = try buffers["size"]?.integer(2048...1 << 20)
        }
        if let capacity = try root["flows"]?.mapping(["capacity"])["capacity"] {
            configuration.router.flowCapacity = try capacity.integer(1024...1 << 26)
        }
        if let capacities = try root["capacities"]?.mapping(["nextHops", "vifs", "vrfs"]) {
            if let value = capacities["nextHops"] { configuration.router.nextHopCapacity = try value.integer(16...1 << 24) }
            if let value = capacities["vifs"] { configuration.router.vifCapacity = try value.integer(1...65_535) }
            if let value = capacities["vrfs"] { configuration.router.vrfCapacity = try value.integer(1...65_536) }
        }
        if let objects = root["objects"] { configuration.objects = try ConfiguredObject.list(objects) }
        return configuration
    }

    /// A count of workers that are not pinned, or the list of cores, one worker each.
    static func cores(_ value: ConfigValue) throws(ConfigError) -> [Int?] {
        guard value.isList else { return Array(repeating: nil, count: try value.integer(1...64)) }
        var cores: [Int?] = []
        for item in try value.list() {
            let core: Int = try item.integer(0...1023)
            guard !cores.contains(core) else { throw item.error("core \(core) is given twice; one worker per core") }
            cores.append(core)
        }
        guard !cores.isEmpty else { throw value.error("there is no core in the list") }
        guard cores.count <= 64 else { throw value.error("at most 64 workers") }
        return cores
    }
}

extension VRouterConfiguration {
    /// Replaces `workers` by a value in the syntax of the file: a count, or a list of cores. `source` names it in errors.
    public mutating func setWorkers(_ text: String, source: String) throws(ConfigError) {
        router.cores = try Self.cores(try ConfigValue.parse(text, source: source))
    }
}
