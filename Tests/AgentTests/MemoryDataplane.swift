import DataplaneAPI
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import NetTypes
import SwiftProtobuf
import Synchronization

@testable import Agent

/// The programming API with tables in memory and nothing behind them, served over gRPC on a Unix socket: it checks references as the
/// router does, refuses what it is told to refuse, and answers ARP requests for the neighbours it is given.
final class MemoryDataplane: Dataplane_V1_Dataplane.SimpleServiceProtocol, Sendable {
    struct State {
        var instance = "first"
        var objects: [TableKey: TableObject] = [:]
        var refuses: [TableKey: String] = [:]
        var neighbours: [IPv4Address: MACAddress] = [:]
        var applied: [Dataplane_V1_Operation] = []
        /// What rules have decided; nil: it is of a version that does not tell.
        var decisions: [Dataplane_V1_LoggedDecision]? = []
        /// To be sent to whoever listens.
        var traps: [Dataplane_V1_Trap] = []
        /// By the generations that their keys named.
        var flows: [UInt32: Dataplane_V1_Flow] = [:]
    }
    let state = Mutex(State())

    var objects: [TableKey: TableObject] { state.withLock { $0.objects } }

    func apply(request: Dataplane_V1_ApplyRequest, context: ServerContext) async throws -> Dataplane_V1_ApplyResponse {
        state.withLock { state in
            .with { $0.results = request.operations.map { Self.apply($0, &state) } }
        }
    }

    private static func apply(_ operation: Dataplane_V1_Operation, _ state: inout State) -> Dataplane_V1_Result {
        state.applied.append(operation)
        switch operation.operation {
        case .upsert(let object)? where object.object.map { if case .flow = $0 { true } else { false } } == true:
            state.flows[object.flow.key.generation] = object.flow
        case .delete(let key)? where key.key.map { if case .flow = $0 { true } else { false } } == true:
            state.flows[key.flow.generation] = nil
        case .upsert(let object)?:
            guard let key = TableKey(object) else { return refusal(.invalid, "no key") }
            if let reason = state.refuses[key] { return refusal(.portFailed, reason) }
            for dependency in object.dependencies where state.objects[dependency] == nil && dependency != .nextHop(.discard) {
                return refusal(.notFound, "\(key): \(dependency) does not exist")
            }
            state.objects[key] = object
        case .delete(let proto)?:
            guard let key = state.objects.keys.first(where: { $0.proto == proto }) else { return refusal(.notFound, "does not exist") }
            if let user = state.objects.first(where: { $0.value.dependencies.contains(key) }) {
                return refusal(.inUse, "\(key): \(user.key) uses it")
            }
            state.objects[key] = nil
        case nil: return refusal(.invalid, "empty")
        }
        return ok
    }

    func read(request: Dataplane_V1_ReadRequest, context: ServerContext) async throws -> Dataplane_V1_ReadResponse {
        state.withLock { state in
            .with { response in
                response.objects = state.objects.sorted { $0.key < $1.key }.filter { key, _ in
                    switch (request.table, key) {
                    case (.port, .port), (.vrf, .vrf), (.vif, .vif), (.nextHop, .nextHop), (.label, .label), (.vni, .vni),
                        (.flowAgeing, .flowAgeing), (.policy, .policy), (.addressGroup, .addressGroup), (.natRule, .natRule), (.mirror, .mirror):
                        true
                    case (.route, .route(let vrf, _)), (.bridge, .bridge(let vrf, _)): !request.hasVrf || request.vrf == vrf.rawValue
                    default: false
                    }
                }.map { key, object in
                    // With what only the router fills in.
                    var object = object
                    if case .vif = key { object.vif.stats.rxPackets = 7 }
                    if case .vrf = key { object.vrf.ipv4Routes = 2 }
                    if case .port = key {
                        object.port.stats.rxPackets = 7
                        object.port.deviceDriver = "memory"
                        object.port.deviceName = object.port.name
                        object.port.effectiveMtu = 1500
                    }
                    if case .nextHop = key { object.nextHop.references = 1 }
                    if case .mirror = key { object.mirror.copies = 7 }
                    return object
                }
            }
        }
    }

    func assignQueue(request: Dataplane_V1_AssignQueueRequest, context: ServerContext) async throws -> Dataplane_V1_Result {
        .with {
            $0.code = .unsupported
            $0.message = "there are no workers here"
        }
    }

