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
enum Difference {
    /// `sweeps`: also delete what is not wanted; only objects with the agent's cookie are ever deleted.
    static func operations(desired: [TableKey: TableObject], actual: [TableKey: TableObject], sweeps: Bool) -> [TableOperation] {
        var operations: [TableOperation] = []
        for (key, object) in desired where actual[key]?.satisfies(object) != true {
            operations.append(TableOperation(key: key, object: object))
        }
        operations.sort { $0.key < $1.key }
        guard sweeps else { return operations }
        let unwanted = actual.filter { desired[$0.key] == nil && $0.value.isOwn }.keys.sorted { $1 < $0 }
        return operations + unwanted.map { TableOperation(key: $0, object: nil) }
    }
}
