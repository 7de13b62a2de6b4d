import DataplaneAPI
import SwiftProtobuf

@testable import Dataplane
@testable import DataplaneService

/// The programming API: one octet, then an `ApplyRequest` as it is on the wire (odd first octet: after it, from where the first octet says, a `ReadRequest`).
///
/// Required: every operation is applied or refused with a reason; what the tables then hold can be read in pages of any size, and what was read can be written again
/// as it is.
@MainActor enum APITarget {
    private static let tables: [Dataplane_V1_Table] = [
        .port, .vrf, .vif, .nextHop, .label, .vni, .route, .bridge, .flow, .forwardingClass, .qosMap, .mirror, .policy, .addressGroup, .natRule,
    ]

    static func run(_ input: UnsafeRawBufferPointer) {
        guard let first = input.first else { return }
        let body = Array(input.dropFirst())
        let split = first & 1 == 0 ? body.count : min(Int(first), body.count)
        guard let request = try? Dataplane_V1_ApplyRequest(serializedBytes: Array(body.prefix(split))) else { return }
        let bench = SmallRouter(), router = bench.router
        apply(request.operations, router)
        bench.pass()
        let reader = TableReader(router: router)
        if split < body.count, let question = try? Dataplane_V1_ReadRequest(serializedBytes: Array(body.dropFirst(split))) {
            do throws(TableReader.Refusal) { _ = try reader.page(question) } catch { require(!error.text.isEmpty, "no reason") }
        }
        for table in tables {
            for object in all(of: table, reader, size: UInt32(first % 7) + 1) { rewrite(object, router) }
        }
        bench.pass()
    }

    private static func apply(_ messages: [Dataplane_V1_Operation], _ router: Router) {
        var operations: [RouterOperation] = []
        for message in messages.prefix(200) {
            do throws(FieldError) {
                let operation = try RouterOperation(message)
                if SmallRouter.isHarmless(operation) { operations.append(operation) }
            } catch {
                require(!"\(error)".isEmpty, "no reason")
            }
        }
        for outcome in router.apply(operations) {
            switch outcome {
            case .ok: break
            case .invalid(let text), .notFound(let text), .inUse(let text), .tableFull(let text), .portFailed(let text), .unsupported(let text):
                require(!text.isEmpty, "no reason")
            }
        }
    }

    private static func all(of table: Dataplane_V1_Table, _ reader: TableReader, size: UInt32) -> [Dataplane_V1_Object] {
        var objects: [Dataplane_V1_Object] = []
        var request = Dataplane_V1_ReadRequest.with {
            $0.table = table; $0.pageSize = size
        }
        for _ in 0..<10_000 {
            do throws(TableReader.Refusal) {
                let page = try reader.page(request)
                objects += page.objects
                guard !page.nextPageToken.isEmpty else { return objects }
                request.pageToken = page.nextPageToken
            } catch {
                fatalError("a page of \(table): \(error.text)")
            }
        }
        fatalError("\(table) has no end")
    }

    /// What was read is what a client may write.
    private static func rewrite(_ object: Dataplane_V1_Object, _ router: Router) {
        let message = Dataplane_V1_Operation.with { $0.upsert = object }
        do throws(FieldError) {
            let operation = try RouterOperation(message)
            // The reverse of a flow is its own: written as a flow it would replace it. Whether its NAT allows that is no matter here.
            if case .flow = object.object { return }
            if case .bridgeEntry(let entry) = object.object, entry.learned { return }
            let outcome = router.apply([operation]).first
            require(outcome == .ok, "\(object) was read and is refused: \(outcome.map { "\($0)" } ?? "")")
        } catch {
            fatalError("\(object) was read and cannot be written: \(error)")
        }
    }
}
