import Dataplane
public import DataplaneAPI
public import GRPCCore
import NetTypes
import SwiftProtobuf

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// What rules that log decide. It polls, as the drop log does.
extension DataplaneService {
    public func policyLog(
        request: ServerRequest<Dataplane_V1_PolicyLogRequest>, context: ServerContext
    ) async throws -> StreamingServerResponse<Dataplane_V1_PolicyLogBatch> {
        let isFollowing = request.message.follow
        let router = router
        return StreamingServerResponse { writer in
            let isCancelled = CancelFlag()
            try await withRPCCancellationHandler {
                var seen: [Int: UInt64] = [:]
                repeat {
                    let records = router.policyLog(after: seen)
                    for record in records { seen[record.worker] = max(seen[record.worker] ?? 0, record.number) }
                    var start = 0
                    while start < records.count {
                        let part = records[start..<min(start + 1000, records.count)]
                        try await writer.write(.with { $0.decisions = part.map { Dataplane_V1_LoggedDecision($0) } })
                        start += part.count
                    }
                    if isFollowing { try await Task.sleep(for: Self.interval * 5) }
                } while isFollowing && !isCancelled.isSet
            } onCancelRPC: {
                isCancelled.set()
            }
            return [:]
        }
    }
}

extension Dataplane_V1_LoggedDecision {
    init(_ record: PolicyLogRecord) {
        self.init()
        worker = UInt32(clamping: record.worker)
        number = record.number
        timeNs = record.time
        policy = record.policy.rawValue
        policyName = record.policyName
        rule = UInt32(clamping: record.rule)
        ruleName = record.ruleName
        action = Dataplane_V1_PolicyAction(record.action)
        dropReason = record.dropReason?.label ?? ""
        vif = record.vif.rawValue
        ingress = record.isIngress
        vrf = record.vrf.rawValue
        source = Data(record.source.bytes)
        destination = Data(record.destination.bytes)
        `protocol` = UInt32(record.proto)
        if record.proto == 1 || record.proto == 58 {
            icmpType = UInt32(record.destinationPort >> 8)
            icmpCode = UInt32(record.destinationPort & 0xFF)
        } else {
            sourcePort = UInt32(record.sourcePort)
            destinationPort = UInt32(record.destinationPort)
        }
    }
}
