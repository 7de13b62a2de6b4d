import GRPCCore
import GRPCNIOTransportHTTP2Posix
import SwiftProtobuf

/// The client of the data plane's programming API: what vrouter-agent and vrctl (and any other Swift program) speak to `vrouter`.
///
/// The API itself is `Protos/dataplane/v1/dataplane.proto`; the messages are its generated types (`Dataplane_V1_…`), with
/// conversions to and from NetTypes in `Octets.swift` and short constructors in `Operations.swift`. This class adds only what a
/// socket needs: a connection, batches of the size the server takes, pages put together, errors that say what to do.
///
/// It does not reconnect behind the caller's back to a router that may have forgotten everything: after a failure with
/// `isUnreachable`, connect anew and compare `GetStatusResponse.instance`.
///
/// # Thread-safety
/// `Sendable`; calls may run concurrently and share one HTTP/2 connection. Order between concurrent `apply` calls is not defined.
public final class DataplaneClient: Sendable {
    public static let defaultSocket = "/run/vrouter/dataplane.sock"
    /// Operations in one `Apply` call, at most; the server refuses more.
    public static let maximumBatch = 10_000
    /// Octets of one reply, at most. A page of 10,000 objects with statistics is well below.
    static let maximumReply = 64 << 20

    public let socket: String
    private let client: GRPCClient<HTTP2ClientTransport.Posix>
    private let connections: Task<Void, Never>
    private var stub: Dataplane_V1_Dataplane.Client<HTTP2ClientTransport.Posix> { Dataplane_V1_Dataplane.Client(wrapping: client) }

    /// Connects, and returns when a router has answered a call.
    /// Throws when nothing listens on the socket, when it may not be opened, or when what listens does not speak this API.
    public static func connect(socket: String = defaultSocket) async throws(DataplaneError) -> DataplaneClient {
        if let problem = UnixSocket.probe(socket).problem { throw DataplaneError(.unreachable, "\(socket): \(problem)") }
        let made: DataplaneClient
        do { made = try DataplaneClient(socket: socket) } catch { throw DataplaneError(.unreachable, "\(socket): \(error)") }
        do { _ = try await made.status() } catch {
            made.close()
            throw error
        }
        return made
    }

    private init(socket: String) throws {
        self.socket = socket
        let transport = try HTTP2ClientTransport.Posix(
            target: .unixDomainSocket(path: socket, authority: "localhost"), transportSecurity: .plaintext,
            config: .defaults { config in
                config.backoff.initial = .milliseconds(100)
                config.backoff.max = .seconds(2)
            })
        let client = GRPCClient(transport: transport)
        self.client = client
        // Ends by itself after `beginGracefulShutdown`; a connection that fails is reported by the calls that wanted it.
        connections = Task { try? await client.runConnections() }
    }

    /// Lets running calls finish and closes the connection; later calls fail. Trap streams are cancelled.
    public func close() {
        client.beginGracefulShutdown()
    }

    deinit { connections.cancel() }

    /// Applies `operations` in order, in batches of at most `maximumBatch`; one result per operation, in order.
    /// When a batch fails the batches before it stay applied: operations are idempotent, so the caller reads back or repeats.
    public func apply(_ operations: [Dataplane_V1_Operation]) async throws(DataplaneError) -> [Dataplane_V1_Result] {
        var results: [Dataplane_V1_Result] = []
        results.reserveCapacity(operations.count)
        var start = 0
        while start < operations.count {
            let end = min(start + Self.maximumBatch, operations.count)
            let request = Dataplane_V1_ApplyRequest.with { $0.operations = Array(operations[start..<end]) }
            let reply = try await call { try await $0.apply(request) }
            guard reply.results.count == end - start else {
                throw DataplaneError(.protocolError, "\(socket): \(end - start) operations were answered by \(reply.results.count) results")
            }
            results += reply.results
            start = end
        }
        return results
    }

    /// One page.
    public func read(_ request: Dataplane_V1_ReadRequest) async throws(DataplaneError) -> Dataplane_V1_ReadResponse {
        try await call { try await $0.read(request, options: Self.options) }
    }

    /// A whole table, page by page. Not a snapshot: objects changed meanwhile may be in it in either state.
    public func readAll(
        _ table: Dataplane_V1_Table, vrf: UInt32? = nil, family: UInt32 = 0, id: UInt32? = nil
    ) async throws(DataplaneError) -> [Dataplane_V1_Object] {
        var request = Dataplane_V1_ReadRequest()
        request.table = table
        request.family = family
        if let vrf { request.vrf = vrf }
        if let id { request.id = id }
        var objects: [Dataplane_V1_Object] = []
        while true {
            let page = try await read(request)
            objects += page.objects
            if page.nextPageToken.isEmpty { return objects }
            guard page.nextPageToken != request.pageToken else {
                throw DataplaneError(.protocolError, "\(socket): reading \(table) does not advance")
            }
            request.pageToken = page.nextPageToken
        }
    }

    public func status() async throws(DataplaneError) -> Dataplane_V1_GetStatusResponse {
        try await call { try await $0.getStatus(Dataplane_V1_GetStatusRequest(), options: Self.options) }
    }

    public func clearCounters(drops: Bool, vifs: Bool) async throws(DataplaneError) {
        let request = Dataplane_V1_ClearCountersRequest.with {
            $0.drops = drops; $0.vifs = vifs
        }
        _ = try await call { try await $0.clearCounters(request) }
    }

