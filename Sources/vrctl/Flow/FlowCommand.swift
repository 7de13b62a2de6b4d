import ArgumentParser
import DataplaneAPI
import Foundation

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
              flow -r                            entries and their rate of change
              flow -F                            remove all; packets make new ones
            """)

    @Flag(name: [.customShort("l"), .customLong("list")], help: "List every flow.") var list = false
    @Option(help: ArgumentHelp("Show the entry with this index, and its reverse.", valueName: "index")) var get: UInt32?
    @Option(help: ArgumentHelp("List flows that match: IP[:port][,IP[:port]] [& vrf N] [& proto P]; * matches any.", valueName: "expression"))
    var match: String?
    @Flag(name: [.customShort("r"), .customLong("rate")], help: "Show entries and their rate of change until interrupted.") var rate = false
    @Option(help: ArgumentHelp("With -r: stop after this many lines.", valueName: "n")) var count: Int?
    @Flag(name: [.customShort("s"), .customLong("stat")], help: "Show sums over all flows.") var statistics = false
    @Flag(name: [.customShort("F"), .customLong("flush")], help: "Remove every flow.") var flush = false
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
        let chosen = [list, get != nil, match != nil, rate, statistics, flush, invalidate != nil, forward != nil, drop != nil].filter { $0 }.count
        guard chosen == 1 else { throw ValidationError("give one of -l, --get, --match, -r, -s, -F, -i, -f, -d") }
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
                try await summarise(router, json: json)
            } else if flush {
                try await removeAll(router, json: json)
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
        let query = TableQuery(table: .flow, vrf: match.vrf)
        if json {
            var stream = JSONArrayStream(key: "flows", output: output)
            try await router.pages(query) { page in stream.write(flows(page).filter(match.matches).map(FlowLayout.json)) }
            stream.end()
            return
        }
        output.write(FlowLayout.header(usage: try await flowUsage(router)))
        try await router.pages(query) { page in output.write(flows(page).filter(match.matches).map(FlowLayout.entry).joined()) }
    }

    private func show(_ index: UInt32, _ router: any RouterClient, json: Bool) async throws {
        let flow = try await entry(index, router)
        let reverse = flow.hasReverseIndex ? try await find(flow.reverseIndex, router) : nil
        let entries = reverse.map { $0.index == flow.index ? [flow] : [flow, $0] } ?? [flow]
        let output = Context.current.output
        if json {
            output.write((["flows": .array(entries.map(FlowLayout.json))] as JSON).pretty + "\n")
        } else {
            output.write(FlowLayout.header(usage: nil) + entries.map(FlowLayout.entry).joined())
        }
    }

    private func watchRate(_ router: any RouterClient, json: Bool) async throws {
        let context = Context.current
        var previous: (used: UInt64, at: Date)?
        var lines = 0
        while true {
            guard let usage = try await flowUsage(router) else {
                throw Failure.refused("vrouter does not report the use of its flow table; update it")
            }
            let now = context.now()
            let seconds = previous.map { now.timeIntervalSince($0.at) } ?? 0
            // Entries come and go: what shows is the net change.
            let change = previous.map { Double(usage.used) - Double($0.used) } ?? 0
            let perSecond = seconds > 0 ? Int64(exactly: (change / seconds).rounded()) ?? 0 : 0
            let free = usage.capacity >= usage.used ? usage.capacity - usage.used : 0
            if json {
                context.output.write((["entries": JSON(usage.used), "rate": JSON(perSecond), "free": JSON(free)] as JSON).compact + "\n")
            } else {
                context.output.write(
                    "\(clock(now)): Entries = \("\(usage.used)".aligned(9)) Rate = \("\(perSecond)".aligned(9)) Free = \("\(free)".aligned(9))\n")
            }
            lines += 1
            if let count, lines >= count { return }
            previous = (usage.used, now)
            try await context.pause(.milliseconds(500))
        }
    }

    private func summarise(_ router: any RouterClient, json: Bool) async throws {
        var summary = FlowSummary()
        try await router.pages(TableQuery(table: .flow)) { page in for flow in flows(page) { summary.add(flow) } }
        Context.current.output.write(json ? summary.json.pretty + "\n" : summary.text)
    }

    private func removeAll(_ router: any RouterClient, json: Bool) async throws {
        var removed = 0
        try await router.pages(TableQuery(table: .flow)) { page in
            let results = try await router.apply(flows(page).map { deletion($0.key) })
            for result in results {
                // Deleting an entry takes its reverse with it: not found is what was wanted.
                guard result.code == .ok || result.code == .notFound else {
                    throw Failure.refused("removed \(removed) flows, then: \(result.message)")
                }
                if result.code == .ok { removed += 1 }
            }
        }
        Context.current.output.write(json ? (["removed": JSON(removed)] as JSON).pretty + "\n" : "Removed \(removed) flows\n")
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
        flow.action = action
        flow.cookie = current.cookie
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

    private func flows(_ page: [API.Object.OneOf_Object]) -> [API.Flow] {
        page.compactMap { if case .flow(let flow) = $0 { flow } else { nil } }
    }
    private func find(_ index: UInt32, _ router: any RouterClient) async throws -> API.Flow? {
        try await router.all(TableQuery(table: .flow, id: index)) { if case .flow(let flow) = $0, flow.index == index { flow } else { nil } }.first
    }
    private func entry(_ index: UInt32, _ router: any RouterClient) async throws -> API.Flow {
        guard let flow = try await find(index, router) else { throw Failure.refused("no flow at index \(index); flow -l lists them") }
        return flow
    }
    private func flowUsage(_ router: any RouterClient) async throws -> Dataplane_V1_TableUsage? {
        try await router.status().tables.first { $0.name.lowercased().hasPrefix("flow") }
    }
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
