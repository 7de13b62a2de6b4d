import DataplaneAPI
import NetTypes

/// What this agent knows of the data plane's tables, what was refused and when to try again: a pure state machine between the
/// desired state and a connection.
///
/// Nothing is taken for granted: `actual` holds only what was read back and what the data plane has acknowledged. A refusal (NACK)
/// is kept with its reason, shown, and tried again with growing pauses; what depends on a refused object waits for it instead of
/// being refused too. Any success ends the pauses, because what was missing may have been it.
///
/// Thread-safety: a value. Times are durations since a start that the caller chooses.
struct DataplaneSync: Sendable {
    struct Refusal: Hashable, Sendable {
        /// What was refused; nil: a delete.
        var object: TableObject?
        var code: Dataplane_V1_Code
        var message: String
        /// Attempts after the first.
        var retries: Int
        var retryAt: Duration
    }
    static let firstPause = Duration.milliseconds(250)
    static let longestPause = Duration.seconds(15)

    /// Of the running vrouter; nil: not connected, or not read yet.
    private(set) var instance: String?
    private(set) var actual: [TableKey: TableObject] = [:]
    private(set) var refused: [TableKey: Refusal] = [:]
    /// Something the data plane should hold was not there: read back soon.
    private(set) var needsAudit = false
    private(set) var hasReadBack = false

    /// Takes what the tables hold. Returns how many objects differ from what was believed to be there (0 on the first reading of an instance).
    @discardableResult
    mutating func readBack(_ objects: [TableObject], instance: String) -> Int {
        var read: [TableKey: TableObject] = [:]
        for object in objects { if let key = TableKey(object) { read[key] = object.withoutOutput } }
        var divergent = 0
        if self.instance == instance {
            divergent = actual.count { read[$0.key] != $0.value } + read.count { actual[$0.key] == nil && $0.value.isOwn }
        } else {
            refused = [:]
        }
        self.instance = instance
        actual = read
        needsAudit = false
        hasReadBack = true
        return divergent
    }

    /// What to send now. Refused objects that wait for their retry are left out, and so is all that depends on something that is
    /// neither there nor part of this plan.
    func plan(desired: [TableKey: TableObject], sweeps: Bool, now: Duration) -> [TableOperation] {
        guard instance != nil else { return [] }
        var coming: Set<TableKey> = []
        return Difference.operations(desired: desired, actual: actual, sweeps: sweeps).compactMap { planned in
            var operation = planned
            // A composite does not wait for all its members: those that are missing come in when they are there. It does wait for the first local one.
            if let object = operation.object, object.isComposite {
                let present = object.keepingMembers { actual[$0] != nil || coming.contains($0) }
                if present.hasNoLocalMember, !object.hasNoLocalMember { return nil }
                if actual[operation.key] == present { return nil }
                operation.object = present
            }
            if let refusal = refused[operation.key], refusal.object == operation.object, refusal.retryAt > now { return nil }
            guard let object = operation.object else { return operation }
            for dependency in object.dependencies where actual[dependency] == nil && !coming.contains(dependency) {
                // What the agent does not make itself (next hop 0, the fabric's VRF) is the data plane's to have.
                if desired[dependency] != nil { return nil }
            }
            coming.insert(operation.key)
            return operation
        }
    }

    /// The data plane's answers, in the order of the operations.
    mutating func acknowledged(_ operations: [TableOperation], _ results: [Dataplane_V1_Result], now: Duration) {
        var hasSucceeded = false
        var failed: Set<TableKey> = []
        for (operation, result) in zip(operations, results) {
            let isGone = operation.object == nil && result.code == .notFound
            if result.code == .ok || isGone {
                actual[operation.key] = operation.object
                refused[operation.key] = nil
                hasSucceeded = true
                continue
            }
            // Its only fault is that something before it in this batch was refused: `plan` holds it back until that is there.
            if result.code == .notFound, let object = operation.object, object.dependencies.contains(where: failed.contains) {
                failed.insert(operation.key)
                refused[operation.key] = nil
                continue
            }
            failed.insert(operation.key)
            let before = refused[operation.key].flatMap { $0.object == operation.object ? $0 : nil }
            let retries = before.map { $0.retries + 1 } ?? 0
            refused[operation.key] = Refusal(
                object: operation.object, code: result.code, message: result.message, retries: retries,
                retryAt: now + min(Self.firstPause * (1 << min(retries, 10)), Self.longestPause))
            // It names something that we believe to be there, or is named by something we do not know of.
            if result.code == .notFound || result.code == .inUse { needsAudit = true }
        }
        guard hasSucceeded else { return }
        for key in refused.keys where !failed.contains(key) { refused[key]?.retryAt = now }
    }

    /// Forgets refusals of what is no longer wanted.
    mutating func forgetRefusals(desired: [TableKey: TableObject]) {
        refused = refused.filter { key, refusal in
            guard let object = refusal.object else { return desired[key] == nil && actual[key] != nil }
            // A composite is sent with the members that are there: not always the object that is wanted in the end.
            return object.isComposite ? desired[key] != nil : desired[key] == object
        }
    }

    /// The connection is lost. What is there stays there; it is read again before anything is sent.
    mutating func disconnected() { instance = nil }

    /// Whether the data plane holds the object as it is in `desired`.
    func holds(_ key: TableKey, of desired: [TableKey: TableObject]) -> Bool {
        guard let wanted = desired[key] else { return false }
        return actual[key] == wanted
    }

    /// When a refused object is due again; nil: nothing waits.
    var nextRetry: Duration? { refused.values.map(\.retryAt).min() }
}
