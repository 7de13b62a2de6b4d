import NetTypes

/// Finds, for routes in key order (address, then length), the length of the longest proper prefix in the table that covers each.
///
/// In that order a covering prefix comes before what it covers, and prefixes nest or are disjoint: the open ones are a stack of
/// at most 129. A million routes need no memory.
struct CoveringPrefixes {
    private var open: [IPPrefix] = []

    /// 0 when nothing covers `prefix`.
    mutating func parentLength(of prefix: IPPrefix) -> Int {
        while let last = open.last, !(last.length < prefix.length && last.contains(prefix)) { open.removeLast() }
        let length = open.last?.length ?? 0
        open.append(prefix)
        return length
    }
}
