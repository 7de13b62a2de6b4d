import DataplaneAPI

/// The programming API over vrouter's Unix socket: one connection per command.
struct SocketRouterConnector: RouterConnector {
    /// How long one call may take before vrouter counts as not reachable.
    var patience = Duration.seconds(10)

    func withRouter<Value: Sendable>(socket: String, _ body: @Sendable (any RouterClient) async throws -> Value) async throws -> Value {
        let client: DataplaneClient
        do {
            client = try await within(patience, socket) { try await DataplaneClient.connect(socket: socket) }
        } catch let error as DataplaneError { throw Failure(error) }
        defer { client.close() }
        return try await body(SocketRouter(client: client, patience: patience))
    }
}

private struct SocketRouter: RouterClient {
    let client: DataplaneClient
    let patience: Duration

    private func call<Value: Sendable>(_ body: @escaping @Sendable (DataplaneClient) async throws -> Value) async throws -> Value {
        do { return try await within(patience, client.socket) { [client] in try await body(client) } } catch let error as DataplaneError {
            throw error.kind == .cancelled ? CancellationError() : Failure(error)
        }
    }
    func read(_ request: API.ReadRequest) async throws -> API.ReadResponse { try await call { try await $0.read(request) } }
    func apply(_ operations: [API.Operation]) async throws -> [API.Result] { try await call { try await $0.apply(operations) } }
    func status() async throws -> API.Status { try await call { try await $0.status() } }
    func clearCounters(drops: Bool, vifs: Bool) async throws { try await call { try await $0.clearCounters(drops: drops, vifs: vifs) } }
    func explainPolicy(_ request: Dataplane_V1_ExplainPolicyRequest) async throws -> Dataplane_V1_ExplainPolicyResponse {
        try await call { try await $0.explainPolicy(request) }
    }
    func listFlows(_ filter: Dataplane_V1_FlowFilter, _ body: @escaping @Sendable ([API.Flow]) async throws -> Void) async throws {
        try await stream { try await client.listFlows(filter, handler: body) }
    }
    func summarizeFlows(_ filter: Dataplane_V1_FlowFilter) async throws -> Dataplane_V1_FlowSummary {
        try await call { try await $0.summarizeFlows(filter) }
    }
    func clearDropLog() async throws { try await call { try await $0.clearDropLog() } }
    func assignQueue(port: String, queue: UInt32, worker: UInt32?) async throws -> API.Result {
        try await call { try await $0.assignQueue(port: port, queue: queue, worker: worker) }
    }
    func dropLog(worker: UInt32?, follow: Bool, _ body: @escaping @Sendable ([API.DroppedPacket]) async throws -> Void) async throws {
        try await stream { try await client.dropLog(worker: worker, follow: follow, handler: body) }
    }
    func policyLog(follow: Bool, _ body: @escaping @Sendable ([Dataplane_V1_LoggedDecision]) async throws -> Void) async throws {
        try await stream { try await client.policyLog(follow: follow, handler: body) }
    }
    func capture(_ request: API.CaptureRequest, _ body: @escaping @Sendable (API.CaptureBatch) async throws -> Void) async throws {
        try await stream { try await client.capture(request, handler: body) }
    }

    /// A call that may last: nobody loses patience.
    private func stream(_ body: () async throws -> Void) async throws {
        do { try await body() } catch let error as DataplaneError {
            throw error.kind == .cancelled ? CancellationError() : Failure(error)
        }
    }
}

extension Failure {
    init(_ error: DataplaneError) {
        self =
            error.isUnreachable
            ? .unreachable("cannot reach vrouter at \(error.description) (--socket or VROUTER_SOCKET name another socket)")
            : .refused("vrouter: \(error.description)")
    }
}

/// A process that is stopped or hangs still accepts connections: the command must end all the same.
private func within<Value: Sendable>(
    _ patience: Duration, _ socket: String, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: patience)
            throw Failure.unreachable("no answer from vrouter at \(socket) within \(patience.components.seconds) s; it hangs or is stopped")
        }
        defer { group.cancelAll() }
        guard let first = try await group.next() else { throw CancellationError() }
        return first
    }
}
