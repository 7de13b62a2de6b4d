import NetTypes

/// Ids of deleted objects that packets under way may still carry: a worker may have looked up next hop 7 and not loaded its record yet, a flow entry may have
/// next hop 7 cached until the table generation goes up. If 7 became another object at that moment, the packet would go where it never should, into another tenant's network perhaps.
/// So an id is given to a new object only after every worker has let go of what it knew.
///
/// Replacing an object under its id is not concerned: packets under way may take the old or the new one.
///
/// # Thread-safety
/// Under the router's lock.
struct ReleasedIDs {
    enum ID: Hashable {
        case vif(VifID), nextHop(NextHopID), vrf(VRFID)
    }

    private var ids: Set<ID> = []
    /// More than this are not remembered one by one: the next deletion waits for the workers once and forgets them all.
    private static let limit = 4096

    var isFull: Bool { ids.count >= Self.limit }
    mutating func insert(_ id: ID) { ids.insert(id) }
    func contains(_ id: ID) -> Bool { ids.contains(id) }
    mutating func removeAll() { ids.removeAll(keepingCapacity: true) }
}

extension Router {
    /// Notes that an object was deleted; after it has become unreachable.
    func release(_ id: ReleasedIDs.ID, _ state: inout State) {
        if state.released.isFull { forgetReleased(&state) }
        state.released.insert(id)
    }

    /// Before an object is created under an id: waits for the workers when the id was in use a moment ago.
    func claim(_ id: ReleasedIDs.ID, _ state: inout State) {
        if state.released.contains(id) { forgetReleased(&state) }
    }

    private func forgetReleased(_ state: inout State) {
        tables.bumpGeneration()
        settleWorkers()
        state.released.removeAll()
    }
}
