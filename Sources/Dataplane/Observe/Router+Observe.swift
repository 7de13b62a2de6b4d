import CPlatform
import NetTypes
import Synchronization

/// What watches: captures by token, mirrors by id.
struct Observers {
    struct MirrorEntry {
        var spec: MirrorSpec
        /// One of the two.
        var mirror: Mirror?
        var file: PcapngFile?
    }
    static let mirrorCapacity = 1024
    static let captureCapacity = 64
    var nextToken = 1
    var captures: [Int: (entry: ObservationSet.Entry, session: CaptureSession)] = [:]
    var mirrors: [UInt32: MirrorEntry] = [:]
    /// A flow names a mirror, or did.
    var areNamedByFlows = false
    var flowMirrors: FlowMirrors?
    /// By monitoring vif.
    var monitors: [VifID: (watched: VifID, mirror: Mirror)] = [:]
    /// What the workers see.
    var current: ObservationSet?
}

extension Router {
    // MARK: - Captures

    /// Begins to copy frames into a capture; nothing before this call is in it.
    public func startCapture(_ spec: CaptureSpec) -> (capture: Capture?, outcome: RouterOutcome) {
        state.withLock { state in
            if let vif = spec.vif, state.vifs[vif] == nil { return (nil, .notFound("capture: vif \(vif.rawValue) does not exist")) }
            guard state.observers.captures.count < Observers.captureCapacity else {
                return (nil, .tableFull("capture: \(Observers.captureCapacity) captures run already; stop one"))
            }
            let session = CaptureSession(workers: workers.count, snapLength: spec.snapLength, filter: spec.filter)
            let token = state.observers.nextToken
            state.observers.nextToken += 1
            let entry = ObservationSet.Entry(
                vif: spec.vif?.rawValue ?? ObservationSet.everyVif, directions: UInt32(spec.direction.rawValue), capture: .passUnretained(session))
            state.observers.captures[token] = (entry, session)
            publishObservers(&state)
            return (Capture(session) { [weak self] in self?.stopCapture(token) }, .ok)
        }
    }

    private func stopCapture(_ token: Int) {
        state.withLock { state in
            guard state.observers.captures.removeValue(forKey: token) != nil else { return }
            publishObservers(&state)
            tables.quiescence.reclaim()
        }
    }

    public var workerCount: Int { workers.count }

    /// Captures that run.
    public var captureCount: Int { state.withLock { $0.observers.captures.count } }

    func publishObservers(_ state: inout State) {
        var entries = state.observers.captures.sorted { $0.key < $1.key }.map(\.value.entry)
        var owners: [AnyObject] = state.observers.captures.values.map(\.session)
        for (_, each) in state.observers.mirrors.sorted(by: { $0.key < $1.key }) {
            for source in each.spec.sources {
                entries.append(
                    ObservationSet.Entry(
                        vif: source.vif.rawValue, directions: UInt32(source.direction.rawValue),
                        capture: each.file.map { .passUnretained($0.session) }, mirror: each.mirror.map { .passUnretained($0) }))
            }
            if let mirror = each.mirror { owners.append(mirror) }
            if let file = each.file { owners.append(file.session) }
        }
        for (_, each) in state.observers.monitors.sorted(by: { $0.key < $1.key }) {
            entries.append(
                ObservationSet.Entry(
                    vif: each.watched.rawValue, directions: UInt32(CaptureSpec.Direction.both.rawValue), mirror: .passUnretained(each.mirror)))
            owners.append(each.mirror)
        }
        let old = state.observers.current
        let new = entries.isEmpty ? nil : ObservationSet(entries, owners: owners)
        state.observers.current = new
        tables.observation.store(new.map { Unmanaged.passUnretained($0).toOpaque() }, ordering: .releasing)
        if let old { tables.quiescence.retire { withExtendedLifetime(old) {} } }
        publishFlowMirrors(&state)
    }

    // MARK: - Mirrors

