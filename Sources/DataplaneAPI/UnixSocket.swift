#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
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

    /// Connects and disconnects at once. Does not block: connect(2) on a Unix socket waits only for a full backlog, and that is taken as an answer.
    public static func probe(_ path: String) -> Probe {
        let octets = Array(path.utf8)
        guard octets.count <= pathLimit else { return .pathTooLong(limit: pathLimit) }
        guard !octets.isEmpty else { return .missing }
        #if canImport(Glibc)
        let kind = Int32(SOCK_STREAM.rawValue)
        #else
        let kind = SOCK_STREAM
        #endif
        let descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { return .failed(errno: errno) }
        defer { close(descriptor) }
        let flags = fcntl(descriptor, F_GETFL)
        guard flags >= 0, fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) >= 0 else { return .failed(errno: errno) }

        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: octets) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
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
