import CPlatform

/// Packets between workers: spreading what a queue received over all of them, and handing frames to the worker that owns a transmit queue.
///
/// # Order
/// A flow's packets always take the same way: from the worker that polls their queue, through one ring, to the worker that their hash names, through one ring, to the
/// worker that owns the transmit queue; every leg keeps order. When a queue changes hands, or spreading is switched, the router first stops polling it and lets every ring run empty (`Router.publishPlans`).
///
/// # Counting
/// A received packet counts where it is processed; one that found its ring full counts where it was received, as dropped for `workerQueueFull`. A frame handed to another
/// worker for transmission counts there as `handedOver` and here as `takenOver`, so that each worker's counters add up by themselves.
extension Worker {
    /// Sends every packet of a burst that belongs to another worker there; returns how many are left in `frames`, in order.
    @inline(never) func spread(_ count: Int, _ queue: WorkerPlan.ReceiveQueue) -> Int {
        guard let mesh else { return count }
        return mesh._withUnsafeGuaranteedRef { spread(count, queue, $0) }
    }

    @inline(__always) private func spread(_ count: Int, _ queue: WorkerPlan.ReceiveQueue, _ mesh: WorkerMesh) -> Int {
        guard let outbound else { return count }
        let frames = frames, workerCount = UInt64(truncatingIfNeeded: mesh.workerCount)
        for index in 0..<count { vr_prefetch(frames[index].data) }
        var kept = 0
        for index in 0..<count {
            let hash = mesh.hash(frames[index], usesPortHash: queue.hashes)
            let worker = hash == 0 ? id : Int(truncatingIfNeeded: (UInt64(hash) &* workerCount) &>> 32)
            if worker == id {
                frames[kept] = frames[index]
                kept &+= 1
            } else {
                outbound.append(frames[index], for: worker)
            }
        }
        for worker in 0..<mesh.workerCount where outbound.counts[worker] > 0 {
            let waiting = outbound.frames(worker), waitingCount = outbound.counts[worker]
            outbound.counts[worker] = 0
            let taken = mesh.ring(.receive, from: id, to: worker).push(waiting, tag: UInt64(queue.vif), count: waitingCount)
            if taken > 0 { mesh.wake(worker) }
            counters.add(.spread, taken)
            if taken < waitingCount { refuseReceived(waiting + taken, waitingCount &- taken, vif: queue.vif) }
        }
        return kept
    }

    /// Received, and nowhere to go with it.
    private func refuseReceived(_ frames: UnsafeMutablePointer<vr_frame>, _ count: Int, vif: UInt32) {
        counters.add(.received, count)
        let vif = vif == WorkerPlan.noVif ? 0 : vif
        vifCounters.add(vif, .receivedPackets, UInt64(truncatingIfNeeded: count))
        for index in 0..<count {
            vifCounters.add(vif, .receivedBytes, UInt64(frames[index].length))
            drop(frames[index], .workerQueueFull, vif: vif)
        }
        flushReleased()
    }

    /// Takes what other workers have for this one: a burst from each ring. True when there was something.
    @inline(never) func takeFromWorkers(_ mesh: WorkerMesh) -> Bool {
        var worked = false
        var tag: UInt64 = 0
        for from in 0..<mesh.workerCount where from != id {
            let sent = mesh.ring(.transmit, from: from, to: id)
            var left = Int(VR_BURST)
            while left > 0 {
                let count = sent.pop(into: frames, tag: &tag, limit: left)
                if count == 0 { break }
                left &-= count
                sent.ask(left)
                counters.add(.takenOver, count)
                stageTaken(count, port: Int(truncatingIfNeeded: tag &>> 32), vif: UInt32(truncatingIfNeeded: tag))
            }
            let received = mesh.ring(.receive, from: from, to: id)
            var room = Int(VR_BURST)
            while room > 0 {
                let count = received.pop(into: frames, tag: &tag, limit: room)
                if count == 0 { break }
                room &-= count
                received.ask(Int(VR_BURST))
                receive(count, vif: UInt32(truncatingIfNeeded: tag))
            }
            if left < Int(VR_BURST) || room < Int(VR_BURST) { worked = true }
        }
        if worked { flushReleased() }
        return worked
    }

    /// While no worker runs: takes and sends what others had handed over.
    func drain(_ mesh: WorkerMesh) {
        now = vr_tsc()
        milliseconds = UInt32(truncatingIfNeeded: (now &- startTSC) / tscPerMillisecond)
        _ = takeFromWorkers(mesh)
        if pendingCount > 0 { transmitPending() }
        // Of what was just sent; those that another worker is to send are drained there.
        if copyCount > 0 { sendCopies() }
        counters.publish()
    }

    /// Frames that another worker made ready for the wire: all that is left to do is to send them. They do not wait beside frames of this worker's own, which may still have to
    /// get their VLAN tags.
    private func stageTaken(_ count: Int, port: Int, vif: UInt32) {
        let buffer = transmitBuffers + port
        if buffer.pointee.count > 0 { transmit(port) }
        for index in 0..<count {
            buffer.pointee.frames[index] = frames[index]
            buffer.pointee.vifs[index] = vif
        }
        buffer.pointee.count = count
        let isTagged = buffer.pointee.isTagged
        buffer.pointee.isTagged = false
        transmit(port)
        buffer.pointee.isTagged = isTagged
    }

    /// Hands a transmit buffer's frames to the worker that owns the port's queue.
    @inline(never) func handOver(
        _ port: Int, to owner: Int, _ frames: UnsafeMutablePointer<vr_frame>, _ vifs: UnsafeMutablePointer<UInt32>, _ count: Int
    ) {
        var taken = 0
        if let mesh {
            mesh._withUnsafeGuaranteedRef { mesh in
                taken = mesh.ring(.transmit, from: id, to: owner).push(frames, tag: UInt32(truncatingIfNeeded: port), lower: vifs, count: count)
                if taken > 0 { mesh.wake(owner) }
            }
        }
        counters.add(.handedOver, taken)
        for index in taken..<max(taken, count) { drop(frames[index], .workerQueueFull, vif: vifs[index]) }
    }
}

/// Where a worker sorts a received burst by worker.
struct OutboundFrames {
    private let memory: UnsafeMutablePointer<vr_frame>
    let counts: UnsafeMutablePointer<Int>

    init(workerCount: Int) {
        memory = .allocate(capacity: workerCount * Int(VR_BURST))
        counts = .allocate(capacity: workerCount)
        counts.initialize(repeating: 0, count: workerCount)
    }

    func free() {
        memory.deallocate()
        counts.deallocate()
    }

    @inline(__always) func frames(_ worker: Int) -> UnsafeMutablePointer<vr_frame> { memory + worker &* Int(VR_BURST) }

    @inline(__always) func append(_ frame: vr_frame, for worker: Int) {
        frames(worker)[counts[worker]] = frame
        counts[worker] &+= 1
    }
}
