"""JPEG streams from a template and coefficients: docs/format/codec-1.md, "Templates"."""


class Damaged(ValueError):
    """The file is not what the specification says."""


def check(condition, what):
    if not condition:
        raise Damaged(what)


class Input:
    """Bytes in the order they come, with the encodings of codec 1's parameters."""

    def __init__(self, data):
        self.data, self.at = bytes(data), 0

    def take(self, length):
        check(self.at + length <= len(self.data), "cut off")
        self.at += length
        return self.data[self.at - length : self.at]

    def byte(self):
        return self.take(1)[0]

    def unsigned(self, width):
        return int.from_bytes(self.take(width), "little")

    def number(self):
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise Damaged("a number of more than 28 bits")

    def signed(self):
        z = self.number()
        return -((z + 1) // 2) if z & 1 else z // 2

    def block(self):
        return self.take(self.number())

    def rest(self):
        return self.take(len(self.data) - self.at)

    def end(self):
        check(self.at == len(self.data), "bytes behind the end")


def segments(data, at=2):
    """The marker segments from `at` on, up to and with SOS: start, code, content, end."""
    while True:
        start = at
        while data[at : at + 1] == b"\xff":
            at += 1
        check(at > start and at + 3 <= len(data), "a marker was expected")
        code = data[at]
        check(0xC0 <= code and not 0xD0 <= code <= 0xD9, "a marker segment was expected")
        length = int.from_bytes(data[at + 1 : at + 3], "big")
        end = at + 1 + length
        check(length >= 2 and end <= len(data), "a segment is cut off")
        yield start, code, data[at + 3 : end], end
        if code == 0xDA:
            return
        at = end


class Component:
    def __init__(self, ident, sampling, quantisation):
        self.ident, self.h, self.v, self.quantisation = ident, sampling >> 4, sampling & 15, quantisation
        self.steps = self.dc = self.ac = None


class Plane:
    """The blocks of one component; coefficients in zigzag order."""

    def __init__(self, component, width, height):
        self.h, self.v, self.steps = component.h, component.v, component.steps
        self.width, self.height = width, height
        self.blocks = []


class Template:
    def __init__(self, data):
        source = Input(data)
        self.ones = source.byte()
        check(self.ones < 2, "neither ones nor zeros")
        self.head = source.block()
        self.cuts = []
        for _ in range(source.number()):
            at = source.number()
            tables = source.block()
            check(1 <= len(tables) <= 8, "a cut of no or too many tables")
            self.cuts.append((at, tables))
        self.tail = source.block()
        source.end()
        self.read_head()
        self.check_tail()

    def read_head(self):
        check(self.head[:2] == b"\xff\xd8", "no SOI")
        self.components, self.restart = [], 0
        self.tables = {}  # class * 16 + number: counts and symbols; None: optimal
        quantisation, cuts = {}, list(self.cuts)
        for start, code, content, end in segments(self.head):
            while cuts and cuts[0][0] == start:
                self.tables.update((table, None) for table in cuts.pop(0)[1])
            if code in (0xC0, 0xC1):
                self.read_frame(content)
                self.size_at = end - len(content) + 1
            elif code == 0xC4:
                self.read_tables(content)
            elif code == 0xDB:
                read_quantisation(content, quantisation)
            elif code == 0xDD:
                check(len(content) == 2, "a restart interval of a wrong length")
                self.restart = int.from_bytes(content, "big")
            elif code == 0xDA:
                self.read_scan(content, quantisation)
            else:
                check(0xE0 <= code <= 0xEF or code == 0xFE, "a marker that a head has not")
        check(end == len(self.head), "bytes behind SOS")
        check(not cuts, "a cut that is not between two markers")
        used = {c.dc for c in self.components} | {c.ac for c in self.components}
        check(all(table in used for _, tables in self.cuts for table in tables), "a cut that is not used")
        self.codes = {table: codes(self.tables[table]) for table in used if self.tables[table]}

    def read_frame(self, content):
        check(not self.components and len(content) >= 6 and content[0] == 8, "a wrong frame header")
        check(content[1:5] == bytes(4), "a template with a size")
        count = content[5]
        check(count in (1, 3, 4) and len(content) == 6 + 3 * count, "a wrong number of components")
        self.components = [Component(*content[6 + 3 * i : 9 + 3 * i]) for i in range(count)]
        check(all(1 <= f <= 4 for c in self.components for f in (c.h, c.v)), "a wrong sampling factor")
        check(count == 1 or sum(c.h * c.v for c in self.components) <= 10, "more than ten blocks in an MCU")

    def read_tables(self, content):
        source = Input(content)
        while source.at < len(content):
            table, counts = source.byte(), source.take(16)
            check(table >> 4 < 2 and table & 15 < 4, "a wrong Huffman table number")
            self.tables[table] = counts, source.take(sum(counts))

    def read_scan(self, content, quantisation):
        count = len(self.components)
        check(count and content[:1] == bytes([count]) and len(content) == 4 + 2 * count, "a wrong scan header")
        check(content[-3:] == bytes([0, 63, 0]), "a scan of some of the coefficients")
        for i, c in enumerate(self.components):
            ident, tables = content[1 + 2 * i : 3 + 2 * i]
            check(ident == c.ident, "a scan in another order")
            c.dc, c.ac = tables >> 4, 16 | tables & 15
            check(c.dc in self.tables and c.ac in self.tables, "a Huffman table that is not there")
            check(c.quantisation in quantisation, "a quantisation table that is not there")
            c.steps = quantisation[c.quantisation]

    def check_tail(self):
        end = self.tail
        if len(end) > 1 and end[0] == 0xFF and 0xD0 <= end[1] <= 0xD7:
            end = end[2:]
        marker = end.lstrip(b"\xff")
        check(len(marker) < len(end) and marker[:1] == b"\xd9" and len(self.tail) <= 66, "a wrong tail")

    def mcus(self, width, height):
        """Columns and rows of MCUs, and the blocks of each component in one."""
        check(1 <= width <= 65535 and 1 <= height <= 65535 and width * height <= 1 << 24, "a wrong size")
        if len(self.components) == 1:
            return -(-width // 8), -(-height // 8), [(1, 1)]
        most_h, most_v = max(c.h for c in self.components), max(c.v for c in self.components)
        return -(-width // (8 * most_h)), -(-height // (8 * most_v)), [(c.h, c.v) for c in self.components]

    def planes(self, width, height):
        columns, rows, units = self.mcus(width, height)
        return [Plane(c, columns * h, rows * v) for c, (h, v) in zip(self.components, units)]

    def write(self, width, height, planes):
        """The stream with these planes."""
        intervals = self.symbols(width, height, planes)
        made = {}
        for table in {table for _, tables in self.cuts for table in tables}:
            counts = {}
            for interval in intervals:
                for used, symbol, _, _ in interval:
                    if used == table:
                        counts[symbol] = counts.get(symbol, 0) + 1
            made[table] = optimal(counts)
        all_codes = {**self.codes, **{t: codes(made[t]) for t in made if self.tables[t] is None}}
        out, at, size_at = bytearray(), 0, self.size_at
        for cut, tables in self.cuts:
            content = b"".join(bytes([t, *made[t][0], *made[t][1]]) for t in tables)
            segment = b"\xff\xc4" + (len(content) + 2).to_bytes(2, "big") + content
            out += self.head[at:cut] + segment
            at = cut
            if cut <= self.size_at:
                size_at += len(segment)
        out += self.head[at:]
        out[size_at : size_at + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
        for i, interval in enumerate(intervals):
            if i:
                out += bytes([0xFF, 0xD0 + (i - 1) % 8])
            out += self.bits(interval, all_codes).replace(b"\xff", b"\xff\x00")
        return bytes(out + self.tail)

    def symbols(self, width, height, planes):
        """Table, symbol, value and bits of the value, for each restart interval."""
        columns, rows, units = self.mcus(width, height)
        every = self.restart or columns * rows
        intervals = []
        for mcu in range(columns * rows):
            if mcu % every == 0:
                interval, last = [], [0] * len(planes)
                intervals.append(interval)
            for i, (plane, c, (across, down)) in enumerate(zip(planes, self.components, units)):
                for y in range(mcu // columns * down, (mcu // columns + 1) * down):
                    for x in range(mcu % columns * across, (mcu % columns + 1) * across):
                        block = plane.blocks[y * plane.width + x]
                        difference, last[i] = block[0] - last[i], block[0]
                        check(abs(block[0]) < 2048 and abs(difference) < 2048, "a DC coefficient out of range")
                        interval.append((c.dc, *sized(0, difference)))
                        code_ac(interval, c.ac, block)
        return intervals

    def bits(self, interval, all_codes):
        value, count, out = 0, 0, bytearray()
        for table, symbol, more, size in interval:
            check(symbol in all_codes[table], "a symbol without a code")
            code, length = all_codes[table][symbol]
            value = (value << length | code) << size | more
            count += length + size
            if count > 512:
                out += (value >> count % 8).to_bytes(count // 8, "big")
                count %= 8
                value &= (1 << count) - 1
        fill = -count % 8
        value = value << fill | ((1 << fill) - 1 if self.ones else 0)
        return bytes(out + value.to_bytes((count + fill) // 8, "big"))


def sized(run, value):
    size = abs(value).bit_length()
    return run << 4 | size, value if value >= 0 else value + (1 << size) - 1, size


def code_ac(interval, table, block):
    last = 0
    for k in range(1, 64):
        if block[k]:
            check(abs(block[k]) < 1024, "an AC coefficient out of range")
            run = k - last - 1
            interval += [(table, 0xF0, 0, 0)] * (run // 16)
            interval.append((table, *sized(run % 16, block[k])))
            last = k
    if last < 63:
        interval.append((table, 0, 0, 0))


def read_quantisation(content, tables):
    source = Input(content)
    while source.at < len(content):
        head = source.byte()
        check(head >> 4 < 2 and head & 15 < 4, "a wrong quantisation table number")
        width = 1 + (head >> 4)
        steps = [int.from_bytes(source.take(width), "big") for _ in range(64)]
        check(all(steps), "a step of 0")
        tables[head & 15] = steps


def codes(table):
    """Code and length of each symbol of counts and symbols."""
    counts, symbols = table
    check(len(symbols) <= 256 and len(set(symbols)) == len(symbols), "a symbol twice")
    out, code, order = {}, 0, iter(symbols)
    for length, count in enumerate(counts, 1):
        check(not count or code + count < 1 << length, "more codes than there are")
        for _ in range(count):
            out[next(order)] = code, length
            code += 1
        code <<= 1
    return out


def optimal(counts):
    """Counts of lengths and symbols of the optimal table."""
    trees = {symbol: (count, [symbol]) for symbol, count in counts.items()}
    trees[256] = 1, [256]
    depth = dict.fromkeys(trees, 0)
    while len(trees) > 1:
        a, b = sorted(trees, key=lambda name: (trees[name][0], -name))[:2]
        (frequency, leaves), (others, more) = trees[a], trees.pop(b)
        trees[a] = frequency + others, leaves + more
        for symbol in leaves + more:
            depth[symbol] += 1
    count = [0] * 258
    for length in depth.values():
        count[length] += 1
    for n in range(257, 16, -1):
        while count[n] > 0:
            j = max(j for j in range(1, n - 1) if count[j])
            count[n] -= 2
            count[n - 1] += 1
            count[j + 1] += 2
            count[j] -= 1
    largest = max((n for n in range(1, 17) if count[n]), default=None)
    if largest:
        count[largest] -= 1
    del depth[256]
    return count[1:17], sorted(depth, key=lambda symbol: (depth[symbol], symbol))
