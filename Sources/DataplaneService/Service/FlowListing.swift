import Dataplane
public import DataplaneAPI
public import GRPCCore
import NetTypes
import SwiftProtobuf

// Lists of flows and sums over them.
//
// A table may hold millions of entries, and of the time that a generated message takes nearly all goes into the message: two objects to allocate for each flow. So a batch is
// written as octets at once (`FlowBatchEncoder`), which is what the generated code would have made of it; `FlowListingTests` compares them.
extension DataplaneService {
    /// Entries to a message.
    static let flowBatch = 1024
    /// Table indices looked at while the router's lock is held.
    static let flowScan = 16_384

    /// One step of a walk: the octets of a `FlowBatch`, and where to go on.
    func flowBatch(from index: UInt32, _ filter: FlowFilter) async -> (octets: [UInt8], next: UInt32?) {
        await onQueue {
            var encoder = FlowBatchEncoder(capacity: Self.flowBatch)
            let next = self.router.flows(from: index, limit: Self.flowBatch, scan: Self.flowScan, matching: filter) { encoder.add($0) }
            return (encoder.octets, next)
        }
    }

    func filter(_ message: Dataplane_V1_FlowFilter) throws -> FlowFilter {
        do throws(FieldError) { return try FlowFilter(message) } catch { throw RPCError(code: .invalidArgument, message: error.description) }
    }

    /// In the place of this `FlowListingService` answers.
    public func listFlows(
        request: ServerRequest<Dataplane_V1_ListFlowsRequest>, context: ServerContext
    ) async throws -> StreamingServerResponse<Dataplane_V1_FlowBatch> {
        let filter = try filter(request.message.filter)
        return StreamingServerResponse { writer in
            try await self.walk(filter) { try await writer.write(Dataplane_V1_FlowBatch(serializedBytes: $0)) }
            return [:]
        }
    }

    func walk(_ filter: FlowFilter, _ body: ([UInt8]) async throws -> Void) async throws {
        var from: UInt32? = 0
        while let index = from {
            let batch = await flowBatch(from: index, filter)
            if !batch.octets.isEmpty { try await body(batch.octets) }
            from = batch.next
        }
    }

    public func summarizeFlows(
        request: ServerRequest<Dataplane_V1_SummarizeFlowsRequest>, context: ServerContext
    ) async throws -> ServerResponse<Dataplane_V1_FlowSummary> {
        let filter = try filter(request.message.filter)
        var summary = Dataplane_V1_FlowSummary(), from: UInt32? = 0
        while let index = from {
            let so = summary
            (summary, from) = await onQueue {
                var sum = so
                let next = self.router.flows(from: index, limit: .max, scan: Self.flowScan, matching: filter) { sum.add($0) }
                return (sum, next)
            }
        }
        return ServerResponse(message: summary)
    }
}

/// `ListFlows` as clients call it: registered after the generated handlers, in the place of theirs.
struct FlowListingService: RegistrableRPCService {
    let service: DataplaneService

    func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
        router.registerHandler(
            forMethod: Dataplane_V1_Dataplane.Method.ListFlows.descriptor, deserializer: FlowRequestDeserializer(), serializer: OctetSerializer()
        ) { request, _ in
            let filter = try service.filter(try await ServerRequest(stream: request).message.filter)
            return StreamingServerResponse { writer in
                try await service.walk(filter) { try await writer.write($0) }
                return [:]
            }
        }
    }
}

private struct FlowRequestDeserializer: MessageDeserializer {
    func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> Dataplane_V1_ListFlowsRequest {
        do { return try bytes.withUnsafeBytes { try Dataplane_V1_ListFlowsRequest(serializedBytes: Array($0)) } } catch {
            throw RPCError(code: .invalidArgument, message: "the octets are no ListFlowsRequest", cause: error)
        }
    }
}

/// Messages that are octets already.
private struct OctetSerializer: MessageSerializer {
    func serialize<Bytes: GRPCContiguousBytes>(_ octets: [UInt8]) throws -> Bytes { Bytes(octets) }
}

/// Writes a `FlowBatch`, field by field as `Flow` in dataplane.proto numbers them.
struct FlowBatchEncoder {
    private var batch: [UInt8] = []
    private var flow = FieldWriter(), part = FieldWriter()

