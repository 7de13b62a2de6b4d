import DataplaneAPI
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Why the API cannot be served. `description` says what to do.
public struct ServerError: Error, Sendable, CustomStringConvertible {
    public let description: String
}

/// The listening Unix socket: mode 0660 from its first moment, one router per path.
///
/// A lock file beside the socket (`<path>.lock`) is held while it lives; it makes "look whether somebody answers, remove the stale
/// file, bind" safe against a second router doing the same.
///
/// Make it before any device is opened: a second router is then turned away before it disturbs the first. Clients that connect before
/// the server answers wait.
public final class SocketListener: Sendable {
    public let path: String
    /// Handed to the server, which closes it.
    let descriptor: Int32
    private let lock: Int32
    /// Identity of the file we made, so that removing it never removes another's.
    private let device: dev_t
    private let inode: ino_t

    public init(path: String) throws(ServerError) {
        func failure(_ what: String) -> ServerError {
            ServerError(description: "API socket \(path): \(what): \(String(cString: strerror(errno)))")
        }
        let octets = Array(path.utf8)
        guard !octets.isEmpty else { throw ServerError(description: "API socket: the path is empty") }
        guard octets.count <= UnixSocket.pathLimit else {
            throw ServerError(
                description: "API socket \(path): longer than the \(UnixSocket.pathLimit) octets a socket address holds; choose a shorter path")
        }
        let lock = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o660)
        guard lock >= 0 else {
            throw errno == ENOENT
                ? ServerError(
                    description:
                        "API socket \(path): its directory does not exist; create it, or name another path with --socket or `api: {socket: …}`")
                : failure("cannot make the lock file \(path).lock")
        }
        var keepsLock = false
        defer { if !keepsLock { close(lock) } }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            throw errno == EWOULDBLOCK
                ? ServerError(
                    description:
                        "API socket \(path): another vrouter serves it; stop that one, or name another path with --socket or `api: {socket: …}`")
                : failure("cannot lock \(path).lock")
        }
        switch UnixSocket.probe(path) {
        case .missing: break
        case .answers: throw ServerError(description: "API socket \(path): another program answers on it; stop that one, or name another path")
        case .refused: if unlink(path) != 0, errno != ENOENT { throw failure("cannot remove the stale socket file") }
        case let other: throw ServerError(description: "API socket \(path): \(other.problem ?? "in use")")
        }

        let descriptor = UnixSocket.makeDescriptor()
        guard descriptor >= 0 else { throw failure("socket") }
        var keepsDescriptor = false
        defer { if !keepsDescriptor { close(descriptor) } }
        guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else { throw failure("fcntl") }
        // Linux makes the file with the mode of the unbound socket (minus umask), so it is never open to others, not even for a moment.
        guard fchmod(descriptor, 0o660) == 0 else { throw failure("cannot set the mode") }
        guard UnixSocket.withAddress(octets, { bind(descriptor, $0, $1) }) == 0 else { throw failure("cannot bind") }
        guard chmod(path, 0o660) == 0 else { throw failure("cannot set the mode") }
        guard listen(descriptor, 128) == 0 else { throw failure("listen") }
        var status = stat()
        guard stat(path, &status) == 0 else { throw failure("stat") }
        self.path = path
        self.descriptor = descriptor
        self.lock = lock
        device = status.st_dev
        inode = status.st_ino
        keepsDescriptor = true
        keepsLock = true
    }

    /// Gives up a socket that no server got.
    public func abandon() {
        close(descriptor)
        remove()
    }

    /// Removes the socket file if it is still ours, and lets the next router have the path. To be called once, when the server has ended.
    func remove() {
        var status = stat()
        if stat(path, &status) == 0, status.st_dev == device, status.st_ino == inode { unlink(path) }
        close(lock)
    }
}