    func upsert(_ spec: MirrorSpec, _ state: inout State) -> RouterOutcome {
        let what = "mirror \(spec.id)"
        let old = state.observers.mirrors[spec.id]
        if old?.spec == spec { return .ok }
        guard old != nil || state.observers.mirrors.count < Observers.mirrorCapacity else {
            return .tableFull("mirror table: all \(Observers.mirrorCapacity) entries are in use; delete a mirror")
        }
        guard (0...1 << 17).contains(spec.snapLength) else {
            return .invalid("\(what): a snap length of \(spec.snapLength) is not within 0 to 131072")
        }
        guard spec.sources.count <= 256 else { return .invalid("\(what): \(spec.sources.count) sources; at most 256") }
        for source in spec.sources where state.vifs[source.vif] == nil {
            return .notFound("\(what): vif \(source.vif.rawValue) does not exist; create it first")
        }
        if let nextHop = spec.nextHop {
            guard let target = state.nextHops[nextHop] else { return .notFound("\(what): next hop \(nextHop) does not exist; create it first") }
            guard case .tunnel(let tunnel) = target.kind else { return .invalid("\(what): next hop \(nextHop) is not a tunnel") }
            if case .vxlan = spec.destination, tunnel.encapsulation != .vxlan {
                return .invalid("\(what): next hop \(nextHop) is not a VXLAN tunnel; ERSPAN goes through any tunnel")
            }
        }
        var entry = Observers.MirrorEntry(spec: spec)
        switch spec.destination {
        case .vif(let vif):
            guard state.vifs[vif] != nil else { return .notFound("\(what): vif \(vif.rawValue) does not exist; create it first") }
            entry.mirror = Mirror(.vif(vif.rawValue), snapLength: spec.snapLength)
        case .vxlan(let nextHop, let vni):
            entry.mirror = Mirror(.vxlan(nextHop: nextHop.rawValue, vni: vni.rawValue), snapLength: spec.snapLength)
        case .erspan(let nextHop, let session):
            guard session < 1024 else { return .invalid("\(what): ERSPAN session \(session) is not within 0 to 1023") }
            entry.mirror = Mirror(.erspan(nextHop: nextHop.rawValue, session: session), snapLength: spec.snapLength)
        case .file(let path, let maximumSize, let maximumFiles):
            guard path.hasPrefix("/") else { return .invalid("\(what): file \"\(path)\": give an absolute path") }
            guard maximumSize == 0 || maximumSize >= 65_536 else {
                return .invalid("\(what): a maximum size of \(maximumSize) octets; 0 or at least 65536")
            }
            guard (0...1000).contains(maximumFiles) else { return .invalid("\(what): \(maximumFiles) files; 1 to 1000") }
            let session = CaptureSession(workers: workers.count, snapLength: spec.snapLength, filter: nil)
            if let old {
                // First nobody feeds it any more: the writer ends when it has written what is there.
                state.observers.mirrors[spec.id] = nil
                publishObservers(&state)
                stop(old)
            }
            let opened = PcapngFile.open(path, session: session, maximumSize: maximumSize, maximumFiles: maximumFiles)
            guard let file = opened.file else {
                if let nextHop = old?.spec.nextHop { dereference(nextHop) }
                return .invalid("\(what): file \"\(path)\": \(opened.error)")
            }
            entry.file = file
        }
        if let nextHop = spec.nextHop { reference(nextHop) }
        state.observers.mirrors[spec.id] = entry
        publishObservers(&state)
        if let old {
            stop(old)
            if let nextHop = old.spec.nextHop { dereference(nextHop) }
        }
        return .ok
    }

    func deleteMirror(_ id: UInt32, _ state: inout State) -> RouterOutcome {
        guard let old = state.observers.mirrors.removeValue(forKey: id) else { return .notFound("mirror \(id): does not exist") }
        publishObservers(&state)
        stop(old)
        if let nextHop = old.spec.nextHop { dereference(nextHop) }
        return .ok
    }

    /// When the router stops: what was copied is written, the files are closed.
    func closeMirrors() { state.withLock { state in for entry in state.observers.mirrors.values { stop(entry) } } }

    private func stop(_ entry: Observers.MirrorEntry) { entry.file?.close() }

    /// Why the vif may not go: a mirror copies from it or to it.
    func mirrorUse(of vif: VifID, _ state: State) -> UInt32? {
        state.observers.mirrors.values.first { $0.spec.sources.contains { $0.vif == vif } || $0.spec.destination == .vif(vif) }?.spec.id
    }

    /// Mirrors in the order of their ids.
    public func mirrors(after: UInt32?, limit: Int) -> [MirrorReading] {
        state.withLock { state in
            state.observers.mirrors.values.filter { entry in after.map { entry.spec.id > $0 } ?? true }.sorted { $0.spec.id < $1.spec.id }
                .prefix(max(0, limit))
                .map { entry in
                    MirrorReading(
                        spec: entry.spec, copies: entry.mirror?.copies.load(ordering: .relaxed) ?? entry.file?.written.load(ordering: .relaxed) ?? 0,
                        lost: entry.mirror?.lost.load(ordering: .relaxed)
                            ?? entry.file.map { $0.session.lost &+ $0.failed.load(ordering: .relaxed) } ?? 0)
                }
        }
    }
}
