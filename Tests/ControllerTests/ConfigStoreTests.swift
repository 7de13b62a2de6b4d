import Controller
import Foundation
import GRDB
import NetTypes
import Overlay
import Testing

@Suite struct ConfigStoreTests {
    @Test func everythingSurvivesARestart() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/c.sqlite"
        var before: [ConfigObject] = []
        do {
            let store = try ConfigStore(path: path)
            _ = try store.apply(YAMLDocuments.located(text: demo, source: ""))
            _ = try store.apply(YAMLDocuments.located(text: network("grey", "10.4.0.0/24"), source: ""))
            _ = try store.delete(ObjectKey(.virtualNetwork, "grey"))
            before = store.model.objects()
        }
        let store = try ConfigStore(path: path)
        #expect(store.model.objects() == before && before.count == 7)
        #expect(before.allSatisfy { $0.metadata.uid?.count == 36 && $0.metadata.generation == 1 })
        #expect(store.model.lastVNI == 3, "grey had it")
        _ = try store.apply(YAMLDocuments.located(text: network("white", "10.4.0.0/24"), source: ""))
        #expect(store.model.virtualNetwork("white")?.vni?.rawValue == 4)
    }

    @Test func aBadApplyStoresNothing() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/c.sqlite"
        do {
            let store = try ConfigStore(path: path)
            let bad = try YAMLDocuments.located(
                text: network("fine", "10.8.0.0/24") + "---\n" + port("p", mac: "02:00:00:00:00:01", address: "10.8.0.2"), source: "")
            #expect(throws: ConfigStore.ApplyError.self) { try store.apply(bad) }
            #expect(try store.plan(YAMLDocuments.located(text: demo, source: "")).count == 7)
        }
        #expect(try ConfigStore(path: path).model.objects().isEmpty)
    }

    @Test func anUnusableFileIsAClearError() throws {
        let directory = try TemporaryDirectory()
        #expect(throws: StoreError.self) { try ConfigStore(path: directory.path + "/none/c.sqlite") }
        let path = directory.path + "/junk.sqlite"
        try Data(repeating: 7, count: 4096).write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: StoreError.self) { try ConfigStore(path: path) }
        #expect(error?.description.contains("junk.sqlite") == true)
    }

    @Test func anObjectThatCannotBeReadIsNamed() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/c.sqlite"
        do { _ = try ConfigStore(path: path).apply(YAMLDocuments.located(text: demo, source: "")) }
        do {
            let database = try DatabaseQueue(path: path)
            try database.write { try $0.execute(sql: "UPDATE object SET body = '{\"kind\": \"Port\"}' WHERE name = 'blue3'") }
        }
        let error = #expect(throws: StoreError.self) { try ConfigStore(path: path) }
        #expect(error?.reason.hasPrefix("holds an object that cannot be read: Port/blue3: ") == true, "\(String(describing: error))")
    }

    @Test func aNewerFileIsNotTouched() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/c.sqlite"
        _ = try ConfigStore(path: path)
        do {
            let database = try DatabaseQueue(path: path)
            try database.write { try $0.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('99 later')") }
        }
        let error = #expect(throws: StoreError.self) { try ConfigStore(path: path) }
        #expect(error?.reason.contains("newer version") == true)
    }

    @Test func oneProcessAtATime() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/c.sqlite"
        let store = try ConfigStore(path: path)
        _ = try store.apply(YAMLDocuments.located(text: demo, source: ""))
        let error = #expect(throws: StoreError.self) { try ConfigStore(path: path) }
        #expect(error?.reason == "is in use by another process")
        #expect(store.model.objects().count == 7)
    }
}
