import DataplaneAPI
import Foundation
import NetTypes
import Synchronization

@testable import vrctl

/// Collects what a command writes.
final class Collector: TextOutput {
    private let storage = Mutex("")
    func write(_ text: String) { storage.withLock { $0 += text } }
    var text: String { storage.withLock { $0 } }
}

/// A router made of literal messages. Answers in pages of `pageSize` objects, whatever is asked for.
final class FakeRouter: RouterClient {
    let objects: [API.Object.OneOf_Object]
    let pageSize: Int
    let statuses: [API.Status]
    let refusal: API.Result?
    private let state = Mutex((operations: [API.Operation](), cleared: [(drops: Bool, vifs: Bool)](), reads: [API.ReadRequest](), statusCalls: 0))

    init(_ objects: [API.Object.OneOf_Object] = [], pageSize: Int = 2, statuses: [API.Status] = [API.Status()], refusal: API.Result? = nil) {
        self.objects = objects
        self.pageSize = pageSize
        self.statuses = statuses
        self.refusal = refusal
    }
    var operations: [API.Operation] { state.withLock { $0.operations } }
    var cleared: [(drops: Bool, vifs: Bool)] { state.withLock { $0.cleared } }
    var reads: [API.ReadRequest] { state.withLock { $0.reads } }

    func read(_ request: API.ReadRequest) async throws -> API.ReadResponse {
        state.withLock { $0.reads.append(request) }
        let matching = objects.filter { matches($0, request) }
        let start = request.pageToken.first.map { Int($0) } ?? 0
        let end = min(start + pageSize, matching.count)
        var response = API.ReadResponse()
        response.objects = matching[start..<end].map { object in
            var message = API.Object()
            message.object = object
            return message
        }
        if end < matching.count { response.nextPageToken = Data([UInt8(end)]) }
        return response
    }

    private func matches(_ object: API.Object.OneOf_Object, _ request: API.ReadRequest) -> Bool {
        let id = request.hasID ? request.id : nil, vrf = request.hasVrf ? request.vrf : nil
        switch object {
        case .port: return request.table == .port
        case .vif(let vif): return request.table == .vif && (id ?? vif.id) == vif.id
        case .vrf(let value): return request.table == .vrf && (id ?? value.id) == value.id
        case .nextHop(let hop): return request.table == .nextHop && (id ?? hop.id) == hop.id
        case .route(let route):
            let family: UInt32 = route.address.count == 16 ? 6 : 4
            return request.table == .route && (vrf ?? route.vrf) == route.vrf && (request.family == 0 || request.family == family)
        case .bridgeEntry(let entry): return request.table == .bridge && (vrf ?? entry.vrf) == entry.vrf
        case .label(let entry): return request.table == .label && (id ?? entry.label) == entry.label
        case .forwardingClass(let entry): return request.table == .forwardingClass && (id ?? entry.id) == entry.id
        case .qosMap(let entry): return request.table == .qosMap && (id ?? entry.id) == entry.id
        case .mirror(let entry): return request.table == .mirror && (id ?? entry.id) == entry.id
        case .policy(let entry): return request.table == .policy && (id ?? entry.id) == entry.id
        case .addressGroup(let entry): return request.table == .addressGroup && (id ?? entry.id) == entry.id
        case .natRule(let entry): return request.table == .natRule && (id ?? entry.id) == entry.id
        case .flowAgeing: return request.table == .flowAgeing
        case .vni(let entry): return request.table == .vni && (id ?? entry.vni) == entry.vni
        case .flow(let flow): return request.table == .flow && (vrf ?? flow.key.vrf) == flow.key.vrf && (id ?? flow.index) == flow.index
        }
    }