    /// Gives a receive queue to a worker, for good; `worker` nil: lets the router choose again.
    public func assignQueue(port: String, queue: UInt32, worker: UInt32?) async throws(DataplaneError) -> Dataplane_V1_Result {
        var request = Dataplane_V1_AssignQueueRequest()
        request.port = port
        request.queue = queue
        if let worker { request.worker = worker }
        let message = request
        return try await call { try await $0.assignQueue(message) }
    }

    /// The flow entries that match, batch by batch, as they are at that moment.
    public func listFlows(
        _ filter: Dataplane_V1_FlowFilter = .init(), handler: @escaping @Sendable ([Dataplane_V1_Flow]) async throws -> Void
    ) async throws(DataplaneError) {
        try await call { stub in
            try await stub.listFlows(Dataplane_V1_ListFlowsRequest.with { $0.filter = filter }, options: Self.options) { response in
                for try await batch in response.messages { try await handler(batch.flows) }
            }
        }
    }

    /// Sums over the flow entries that match.
    public func summarizeFlows(_ filter: Dataplane_V1_FlowFilter = .init()) async throws(DataplaneError) -> Dataplane_V1_FlowSummary {
        try await call { try await $0.summarizeFlows(Dataplane_V1_SummarizeFlowsRequest.with { $0.filter = filter }) }
    }

    /// What the policies of a vif say about a flow.
    public func explainPolicy(_ request: Dataplane_V1_ExplainPolicyRequest) async throws(DataplaneError) -> Dataplane_V1_ExplainPolicyResponse {
        try await call { try await $0.explainPolicy(request) }
    }

    /// The drop log, batch by batch; with `follow`, until the task is cancelled or `handler` throws.
    public func dropLog(
        worker: UInt32? = nil, follow: Bool = false, handler: @escaping @Sendable ([Dataplane_V1_DroppedPacket]) async throws -> Void
    ) async throws(DataplaneError) {
        var request = Dataplane_V1_DropLogRequest()
        request.follow = follow
        if let worker { request.worker = worker }
        let message = request
        try await call { stub in
            try await stub.dropLog(message, options: Self.options) { response in
                for try await batch in response.messages { try await handler(batch.packets) }
            }
        }
    }

    /// What rules that log decide, batch by batch; with `follow`, until the task is cancelled or `handler` throws.
    public func policyLog(
        follow: Bool = false, handler: @escaping @Sendable ([Dataplane_V1_LoggedDecision]) async throws -> Void
    ) async throws(DataplaneError) {
        try await call { stub in
            try await stub.policyLog(Dataplane_V1_PolicyLogRequest.with { $0.follow = follow }, options: Self.options) { response in
                for try await batch in response.messages { try await handler(batch.decisions) }
            }
        }
    }

    public func clearDropLog() async throws(DataplaneError) {
        _ = try await call { try await $0.clearCounters(Dataplane_V1_ClearCountersRequest.with { $0.dropLog = true }) }
    }

    /// Copies of frames, batch by batch, until the request's limit is reached, the task is cancelled or `handler` throws. `onStarted` runs when the router copies.
    public func capture(
        _ request: Dataplane_V1_CaptureRequest, onStarted: @escaping @Sendable () async -> Void = {},
        handler: @escaping @Sendable (Dataplane_V1_CaptureBatch) async throws -> Void
    ) async throws(DataplaneError) {
        try await call { stub in
            try await stub.capture(request, options: Self.options) { response in
                let messages = try response.accepted.get().bodyParts
                await onStarted()
                for try await part in messages { if case .message(let batch) = part { try await handler(batch) } }
            }
        }
    }

    /// Listens to traps and sends `packets`, until the task is cancelled, the handler throws, or the router goes away (which throws).
    ///
    /// `onListening` runs when the router has registered the listener: packets trapped from then on arrive. `handler` is called with
    /// one event at a time, in order; while it works the router keeps a bounded number of traps and drops the oldest (`Trap.lost`).
    /// The end of `packets` does not end the listening.
    public func traps(
        sending packets: AsyncStream<Dataplane_V1_PacketOut> = AsyncStream { $0.finish() },
        onListening: @escaping @Sendable () async -> Void = {},
        handler: @escaping @Sendable (Dataplane_V1_TrapEvent) async throws -> Void
    ) async throws(DataplaneError) {
        try await call { stub in
            try await stub.traps(
                requestProducer: { writer in
                    for await packet in packets { try await writer.write(packet) }
                    // The request stream stays open: a listener that has nothing to send still listens.
                    while !Task.isCancelled { try await Task.sleep(for: .seconds(3600)) }
                },
                onResponse: { response in
                    let messages = try response.accepted.get().bodyParts
                    await onListening()
                    for try await part in messages { if case .message(let event) = part { try await handler(event) } }
                })
        }
        if !Task.isCancelled { throw DataplaneError(.unreachable, "\(socket): the router ended the trap stream") }
    }

    private static let options: CallOptions = {
        var options = CallOptions.defaults
        options.maxResponseMessageBytes = maximumReply
        return options
    }()

    private func call<Result: Sendable>(
        _ body: (Dataplane_V1_Dataplane.Client<HTTP2ClientTransport.Posix>) async throws -> Result
    ) async throws(DataplaneError) -> Result {
        do {
            return try await body(stub)
        } catch let error as RPCError {
            throw DataplaneError(error, socket: socket)
        } catch let error as DataplaneError {
            throw error
        } catch is CancellationError {
            throw DataplaneError(.cancelled, "the call was cancelled")
        } catch {
            throw DataplaneError(.failed, "\(socket): \(error)")
        }
    }
}
