// swift-tools-version: 6.1
import PackageDescription

// The data plane under concurrent change, for ThreadSanitizer: a package of its own, compiled throughout for it and without any dependency to fetch.
// `./run stress` is the way in.
let swift: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("MemberImportVisibility"), .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "stress",
    targets: [
        .target(name: "CPlatform", path: "CSupport/CPlatform", cSettings: [.define("_GNU_SOURCE")]),
        .target(name: "NetTypes", swiftSettings: swift),
        .target(name: "Dataplane", dependencies: ["CPlatform", "NetTypes"], swiftSettings: swift),
        .executableTarget(name: "vrstress", dependencies: ["CPlatform", "Dataplane", "NetTypes"]),
    ],
    swiftLanguageModes: [.v6]
)
