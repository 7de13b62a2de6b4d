import Synchronization

/// A queue of limited length between one task that adds and one that takes. The adder waits while it is full.
final class BoundedQueue<Element: Sendable>: Sendable {
    private struct State {
        var elements: [Element] = []
        var isFinished = false
        var adder: CheckedContinuation<Void, Never>?
        var taker: CheckedContinuation<Void, Never>?
    }
    private let state = Mutex(State())
    private let capacity: Int

    init(capacity: Int) { self.capacity = max(1, capacity) }

    /// Adds at once, full or not.
    func add(_ element: Element) {
        state.withLock { state in
            guard !state.isFinished else { return }
            state.elements.append(element)
            wake(&state.taker)
        }
    }

    /// Returns when there is room, or the queue is finished. For the one task that adds.
    func hasRoom() async {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                if state.elements.count < capacity || state.isFinished { continuation.resume() } else { state.adder = continuation }
            }
        }
    }

    /// Everything in the queue; nil when it is finished and empty. For the one task that takes.
    func next() async -> [Element]? {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                if !state.elements.isEmpty || state.isFinished { continuation.resume() } else { state.taker = continuation }
            }
        }
        return state.withLock { state in
            guard !state.elements.isEmpty else { return nil }
            defer { state.elements = [] }
            wake(&state.adder)
            return state.elements
        }
    }

    /// Nothing more is added; what is there can still be taken.
    func finish() {
        state.withLock { state in
            state.isFinished = true
            wake(&state.adder)
            wake(&state.taker)
        }
    }

    private func wake(_ slot: inout CheckedContinuation<Void, Never>?) {
        slot?.resume()
        slot = nil
    }
}