    init(capacity: Int) { batch.reserveCapacity(min(capacity, 4096) * 128) }

    var octets: [UInt8] { batch }

    mutating func add(_ reading: FlowReading) {
        flow.clear()
        part.clear()
        put(reading.spec.key)
        flow.put(1, part)
        flow.put(2, Self.action(reading.spec.action))
        flow.put(3, reading.spec.cookie)
        if let translation = reading.spec.translation {
            part.clear()
            if let source = translation.source { part.put(1, source) }
            if let destination = translation.destination { part.put(2, destination) }
            if let port = translation.sourcePort { part.putPresent(3, UInt64(port)) }
            if let port = translation.destinationPort { part.putPresent(4, UInt64(port)) }
            if let vrf = translation.vrf { part.putPresent(5, UInt64(vrf.rawValue)) }
            flow.put(4, part)
        }
        flow.put(30, UInt64(reading.spec.qosMap))
        flow.put(31, UInt64(reading.spec.mirror))
        flow.put(10, UInt64(reading.index))
        if let reverse = reading.reverseIndex { flow.putPresent(11, UInt64(reverse)) }
        flow.put(12, UInt64(reading.generation))
        flow.put(13, reading.packets)
        flow.put(14, reading.bytes)
        flow.put(15, reading.tcpState)
        flow.put(16, UInt64(reading.ingressVif.rawValue))
        flow.put(17, UInt64(reading.nextHop.rawValue))
        flow.put(18, UInt64(UInt32(clamping: reading.idleSeconds)))
        flow.put(19, reading.isForward ? 1 : 0)
        flow.put(20, UInt64(reading.udpSourcePort))
        flow.put(40, reading.dropReason?.label ?? "")
        flow.put(41, reading.isEvicted ? 1 : 0)
        flow.put(42, UInt64(reading.owner.rawValue))
        flow.put(43, reading.isFat ? 1 : 0)
        batch.append(0x0A)
        var length = flow.octets.count
        while length >= 0x80 {
            batch.append(UInt8(truncatingIfNeeded: length) | 0x80)
            length >>= 7
        }
        batch.append(UInt8(length))
        batch += flow.octets
    }

    private mutating func put(_ key: FlowKeySpec) {
        part.put(1, UInt64(key.vrf.rawValue))
        part.put(2, key.source)
        part.put(3, key.destination)
        part.put(4, UInt64(key.proto))
        part.put(5, UInt64(key.sourcePort))
        part.put(6, UInt64(key.destinationPort))
    }

    private static func action(_ action: FlowAction) -> UInt64 {
        let message: Dataplane_V1_FlowAction =
            switch action {
            case .forward: .forward
            case .drop: .drop
            case .nat: .nat
            case .hold: .hold
            }
        return UInt64(message.rawValue)
    }
}

/// Fields of a protobuf message; what has its default value is left out.
private struct FieldWriter {
    private(set) var octets: [UInt8] = []

    init() { octets.reserveCapacity(512) }

    mutating func clear() { octets.removeAll(keepingCapacity: true) }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            octets.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        octets.append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func put(_ field: UInt64, _ value: UInt64) { if value != 0 { putPresent(field, value) } }

    mutating func putPresent(_ field: UInt64, _ value: UInt64) {
        varint(field << 3)
        varint(value)
    }

    mutating func put(_ field: UInt64, _ text: String) {
        if text.isEmpty { return }
        varint(field << 3 | 2)
        varint(UInt64(text.utf8.count))
        octets.append(contentsOf: text.utf8)
    }

    mutating func put(_ field: UInt64, _ message: FieldWriter) {
        varint(field << 3 | 2)
        varint(UInt64(message.octets.count))
        octets += message.octets
    }

    mutating func put(_ field: UInt64, _ address: IPAddress) {
        varint(field << 3 | 2)
        switch address {
        case .v4(let address):
            octets.append(4)
            for shift in stride(from: UInt32(24), through: 0, by: -8) { octets.append(UInt8(truncatingIfNeeded: address.rawValue >> shift)) }
        case .v6(let address):
            octets.append(16)
            for word in [address.high, address.low] {
                for shift in stride(from: UInt64(56), through: 0, by: -8) { octets.append(UInt8(truncatingIfNeeded: word >> shift)) }
            }
        }
    }
}
