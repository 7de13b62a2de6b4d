import CPlatform
import NetTypes

/// Later fragments that came before their datagram's first one, kept until it comes, so that they share its flow's fate and way (`FragmentPolicy.hold`).
///
/// Bounded in every direction: a worker keeps 256 fragments, of one vif half as many, each for 2 s at most. What is kept is counted as handed over, and as taken over
/// when it goes on or is dropped, so that counters add up meanwhile.
///
/// - Input: a fragment that passed the checks of `trackFragments`; its octets are marked as come.
/// - Output: with the first fragment, behind the burst that has it: they pass the stages in the order in which they came.
/// - Drops: fragmentQueueFull: too many are kept; noFragmentEntries: the first did not come in time; invalidInterface: their vif is gone; and those of the stages.
///
/// # Thread-safety
/// The worker's own.
struct HeldFragment {
    /// Its `ingress` is stale: the vif is looked up again.
    var packet: Packet
    var vif: UInt32
    var key: FragmentTable.Key
    /// Milliseconds, wrapping.
    var since: UInt32
    /// What the first fragment said, once it has come.
    var known: FragmentTable.Entry?
}

extension Worker {
    static let heldCapacity = 256

    /// Takes the packet out of its burst; the reason why not.
    func hold(_ packet: UnsafePointer<Packet>, _ key: FragmentTable.Key, _ entry: UnsafeMutablePointer<FragmentTable.Entry>) -> DropReason? {
        let vif = packet.pointee.ingress.pointee.id
        var own = 0
        for slot in 0..<heldCount where held[slot].vif == vif { own &+= 1 }
        guard heldCount < Worker.heldCapacity, own < Worker.heldCapacity / 2 else { return .fragmentQueueFull }
        (held + heldCount).initialize(to: HeldFragment(packet: packet.pointee, vif: vif, key: key, since: milliseconds, known: nil))
        heldCount &+= 1
        entry.pointee.state.insert(.holds)
        counters.add(.handedOver)
        return nil
    }

    /// The first fragment of a datagram has come: what is kept of it goes on after this burst.
    func wakeHeld(_ key: FragmentTable.Key, _ known: FragmentTable.Entry) {
        for slot in 0..<heldCount where held[slot].known == nil && FragmentTable.isSame(held[slot].key, key) {
            held[slot].known = known
            heldReady &+= 1
        }
    }

    /// Behind a burst: what its first fragments have woken, one vif's at a time.
    @inline(never) func releaseHeld() {
        while heldReady > 0 {
            var count = 0, kept = 0
            var vif: UnsafePointer<Vif>?
            for slot in 0..<heldCount {
                guard let known = held[slot].known, count < Int(VR_BURST), count == 0 || held[slot].vif == vif?.pointee.id else {
                    if kept != slot { held[kept] = held[slot] }
                    kept &+= 1
                    continue
                }
                heldReady &-= 1
                counters.add(.takenOver)
                if count == 0 { vif = tables.vifs.load(held[slot].vif) }
                guard let vif else {
                    drop(held[slot].packet.frame, .invalidInterface, vif: held[slot].vif)
                    continue
                }
                (burst + count).initialize(to: held[slot].packet)
                burst[count].ingress = vif
                join(burst + count, known, count)
                count &+= 1
            }
            heldCount = kept
            guard count > 0, let vif else { continue }
            if !vif.pointee.flags.isDisjoint(with: .mayCheckReversePath) { checkReversePath(burst, count) }
            process(burst, count)
            while madeCount > 0 {
                let count = madeCount
                burst.update(from: made, count: count)
                madeCount = 0
                process(burst, count)
            }
        }
    }

    /// Once per loop turn while something is kept. `all`: the router stops, nothing more will come.
    @inline(never) func expireHeld(all: Bool = false) {
        if all { releaseWaiting(all: true) }
        guard all || milliseconds &- heldChecked >= 50 else { return }
        heldChecked = milliseconds
        var kept = 0
        for slot in 0..<heldCount {
            if all || milliseconds &- held[slot].since >= FragmentTable.lifetime {
                counters.add(.takenOver)
                drop(held[slot].packet.frame, .noFragmentEntries, vif: held[slot].vif)
            } else {
                if kept != slot { held[kept] = held[slot] }
                kept &+= 1
            }
        }
        guard kept != heldCount else { return }
        heldCount = kept
        // There may be no burst for long that would take these buffers along.
        flushReleased()
        if all { counters.publish() }
    }
}
