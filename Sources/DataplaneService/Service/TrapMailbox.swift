import Dataplane
import DataplaneAPI
import Synchronization

/// What waits for one trap listener: bounded, so a client that sleeps costs this much memory and nothing else.
///
/// # Thread-safety
/// `post` is called from the router's threads and never waits: when the mailbox is full the oldest event makes room and is counted.
/// One task reads `events`.
final class TrapMailbox: Sendable {
    /// Events kept for a client that does not read; a frame is at most 64 KiB, normally 1.5.
    static let capacity = 512

    enum Event: Sendable {
        case trap(TrapPacket)
        case refusal(Dataplane_V1_Refusal)
    }

    let events: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation
    private let lostEvents = Atomic<UInt64>(0)

    init(capacity: Int = TrapMailbox.capacity) {
        (events, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(capacity))
    }

    func post(_ event: Event) {
        if case .dropped = continuation.yield(event) { lostEvents.wrappingAdd(1, ordering: .relaxed) }
    }

    /// Events dropped since the beginning.
    var lost: UInt64 { lostEvents.load(ordering: .relaxed) }

    func close() { continuation.finish() }

    func message(_ event: Event) -> Dataplane_V1_TrapEvent {
        var message = Dataplane_V1_TrapEvent()
        switch event {
        case .trap(let trap): message.trap = Dataplane_V1_Trap(trap, lost: lost)
        case .refusal(let refusal): message.refusal = refusal
        }
        return message
    }
}
