import NIOCore
import Synchronization

/// The bytes one stream has still to send. Anyone may add, one writer takes.
///
/// Bounded: more than `capacity` bytes waiting means that the peer does not read, and nothing of ours shall grow with that. The bytes
/// not yet taken are then dropped (whole stanzas: the writer has taken whole ones) and the stream ends with policy-violation. What is
/// added while there is room (`hasRoom`) is taken whatever its size: one stanza of ours may be larger than what is to wait.
final class Outbox: Sendable {
    private struct State {
        var waiting = ByteBuffer()
        /// Taken by the writer and not yet written.
        var inFlight = 0
        /// The stream header has been sent, so that an error can be.
        var isOpen = false
        var isClosed = false
        var end: SessionEnd?
        var writer: CheckedContinuation<Void, Never>?
        var drained: [CheckedContinuation<Void, Never>] = []
        var closed: [CheckedContinuation<Void, Never>] = []

        var count: Int { waiting.readableBytes + inFlight }
    }
    private let state = Mutex(State())
    let capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    var isClosed: Bool { state.withLock { $0.isClosed } }
    /// Why the stream ended: the first reason that was given.
    var end: SessionEnd? { state.withLock { $0.end } }

    func append(_ text: String) {
        let fits = state.withLock { state in
            guard !state.isClosed else { return true }
            guard state.count <= capacity / 4 || state.count + text.utf8.count <= capacity else {
                state.waiting = ByteBuffer()
                return false
            }
            state.waiting.writeString(text)
            state.isOpen = true
            resume(&state)
            return true
        }
        if !fits { close(.failed(StreamError(.policyViolation, "more than \(capacity) bytes wait to be read"))) }
    }

    /// Ends the stream: says why when a stream error is the reason, and closes the stream element. Only the first call counts.
    func close(_ end: SessionEnd) {
        state.withLock { state in
            guard !state.isClosed else { return }
            state.isClosed = true
            state.end = end
            if state.isOpen {
                if case .failed(let error) = end { state.waiting.writeString(error.element.serialized(in: .stream)) }
                state.waiting.writeString("</stream:stream>")
            }
            resume(&state)
            drain(&state)
        }
    }

    /// The connection is gone: nothing more can be sent.
    func abandon(_ end: SessionEnd) {
        state.withLock { state in
            state.isClosed = true
            if state.end == nil { state.end = end }
            state.waiting.clear(minimumCapacity: 0)
            state.inFlight = 0
            resume(&state)
            drain(&state)
        }
    }

    /// Everything that waits, or nil when the stream is closed and everything is written. For the one writer.
    func next() async -> ByteBuffer? {
        while true {
            let taken: ByteBuffer?? = state.withLock { state in
                if state.waiting.readableBytes > 0 {
                    let bytes = state.waiting
                    state.inFlight += bytes.readableBytes
                    state.waiting = ByteBuffer()
                    return .some(.some(bytes))
                }
                return state.isClosed ? .some(.none) : .none
            }
            if let taken { return taken }
            await withCheckedContinuation { continuation in
                state.withLock { state in
                    if state.waiting.readableBytes > 0 || state.isClosed { continuation.resume() } else { state.writer = continuation }
                }
            }
        }
    }

    func wrote(_ count: Int) {
        state.withLock { state in
            state.inFlight = max(0, state.inFlight - count)
            if state.count <= capacity / 4 { drain(&state) }
        }
    }

    /// Returns when at most a quarter of the capacity waits, or the stream is closed.
    func hasRoom() async {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                if state.isClosed || state.count <= capacity / 4 { continuation.resume() } else { state.drained.append(continuation) }
            }
        }
    }

    /// Returns when the stream is closed.
    func closed() async {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                if state.isClosed { continuation.resume() } else { state.closed.append(continuation) }
            }
        }
    }

    private func resume(_ state: inout State) {
        state.writer?.resume()
        state.writer = nil
    }

    private func drain(_ state: inout State) {
        for continuation in state.drained { continuation.resume() }
        state.drained = []
        guard state.isClosed else { return }
        for continuation in state.closed { continuation.resume() }
        state.closed = []
    }
}
