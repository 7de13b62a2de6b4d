import CPlatform
import Synchronization

/// What one worker polls and where it may send: an immutable record that the control thread replaces when ports come and go.
/// The worker loads it at the top of each loop turn; the old one, and the ports only it named, are let go after quiescence.
final class WorkerPlan: @unchecked Sendable {
    struct ReceiveQueue {
        /// Kept alive by `ports`.
        var port: Unmanaged<Port>
        var queue: Int
        /// The vif that sits on the port; `noVif` when none does yet: what arrives is dropped as invalidInterface.
        var vif: UInt32
        var descriptor: Int32
        /// Its packets are spread over the workers.
        var isSpread: Bool
        /// The port hashes what it receives.
        var hashes: Bool
        /// What the queue has brought and cost; kept alive by `loads`.
        var load: UnsafeMutablePointer<QueueLoad>
    }
    struct TransmitQueue {
        var port: Unmanaged<Port>
        var queue: Int
        /// The only worker that sends on the queue. Another hands its frames to it.
        var owner: Int
        var gainsByJoining: Bool
    }
    static let noVif: UInt32 = .max

    let receiveQueues: UnsafeMutableBufferPointer<ReceiveQueue>
    /// By port index; nil where there is no port.
    let transmitQueues: UnsafeMutableBufferPointer<TransmitQueue?>
    /// Descriptors to sleep on: one per receive queue that has one.
    let descriptorCount: Int
    /// A queue without a descriptor must be polled even by an idle worker.
    let mustPoll: Bool
    private let ports: [Port]
    private let loads: [QueueLoads]

    init(receive: [ReceiveQueue], transmit: [TransmitQueue?], ports: [Port], loads: [QueueLoads]) {
        self.loads = loads
        receiveQueues = .allocate(capacity: receive.count)
        _ = receiveQueues.initialize(from: receive)
        transmitQueues = .allocate(capacity: transmit.count)
        _ = transmitQueues.initialize(from: transmit)
        descriptorCount = receive.count(where: { $0.descriptor >= 0 })
        mustPoll = receive.contains { $0.descriptor < 0 }
        self.ports = ports
    }

    deinit {
        receiveQueues.deallocate()
        transmitQueues.deallocate()
    }
}
