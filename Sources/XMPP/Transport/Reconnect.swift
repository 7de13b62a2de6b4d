/// How long to wait before the next attempt to connect: exponential, with jitter, so that the many clients of a server that went
/// away do not come back at the same moment.
///
///     var reconnect = Reconnect()
///     while !Task.isCancelled {
///         let start = ContinuousClock.now
///         _ = await client.run(handler: handler)
///         if ContinuousClock.now - start > .seconds(60) { reconnect.reset() }
///         try await Task.sleep(for: reconnect.next())
///     }
public struct Reconnect: Hashable, Sendable {
    public let initial: Duration
    public let maximum: Duration
    /// The longest that the next wait can be.
    public private(set) var ceiling: Duration

    public init(initial: Duration = .milliseconds(500), maximum: Duration = .seconds(30)) {
        self.initial = initial
        self.maximum = max(initial, maximum)
        ceiling = initial
    }

    /// A wait between half the ceiling and the ceiling; the ceiling then doubles, up to the maximum.
    public mutating func next() -> Duration {
        var generator = SystemRandomNumberGenerator()
        return next(using: &generator)
    }

    public mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let wait = ceiling * Double.random(in: 0.5...1, using: &generator)
        ceiling = min(ceiling * 2, maximum)
        return wait
    }

    /// Call when a session has proved to work.
    public mutating func reset() { ceiling = initial }
}
