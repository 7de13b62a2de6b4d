import Dataplane
import DataplaneAPI

/// What an Apply request asks for, in the router's values, and what of it could not be understood.
struct ApplyBatch: Sendable {
    /// Operations of the request.
    private(set) var count = 0
    /// Those that were understood, in order.
    private(set) var operations: [RouterOperation] = []
    /// The others: place in the request, and why; in order.
    private(set) var refusals: [Refusal] = []

    struct Refusal: Sendable {
        var place: Int
        var outcome: RouterOutcome
    }

    init() {}

    init(_ messages: [Dataplane_V1_Operation]) {
        operations.reserveCapacity(messages.count)
        for message in messages { append(message) }
    }

    mutating func append(_ message: Dataplane_V1_Operation) {
        do throws(FieldError) {
            operations.append(try RouterOperation(message))
        } catch {
            refusals.append(Refusal(place: count, outcome: .invalid("operation \(count): \(error)")))
        }
        count += 1
    }

    mutating func append(_ route: RouteSpec) {
        operations.append(.upsert(.route(route)))
        count += 1
    }

    /// One more that is only counted: the batch is too large and will be refused.
    mutating func skip() { count += 1 }

    mutating func reserve(_ count: Int) { operations.reserveCapacity(count) }

    /// Applies what was understood together, in order. One outcome per operation of the request.
    func apply(to router: Router) -> [RouterOutcome] {
        let answers = router.apply(operations)
        if refusals.isEmpty { return answers }
        var outcomes: [RouterOutcome] = []
        outcomes.reserveCapacity(count)
        var refused = 0
        for answer in answers {
            while refused < refusals.count, refusals[refused].place == outcomes.count {
                outcomes.append(refusals[refused].outcome)
                refused += 1
            }
            outcomes.append(answer)
        }
        for refusal in refusals[refused...] { outcomes.append(refusal.outcome) }
        return outcomes
    }
}
