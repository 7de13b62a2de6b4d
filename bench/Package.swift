// swift-tools-version: 6.1
import PackageDescription

// Packet-rate benchmarks: a package of their own, so that the product depends on nothing that only measuring needs.
let package = Package(
    name: "bench",
    dependencies: [
        .package(name: "swift-vrouter", path: "..", traits: []),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    ],
    targets: [
        .executableTarget(
            name: "vrbench",
            dependencies: [
                .product(name: "Dataplane", package: "swift-vrouter"), .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ])
    ],
    swiftLanguageModes: [.v6]
)
