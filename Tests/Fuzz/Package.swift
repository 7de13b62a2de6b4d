// swift-tools-version: 6.1
import PackageDescription

// Fuzzing: the modules that read octets from outside, compiled once more with libFuzzer's coverage and AddressSanitizer, and one program that feeds them.
// A package of its own, so that nothing of this is in the product; the modules are the same sources, by links. `./run fuzz` builds and runs it.
let instrumented = ["-sanitize=fuzzer,address", "-parse-as-library", "-enable-testing"]
let swift: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("MemberImportVisibility"), .enableUpcomingFeature("InternalImportsByDefault"),
    .unsafeFlags(instrumented),
]

let package = Package(
    name: "fuzz",
    targets: [
        .target(
            name: "CPlatform", path: "CSupport/CPlatform", cSettings: [.define("_GNU_SOURCE"), .unsafeFlags(["-fsanitize=fuzzer-no-link,address"])]),
        .systemLibrary(name: "CExpat", path: "CSupport/CExpat", pkgConfig: "expat", providers: [.apt(["libexpat1-dev"])]),
        .target(name: "NetTypes", swiftSettings: swift),
        .target(name: "Dataplane", dependencies: ["CPlatform", "NetTypes"], swiftSettings: swift),
        .target(name: "XMPP", dependencies: ["CExpat"], swiftSettings: swift),
        .systemLibrary(name: "CFuzzer"),
        .executableTarget(
            name: "Fuzz", dependencies: ["CFuzzer", "CPlatform", "Dataplane", "NetTypes", "XMPP"], swiftSettings: swift,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]),
    ],
    swiftLanguageModes: [.v6]
)
