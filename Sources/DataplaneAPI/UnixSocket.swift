#if canImport(Glibc)
public import Glibc
#elseif canImport(Musl)
public import Musl
#else
public import Darwin
#endif

/// Looks at a Unix socket before gRPC does: gRPC can say only that a connection failed, connect(2) says why.
/// The server uses the same look to tell a stale socket file from a running second instance.
public enum UnixSocket {
    public enum Probe: Sendable, Hashable {
        case answers, missing, refused, denied, notASocket
        /// The path does not fit into `sockaddr_un`.
        case pathTooLong(limit: Int)
        case failed(errno: Int32)

        /// What is wrong and what to do, for an error message after the path; nil when something answers.
        public var problem: String? {
            switch self {
            case .answers: nil
            case .missing: "no such socket; is vrouter running, with `api: {socket: …}` naming this path?"
            case .refused: "nobody listens on this socket; vrouter has ended and left the file behind. Start vrouter"
            case .denied: "permission denied; the socket belongs to vrouter's user and group (mode 0660): join the group or use sudo"
            case .notASocket: "this is not a socket"
            case .pathTooLong(let limit): "the path is longer than the \(limit) octets a Unix socket address holds; choose a shorter one"
            case .failed(let code): "cannot connect: \(String(cString: strerror(code)))"
            }
        }
    }

    /// Octets a path may have.
    public static let pathLimit = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    /// A stream socket that has no name yet; negative, with errno, when there is none.
    public static func makeDescriptor() -> Int32 {
        #if canImport(Glibc)
        socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        #else
        socket(AF_UNIX, SOCK_STREAM, 0)
        #endif
    }

    /// The address of a path of at most `pathLimit` octets; what is over is cut off.
    public static func withAddress<Result>(_ path: [UInt8], _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.prefix(pathLimit)) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }

    /// Connects and disconnects at once. Does not block: connect(2) on a Unix socket waits only for a full backlog, and that is taken as an answer.
    public static func probe(_ path: String) -> Probe {
        let octets = Array(path.utf8)
        guard octets.count <= pathLimit else { return .pathTooLong(limit: pathLimit) }
        guard !octets.isEmpty else { return .missing }
        let descriptor = makeDescriptor()
        guard descriptor >= 0 else { return .failed(errno: errno) }
        defer { close(descriptor) }
        let flags = fcntl(descriptor, F_GETFL)
        guard flags >= 0, fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) >= 0 else { return .failed(errno: errno) }
        let result = withAddress(octets) { connect(descriptor, $0, $1) }
        if result == 0 { return .answers }
        switch errno {
        case EAGAIN, EINPROGRESS: return .answers
        case ENOENT, ENOTDIR: return .missing
        case EACCES, EPERM: return .denied
        case ECONNREFUSED:
            var status = stat()
            return stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFSOCK ? .notASocket : .refused
        case let code: return .failed(errno: code)
        }
    }
}
