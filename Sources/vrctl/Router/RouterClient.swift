import DataplaneAPI
import Foundation

/// A connection to vrouter, as far as this program uses it.
protocol RouterClient: Sendable {
    func read(_ request: API.ReadRequest) async throws -> API.ReadResponse
    /// One result per operation, in order.
    func apply(_ operations: [API.Operation]) async throws -> [API.Result]
    func status() async throws -> API.Status
    func clearCounters(drops: Bool, vifs: Bool) async throws
    /// Batches of the drop log, oldest first; with `follow`, without end.
    func dropLog(worker: UInt32?, follow: Bool, _ body: @escaping @Sendable ([API.DroppedPacket]) async throws -> Void) async throws
    func clearDropLog() async throws
    /// What rules that log have decided, oldest first; with `follow`, without end.
    func policyLog(follow: Bool, _ body: @escaping @Sendable ([Dataplane_V1_LoggedDecision]) async throws -> Void) async throws
    /// `worker` nil: wherever its load fits.
    func assignQueue(port: String, queue: UInt32, worker: UInt32?) async throws -> API.Result
    func explainPolicy(_ request: Dataplane_V1_ExplainPolicyRequest) async throws -> Dataplane_V1_ExplainPolicyResponse
    /// The flow entries that match, some hundreds at a time.
    func listFlows(_ filter: Dataplane_V1_FlowFilter, _ body: @escaping @Sendable ([API.Flow]) async throws -> Void) async throws
    func summarizeFlows(_ filter: Dataplane_V1_FlowFilter) async throws -> Dataplane_V1_FlowSummary
    /// Copies of frames until the request's limit.
    func capture(_ request: API.CaptureRequest, _ body: @escaping @Sendable (API.CaptureBatch) async throws -> Void) async throws
}

protocol RouterConnector: Sendable {
    /// Throws `Failure` of kind `unreachable` when nobody answers at `socket`.
    func withRouter<Value: Sendable>(socket: String, _ body: @Sendable (any RouterClient) async throws -> Value) async throws -> Value
}

/// What to read of a table.
struct TableQuery: Sendable {
    var table: API.Table
    var vrf: UInt32?
    /// 4, 6 or 0 for both.
    var family: UInt32 = 0
    var id: UInt32?
}

extension RouterClient {
    /// Reads a table page by page, in key order; `body` gets one page at a time.
    func pages(_ query: TableQuery, size: UInt32 = 4096, _ body: ([API.Object.OneOf_Object]) async throws -> Void) async throws {
        var request = API.ReadRequest()
        request.table = query.table
        request.pageSize = size
        request.family = query.family
        if let vrf = query.vrf { request.vrf = vrf }
        if let id = query.id { request.id = id }
        while true {
            let page = try await read(request)
            try await body(page.objects.compactMap(\.object))
            if page.nextPageToken.isEmpty { return }
            guard page.nextPageToken != request.pageToken else {
                throw Failure.refused("vrouter answered the same page of the \(query.table) table twice; the listing is incomplete, report this")
            }
            request.pageToken = page.nextPageToken
        }
    }

    func all<Message>(_ query: TableQuery, _ select: (API.Object.OneOf_Object) -> Message?) async throws -> [Message] {
        var out: [Message] = []
        try await pages(query) { page in out += page.compactMap(select) }
        return out
    }

    func vifs(id: UInt32? = nil) async throws -> [API.Vif] {
        try await all(TableQuery(table: .vif, id: id)) { if case .vif(let vif) = $0 { vif } else { nil } }
    }
    func ports() async throws -> [API.Port] {
        try await all(TableQuery(table: .port)) { if case .port(let port) = $0 { port } else { nil } }
    }
    func vrfs() async throws -> [API.Vrf] {
        try await all(TableQuery(table: .vrf)) { if case .vrf(let vrf) = $0 { vrf } else { nil } }
    }
    func nextHop(_ id: UInt32) async throws -> API.NextHop? {
        try await all(TableQuery(table: .nextHop, id: id)) { if case .nextHop(let hop) = $0, hop.id == id { hop } else { nil } }.first
    }

    /// A VRF named by number or by name.
    func vrf(_ argument: String) async throws -> API.Vrf {
        let vrfs = try await vrfs()
        let number = UInt32(argument)
        guard let vrf = vrfs.first(where: { number == nil ? $0.name == argument : $0.id == number }) else {
            let known = vrfs.prefix(8).map { "\($0.id) (\($0.name))" }.joined(separator: ", ")
            throw Failure.refused(
                "no VRF \(argument); there \(vrfs.isEmpty ? "is none" : "are \(known)\(vrfs.count > 8 ? " and \(vrfs.count - 8) more" : "")")")
        }
        return vrf
    }
}
