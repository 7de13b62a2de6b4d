/// The layouts of `mpls` and `vxlan`: an incoming label or VNI, and the next hop it leads to.
enum LabelLayout {
    enum Table {
        case mpls, vxlan
        var header: String {
            switch self {
            case .mpls: "MPLS Input Label Map\n\n   Label    NextHop\n-------------------\n"
            case .vxlan: "VXLAN Table\n\n VNID    NextHop\n----------------\n"
            }
        }
        /// Column in which the number ends, and width of the line.
        var columns: (number: Int, line: Int) { self == .mpls ? (8, 19) : (5, 16) }
    }

    static func line(_ table: Table, _ number: UInt32, nextHop: UInt32) -> String {
        let number = "\(number)".aligned(table.columns.number)
        return number + " " + "\(nextHop)".aligned(max(1, table.columns.line - number.count - 1)) + "\n"
    }
}
