import Dispatch
import Testing

/// Tests that keep a processor for seconds, each on a thread of its own: on those that all tests share, of which there are as many as processors, the clocks of other tests would run out
/// while they wait.
struct OwnThread: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        guard testCase != nil else { return try await function() }
        try await withTaskExecutorPreference(Executor(), operation: function)
    }

    private final class Executor: TaskExecutor {
        /// Serial queues have threads beyond those for the processors.
        private let queue = DispatchQueue(label: "a test that takes long")

        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        }
    }
}

extension Trait where Self == OwnThread {
    static var ownThread: OwnThread { OwnThread() }
}
