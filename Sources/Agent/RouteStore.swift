import NetTypes
import Overlay

/// The routes that the controllers have told, one path per controller and destination, and which of them is used.
///
/// When a controller's session ends its paths are kept as stale (graceful restart, RFC 4724): a path told again is fresh again, and
/// what is still stale at End-of-RIB is swept.
///
/// Best path: a fresh one before a stale one, then the highest local preference, the highest sequence number (the workload moved
/// there last), the lowest tunnel address, the lowest controller number, so that every agent decides alike.
///
/// Thread-safety: a value.
struct RouteStore: Sendable {
    struct Key: Hashable, Sendable {
        var vrf: String
        var destination: RouteAdvertisement.Destination
    }
    struct Path: Hashable, Sendable {
        var route: RouteAdvertisement
        var isStale = false
    }
    /// By destination, then by controller number.
    private(set) var paths: [Key: [Int: Path]] = [:]

    mutating func update(_ route: RouteAdvertisement, from controller: Int) {
        paths[Key(vrf: route.vrf, destination: route.destination), default: [:]][controller] = Path(route: route)
    }

    mutating func withdraw(_ key: Key, from controller: Int) {
        paths[key]?[controller] = nil
        if paths[key]?.isEmpty == true { paths[key] = nil }
    }

    /// The session with the controller ended.
    mutating func markStale(_ controller: Int) {
        for (key, list) in paths where list[controller] != nil { paths[key]?[controller]?.isStale = true }
    }

    /// The controller has told everything (End-of-RIB), or will not come back: its stale paths go. Returns how many.
    @discardableResult
    mutating func sweep(_ controller: Int) -> Int {
        var count = 0
        for (key, list) in paths where list[controller]?.isStale == true {
            withdraw(key, from: controller)
            count += 1
        }
        return count
    }

    /// This VRF is no longer subscribed.
    mutating func remove(vrf: String) { paths = paths.filter { $0.key.vrf != vrf } }

    func best(_ key: Key) -> RouteAdvertisement? {
        paths[key]?.min { Self.precedes($0, $1) }?.value.route
    }

    /// Every destination with its best path.
    func bestRoutes() -> [Key: RouteAdvertisement] {
        paths.compactMapValues { $0.min { Self.precedes($0, $1) }?.value.route }
    }

    private static func precedes(_ a: (key: Int, value: Path), _ b: (key: Int, value: Path)) -> Bool {
        if a.value.isStale != b.value.isStale { return !a.value.isStale }
        return precedes(a.value.route, b.value.route) ?? (a.key < b.key)
    }

    /// Whether `a` is better than `b` by what the routes say themselves; nil: they do not differ.
    static func precedes(_ a: RouteAdvertisement, _ b: RouteAdvertisement) -> Bool? {
        if a.localPreference != b.localPreference { return a.localPreference > b.localPreference }
        if a.sequence != b.sequence { return a.sequence > b.sequence }
        guard let left = a.nextHops.map(\.address).min(), let right = b.nextHops.map(\.address).min(), left != right else { return nil }
        return left < right
    }

    /// Paths of one controller: all, and the stale among them.
    func count(from controller: Int) -> (all: Int, stale: Int) {
        paths.values.reduce(into: (0, 0)) { counts, list in
            guard let path = list[controller] else { return }
            counts.0 += 1
            if path.isStale { counts.1 += 1 }
        }
    }
}
