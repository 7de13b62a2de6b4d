import Dispatch
import Foundation
import XMPP

/// A TCP client without any sense of XMPP: it sends what it is told and keeps what it gets.
final class RawClient: @unchecked Sendable {
    private let descriptor: Int32
    /// Concurrent: what comes is read while something is sent.
    private let queue = DispatchQueue(label: "raw client", attributes: .concurrent)

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        // A test that waits for what does not come shall fail, not hang.
        var timeout = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard status == 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
    }

    deinit { close(descriptor) }

    private func offload<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T {
        await withCheckedContinuation { continuation in queue.async { continuation.resume(returning: body()) } }
    }

    /// Sends as much as the peer takes.
    func send(_ bytes: [UInt8]) async {
        await offload { [descriptor] in
            var sent = 0
            while sent < bytes.count {
                let count = bytes[sent...].withUnsafeBytes { Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                guard count > 0 else { return }
                sent += count
            }
        }
    }

    func send(_ text: String) async { await send(Array(text.utf8)) }

    /// What is there, waiting for the first of it; nil when the connection is closed.
    func receive() async -> String? {
        await offload { [descriptor] in
            var bytes = [UInt8](repeating: 0, count: 1 << 16)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
        }
    }

    func receive(until end: String) async -> String {
        var text = ""
        while !text.contains(end), let more = await receive() { text += more }
        return text
    }

    func receiveUntilClosed() async -> String {
        var text = ""
        while let more = await receive() { text += more }
        return text
    }

    /// Logs in by the client's state machine and returns the address; nil when the server ends the stream instead.
    func login(_ jid: JID, password: String) async -> JID? {
        var machine = ClientStream(jid: jid, password: password)
        var parser = StreamParser(limits: .init(stanza: 1 << 20))
        var actions = machine.start()
        while true {
            for action in actions {
                switch action {
                case .send(let text): await send(text)
                case .restart: parser = StreamParser(limits: .init(stanza: 1 << 20))
                case .established(let local, _): return local
                case .deliver: break
                case .end: return nil
                }
            }
            guard let text = await receive() else { return nil }
            actions = parser.feed(text.utf8).flatMap { machine.receive($0) }
        }
    }
}
