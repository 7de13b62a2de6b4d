#if VROUTER_TSAN
import Glibc

/// Stands in for `Synchronization.Mutex` in builds for ThreadSanitizer, which cannot see the locking inside the (uninstrumented) standard library and would
/// report everything that a mutex protects. It does see `pthread_mutex_lock`. Same interface as far as it is used here.
///
/// Such a build is made with `--sanitize=thread -Xswiftc -DVROUTER_TSAN`; see `./run stress`.
struct Mutex<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let value = UnsafeMutablePointer<Value>.allocate(capacity: 1)

    init(_ value: consuming sending Value) {
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        self.value.initialize(to: value)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
        value.deinitialize(count: 1)
        value.deallocate()
    }

    borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value.pointee)
    }
}
#endif
