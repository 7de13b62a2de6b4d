@testable import Dataplane

/// What cuts and completes packets. The input is a frame, and behind it what steers.
@MainActor enum ComposeTargets {
    static func offload(_ input: UnsafeRawBufferPointer) {
        let frame = Exact(input), before = WellFormed(frame.octets, tunnels: false)
        let finished = ChecksumOffload.finish(frame.p, length: frame.count)
        let once = frame.octets, after = WellFormed(once, tunnels: false)
        if finished, before.problem == nil { require(after.transport != .wrong, "a finished checksum is wrong") }
        if !finished { require(once == Array(input), "not finished, and changed") }
        if before.problem == nil, before.transport == .right { require(after.transport == .right, "a right checksum is wrong now") }
        _ = ChecksumOffload.finish(frame.p, length: frame.count)
        require(frame.octets == once, "finished twice is not finished once")
    }

    static func fragmenter(_ input: UnsafeRawBufferPointer) {
        var steering = Steering(input)
        let mtu = steering.word() & 0x7FF
        let frame = Exact(steering.rest)
        var fragments = Fragmenter(frame.p, length: frame.count, mtu: mtu)
        guard fragments.isPossible else { return require(fragments.count == 0 && fragments.isDone, "impossible, and \(fragments.count) fragments") }
        guard let link = LinkHeader(frame.p, length: frame.count) else { fatalError("fragments of a frame without a link header") }
        let payload = IPv4(frame.p + link.size).payloadLength, wasRight = IPv4(frame.p + link.size).hasValidChecksum
        var given = 0, count = 0
        while !fragments.isDone {
            let target = Exact(zeroes: mtu + link.size)
            let made = fragments.next(into: target.p, capacity: target.count)
            require(made > 0 && made <= target.count, "fragment of \(made) octets, MTU \(mtu)")
            let ip = IPv4(target.p + link.size)
            require(IPv4.check(ip.p, available: made - link.size) && ip.totalLength == made - link.size, "fragment's length")
            // One that fits is given as it is.
            if wasRight || fragments.count > 1 { require(ip.hasValidChecksum, "fragment's checksum") }
            given += ip.payloadLength
            count += 1
        }
        require(given == payload && count == fragments.count, "\(given) octets of \(payload) in \(count) of \(fragments.count) fragments")
    }

    static func segmenter(_ input: UnsafeRawBufferPointer) {
        var steering = Steering(input)
        let mtu = steering.word() & 0x7FF
        let frame = Exact(steering.rest)
        var segments = Segmenter(frame.p, length: frame.count, mtu: mtu)
        guard segments.isPossible else { return require(segments.count == 0 && segments.isDone, "impossible, and \(segments.count) segments") }
        var count = 0
        while !segments.isDone {
            let target = Exact(zeroes: mtu + 22)
            let made = segments.next(into: target.p, capacity: target.count)
            require(made > 0 && made <= target.count, "segment of \(made) octets, MTU \(mtu)")
            let seen = WellFormed(target.prefix(made), tunnels: false)
            require(seen.problem == nil && seen.transport != .wrong, "segment: \(seen)")
            count += 1
        }
        require(count == segments.count, "\(count) of \(segments.count) segments")
    }

    static func mssClamp(_ input: UnsafeRawBufferPointer) {
        var steering = Steering(input)
        let maximum = UInt16(steering.word())
        let frame = Exact(steering.rest)
        guard frame.count >= 14 else { return }
        let before = frame.octets, seen = WellFormed(before, tunnels: false)
        let changed = MSSClamp.apply(frame.p + 14, length: frame.count - 14, maximum: maximum)
        require(changed || frame.octets == before, "not clamped, and changed")
        guard seen.problem == nil, seen.transport == .right else { return }
        let after = WellFormed(frame.octets, tunnels: false)
        require(after.problem == nil && after.transport == .right, "clamping makes a right checksum wrong")
    }
}