    func apply(_ operations: [API.Operation]) async throws -> [API.Result] {
        state.withLock { $0.operations += operations }
        return operations.map { _ in
            if let refusal { return refusal }
            var result = API.Result()
            result.code = .ok
            return result
        }
    }
    func status() async throws -> API.Status {
        state.withLock { state in
            defer { state.statusCalls += 1 }
            return statuses[min(state.statusCalls, statuses.count - 1)]
        }
    }
    /// What flows were asked for.
    let flowFilters = Mutex<[Dataplane_V1_FlowFilter]>([])
    func listFlows(_ filter: Dataplane_V1_FlowFilter, _ body: @escaping @Sendable ([API.Flow]) async throws -> Void) async throws {
        flowFilters.withLock { $0.append(filter) }
        let flows = objects.compactMap { if case .flow(let flow) = $0, filter.accepts(flow) { flow } else { nil } }
        for start in stride(from: 0, to: flows.count, by: pageSize) { try await body(Array(flows[start..<min(start + pageSize, flows.count)])) }
    }
    func summarizeFlows(_ filter: Dataplane_V1_FlowFilter) async throws -> Dataplane_V1_FlowSummary {
        flowFilters.withLock { $0.append(filter) }
        var summary = Dataplane_V1_FlowSummary()
        for case .flow(let flow) in objects where filter.accepts(flow) {
            summary.entries += 1
            if flow.isForward { summary.forwardEntries += 1 }
            summary.byProtocol[flow.key.protocol, default: 0] += 1
            summary.byVrf[flow.key.vrf, default: 0] += 1
            if flow.action == .drop { summary.byDropReason[flow.dropReason, default: 0] += 1 }
        }
        return summary
    }
    let dropped = Mutex<[API.DroppedPacket]>([])
    let captured = Mutex<[API.CapturedFrame]>([])
    let captureRequests = Mutex<[API.CaptureRequest]>([])
    let dropLogClears = Mutex(0)
    func dropLog(worker: UInt32?, follow: Bool, _ body: @escaping @Sendable ([API.DroppedPacket]) async throws -> Void) async throws {
        try await body(dropped.withLock { $0.filter { worker == nil || $0.worker == worker } })
    }
    let assignments = Mutex<[String]>([])
    func assignQueue(port: String, queue: UInt32, worker: UInt32?) async throws -> API.Result {
        assignments.withLock { $0.append("\(port) \(queue) \(worker.map(String.init) ?? "auto")") }
        if let refusal { return refusal }
        var result = API.Result()
        result.code = .ok
        return result
    }

    /// By ingress: the answers, and what was asked.
    let explanations = Mutex<[Bool: Dataplane_V1_ExplainPolicyResponse]>([:])
    let questions = Mutex<[Dataplane_V1_ExplainPolicyRequest]>([])
    func explainPolicy(_ request: Dataplane_V1_ExplainPolicyRequest) async throws -> Dataplane_V1_ExplainPolicyResponse {
        questions.withLock { $0.append(request) }
        return explanations.withLock { $0[request.ingress] ?? Dataplane_V1_ExplainPolicyResponse() }
    }
    let decisions = Mutex<[Dataplane_V1_LoggedDecision]>([])
    func policyLog(follow: Bool, _ body: @escaping @Sendable ([Dataplane_V1_LoggedDecision]) async throws -> Void) async throws {
        try await body(decisions.withLock { $0 })
    }
    func clearDropLog() async throws { dropLogClears.withLock { $0 += 1 } }
    func capture(_ request: API.CaptureRequest, _ body: @escaping @Sendable (API.CaptureBatch) async throws -> Void) async throws {
        captureRequests.withLock { $0.append(request) }
        var batch = API.CaptureBatch()
        batch.frames = captured.withLock { $0 }
        try await body(batch)
    }
    func clearCounters(drops: Bool, vifs: Bool) async throws { state.withLock { $0.cleared.append((drops, vifs)) } }
}

extension Dataplane_V1_FlowFilter {
    /// As the router understands it.
    func accepts(_ flow: API.Flow) -> Bool {
        func accepts(_ end: Dataplane_V1_FlowEndpoint, _ address: Data, _ port: UInt32) -> Bool {
            (end.address.isEmpty || end.address == address) && (!end.hasPort || end.port == port)
        }
        let key = flow.key
        if hasVrf, key.vrf != vrf { return false }
        if hasProtocol, key.protocol != self.protocol { return false }
        if action != .unspecified, action != flow.action { return false }
        if !dropReason.isEmpty, dropReason != flow.dropReason { return false }
        if hasVif, vif != flow.ingressVif { return false }
        guard let first = endpoints.first else { return true }
        guard endpoints.count > 1 else {
            return accepts(first, key.source, key.sourcePort) || accepts(first, key.destination, key.destinationPort)
        }
        let second = endpoints[1]
        return accepts(first, key.source, key.sourcePort) && accepts(second, key.destination, key.destinationPort)
            || accepts(first, key.destination, key.destinationPort) && accepts(second, key.source, key.sourcePort)
    }
}

