import DataplaneAPI
import NetTypes
import SwiftProtobuf
import Testing

@testable import DataplaneService

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

@Suite struct PageTokenTests {
    static let positions: [(Dataplane_V1_Table, PageToken.Position)] = [
        (.port, .name("a")), (.port, .name(String(repeating: "é", count: 127))), (.vif, .number(0)), (.vrf, .number(1)),
        (.nextHop, .number(.max)), (.label, .number(16)), (.vni, .number(5000)), (.flow, .flow(7)), (.forwardingClass, .number(255)),
        (.qosMap, .number(1)), (.mirror, .number(70_000)), (.policy, .number(3)), (.addressGroup, .number(4)),
        (.flowAgeing, .number(17 << 16 | 53)), (.natRule, .number(9)),
        (.route, .route(vrf: 1, isIPv4: true, after: nil)), (.route, .route(vrf: .max, isIPv4: true, after: prefix("10.1.0.0/24"))),
        (.route, .route(vrf: 1, isIPv4: false, after: prefix("fd00:1::/64"))), (.route, .route(vrf: 1, isIPv4: false, after: prefix("::/0"))),
        (.bridge, .bridge(vrf: 1, after: nil)), (.bridge, .bridge(vrf: 1, after: macA)),
    ]

    @Test func everyPositionSurvives() throws {
        let tables = Set(Dataplane_V1_Table.allCases).subtracting([.unspecified])
        #expect(Set(Self.positions.map(\.0)) == tables, "every table has pages")
        for (table, position) in Self.positions {
            let request = Dataplane_V1_ReadRequest.with { $0.table = table }
            let token = try #require(PageToken(PageToken(position).encoded(for: request), for: request), "\(position)")
            #expect(token.position == position)
        }
    }

    @Test func theLayoutIsAsDocumented() {
        let request = Dataplane_V1_ReadRequest.with {
            $0.table = .route; $0.vrf = 2; $0.family = 4
        }
        let token = PageToken(.route(vrf: 2, isIPv4: true, after: prefix("10.0.0.0/8"))).encoded(for: request)
        #expect(Array(token) == [1, 5, 1, 4, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 2, 4, 8, 10, 0, 0, 0])
    }

    /// A token of one table or filter is not taken for another.
    @Test func isBoundToItsRequest() {
        let request = Dataplane_V1_ReadRequest.with {
            $0.table = .route; $0.vrf = 1
        }
        let token = PageToken(.route(vrf: 1, isIPv4: true, after: nil)).encoded(for: request)
        let others: [Dataplane_V1_ReadRequest] = [
            .with { $0.table = .route },
            .with {
                $0.table = .route; $0.vrf = 2
            },
            .with {
                $0.table = .bridge; $0.vrf = 1
            },
            .with {
                $0.table = .route; $0.vrf = 1; $0.family = 4
            },
        ]
        #expect(PageToken(token, for: request) != nil)
        for other in others { #expect(PageToken(token, for: other) == nil, "\(other)") }
        var paged = request
        paged.pageSize = 5
        #expect(PageToken(token, for: paged) != nil)
    }

    /// Cut, lengthened, with every octet changed to every value: never a trap, and what is taken encodes to itself.
    @Test func hostileOctets() {
        for (table, position) in Self.positions {
            let request = Dataplane_V1_ReadRequest.with { $0.table = table }
            let valid = PageToken(position).encoded(for: request)
            for length in 0..<valid.count { check(valid.prefix(length), request) }
            check(valid + [0], request)
            for place in valid.indices.prefix(40) {
                for value in UInt8.min ... .max {
                    var octets = valid
                    octets[place] = value
                    check(octets, request)
                }
            }
        }
        check(Data(repeating: 0xFF, count: 1 << 16), .with { $0.table = .port })
    }

    private func check(_ octets: Data, _ request: Dataplane_V1_ReadRequest) {
        if let token = PageToken(octets, for: request) { #expect(token.encoded(for: request) == octets) }
    }
}
