import DPDKPort
public import Dataplane
public import StrictYAML

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

    /// Reads a file. Throws with the reason when it cannot be read.
    public static func load(_ path: String) throws(ConfigError) -> VRouterConfiguration {
        try parse(try ConfigFile.text(path: path), source: path)
    }

    /// `source`: the name of the file in errors.
    public static func parse(_ text: String, source: String) throws(ConfigError) -> VRouterConfiguration {
        let root = try root(text, source: source).mapping(keys: [
            "workers", "idle", "api", "dpdk", "buffers", "flows", "fragments", "capacities", "objects",
        ])
        var configuration = VRouterConfiguration()
        if let workers = root["workers"] { configuration.router.cores = try cores(workers) }
        if let idle = root["idle"] { configuration.router.idle = try idle.choice(["poll": .poll, "adaptive": .adaptive, "sleep": .sleep]) }
        if let api = root["api"] {
            if api.isWord("none") {
                configuration.socket = nil
            } else if let socket = try api.mapping(keys: ["socket"])["socket"] {
                configuration.socket = try socket.string()
            }
        }
        if let dpdk = root["dpdk"] {
            let list = try dpdk.mapping(keys: ["eal"])["eal"]?.list() ?? []
            var arguments: [String] = []
            for argument in list { arguments.append(try argument.string()) }
            if let fault = DPDK.fault(inEAL: arguments) { throw list[fault.index].error(fault.text) }
            configuration.dpdkArguments = arguments
        }
        if let buffers = try root["buffers"]?.mapping(keys: ["count", "size"]) {
            configuration.bufferCount = try buffers["count"]?.integer(in: 64...1 << 24)
            configuration.bufferSize = try buffers["size"]?.integer(in: 2048...1 << 20)
        }
        if let capacity = try root["flows"]?.mapping(keys: ["capacity"])["capacity"] {
            configuration.router.flowCapacity = try capacity.integer(in: 1024...1 << 26)
        }
        if let fragments = try root["fragments"]?.mapping(keys: ["capacity", "outOfOrder"]) {
            if let value = fragments["capacity"] { configuration.router.fragmentCapacity = try value.integer(in: 16...65_536) }
            if let value = fragments["outOfOrder"] {
                configuration.router.fragmentPolicy = try value.choice(["forward": .forward, "drop": .drop])
            }
        }
        if let capacities = try root["capacities"]?.mapping(keys: [
            "nextHops", "vifs", "vrfs", "routes", "bridgeEntries", "labels", "vnis", "dropLog",
        ]) {
            if let value = capacities["nextHops"] { configuration.router.nextHopCapacity = try value.integer(in: 16...1 << 24) }
            if let value = capacities["vifs"] { configuration.router.vifCapacity = try value.integer(in: 1...65_535) }
            if let value = capacities["routes"] { configuration.router.routeCapacity = try value.integer(in: 1...1 << 28) }
            if let value = capacities["bridgeEntries"] { configuration.router.bridgeCapacity = try value.integer(in: 1...1 << 20) }
            if let value = capacities["labels"] { configuration.router.labelCapacity = try value.integer(in: 1...1 << 20) }
            if let value = capacities["vnis"] { configuration.router.vniCapacity = try value.integer(in: 1...1 << 24) }
            if let value = capacities["dropLog"] { configuration.router.dropLogCapacity = try value.integer(in: 0...65_536) }
            if let value = capacities["vrfs"] { configuration.router.vrfCapacity = try value.integer(in: 1...65_536) }
        }
        if let objects = root["objects"] { configuration.objects = try ConfiguredObject.list(objects) }
        return configuration
    }

    /// An empty file says what an empty mapping says: all defaults.
    private static func root(_ text: String, source: String) throws(ConfigError) -> ConfigNode {
        try ConfigNode.documentIfAny(text: text, source: source) ?? ConfigNode(content: .null, source: source, path: "")
    }

    /// A count of workers that are not pinned, or the list of cores, one worker each.
    static func cores(_ value: ConfigNode) throws(ConfigError) -> [Int?] {
        guard value.isList else { return Array(repeating: nil, count: try value.integer(in: 1...64)) }
        var cores: [Int?] = []
        for item in try value.list() {
            let core: Int = try item.integer(in: 0...1023)
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
        router.cores = try Self.cores(try Self.root(text, source: source))
    }
}
