import Dataplane
public import DataplaneAPI
public import GRPCCore
import NetTypes
import PcapPort
import SwiftProtobuf
import Synchronization

/// The calls that let somebody look at packets and at what was decided about them. The streams poll: what they read waits in rings that the workers fill without knowing who reads, so a client
/// that sleeps or vanishes costs the router nothing but what is lost, and is noticed within one interval.
extension DataplaneService {
    static let interval = Duration.milliseconds(20)
    /// Frames in one message: with 64 KiB frames it stays below what a client takes.
    private static let captureBatch = 256

    public func dropLog(
        request: ServerRequest<Dataplane_V1_DropLogRequest>, context: ServerContext
    ) async throws -> StreamingServerResponse<Dataplane_V1_DropLogBatch> {
        let message = request.message
        let workers = router.workerCount
        guard !message.hasWorker || message.worker < UInt32(workers) else {
            throw RPCError(code: .invalidArgument, message: "worker: \(message.worker): there are \(workers), from 0")
        }
        let worker = message.hasWorker ? Int(message.worker) : nil
        let router = router
        return Self.log(isFollowing: message.follow) {
            router.dropLog(worker: worker, after: $0)
        } batch: { records in
            .with { $0.packets = records.map { Dataplane_V1_DroppedPacket($0) } }
        }
    }

    public func policyLog(
        request: ServerRequest<Dataplane_V1_PolicyLogRequest>, context: ServerContext
    ) async throws -> StreamingServerResponse<Dataplane_V1_PolicyLogBatch> {
        let router = router
        return Self.log(isFollowing: request.message.follow) {
            router.policyLog(after: $0)
        } batch: { records in
            .with { $0.decisions = records.map { Dataplane_V1_LoggedDecision($0) } }
        }
    }

    /// The records of a log, oldest first; while `isFollowing`, also those to come. `read` is given the last number seen of each worker.
    private static func log<Record: LogRecord, Batch: Sendable>(
        isFollowing: Bool, read: @escaping @Sendable ([Int: UInt64]) -> [Record], batch: @escaping @Sendable (ArraySlice<Record>) -> Batch
    ) -> StreamingServerResponse<Batch> {
        StreamingServerResponse { writer in
            let isCancelled = CancelFlag()
            try await withRPCCancellationHandler {
                var seen: [Int: UInt64] = [:]
                repeat {
                    let records = read(seen)
                    for record in records { seen[record.worker] = max(seen[record.worker] ?? 0, record.number) }
                    var start = 0
                    while start < records.count {
                        let part = records[start..<min(start + 1000, records.count)]
                        try await writer.write(batch(part))
                        start += part.count
                    }
                    if isFollowing { try await Task.sleep(for: interval * 5) }
                } while isFollowing && !isCancelled.isSet
            } onCancelRPC: {
                isCancelled.set()
            }
            return [:]
        }
    }

    public func capture(
        request: ServerRequest<Dataplane_V1_CaptureRequest>, context: ServerContext
    ) async throws -> StreamingServerResponse<Dataplane_V1_CaptureBatch> {
        let message = request.message
        let spec: CaptureSpec
        do throws(FieldError) {
            let reader = FieldReader(path: "")
            spec = CaptureSpec(
                vif: message.hasVif ? VifID(message.vif) : nil, direction: try .init(message.direction, reader),
                snapLength: Int(min(message.snapLength, 1 << 17)), filter: try Self.filter(message.filter, reader))
        } catch {
            throw RPCError(code: .invalidArgument, message: "\(error)")
        }
        let started = await onQueue { self.router.startCapture(spec) }
        guard let capture = started.capture else {
            let result = Dataplane_V1_Result(started.outcome)
            throw RPCError(code: result.code == .notFound ? .notFound : .resourceExhausted, message: result.message)
        }
        return StreamingServerResponse { writer in
            defer { capture.stop() }
            let isCancelled = CancelFlag()
            try await withRPCCancellationHandler {
                var left = message.limit == 0 ? UInt64.max : message.limit
                var lost: UInt64 = 0
                while left > 0, !isCancelled.isSet {
                    let frames = capture.take(limit: Int(min(left, UInt64(Self.captureBatch))))
                    left -= UInt64(frames.count)
                    if !frames.isEmpty || capture.lost != lost {
                        lost = capture.lost
                        try await writer.write(
                            .with {
                                $0.frames = frames.map { Dataplane_V1_CapturedFrame($0) }
                                $0.lost = lost
                            })
                    }
                    if frames.count < Self.captureBatch, left > 0 { try await Task.sleep(for: Self.interval) }
                }
            } onCancelRPC: {
                isCancelled.set()
            }
            return [:]
        }
    }

    private static func filter(_ text: String, _ reader: FieldReader) throws(FieldError) -> PacketFilter? {
        guard !text.allSatisfy(\.isWhitespace) else { return nil }
        guard text.utf8.count <= 4096, !text.utf8.contains(0) else {
            throw reader.error("filter", "\(text.utf8.count) octets", "at most 4096, none of them zero")
        }
        do throws(PortError) { return try FilterCompiler.compile(text) } catch { throw reader.error("filter", text, error.description) }
    }
}

/// Set once, by the call's end.
final class CancelFlag: Sendable {
    private let flag = Atomic<Bool>(false)
    func set() { flag.store(true, ordering: .relaxed) }
    var isSet: Bool { flag.load(ordering: .relaxed) }
}

/// What the logs' records have in common: whose they are, and which of its.
private protocol LogRecord: Sendable {
    var worker: Int { get }
    /// Counted from 1.
    var number: UInt64 { get }
}
extension DropRecord: LogRecord {}
extension PolicyLogRecord: LogRecord {}
