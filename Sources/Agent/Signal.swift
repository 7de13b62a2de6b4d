import Synchronization

/// Wakes one waiting loop. Signals that come while the loop works are one signal.
///
/// # Thread-safety
/// `wake` may be called from anywhere; one task at a time may wait.
final class Signal: Sendable {
    private struct State {
        var isSet = false
        var waiter: CheckedContinuation<Void, Never>?
    }
    private let state = Mutex(State())

    func wake() {
        state.withLock { state in
            state.isSet = true
            return state.waiter.take()
        }?.resume()
    }

    /// Returns when woken, when `duration` (nil: no end) is over, or when the task is cancelled.
    func wait(for duration: Duration?) async {
        if let duration, duration <= .zero { return }
        let timer = duration.map { duration in
            Task { [self] in
                try await Task.sleep(for: duration)
                wake()
            }
        }
        defer { timer?.cancel() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.isSet || Task.isCancelled { return true }
                    state.waiter = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            wake()
        }
        state.withLock { $0.isSet = false }
    }
}