struct FakeConnector: RouterConnector {
    var router: FakeRouter?
    /// Sockets that were asked for.
    let sockets = Collector()
    func withRouter<Value: Sendable>(socket: String, _ body: @Sendable (any RouterClient) async throws -> Value) async throws -> Value {
        sockets.write(socket + "\n")
        guard let router else { throw Failure.unreachable("cannot reach vrouter at \(socket): no such socket") }
        return try await body(router)
    }
}

/// Answers by method and URL path; anything else is 404.
final class FakeWeb: WebClient {
    private let replies: [String: WebReply]
    private let isDown: Bool
    private let seen = Mutex([WebRequest]())
    /// `["GET /status": (200, "{…}")]`
    init(_ replies: [String: (Int, String)] = [:], isDown: Bool = false) {
        self.replies = replies.mapValues { WebReply(status: $0.0, body: Array($0.1.utf8)) }
        self.isDown = isDown
    }
    var requests: [WebRequest] { seen.withLock { $0 } }
    func send(_ request: WebRequest) async throws -> WebReply {
        seen.withLock { $0.append(request) }
        if isDown { throw WebFailure(reason: "connection refused") }
        let path = request.url.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: true).dropFirst(2).first.map { "/" + $0 } ?? "/"
        return replies["\(request.method.rawValue) \(path)"] ?? WebReply(status: 404, body: Array(#"{"error":{"message":"not found"}}"#.utf8))
    }
}

struct Run: Equatable {
    var code: Int32
    var output: String
    var errors: String
}

/// Runs a command line with everything around it faked. Time advances by one second with every look at the clock.
func run(
    _ arguments: [String], router: FakeRouter? = nil, web: FakeWeb = FakeWeb(isDown: true), environment: [String: String] = [:],
    connector: FakeConnector? = nil, files: [String: String] = [:], colour: Bool = false
) async -> Run {
    let output = Collector(), errors = Collector()
    let clock = Mutex(1_700_000_000.0)
    let context = Context(
        output: output, errors: errors, environment: environment, routers: connector ?? FakeConnector(router: router), web: web, pause: { _ in },
        readFile: { path in
            guard let text = files[path] else { throw Failure.refused("cannot read \(path): no such file") }
            return text
        },
        now: {
            clock.withLock { time in
                time += 1; return Date(timeIntervalSince1970: time)
            }
        }, usesColour: colour)
    let code = await CommandLineTool.run(arguments, in: context)
    return Run(code: code, output: output.text, errors: errors.text)
}

func octets(_ text: String) -> Data {
    if let address = IPAddress(text) { return Data(address.bytes) }
    return Data(MACAddress(text)?.bytes ?? [])
}

func flow(
    _ index: UInt32, _ reverse: UInt32, _ source: String, _ sourcePort: UInt32, _ destination: String, _ destinationPort: UInt32, proto: UInt32 = 6,
    vrf: UInt32 = 2, forward: Bool = true
) -> API.Flow {
    var flow = API.Flow()
    flow.index = index
    flow.reverseIndex = reverse
    flow.key.vrf = vrf
    flow.key.source = octets(source)
    flow.key.destination = octets(destination)
    flow.key.protocol = proto
    flow.key.sourcePort = sourcePort
    flow.key.destinationPort = destinationPort
    flow.action = .forward
    flow.isForward = forward
    return flow
}

func route(_ vrf: UInt32, _ prefix: String, nextHop: UInt32, label: UInt32? = nil, proxies: Bool = false, mac: String? = nil) -> API.Route {
    var route = API.Route()
    route.vrf = vrf
    if let prefix = IPPrefix(prefix) {
        route.address = Data(prefix.address.bytes)
        route.prefixLength = UInt32(prefix.length)
    }
    route.nextHop = nextHop
    if let label { route.label = label }
    route.proxies = proxies
    if let mac { route.mac = octets(mac) }
    return route
}

func vrf(_ id: UInt32, _ name: String) -> API.Vrf {
    var vrf = API.Vrf()
    vrf.id = id
    vrf.name = name
    return vrf
}
