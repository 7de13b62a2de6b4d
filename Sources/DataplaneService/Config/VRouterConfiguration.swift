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
    /// What is good but hardly meant, for the operator; a line each.
    public internal(set) var warnings: [String] = []

    public static let defaultSocket = "/run/vrouter/dataplane.sock"
    public init() {}

    /// Reads a file. Throws with the reason when it cannot be read. `machine`: as in `parse`.
    public static func load(_ path: String, machine: Machine? = nil) throws(ConfigError) -> VRouterConfiguration {
        try parse(try ConfigFile.text(path: path), source: path, machine: machine)
    }

    /// `source`: the name of the file in errors. `machine`: where it is to run, so that cores which are not there are errors; nil: anywhere.
    public static func parse(_ text: String, source: String, machine: Machine? = nil) throws(ConfigError) -> VRouterConfiguration {
        let root = try root(text, source: source).mapping(keys: [
            "workers", "rebalance", "idle", "api", "dpdk", "buffers", "flows", "fragments", "capacities", "objects",
        ])
        var configuration = VRouterConfiguration()
        if let workers = root["workers"] { configuration.router.cores = try cores(workers, machine) }
        if let rebalance = root["rebalance"] { configuration.router.rebalance = try Self.rebalance(rebalance) }
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
        let flows = try root["flows"]?.mapping(keys: ["capacity", "ageing"])
        if let capacity = flows?["capacity"] { configuration.router.flowCapacity = try capacity.integer(in: 1024...1 << 26) }
        if let fragments = try root["fragments"]?.mapping(keys: ["capacity", "outOfOrder"]) {
            if let value = fragments["capacity"] { configuration.router.fragmentCapacity = try value.integer(in: 16...65_536) }
            if let value = fragments["outOfOrder"] {
                configuration.router.fragmentPolicy = try value.choice(["hold": .hold, "forward": .forward, "drop": .drop])
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
        for item in try flows?["ageing"]?.list() ?? [] {
            configuration.objects.append(ConfiguredObject(object: try ConfiguredObject.flowAgeing(item), place: item.error("")))
        }
        configuration.checkWorkers(machine)
        return configuration
    }

    /// An empty file says what an empty mapping says: all defaults.
    private static func root(_ text: String, source: String) throws(ConfigError) -> ConfigNode {
        try ConfigNode.documentIfAny(text: text, source: source) ?? ConfigNode(content: .null, source: source, path: "")
    }
}
