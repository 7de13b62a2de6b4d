import GRPCCore

/// Why a call did not happen. (An operation that the router refuses is not an error: see `Dataplane_V1_Result`.)
public struct DataplaneError: Error, Sendable, CustomStringConvertible {
    public enum Kind: Sendable, Hashable {
        /// No router answers on the socket, or it went away during the call.
        case unreachable
        /// The router answered that it cannot understand the request.
        case invalid
        /// What answers does not behave as this API says.
        case protocolError
        case cancelled
        /// The call failed inside the router, or the caller's own handler failed.
        case failed
    }
    public let kind: Kind
    /// What happened, on which socket, and what to do.
    public let description: String
    public var isUnreachable: Bool { kind == .unreachable }

    init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    init(_ error: RPCError, socket: String) {
        switch error.code {
        case .unavailable:
            // gRPC says "channel isn't ready"; the socket itself says why.
            self.init(.unreachable, "\(socket): \(UnixSocket.probe(socket).problem ?? "the connection was lost: \(error.message)")")
        case .invalidArgument, .resourceExhausted, .failedPrecondition, .outOfRange, .notFound:
            self.init(.invalid, error.message)
        case .unimplemented: self.init(.protocolError, "\(socket): what listens there is no vrouter of this version: \(error.message)")
        case .cancelled: self.init(.cancelled, "the call was cancelled")
        default: self.init(.failed, "\(socket): \(error.code): \(error.message)")
        }
    }
}
