import Dataplane
import DataplaneAPI
import NetTypes
import SwiftProtobuf

/// `Read`: one page of one table. Stateless; where to go on is in the token.
struct TableReader {
    static let defaultPageSize = 1000
    static let maximumPageSize = 10_000
    /// Flow entries looked at for one page when a filter leaves most of them out.
    static let flowScanLimit = 65_536

    let router: Router

    /// Why a request is refused as a whole.
    struct Refusal: Error { let text: String }

    func page(_ request: Dataplane_V1_ReadRequest) throws(Refusal) -> Dataplane_V1_ReadResponse {
        try checkFilters(request)
        var start: PageToken.Position?
        if !request.pageToken.isEmpty {
            guard let token = PageToken(request.pageToken, for: request) else {
                throw Refusal(text: "page_token: not a token from a reply to this request; start again with an empty one")
            }
            start = token.position
        }
        let size = request.pageSize == 0 ? Self.defaultPageSize : Int(min(request.pageSize, UInt32(Self.maximumPageSize)))
        let page = read(request, from: start, size: size)
        return .with {
            $0.objects = page.objects.map { object in .with { $0.object = object } }
            if let next = page.next { $0.nextPageToken = PageToken(next).encoded(for: request) }
        }
    }

    private func checkFilters(_ request: Dataplane_V1_ReadRequest) throws(Refusal) {
        switch request.table {
        case .unspecified: throw Refusal(text: "table: missing")
        case .UNRECOGNIZED(let number): throw Refusal(text: "table: \(number): no such table")
        case .port, .vif, .vrf, .nextHop, .route, .bridge, .label, .vni, .flow, .forwardingClass, .qosMap, .mirror, .policy,
            .addressGroup, .natRule, .flowAgeing:
            break
        }
        if request.hasVrf, ![.route, .bridge, .flow].contains(request.table) {
            throw Refusal(text: "vrf: \(request.vrf): this filter is for routes, bridge entries and flows; a VRF itself is asked for by id")
        }
        if request.family != 0 {
            guard request.table == .route else { throw Refusal(text: "family: \(request.family): this filter is for routes") }
            guard request.family == 4 || request.family == 6 else { throw Refusal(text: "family: \(request.family): 4, 6 or 0 for both") }
        }
        if request.hasID, [.port, .route, .bridge, .flowAgeing].contains(request.table) {
            throw Refusal(text: "id: \(request.id): objects of this table have no number")
        }
    }

    private typealias Object = Dataplane_V1_Object.OneOf_Object
    private typealias Page = (objects: [Object], next: PageToken.Position?)

    private func read(_ request: Dataplane_V1_ReadRequest, from start: PageToken.Position?, size: Int) -> Page {
        let id = request.hasID ? request.id : nil
        switch request.table {
        case .port: return ports(from: start, size: size)
        case .vif:
            return numbered(id, start, size, { router.vifs(after: $0.map(VifID.init(rawValue:)), limit: $1) }, { $0.spec.id.rawValue }) {
                .vif(.init($0))
            }
        case .vrf:
            return numbered(id, start, size, { router.vrfs(after: $0.map(VRFID.init(rawValue:)), limit: $1) }, { $0.spec.id.rawValue }) {
                .vrf(.init($0))
            }
        case .nextHop:
            return numbered(id, start, size, { router.nextHops(after: $0.map(NextHopID.init(rawValue:)), limit: $1) }, { $0.spec.id.rawValue }) {
                .nextHop(.init($0))
            }
        case .label:
            return numbered(id, start, size, { router.labels(after: $0.map(Label.init(rawValue:)), limit: $1) }, { $0.label.rawValue }) {
                .label(.init($0))
            }
        case .vni:
            return numbered(id, start, size, { router.vnis(after: $0.map(VNI.init(rawValue:)), limit: $1) }, { $0.vni.rawValue }) { .vni(.init($0)) }
        case .forwardingClass:
            return numbered(id, start, size, { router.forwardingClasses(after: $0.map(UInt8.init(clamping:)), limit: $1) }, { UInt32($0.id) }) {
                .forwardingClass(.init($0))
            }
        case .qosMap:
            return numbered(id, start, size, { router.qosMaps(after: $0.map(UInt8.init(clamping:)), limit: $1) }, { UInt32($0.id) }) {
                .qosMap(.init($0))
            }
        case .policy:
            return numbered(id, start, size, { router.policies(after: $0.map(PolicyID.init(rawValue:)), limit: $1) }, { $0.id.rawValue }) {
                .policy(.init($0))
            }
        case .addressGroup:
            return numbered(id, start, size, { router.addressGroups(after: $0.map(AddressGroupID.init(rawValue:)), limit: $1) }, { $0.id.rawValue }) {
                .addressGroup(.init($0))
            }
        case .natRule:
            return numbered(id, start, size, { router.natRules(after: $0.map(NATRuleID.init(rawValue:)), limit: $1) }, { $0.id.rawValue }) {
                .natRule(.init($0))
            }
        case .flowAgeing: return ageingTimes(from: start, size: size)
        case .mirror: return numbered(id, start, size, { router.mirrors(after: $0, limit: $1) }, { $0.spec.id }) { .mirror(.init($0)) }
        case .route: return routes(request, from: start, size: size)
        case .bridge: return bridgeEntries(request, from: start, size: size)
        case .flow: return flows(request, from: start, size: size)
        case .unspecified, .UNRECOGNIZED: return ([], nil)
        }
    }

