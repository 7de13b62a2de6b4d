/// When a receive queue goes to another worker: a function of measured loads alone.
///
/// The busiest worker gives a queue to the idlest if that lowers the higher of their two loads by `leastGain`; of its queues the one that lowers it most. That is
/// repeated, with the loads as they would then be, for at most `mostMoves` queues. So nothing moves while nobody is short of time (`leastLoad`), nothing moves to and fro over
/// little (`leastGain`), a queue that alone fills a worker stays, since whoever got it would be as full, and a queue that has just been moved is left alone for a while (`rest`): the next
/// looks show what came of it.
public struct RebalancePolicy: Hashable, Sendable {
    /// Seconds from one look at the loads to the next.
    public var interval = 10
    /// By how much a move has to lower the higher load of the two workers, in shares of a core (0.1: ten percent of its time).
    public var leastGain = 0.1
    /// A worker that is less busy than this gives nothing away.
    public var leastLoad = 0.5
    /// Queues moved at one look, at most.
    public var mostMoves = 2
    /// Looks for which a queue that was moved stays where it is.
    public var rest = 3
    /// Moves that are remembered for who asks.
    static let remembered = 16

    public init() {}

    struct Queue {
        var worker: Int
        /// Share of its worker's time.
        var load: Double
        /// Neither fixed by an operator nor moved a moment ago.
        var mayMove = true
    }

    struct Move: Hashable {
        /// Index into the queues given.
        var queue: Int
        var worker: Int
    }

    /// `busy`: by worker, the share of the time in which it had packets, queues or not.
    func moves(busy: [Double], queues: [Queue]) -> [Move] {
        var busy = busy, queues = queues, moves: [Move] = []
        while moves.count < mostMoves, let move = best(busy, queues) {
            let load = queues[move.queue].load
            busy[queues[move.queue].worker] -= load
            busy[move.worker] += load
            queues[move.queue].worker = move.worker
            queues[move.queue].mayMove = false
            moves.append(move)
        }
        return moves
    }

    private func best(_ busy: [Double], _ queues: [Queue]) -> Move? {
        guard let busiest = busy.indices.max(by: { busy[$0] < busy[$1] }), let idlest = busy.indices.min(by: { busy[$0] < busy[$1] }),
            busy[busiest] >= leastLoad
        else { return nil }
        let gap = busy[busiest] - busy[idlest]
        // The higher of the two loads falls by what leaves the one, or by what the other stays below it.
        let gains = queues.indices.filter { queues[$0].worker == busiest && queues[$0].mayMove }.map {
            ($0, min(queues[$0].load, gap - queues[$0].load))
        }
        guard let chosen = gains.max(by: { $0.1 < $1.1 }), chosen.1 >= leastGain else { return nil }
        return Move(queue: chosen.0, worker: idlest)
    }
}
