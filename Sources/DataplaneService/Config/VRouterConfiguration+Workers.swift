public import Dataplane
public import StrictYAML

// `workers` and `rebalance`: as they are written, and held against the machine that they are for.
extension VRouterConfiguration {
    static let mostWorkers = 64

    /// Replaces `workers` by a value in the syntax of the file: a count, or a list of cores. `source` names it in errors; `machine` as in `parse`.
    public mutating func setWorkers(_ text: String, source: String, machine: Machine? = nil) throws(ConfigError) {
        let value = try ConfigNode.documentIfAny(text: text, source: source) ?? ConfigNode(content: .null, source: source, path: "")
        router.cores = try Self.cores(value, machine)
        checkWorkers(machine)
    }

    /// A count of workers that are not pinned, or the list of cores, one worker each.
    static func cores(_ value: ConfigNode, _ machine: Machine?) throws(ConfigError) -> [Int?] {
        guard value.isList else { return Array(repeating: nil, count: try value.integer(in: 1...mostWorkers)) }
        var cores: [Int?] = []
        for item in try value.list() {
            let core: Int = try item.integer(in: 0...1023)
            guard !cores.contains(core) else { throw item.error("core \(core) is given twice; one worker per core") }
            guard cores.count < mostWorkers else { throw item.error("is one core too many; there are at most \(mostWorkers) workers") }
            if let reason = machine?.refusal(core: core) { throw item.error(reason) }
            cores.append(core)
        }
        guard !cores.isEmpty else { throw value.error("there is no core in the list") }
        return cores
    }

    /// `none`, or how often and from what gain on; what is left out is the default.
    static func rebalance(_ value: ConfigNode) throws(ConfigError) -> RebalancePolicy? {
        if value.isWord("none") { return nil }
        let fields = try value.mapping(keys: ["interval", "leastGain", "leastLoad", "mostMoves"])
        var policy = RebalancePolicy()
        if let interval = fields["interval"] { policy.interval = try interval.integer(in: 1...3600) }
        if let percent = fields["leastGain"] { policy.leastGain = Double(try percent.integer(in: 1...100) as Int) / 100 }
        if let percent = fields["leastLoad"] { policy.leastLoad = Double(try percent.integer(in: 0...100) as Int) / 100 }
        if let moves = fields["mostMoves"] { policy.mostMoves = try moves.integer(in: 1...64) }
        return policy
    }

    /// More workers than cores work, but wait for each other's time slices: said, not refused.
    mutating func checkWorkers(_ machine: Machine?) {
        warnings = []
        guard let machine, !machine.permitted.isEmpty, router.cores.count > machine.permitted.count else { return }
        let cores = machine.permitted.count == 1 ? "1 core" : "\(machine.permitted.count) cores"
        warnings.append(
            "workers: \(router.cores.count) workers share \(cores) (\(Machine.text(machine.permitted))): packets wait while another worker has the core"
                + (router.idle == .poll ? ", always with `idle: poll`" : "") + "; give at most as many workers as there are cores")
    }
}
