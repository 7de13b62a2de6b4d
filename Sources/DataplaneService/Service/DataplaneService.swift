public import Dataplane
public import DataplaneAPI
import Dispatch
public import GRPCCore
import NetTypes
import SwiftProtobuf

/// The programming API served: `dataplane.v1.Dataplane` over a `Router`.
///
/// Requests are untrusted: every field is checked (`Mapping/`), a bad operation is answered by `CODE_INVALID` naming operation,
/// field and value, and the others of its batch are applied. What the router itself refuses is answered in its words.
///
/// # Thread-safety
/// Calls of several clients run concurrently. The router takes them one at a time under a lock that may be held for milliseconds,
/// so they are handed to one queue of their own instead of blocking the threads that Swift concurrency shares.
public final class DataplaneService: Dataplane_V1_Dataplane.ServiceProtocol {
    let router: Router
    private let version: String
    /// Random per start: a client that sees another one knows that everything it programmed is gone.
    let instance: String
    private let queue = DispatchQueue(label: "vrouter.api")

    public init(router: Router, version: String) {
        self.router = router
        self.version = version
        // 32 hexadecimal digits, leading zeros included.
        instance = (0..<32).map { _ in String(UInt8.random(in: 0..<16), radix: 16) }.joined()
    }

    public func apply(
        request: ServerRequest<Dataplane_V1_ApplyRequest>, context: ServerContext
    ) async throws -> ServerResponse<Dataplane_V1_ApplyResponse> {
        let outcomes = try await apply(ApplyBatch(request.message.operations))
        return ServerResponse(message: .with { $0.results = outcomes.map { Dataplane_V1_Result($0) } })
    }

    /// The understood operations go to the router together, in order.
    func apply(_ batch: ApplyBatch) async throws -> [RouterOutcome] {
        guard batch.count <= DataplaneClient.maximumBatch else {
            throw RPCError(code: .resourceExhausted, message: "\(batch.count) operations in one call; the limit is \(DataplaneClient.maximumBatch)")
        }
        return await onQueue { batch.apply(to: self.router) }
    }

    public func read(
        request: ServerRequest<Dataplane_V1_ReadRequest>, context: ServerContext
    ) async throws -> ServerResponse<Dataplane_V1_ReadResponse> {
        let message = request.message
        let result = await onQueue { Result { () throws(TableReader.Refusal) in try TableReader(router: self.router).page(message) } }
        switch result {
        case .success(let page): return ServerResponse(message: page)
        case .failure(let refusal): throw RPCError(code: .invalidArgument, message: refusal.text)
        }
    }

    public func getStatus(
        request: ServerRequest<Dataplane_V1_GetStatusRequest>, context: ServerContext
    ) async throws -> ServerResponse<Dataplane_V1_GetStatusResponse> {
        ServerResponse(
            message: await onQueue { Dataplane_V1_GetStatusResponse(self.router.status(), version: self.version, instance: self.instance) })
    }

    public func explainPolicy(
        request: ServerRequest<Dataplane_V1_ExplainPolicyRequest>, context: ServerContext
    ) async throws -> ServerResponse<Dataplane_V1_ExplainPolicyResponse> {
        let question: PolicyQuestion
        do throws(FieldError) { question = try PolicyQuestion(request.message) } catch {
            throw RPCError(code: .invalidArgument, message: error.description)
        }
        guard let explanation = await onQueue({ self.router.explain(question) }) else {
            throw RPCError(code: .notFound, message: "vif \(question.vif.rawValue): does not exist")
        }
        return ServerResponse(message: Dataplane_V1_ExplainPolicyResponse(explanation))
    }

    public func clearCounters(
        request: ServerRequest<Dataplane_V1_ClearCountersRequest>, context: ServerContext
    ) async throws -> ServerResponse<Dataplane_V1_ClearCountersResponse> {
        let message = request.message
        await onQueue {
            self.router.clearCounters(drops: message.drops, vifs: message.vifs)
            if message.dropLog { self.router.clearDropLog() }
        }
        return ServerResponse(message: Dataplane_V1_ClearCountersResponse())
    }

    public func assignQueue(
        request: ServerRequest<Dataplane_V1_AssignQueueRequest>, context: ServerContext
    ) async throws -> ServerResponse<Dataplane_V1_Result> {
        let message = request.message
        let outcome = await onQueue {
            self.router.assign(port: message.port, queue: Int(message.queue), worker: message.hasWorker ? Int(message.worker) : nil)
        }
        return ServerResponse(message: Dataplane_V1_Result(outcome))
    }

    /// The listener is registered before the response headers go out, so a client that has seen them misses nothing.
    public func traps(
        request: StreamingServerRequest<Dataplane_V1_PacketOut>, context: ServerContext
    ) async throws -> StreamingServerResponse<Dataplane_V1_TrapEvent> {
        let mailbox = TrapMailbox()
        let router = router
        let token = router.addTrapListener { mailbox.post(.trap($0)) }
        let packets = request.messages
        return StreamingServerResponse { writer in
            defer { router.removeTrapListener(token) }
            try await withRPCCancellationHandler {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await self.send(packets, refusals: mailbox) }
                    for await event in mailbox.events { try await writer.write(mailbox.message(event)) }
                    group.cancelAll()
                }
            } onCancelRPC: {
                mailbox.close()
            }
            return [:]
        }
    }

    private func send(_ packets: RPCAsyncSequence<Dataplane_V1_PacketOut, any Error>, refusals mailbox: TrapMailbox) async throws {
        var sequence: UInt64 = 0
        for try await message in packets {
            let outcome: RouterOutcome
            do throws(FieldError) {
                let packet = try OutgoingPacket(message)
                outcome = await onQueue { self.router.send(packet) }
            } catch {
                outcome = .invalid("\(error)")
            }
            let result = Dataplane_V1_Result(outcome)
            if result.code != .ok {
                mailbox.post(
                    .refusal(
                        .with {
                            $0.code = result.code; $0.message = result.message; $0.sequence = sequence
                        }))
            }
            sequence &+= 1
        }
    }

    func onQueue<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in queue.async { continuation.resume(returning: body()) } }
    }
}

/// Apply as clients call it: registered after the generated handlers, in the place of theirs, so that requests are decoded by `ApplyRequestDeserializer`, on the thread
/// of the call, while the router may be at an earlier batch.
struct ApplyService: RegistrableRPCService {
    let service: DataplaneService

    func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
        router.registerHandler(
            forMethod: Dataplane_V1_Dataplane.Method.Apply.descriptor, deserializer: ApplyRequestDeserializer(), serializer: ApplyResponseSerializer()
        ) { request, _ in
            StreamingServerResponse(single: ServerResponse(message: try await service.apply(ServerRequest(stream: request).message)))
        }
    }
}