    private func ports(from start: PageToken.Position?, size: Int) -> Page {
        var after = ""
        if case .name(let name) = start { after = name }
        let rest = router.ports().sorted { $0.spec.name < $1.spec.name }.drop { $0.spec.name <= after }
        let page = rest.prefix(size)
        return (page.map { .port(.init($0)) }, rest.count > page.count ? page.last.map { .name($0.spec.name) } : nil)
    }

    private func ageingTimes(from start: PageToken.Position?, size: Int) -> Page {
        var after: FlowAgeingID?
        if case .number(let number) = start {
            after = FlowAgeingID(proto: UInt8(truncatingIfNeeded: number >> 16), port: UInt16(truncatingIfNeeded: number))
        }
        let page = router.flowAgeing(after: after, limit: size)
        return (page.map { .flowAgeing(.init($0)) }, page.count < size ? nil : page.last.map { .number(UInt32($0.proto) << 16 | UInt32($0.port)) })
    }

    /// The tables whose key is one number. `id`: only that one.
    private func numbered<Reading>(
        _ id: UInt32?, _ start: PageToken.Position?, _ size: Int, _ list: (UInt32?, Int) -> [Reading], _ key: (Reading) -> UInt32,
        _ encode: (Reading) -> Object
    ) -> Page {
        if let id {
            let found = list(id == 0 ? nil : id - 1, 1).filter { key($0) == id }
            return (found.map(encode), nil)
        }
        var after: UInt32?
        if case .number(let number) = start { after = number }
        let page = list(after, size)
        return (page.map(encode), page.count < size ? nil : page.last.map { .number(key($0)) })
    }

    /// The VRFs a walk visits: the one of the filter, or all from `first` on.
    private func vrfIDs(_ request: Dataplane_V1_ReadRequest, from first: UInt32?) -> [VRFID] {
        if request.hasVrf { return [VRFID(request.vrf)] }
        return router.vrfs(after: first.flatMap { $0 == 0 ? nil : VRFID($0 - 1) }, limit: .max).map(\.spec.id)
    }

    private func routes(_ request: Dataplane_V1_ReadRequest, from start: PageToken.Position?, size: Int) -> Page {
        var objects: [Object] = []
        var resume: (vrf: UInt32, isIPv4: Bool, after: IPPrefix?)?
        if case .route(let vrf, let isIPv4, let after) = start { resume = (vrf, isIPv4, after) }
        for vrf in vrfIDs(request, from: resume?.vrf) {
            for isIPv4 in [true, false] where request.family == 0 || (request.family == 4) == isIPv4 {
                var after: IPPrefix?
                if let resume, resume.vrf == vrf.rawValue {
                    if isIPv4, !resume.isIPv4 { continue }
                    if isIPv4 == resume.isIPv4 { after = resume.after }
                }
                if objects.count == size { return (objects, .route(vrf: vrf.rawValue, isIPv4: isIPv4, after: after)) }
                let wanted = size - objects.count
                let found = router.routes(vrf: vrf, isIPv4: isIPv4, after: after, limit: wanted)
                objects += found.map { .route(.init($0)) }
                if found.count == wanted, let last = found.last {
                    return (objects, .route(vrf: vrf.rawValue, isIPv4: isIPv4, after: last.prefix))
                }
            }
        }
        return (objects, nil)
    }

    private func bridgeEntries(_ request: Dataplane_V1_ReadRequest, from start: PageToken.Position?, size: Int) -> Page {
        var objects: [Object] = []
        var resume: (vrf: UInt32, after: MACAddress?)?
        if case .bridge(let vrf, let after) = start { resume = (vrf, after) }
        for vrf in vrfIDs(request, from: resume?.vrf) {
            let after = resume?.vrf == vrf.rawValue ? resume?.after : nil
            let wanted = size - objects.count
            let found = router.bridgeEntries(vrf: vrf, after: after, limit: wanted)
            objects += found.map { .bridgeEntry(.init($0)) }
            if found.count == wanted, let last = found.last { return (objects, .bridge(vrf: vrf.rawValue, after: last.spec.mac)) }
        }
        return (objects, nil)
    }

    private func flows(_ request: Dataplane_V1_ReadRequest, from start: PageToken.Position?, size: Int) -> Page {
        if request.hasID {
            let found = router.flows(from: request.id, limit: 1).flows.filter { $0.index == request.id }
            return (found.filter { !request.hasVrf || $0.spec.key.vrf.rawValue == request.vrf }.map { .flow(.init($0)) }, nil)
        }
        var objects: [Object] = []
        var from: UInt32? = 0
        if case .flow(let index) = start { from = index }
        var scanned = 0
        while let index = from, objects.count < size, scanned < Self.flowScanLimit {
            let part = router.flows(from: index, limit: size - objects.count)
            objects += part.flows.filter { !request.hasVrf || $0.spec.key.vrf.rawValue == request.vrf }.map { .flow(.init($0)) }
            scanned += max(1, part.flows.count)
            // A position that does not move on would be an endless walk.
            from = part.next.flatMap { $0 > index ? $0 : nil }
        }
        return (objects, from.map { .flow($0) })
    }
}
