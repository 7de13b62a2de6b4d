import DataplaneAPI
import NetTypes
import SwiftProtobuf

/// One step towards the desired state.
struct TableOperation: Hashable, Sendable {
    var key: TableKey
    /// nil: delete.
    var object: TableObject?
    var proto: Dataplane_V1_Operation {
        .with { if let object { $0.upsert = object } else { $0.delete = key.proto } }
    }
}

/// What to do so that the data plane holds what it should: a pure function.
///
/// The order makes before it breaks. First everything that is new or changed, in the order of dependence (ports, VRFs, vifs, next
/// hops, labels, VNIs, routes, bridge entries): when a route is turned to a next hop that next hop is there, and a changed next hop
/// is changed in place before anything else learns of it. Then what is no longer wanted, in the reverse order, when nothing refers
/// to it any more. An object that is as wanted is not touched.
///
/// A composite next hop names others of its kind: it is made after them and deleted before them. Until it is known what is stale (`sweeps`), one that is there
/// keeps the members it has beside those that are wanted.
///
/// One exception: a port cannot change its driver, MTU or queues in place. It is closed first, with all that stands on it, and all of
/// that is made again.
enum Difference {
    /// `sweeps`: also delete what is not wanted; only objects with the agent's cookie are ever deleted.
    static func operations(desired: [TableKey: TableObject], actual: [TableKey: TableObject], sweeps: Bool) -> [TableOperation] {
        let closed = replacedPorts(desired, actual)
        let kept = closed.isEmpty ? actual : actual.filter { !closed.contains($0.key) }
        func isLater(_ a: TableKey, _ b: TableKey) -> Bool {
            let left = actual[a]?.isComposite == true, right = actual[b]?.isComposite == true
            return a.rank == b.rank && left != right ? left : b < a
        }
        let closing = closed.sorted(by: isLater).map { TableOperation(key: $0, object: nil) }
        var operations: [TableOperation] = []
        for (key, wanted) in desired {
            let object = sweeps ? wanted : wanted.keepingMembers(of: kept[key])
            if kept[key] != object { operations.append(TableOperation(key: key, object: object)) }
        }
        operations.sort { a, b in
            let left = a.object?.isComposite == true, right = b.object?.isComposite == true
            return a.key.rank == b.key.rank && left != right ? right : a.key < b.key
        }
        guard sweeps else { return closing + operations }
        let unwanted = kept.filter { desired[$0.key] == nil && $0.value.isOwn }.keys.sorted(by: isLater)
        return closing + operations + unwanted.map { TableOperation(key: $0, object: nil) }
    }

    /// Ports that must be opened anew, and everything of ours that stands on them.
    private static func replacedPorts(_ desired: [TableKey: TableObject], _ actual: [TableKey: TableObject]) -> Set<TableKey> {
        var closed: Set<TableKey> = []
        for (key, object) in desired {
            guard case .port(let wanted)? = object.object, case .port(let port)? = actual[key]?.object, actual[key]?.isOwn == true else { continue }
            if wanted.driver != port.driver || wanted.mtu != port.mtu || wanted.queues != port.queues { closed.insert(key) }
        }
        guard !closed.isEmpty else { return [] }
        var previous = 0
        while closed.count != previous {
            previous = closed.count
            for (key, object) in actual where object.isOwn && !closed.contains(key) && object.dependencies.contains(where: closed.contains) {
                closed.insert(key)
            }
        }
        return closed
    }
}