    func getStatus(request: Dataplane_V1_GetStatusRequest, context: ServerContext) async throws -> Dataplane_V1_GetStatusResponse {
        state.withLock { state in
            .with {
                $0.instance = state.instance; $0.version = "test"
            }
        }
    }

    func traps(
        request: RPCAsyncSequence<Dataplane_V1_PacketOut, any Error>, response: RPCWriter<Dataplane_V1_TrapEvent>, context: ServerContext
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while !context.cancellation.isCancelled {
                    for trap in self.state.withLock({ state in
                        defer { state.traps = [] }
                        return state.traps
                    }) { try await response.write(.with { $0.trap = trap }) }
                    try await Task.sleep(for: .milliseconds(10))
                }
            }
            group.addTask { try await self.answer(request, response) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func answer(
        _ request: RPCAsyncSequence<Dataplane_V1_PacketOut, any Error>, _ response: RPCWriter<Dataplane_V1_TrapEvent>
    ) async throws {
        for try await packet in request {
            guard let arp = ARPPacket(frame: Array(packet.packet)), arp.operation == .request,
                let mac = state.withLock({ $0.neighbours[arp.targetAddress] })
            else { continue }
            let reply = ARPPacket(
                destination: arp.source, source: mac, operation: .reply, senderMAC: mac, senderAddress: arp.targetAddress, targetMAC: arp.senderMAC,
                targetAddress: arp.senderAddress)
            try await response.write(
                .with {
                    $0.trap = .with {
                        $0.reason = .arp; $0.vif = packet.vif; $0.packet = Data(reply.frame)
                    }
                })
        }
    }

    func policyLog(
        request: Dataplane_V1_PolicyLogRequest, response: RPCWriter<Dataplane_V1_PolicyLogBatch>, context: ServerContext
    ) async throws {
        // The agent follows it for as long as it is connected.
        repeat {
            guard let decisions = state.withLock({ $0.decisions }) else { throw RPCError(code: .unimplemented, message: "no such call") }
            if !decisions.isEmpty {
                try await response.write(.with { $0.decisions = decisions })
                state.withLock { $0.decisions = [] }
            }
            try await Task.sleep(for: .milliseconds(10))
        } while request.follow && !context.cancellation.isCancelled
    }

    /// What no agent asks for.
    func dropLog(
        request: Dataplane_V1_DropLogRequest, response: RPCWriter<Dataplane_V1_DropLogBatch>, context: ServerContext
    ) async throws {
        throw RPCError(code: .unimplemented, message: "no drop log")
    }

    func capture(
        request: Dataplane_V1_CaptureRequest, response: RPCWriter<Dataplane_V1_CaptureBatch>, context: ServerContext
    ) async throws {
        throw RPCError(code: .unimplemented, message: "no captures")
    }

    func explainPolicy(request: Dataplane_V1_ExplainPolicyRequest, context: ServerContext) async throws -> Dataplane_V1_ExplainPolicyResponse {
        throw RPCError(code: .unimplemented, message: "no agent asks")
    }

    func listFlows(
        request: Dataplane_V1_ListFlowsRequest, response: RPCWriter<Dataplane_V1_FlowBatch>, context: ServerContext
    ) async throws {
        throw RPCError(code: .unimplemented, message: "no flows")
    }

    func summarizeFlows(request: Dataplane_V1_SummarizeFlowsRequest, context: ServerContext) async throws -> Dataplane_V1_FlowSummary {
        throw RPCError(code: .unimplemented, message: "no flows")
    }

    func clearCounters(request: Dataplane_V1_ClearCountersRequest, context: ServerContext) async throws -> Dataplane_V1_ClearCountersResponse {
        .init()
    }

    /// Serves until the task is cancelled. The server's own is not: it would stop the process for a connection or a call that is new just then
    /// (`NIOAsyncWriter` without `finish`).
    func serve(_ path: String) async throws {
        try? FileManager.default.removeItem(atPath: path)
        let server = GRPCServer(transport: .http2NIOPosix(address: .unixDomainSocket(path: path), transportSecurity: .plaintext), services: [self])
        let serving = Task { try await server.serve() }
        try await withTaskCancellationHandler {
            try await serving.value
        } onCancel: {
            server.beginGracefulShutdown()
        }
    }
}
