import DataplaneAPI

/// What `flow -s` prints: sums over the entries that match, and, of all flows, what became of them since the start.
struct FlowSummaryLayout {
    var summary: Dataplane_V1_FlowSummary
    /// Nil: the router does not tell.
    var statistics: Dataplane_V1_FlowStatistics?

    private var reverse: UInt64 { summary.entries &- min(summary.entries, summary.forwardEntries) }

    var text: String {
        func list<Key: Comparable>(_ sums: [Key: UInt64], _ name: (Key) -> String, _ separator: String) -> String {
            sums.isEmpty ? "-" : sums.sorted { $0.key < $1.key }.map { "\(name($0.key))\(separator)\($0.value)" }.joined(separator: ", ")
        }
        var text = """
            Flow Statistics
            ---------------
            Entries             : \(summary.entries) (forward \(summary.forwardEntries), reverse \(reverse))
            Packets             : \(summary.packets)
            Bytes               : \(summary.bytes)
            Entries by action   : \(list(summary.byAction, { $0 }, " "))
            Drop entries by     : \(list(summary.byDropReason, { $0 }, " "))
            Entries by protocol : \(list(summary.byProtocol, IPProtocolName.text, " "))
            Entries by VRF      : \(list(summary.byVrf, { "\($0)" }, ": "))
            Entries by vif      : \(list(summary.byVif, { "\($0)" }, ": "))

            """
        guard let s = statistics else { return text }
        text += """

            Since the start
            ---------------
            Entries created     : \(s.createdEntries)
            Entries deleted     : \(s.removedEntries)
            Flows removed       : aged \(s.aged), closed \(s.closed), evicted \(s.evicted), unanswered \(s.unanswered)
            Packets without flow: over limit \(s.limitDrops), over rate \(s.rateDrops), over share \(s.shareDrops)
            Insertions          : table full \(s.tableFull), put off \(s.busy)
            Packets held now    : \(s.heldPackets)
            Table               : \(s.entries) of \(s.capacity) entries\(s.pressure > 0 ? ", pressure \(s.pressure) of 3" : "")

            """
        return text
    }

    var json: JSON {
        func object<Key: Comparable>(_ sums: [Key: UInt64], _ name: (Key) -> String) -> JSON {
            .object(sums.sorted { $0.key < $1.key }.map { .init(key: name($0.key), value: JSON($0.value)) })
        }
        let s = statistics
        return [
            "flowStatistics": [
                "entries": JSON(summary.entries), "forward": JSON(summary.forwardEntries), "reverse": JSON(reverse),
                "packets": JSON(summary.packets), "bytes": JSON(summary.bytes), "byAction": object(summary.byAction) { $0 },
                "byDropReason": object(summary.byDropReason) { $0 }, "byProtocol": object(summary.byProtocol, IPProtocolName.text),
                "byVrf": object(summary.byVrf) { "\($0)" }, "byVif": object(summary.byVif) { "\($0)" },
                "table": s.map { s in
                    [
                        "entries": JSON(s.entries), "capacity": JSON(s.capacity), "createdEntries": JSON(s.createdEntries),
                        "removedEntries": JSON(s.removedEntries), "aged": JSON(s.aged), "closed": JSON(s.closed), "evicted": JSON(s.evicted),
                        "unanswered": JSON(s.unanswered), "tableFull": JSON(s.tableFull), "busy": JSON(s.busy), "heldPackets": JSON(s.heldPackets),
                        "limitDrops": JSON(s.limitDrops), "rateDrops": JSON(s.rateDrops), "shareDrops": JSON(s.shareDrops),
                        "pressure": JSON(s.pressure),
                    ]
                } ?? .null,
            ]
        ]
    }
}
