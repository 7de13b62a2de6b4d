/// Which ids below a capacity are marked: for questions that are asked once for each flow.
struct MarkedNumbers {
    private var marks: [Bool]

    /// Numbers from `capacity` on are left out.
    init(_ numbers: some Sequence<UInt32>, capacity: Int) {
        marks = [Bool](repeating: false, count: capacity)
        for number in numbers where Int(number) < capacity { marks[Int(number)] = true }
    }

    func contains(_ number: UInt32) -> Bool { Int(number) < marks.count && marks[Int(number)] }
}
