import ArgumentParser
import DataplaneAPI
import Foundation
import Synchronization

struct FlowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flow",
        abstract: "Shows and removes flows.",
        discussion: """
            EXAMPLES
              flow -l                            every flow
              flow --get 147464                  one entry and its reverse
              flow --match '10.0.0.1:80,10.0.0.2 & vrf 1 & proto tcp'
              flow --match '*:53 & proto udp'    one endpoint matches either end
              flow --match 'action D & reason SG'
              flow -l --show-evicted             also flows that had to go, while their places are free
              flow -r                            entries, new ones and deleted ones per second
              flow -s --match 'vif 3'            sums over some
              flow -F                            remove all; packets make new ones
              flow -F --match '10.0.0.9'         remove some
            """)

    @Flag(name: [.customShort("l"), .customLong("list")], help: "List every flow.") var list = false
    @Option(help: ArgumentHelp("Show the entry with this index, and its reverse.", valueName: "index")) var get: UInt32?
    @Option(
        help: ArgumentHelp(
            "List flows that match: IP[:port][,IP[:port]] [& vrf N] [& proto P] [& vif N] [& action F|D|N|H] [& reason R]; * matches any. With -s and -F: only those.",
            valueName: "expression"))
    var match: String?
    @Flag(name: .customLong("show-evicted"), help: "With -l and --match: also flows that were evicted, while their places have not been used again.")
    var showEvicted = false
    @Flag(name: [.customShort("r"), .customLong("rate")], help: "Show entries and their rates until interrupted.") var rate = false
    @Option(help: ArgumentHelp("With -r: stop after this many lines.", valueName: "n")) var count: Int?
    @Flag(name: [.customShort("s"), .customLong("stat")], help: "Show sums over all flows, and what became of flows.") var statistics = false
    @Flag(name: [.customShort("F"), .customLong("flush")], help: "Remove every flow, or those that match.") var flush = false
    @Option(
        name: [.customShort("i"), .customLong("invalidate")],
        help: ArgumentHelp("Remove the entry with this index, and its reverse.", valueName: "index"))
    var invalidate: UInt32?
    @Option(name: [.customShort("f"), .customLong("forward")], help: ArgumentHelp("Set the action of this entry to forward.", valueName: "index"))
    var forward: UInt32?
    @Option(name: [.customShort("d"), .customLong("drop")], help: ArgumentHelp("Set the action of this entry to drop.", valueName: "index"))
    var drop: UInt32?
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        let chosen = [
            list, get != nil, match != nil && !statistics && !flush && !list, rate, statistics, flush, invalidate != nil, forward != nil, drop != nil,
        ].filter { $0 }.count
        guard chosen == 1 else { throw ValidationError("give one of -l, --get, --match, -r, -s, -F, -i, -f, -d") }
        guard !showEvicted || list || match != nil && !statistics && !flush else { throw ValidationError("--show-evicted goes with -l and --match") }
        guard count == nil || rate else { throw ValidationError("--count goes with -r") }
        guard (count ?? 1) > 0 else { throw ValidationError("--count must be at least 1") }
        if let match { do { _ = try FlowMatch(match) } catch { throw ValidationError(error.message) } }
    }

    func run() async throws {
        let json = outputOptions.output == .json
        try await connection.withRouter { router in
            if let index = get {
                try await show(index, router, json: json)
            } else if rate {
                try await watchRate(router, json: json)
            } else if statistics {
                try await summarise(try match.map { try FlowMatch($0) } ?? FlowMatch(), router, json: json)
            } else if flush {
                try await remove(try match.map { try FlowMatch($0) } ?? FlowMatch(), router, json: json)
            } else if let index = invalidate {
                try await remove(index, router, json: json)
            } else if let index = forward {
                try await set(.forward, index, router, json: json)
            } else if let index = drop {
                try await set(.drop, index, router, json: json)
            } else {
                try await dump(match.map { try FlowMatch($0) } ?? FlowMatch(), router, json: json)
            }
        }
    }

    private func dump(_ match: FlowMatch, _ router: any RouterClient, json: Bool) async throws {
        let output = Context.current.output
        var filter = match.filter
        filter.evicted = showEvicted
        if json {
            let state = Mutex((stream: JSONArrayStream(key: "flows", output: output), buffer: TextBuffer()))
            try await router.listFlows(filter) { flows in
                state.withLock { state in state.stream.write(flows, &state.buffer) { FlowLayout.write(json: $0, to: &$1) } }
            }
            state.withLock { $0.stream.end() }
            return
        }
        let status = try await router.status()
        output.write(FlowLayout.header(status.hasFlows ? status.flows : nil, usage: flowUsage(status)))
        let buffer = Mutex(TextBuffer())
        try await router.listFlows(filter) { flows in
            buffer.withLock { buffer in
                buffer.clear()
                for flow in flows { FlowLayout.write(flow, to: &buffer) }
                output.write(buffer.text)
            }
        }
    }

    private func show(_ index: UInt32, _ router: any RouterClient, json: Bool) async throws {
        let flow = try await entry(index, router)
        let reverse = flow.hasReverseIndex ? try await find(flow.reverseIndex, router) : nil
        let entries = reverse.map { $0.index == flow.index ? [flow] : [flow, $0] } ?? [flow]
        let output = Context.current.output
        if json {
            output.write((["flows": .array(entries.map(FlowLayout.json))] as JSON).pretty + "\n")
        } else {
            output.write(FlowLayout.header(nil, usage: nil) + entries.map(FlowLayout.entry).joined())
        }
    }

    private func watchRate(_ router: any RouterClient, json: Bool) async throws {
        let context = Context.current
        var previous: (statistics: Dataplane_V1_FlowStatistics, at: Date)?
        var lines = 0
        while true {
            let status = try await router.status()
            guard status.hasFlows else { throw Failure.refused("vrouter does not report what becomes of flows; update it") }
            let flows = status.flows, now = context.now()
            let seconds = previous.map { now.timeIntervalSince($0.at) } ?? 0
            let created = previous.map { vrctl.rate($0.statistics.createdEntries, flows.createdEntries, over: seconds) } ?? 0
            let deleted = previous.map { vrctl.rate($0.statistics.removedEntries, flows.removedEntries, over: seconds) } ?? 0
            let free = flows.capacity >= flows.entries ? flows.capacity - flows.entries : 0
            if json {
                let line: JSON = [
                    "entries": JSON(flows.entries), "createdPerSecond": JSON(created), "deletedPerSecond": JSON(deleted),
                    "held": JSON(flows.heldPackets), "free": JSON(free),
                ]
                context.output.write(line.compact + "\n")
            } else {
                func column(_ value: UInt64) -> String { "\(value)".aligned(8) }
                // An entry of each direction to a flow.
                context.output.write(
                    "\(clock(now)): Entries = \(column(flows.entries)) Rate = \(column(created)) (Fwd = \(column(created - created / 2)) Rev = \(column(created / 2)) "
                        + "Del = \(column(deleted))) Hold = \(column(flows.heldPackets)) Free = \(column(free))\n")
            }
            lines += 1
            if let count, lines >= count { return }
            previous = (flows, now)
            try await context.pause(.milliseconds(500))
        }
    }

    private func summarise(_ match: FlowMatch, _ router: any RouterClient, json: Bool) async throws {
        let summary = try await router.summarizeFlows(match.filter), status = try await router.status()
        let layout = FlowSummaryLayout(summary: summary, statistics: status.hasFlows ? status.flows : nil)
        Context.current.output.write(json ? layout.json.pretty + "\n" : layout.text)
    }

    /// One deletion takes both entries of a flow.
    private func remove(_ match: FlowMatch, _ router: any RouterClient, json: Bool) async throws {
        let removed = Mutex(0)
        try await router.listFlows(match.filter) { flows in
            let results = try await router.apply(flows.map { deletion($0.key) })
            for result in results {
                // Deleting an entry takes its reverse with it: not found is what was wanted.
                guard result.code == .ok || result.code == .notFound else {
                    throw Failure.refused("removed \(removed.withLock { $0 }) flows, then: \(result.message)")
                }
                if result.code == .ok { removed.withLock { $0 += 1 } }
            }
        }
        let count = removed.withLock { $0 }
        Context.current.output.write(json ? (["removed": JSON(count)] as JSON).pretty + "\n" : "Removed \(count) flows\n")
    }

    private func remove(_ index: UInt32, _ router: any RouterClient, json: Bool) async throws {
        let flow = try await entry(index, router)
        try check(try await router.apply([deletion(flow.key)]), "flow \(index)")
        Context.current.output.write(json ? (["removed": JSON(1)] as JSON).pretty + "\n" : "Removed flow \(index)\n")
    }

    private func set(_ action: Dataplane_V1_FlowAction, _ index: UInt32, _ router: any RouterClient, json: Bool) async throws {
        let current = try await entry(index, router)
        var flow = API.Flow()
        flow.key = current.key
        // One that is translated goes on as that: dropped, it stays so; to forward it is to translate.
        let isTranslated = action == .forward && current.hasTranslation
        flow.action = isTranslated ? .nat : action
        if isTranslated { flow.translation = current.translation }
        flow.cookie = current.cookie
        flow.qosMap = current.qosMap
        // A policy may name a mirror that is not there; a request may not.
        if current.mirror != 0 {
            let mirrors = try await router.all(TableQuery(table: .mirror, id: current.mirror)) {
                if case .mirror(let mirror) = $0 { mirror.id } else { nil }
            }
            if mirrors.contains(current.mirror) { flow.mirror = current.mirror }
        }
        var operation = API.Operation()
        operation.upsert.flow = flow
        try check(try await router.apply([operation]), "flow \(index)")
        try await show(index, router, json: json)
    }

    private func deletion(_ key: API.FlowKey) -> API.Operation {
        var operation = API.Operation()
        operation.delete.flow = key
        return operation
    }

    private func find(_ index: UInt32, _ router: any RouterClient) async throws -> API.Flow? {
        try await router.all(TableQuery(table: .flow, id: index)) { if case .flow(let flow) = $0, flow.index == index { flow } else { nil } }.first
    }
    private func entry(_ index: UInt32, _ router: any RouterClient) async throws -> API.Flow {
        guard let flow = try await find(index, router) else { throw Failure.refused("no flow at index \(index); flow -l lists them") }
        return flow
    }
    private func flowUsage(_ status: API.Status) -> Dataplane_V1_TableUsage? { status.tables.first { $0.name.lowercased().hasPrefix("flow") } }
    private func clock(_ date: Date) -> String {
        let seconds = UInt64(max(0, date.timeIntervalSince1970.rounded(.down))) % 86_400
        func two(_ value: UInt64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(two(seconds / 3_600)):\(two(seconds / 60 % 60)):\(two(seconds % 60)) UTC"
    }
}

/// Throws when an operation was refused.
func check(_ results: [API.Result], _ what: String) throws {
    guard let result = results.first(where: { $0.code != .ok }) else { return }
    throw Failure.refused("\(what): \(result.message.isEmpty ? "refused (\(result.code))" : result.message)")
}
